"""A platform is asked before a text is passed on: what it answers is done, or else what it said before."""

import threading
from functools import partial

import pytest
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

from chats.models import Participant
from chats.services import replace_participant
from messaging import wording
from messaging.approvals import PER_PLATFORM, SKIP_AFTER_FAILURES, claim_questions
from messaging.claims import claim_texts
from messaging.models import Approval, Message
from platforms.approval import remove_hook, rotate_hook_secret, set_hook
from platforms.models import ApprovalHook, Event, Template
from tests.approval.helpers import (
    RELAY,
    answering,
    approvals,
    ask,
    end_leases,
    inbound,
    read_hook,
    receive,
    relays,
)
from tests.chats.helpers import at_once
from tests.factories import ALICE, BOB, OMAR, SARA, make_chat, make_person
from tests.messaging.media import JPEG, LATER, NEVER, fetch, make_due
from tests.messaging.media import receive as receive_media
from tests.messaging.rows import ago, forget_introductions, lose_the_key, read_answers
from tests.messaging.rows import read_outbound as outbound

pytestmark = pytest.mark.django_db


class TestTheQuestion:
    def test_it_says_what_was_written_by_whom_and_is_signed(self, chat, hook, approver):
        receive("I am at the exit, ünïcode 🚕")
        assert relays() == [("preparing", "I am at the exit, ünïcode 🚕")]
        ask()
        [asked] = approver.received
        asked.verify(hook.secret)
        message, writer = Message.objects.get(direction="in"), chat.participants.get(position=1)
        assert asked.id == str(message.pk)
        assert asked.event["type"] == "message.approval"
        assert asked.event["data"] == {
            "chat": {"id": str(chat.pk), "reference": "booking-1"},
            "message": {
                "id": str(message.pk),
                "participant": str(writer.pk),
                "text": "I am at the exit, ünïcode 🚕",
                "attachments": [],
                "created_at": message.created_at.isoformat().replace("+00:00", "Z"),
            },
        }
        assert SARA[1:] not in asked.body and OMAR[1:] not in asked.body

    def test_two_secrets_sign_while_both_live(self, platform, chat, hook, approver):
        new = rotate_hook_secret(platform=platform, now=ago(hours=23))
        receive()
        ask()
        for secret in (hook.secret, new.secret):
            approver.received[0].verify(secret)
        ApprovalHook.objects.update(previous_secret_until=ago(hours=1))
        receive()
        ask()
        with pytest.raises(WebhookVerificationError):
            approver.received[1].verify(hook.secret)

    def test_a_platform_without_a_hook_is_not_asked(self, chat, approver):
        receive()
        assert relays() == [("queued", "hello")]
        assert not Approval.objects.exists()

    def test_only_what_people_write_to_each_other_is_asked_about(self, platform, fast_number, hook, approver):
        make_chat(platform)
        ask()
        assert approver.received == [] and {row.status for row in outbound()} == {"queued"}


class TestTheAnswer:
    def test_relay_passes_it_on(self, chat, hook, approver):
        receive()
        ask()
        assert (relays(), inbound(), approvals()) == ([("queued", "hello")], [("relayed", "")], [("approved", "")])
        assert read_hook().last_success_at

    def test_other_words_are_passed_on_instead_and_the_log_keeps_both(self, api, chat, hook, approver):
        approver.always({"action": "relay", "text": "x" * 200})
        receive("call me on …")
        ask()
        assert (relays(), approvals()) == ([("queued", "x" * 200)], [("changed", "")])
        [relay] = outbound()
        assert relay.segments == 2
        shown = api.get(f"/chats/{chat.pk}/messages").json()["results"]
        assert {each["text"] for each in shown} == {"call me on …", "x" * 200}

    def test_the_writer_is_told_in_their_language_and_in_the_platforms_words(self, platform, chat, hook, approver):
        approver.always({"action": "block"})
        Participant.objects.update(language="es")
        receive()
        ask()
        Template.objects.create(platform=platform, kind="not_approved", language="es", text="{counterpart} no lo lee.")
        Message.objects.filter(kind="auto_reply").update(once_key=None)
        receive(id="again")
        ask()
        assert [words for _, words in read_answers()] == [
            "Su mensaje no se ha reenviado: el servicio que les pone en contacto no lo permite.",
            "Omar no lo lee.",
        ]

    @pytest.mark.parametrize("answer", [{"action": "block"}, {"action": "block", "reason": "no addresses"}])
    def test_block_leaves_no_relay_and_tells_the_writer_and_the_platform(self, platform, chat, hook, approver, answer):
        platform.records_events = True
        platform.save()
        approver.always(answer)
        receive()
        ask()
        assert (relays(), inbound()) == ([], [("blocked", "blocked_by_platform")])
        writer = chat.participants.get(position=1)
        assert read_answers() == [(writer.pk, wording.NOT_APPROVED)]
        assert Approval.objects.get().reason == answer.get("reason", "")
        assert list(Event.objects.order_by("position").values_list("type", flat=True)) == [
            "message.received",
            "message.blocked",
        ]
        assert '"blocked_by_platform"' in Event.objects.latest("position").payload
        assert (read_hook().consecutive_failures, read_hook().last_failure) == (0, "")

    def test_a_writer_whose_texts_are_blocked_is_told_once_a_minute(self, chat, hook, approver):
        approver.always({"action": "block"})
        for _ in range(3):
            receive()
        ask()
        assert len(read_answers()) == 1 and inbound() == [("blocked", "blocked_by_platform")] * 3

    @pytest.mark.parametrize(
        "status, answer, error",
        [
            (200, "", "Its answer is not JSON."),
            (204, "", "Its answer is not JSON."),
            (200, "relay", "Its answer is not JSON."),
            (200, "[" * 20_000, "Its answer is not JSON."),
            (200, [], 'Its answer has no "action" that is "relay" or "block".'),
            (200, {}, 'Its answer has no "action" that is "relay" or "block".'),
            (200, {"action": "RELAY"}, 'Its answer has no "action" that is "relay" or "block".'),
            (200, {"action": ["relay"]}, 'Its answer has no "action" that is "relay" or "block".'),
            (200, {"action": "relay", "body": "x"}, "Its answer has a key that is not documented for its action."),
            (200, {"action": "block", "text": "x"}, "Its answer has a key that is not documented for its action."),
            (200, {"action": "relay", "text": None}, "Its answer has a value that is not a text."),
            (200, {"action": "relay", "text": 5}, "Its answer has a value that is not a text."),
            (200, {"action": "relay", "text": "a\0b"}, "Its answer has a value that is not a text."),
            (200, {"action": "relay", "text": " "}, "The text of its answer is empty."),
            (200, {"action": "relay", "text": "x" * 3201}, "The text of its answer is too long."),
            (200, {"action": "block", "reason": "x" * 70_000}, "Its answer is larger than 65536 bytes."),
            (500, {"action": "block"}, "It answered 500."),
            (302, {"action": "block"}, "It answered 302."),
            (404, {"action": "relay"}, "It answered 404."),
        ],
    )
    @pytest.mark.parametrize("default", ["relay", "block"])
    def test_anything_else_is_no_answer_and_the_default_counts(
        self, chat, hook, approver, status, answer, error, default
    ):
        ApprovalHook.objects.update(default=default)
        approver.always(answer, status)
        receive()
        ask()
        if default == "relay":
            assert (relays(), approvals()) == ([("queued", "hello")], [("approved", error)])
        else:
            assert (relays(), approvals()) == ([], [("blocked", error)])
            assert [words for _, words in read_answers()] == [wording.NOT_CHECKED]
        assert (read_hook().consecutive_failures, read_hook().last_failure) == (1, error)

    def test_no_answer_in_time_is_no_answer(self, chat, hook, approver):
        released = threading.Event()
        approver.decide = lambda received: answering({"action": "block"}) if released.wait(60) else answering(RELAY)
        receive()
        ask()
        released.set()
        assert (relays(), approvals()) == (
            [("queued", "hello")],
            [("approved", "It did not answer within 1 seconds.")],
        )

    def test_a_reason_that_is_a_lone_surrogate_or_long_does_no_harm(self, chat, hook, approver):
        approver.always('{"action": "block", "reason": "' + "\\ud800" * 600 + '"}')
        receive()
        ask()
        assert inbound() == [("blocked", "blocked_by_platform")]
        assert len(Approval.objects.get().reason) == 500


class TestOrderAndShares:
    def test_texts_to_one_person_are_asked_about_in_order_and_arrive_in_order(self, chat, hook, approver):
        for number in range(5):
            receive(str(number))
        assert [question.attempt for question in claim_questions(limit=100)] == [1]
        end_leases()
        ask()
        assert approver.texts == ["0", "1", "2", "3", "4"]
        assert relays() == [("queued", str(number)) for number in range(5)]

    def test_a_text_is_not_sent_before_the_one_that_is_still_asked_about(self, chat, hook, approver):
        receive("first")
        Approval.objects.update(due_at=ago(minutes=-10))
        Message.objects.filter(kind="relay").update(due_at=ago(minutes=-1))
        ApprovalHook.objects.all().delete()
        type(chat.platform).objects.update(asks_for_approval=False)
        receive("second")
        assert relays() == [("preparing", "first"), ("queued", "second")]
        assert claim_texts(limit=10) == []

    def test_both_sides_and_other_chats_are_asked_about_at_once(self, platform, chat, hook, approver):
        make_chat(platform, (ALICE, BOB))
        together = threading.Barrier(4, timeout=60)

        def wait_for_others(received):
            together.wait()
            return answering(RELAY)

        approver.decide = wait_for_others
        ApprovalHook.objects.update(timeout_seconds=10)
        for person in (SARA, OMAR, ALICE, BOB):
            receive(from_=person[1:])
        ask()
        assert {status for status, _ in approvals()} == {"approved"} and approvals()[0][1] == ""

    def test_a_slow_platform_has_its_share_and_delays_no_other(self, platform, other_platform, chat, hook, approver):
        for position, stranger in enumerate(make_strangers(chat, PER_PLATFORM + 5)):
            message = make_inbound(chat)
            Approval.objects.create(
                message=message, platform=platform, recipient_id=stranger.pk, position=position, due_at=ago(hours=1)
            )
        assert len(claim_questions(limit=200)) == PER_PLATFORM
        assert claim_questions(limit=200) == []
        Approval.objects.filter(status="waiting").update(platform=other_platform)
        assert len(claim_questions(limit=200)) == 5


def make_inbound(chat):
    return Message.objects.create(
        direction="in", kind="text", status="relayed", chat=chat, participant=chat.participants.first(), body="x"
    )


def make_strangers(chat, count):
    """Return so many recipients; nobody looks whether there are such people."""
    return [Participant(chat=chat, position=1) for _ in range(count)]


class TestWhenAHookKeepsFailing:
    def fail(self, times):
        for _ in range(times):
            receive()
            ask()

    def test_it_is_skipped_for_a_while_and_texts_do_not_wait(self, chat, hook, approver):
        approver.always({}, 500)
        self.fail(SKIP_AFTER_FAILURES + 3)
        assert len(approver.received) == SKIP_AFTER_FAILURES
        assert {status for status, _ in relays()} == {"queued"}
        assert approvals()[-1] == ("approved", "It was not asked, because it has failed too often in a row.")
        assert read_hook().consecutive_failures == SKIP_AFTER_FAILURES

    def test_then_one_text_at_a_time_is_tried_until_it_answers(self, platform, chat, hook, approver):
        approver.always({}, 500)
        self.fail(SKIP_AFTER_FAILURES)
        ApprovalHook.objects.update(skipped_until=ago(hours=1))
        make_chat(platform, (ALICE, BOB))
        receive()
        receive(from_=ALICE[1:])
        assert len(claim_questions(limit=10)) == 1
        end_leases()
        ask()
        assert len(approver.received) == SKIP_AFTER_FAILURES + 1
        approver.always(RELAY)
        ApprovalHook.objects.update(skipped_until=ago(hours=1))
        receive()
        ask()
        assert (read_hook().consecutive_failures, read_hook().skipped_until) == (0, None)
        assert len(approver.received) == SKIP_AFTER_FAILURES + 2

    def test_another_url_is_asked_at_once(self, platform, chat, hook, approver):
        ApprovalHook.objects.update(url="http://127.0.0.1:9/")
        self.fail(SKIP_AFTER_FAILURES)
        assert read_hook().last_failure == "It cannot be connected to."
        set_hook(platform=platform, url=approver.url, timeout_seconds=1, default=ApprovalHook.Default.RELAY)
        self.fail(1)
        assert len(approver.received) == 1 and read_hook().consecutive_failures == 0


class TestWithAttachments:
    @pytest.mark.parametrize("asked_first", [True, False])
    def test_the_text_goes_when_both_are_settled(self, chat, hook, approver, asked_first):
        approver.always({"action": "relay", "text": "seen"})
        receive_media("a", caption="look")
        steps = [ask, partial(fetch, a=JPEG)]
        first, second = steps if asked_first else reversed(steps)
        first()
        assert [status for status, _ in relays()] == ["preparing"]
        second()
        assert relays() == [("queued", "seen")]
        assert approver.received[0].event["data"]["message"]["attachments"] == [{"kind": "image"}]
        [relay] = outbound()
        assert relay.media_count == 1

    def test_what_is_missing_is_said_after_the_words_of_the_platform(self, chat, hook, approver):
        approver.always({"action": "relay", "text": "seen"})
        receive_media("a", caption="look")
        ask()
        fetch(a=NEVER)
        assert relays() == [("queued", "seen [A picture could not be passed on.]")]

    @pytest.mark.parametrize("asked_first", [True, False])
    def test_a_blocked_picture_goes_nowhere(self, chat, hook, approver, asked_first):
        approver.always({"action": "block"})
        receive_media("a")
        steps = [ask, partial(fetch, a=JPEG)]
        for step in steps if asked_first else reversed(steps):
            step()
        assert (relays(), inbound()) == ([], [("blocked", "blocked_by_platform")])

    def test_a_picture_that_takes_its_time_is_no_reason_to_ask_later(self, chat, hook, approver):
        receive_media("a")
        fetch(a=LATER)
        ask()
        assert approvals() == [("approved", "")] and relays()[0][0] == "preparing"
        make_due()
        fetch(a=JPEG)
        assert relays()[0][0] == "queued"


class TestMissingKeys:
    @pytest.mark.parametrize("default", ["relay", "block"])
    def test_a_text_that_cannot_be_read_waits_for_its_key(self, chat, hook, approver, default):
        ApprovalHook.objects.update(default=default)
        receive()
        lose_the_key()
        ask()
        row = Approval.objects.get()
        assert (row.status, row.attempts, row.due_at > ago()) == ("waiting", 0, True)
        assert approver.received == [] and read_hook().consecutive_failures == 0


@pytest.mark.django_db(transaction=True)
class TestAtTheSameTime:
    def test_a_hook_is_removed_while_texts_wait(self, platform, chat, hook, approver):
        receive()
        remove_hook(platform=platform)
        ask()
        assert (relays(), approver.received) == ([("queued", "hello")], [])
        receive()
        assert relays()[1] == ("queued", "hello")

    def test_the_same_webhook_twice_asks_once(self, chat, hook, approver):
        at_once([partial(receive, message_uuid="5a8f1c2e-7d34-4b6a-9c1d-2f3e4a5b6c7d")] * 4)
        ask()
        assert len(approver.received) == 1 and relays() == [("queued", "hello")]

    def test_workers_share_the_questions_and_ask_each_once(self, platform, chat, hook, approver):
        make_chat(platform, (ALICE, BOB))
        forget_introductions()
        for person in (SARA, OMAR, ALICE, BOB) * 5:
            receive(from_=person[1:])
        claimed = at_once([partial(claim_questions, limit=200)] * 8)
        ids = [question.message_id for questions in claimed for question in questions]
        assert len(ids) == len(set(ids)) == 4
        end_leases()
        ask()
        assert len(relays()) == 20 and {status for status, _ in relays()} == {"queued"}

    def test_an_answer_that_comes_after_somebody_else_has_asked_again_does_nothing(self, chat, hook, approver):
        held, released = threading.Event(), threading.Event()

        def hold_the_first(received):
            if not held.is_set():
                held.set()
                released.wait(60)
                return answering({"action": "block"})
            return answering(RELAY)

        approver.decide = hold_the_first
        ApprovalHook.objects.update(timeout_seconds=10)
        receive()

        def take_over():
            assert held.wait(60)
            end_leases()
            [question] = claim_questions(limit=1)
            assert question.attempt == 2
            released.set()

        at_once([ask, take_over])
        assert (relays(), approvals()) == ([("preparing", "hello")], [("asking", "")])
        end_leases()
        ask()
        assert (relays(), approvals()) == ([("queued", "hello")], [("approved", "")])

    def test_a_killed_worker_leaves_a_question_that_is_asked_again(self, chat, hook, approver):
        receive()
        [question] = claim_questions(limit=1)
        ask()
        assert approver.received == []
        end_leases()
        ask()
        assert [each.id for each in approver.received] == [str(question.message_id)]
        assert relays() == [("queued", "hello")]
        assert [claim.decrypt_text().body for claim in claim_texts(limit=10)] == ["hello"]

    @pytest.mark.parametrize("default, expected", [("relay", "approved"), ("block", "blocked")])
    def test_a_question_that_kills_every_worker_is_given_up(self, chat, hook, approver, default, expected):
        ApprovalHook.objects.update(default=default)
        receive()
        for _ in range(3):
            assert claim_questions(limit=1)
            end_leases()
        ask()
        assert approver.received == []
        assert approvals() == [(expected, "The service was interrupted each time it asked.")]

    def test_a_recipient_is_replaced_before_the_platform_is_asked(self, chat, hook, approver):
        receive()
        replace(chat)
        ask()
        assert approver.received == []
        assert approvals() == [("moot", "")]
        assert [status for status, _ in relays()] == ["failed"]

    @pytest.mark.parametrize("answer", [RELAY, {"action": "relay", "text": "other"}, {"action": "block"}])
    def test_a_recipient_is_replaced_while_the_platform_is_asked(self, chat, hook, approver, answer):
        def replace_then(received):
            at_once([partial(replace, chat)])
            return answering(answer)

        approver.decide = replace_then
        ApprovalHook.objects.update(timeout_seconds=10)
        receive()
        ask()
        assert relays() == [("failed", "hello")]
        assert inbound() == [("relayed", "")]
        # Of that, and of nothing else.
        assert [words for _, words in read_answers()] == [wording.NOT_DELIVERED]

    @pytest.mark.parametrize("answer, expected", [(RELAY, [("queued", "hello")]), ({"action": "block"}, [])])
    def test_a_chat_ends_while_the_platform_is_asked(self, api, chat, hook, approver, answer, expected):
        """What was written before the end arrives, as any text that waits."""
        approver.always(answer)
        receive()
        assert api.post(f"/chats/{chat.pk}/end", {"closing_text": "Goodbye"}).status_code == 200
        assert {claim.decrypt_text().body for claim in claim_texts(limit=10)} == {"Goodbye"}
        ask()
        assert relays() == expected

    def test_attachments_and_answer_settled_at_once_let_the_text_go_once(self, chat, hook, approver):
        for number in range(5):
            receive_media(f"p{number}")
            at_once([ask, partial(fetch, **{f"p{number}": JPEG})])
            assert relays()[number][0] == "queued"

    def test_a_webhook_costs_a_platform_with_a_hook_no_network(self, chat, hook, approver):
        receive()
        assert approver.received == []


def replace(chat):
    replace_participant(
        chat_id=chat.pk,
        participant_id=chat.participants.get(position=2, replaced_at=None).pk,
        phone_number=make_person(ALICE).phone_number,
        name="Alice",
        now=timezone.now(),
    )
