"""A text that failed is sent again by an operator: never twice, never to whom it must not go, and it is recorded."""

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.utils import timezone

from audit.log import Actor
from audit.models import AuditEntry
from chats.phone_numbers import parse_phone_number
from chats.services import end_chat, replace_participant
from messaging.claims import claim_texts
from messaging.gateways import ErrorKind, Outcome, SendError
from messaging.models import Attachment, Message, OptOut
from messaging.resending import CannotResend, Refusal, resend_text, resend_texts, tell_senders, tick_off
from messaging.results import Result, record_results
from messaging.withdrawals import OPTED_OUT
from platforms.models import Event
from tests.chats.helpers import at_once
from tests.factories import ALICE, make_chat, make_virtual_number
from tests.messaging.payloads import receipt
from tests.messaging.rows import Kind, Status, ago, make_queued, make_relay, read_answers
from tests.messaging.signing import STATUS, signed_post

pytestmark = pytest.mark.django_db


@pytest.fixture
def virtual_number(db):
    """A number that may send hundreds of texts at once: pace is not what this is about."""
    return make_virtual_number(messages_per_second=10_000, next_send_at=ago(hours=1))


@pytest.fixture
def by(db) -> Actor:
    user = User.objects.create_superuser("olga", password="operators-only-1")
    return Actor(kind=AuditEntry.ActorKind.OPERATOR, id=str(user.pk), name="olga")


def make_failed(writer, recipient, **fields) -> Message:
    """Return a relay that the carrier took, and said some time later that it could not be delivered."""
    return make_relay(
        writer, recipient,
        **{"status": Status.FAILED, "failed_at": ago(minutes=5), "sent_at": ago(minutes=6), "attempts": 1,
           "gateway_id": "first-attempt", "error_code": "1180", "error_kind": "recipient",
           "error_detail": "The recipient's phone cannot be reached for now.", **fields},
    )  # fmt: skip


def refused(message: Message, by: Actor) -> Refusal:
    with pytest.raises(CannotResend) as caught:
        resend_text(message.pk, by)
    message.refresh_from_db()
    assert str(caught.value)
    return caught.value.refusal


def tell(client, message: Message, status: str, gateway_id: str, **fields) -> Message:
    body = receipt(status=status, message_uuid=gateway_id, client_ref=str(message.pk), **fields)
    assert signed_post(client, STATUS, body).status_code == 200
    message.refresh_from_db()
    return message


REJECTED = {"error": {"title": "1180", "detail": "Absent Subscriber", "type": "https://example.com/1180"}}


class TestItIsSentAgain:
    def test_through_the_same_state_machine(self, client, sara, omar, by):
        text = make_failed(sara, omar)
        resend_text(text.pk, by)
        [claim] = claim_texts(limit=10)
        assert claim.id == text.pk and claim.attempt == 1
        assert claim.decrypt_text().body == "hello"
        record_results([Result(claim, gateway_id="second-attempt")])
        text = tell(client, text, "delivered", "second-attempt")
        assert text.status == Status.DELIVERED and text.earlier_gateway_ids == ["first-attempt"]
        assert text.error_code == "" and text.failed_at is None and text.handled_at is None

    def test_it_has_its_full_time_and_attempts(self, sara, omar, by, settings):
        text = make_failed(sara, omar, expires_at=ago(hours=1), attempts=30)
        resend_text(text.pk, by)
        text.refresh_from_db()
        assert text.attempts == 0
        assert text.expires_at > timezone.now() + timedelta(hours=settings.SEND_FOR_HOURS - 1)

    def test_it_is_recorded_in_the_audit_log_and_in_its_history(self, sara, omar, by):
        text = make_failed(sara, omar)
        resend_text(text.pk, by)
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.object_id, entry.actor_name) == ("resent_text", str(text.pk), "olga")
        assert LogEntry.objects.get().object_id == str(text.pk)

    def test_introductions_and_texts_of_the_platform_too(self, omar, by):
        for kind in (Kind.INTRODUCTION, Kind.PLATFORM):
            text = make_queued(omar, kind=kind, status=Status.FAILED, failed_at=ago(minutes=1))
            resend_text(text.pk, by)
            text.refresh_from_db()
            assert text.status == Status.QUEUED


class TestNeverTwice:
    @pytest.mark.parametrize("status", [status for status in Status if status != Status.FAILED])
    def test_only_what_has_failed(self, sara, omar, by, status):
        if status in Message.INBOUND_STATUSES:
            text = make_relay(sara, omar).relays
            Message.objects.filter(pk=text.pk).update(status=status)
        else:
            text = make_relay(sara, omar, status=status, due_at=ago())
        assert refused(text, by) is Refusal.NOT_FAILED
        assert text.status == status

    @pytest.mark.django_db(transaction=True)
    def test_two_operators_at_once(self, sara, omar, by):
        text = make_failed(sara, omar)
        outcomes = at_once([lambda: resend_texts([text.pk], by)[text.pk]] * 4)
        assert sorted(map(str, outcomes)) == ["None", "not_failed", "not_failed", "not_failed"]
        assert AuditEntry.objects.count() == 1
        assert len(claim_texts(limit=10)) == 1

    def test_not_when_an_answer_about_it_was_lost(self, sara, omar, by):
        text = make_relay(sara, omar)
        [claim] = claim_texts(limit=1)
        record_results([Result(claim, error=SendError(Outcome.UNKNOWN, "timeout", "No answer."))])
        Message.objects.filter(pk=text.pk).update(status=Status.QUEUED, due_at=ago(minutes=1))
        [claim] = claim_texts(limit=1)
        record_results([Result(claim, error=SendError(Outcome.NEVER, "400", "Refused.", kind=ErrorKind.UNKNOWN))])
        text.refresh_from_db()
        assert text.status == Status.FAILED
        assert refused(text, by) is Refusal.MAY_HAVE_ARRIVED

    def test_but_when_a_receipt_has_settled_the_only_attempt(self, client, sara, omar, by):
        text = make_relay(sara, omar, status=Status.UNCONFIRMED, attempts=1, may_have_arrived=True)
        text = tell(client, text, "rejected", "first-attempt", **REJECTED)
        assert text.status == Status.FAILED and not text.may_have_arrived
        Message.objects.filter(pk=text.pk).update(sent_at=ago(minutes=2))
        resend_text(text.pk, by)

    @pytest.mark.parametrize("code", ["1320", "1490"])
    def test_not_when_the_carrier_does_not_know(self, sara, omar, by, code):
        assert refused(make_failed(sara, omar, error_code=code), by) is Refusal.MAY_HAVE_ARRIVED

    def test_not_while_its_sender_may_still_wait_for_the_answer(self, client, sara, omar, by):
        text = make_relay(sara, omar)
        [claim] = claim_texts(limit=1)
        # The receipt overtakes the answer to the request.
        text = tell(client, text, "rejected", "first-attempt", **REJECTED)
        assert text.status == Status.FAILED
        assert refused(text, by) is Refusal.TOO_SOON
        record_results([Result(claim, gateway_id="first-attempt")])
        Message.objects.filter(pk=text.pk).update(sent_at=ago(minutes=2))
        resend_text(text.pk, by)

    @pytest.mark.parametrize(("status", "fields"), [("rejected", REJECTED), ("submitted", {})])
    def test_what_is_repeated_of_the_attempt_before_changes_nothing(self, client, sara, omar, by, status, fields):
        text = make_failed(sara, omar)
        resend_text(text.pk, by)
        text = tell(client, text, status, "first-attempt", **fields)
        assert (text.status, text.gateway_id, text.sent_at) == (Status.QUEUED, None, None)
        [claim] = claim_texts(limit=1)
        text = tell(client, text, status, "first-attempt", **fields)
        assert text.status == Status.SENDING
        record_results([Result(claim, gateway_id="second-attempt")])
        text = tell(client, text, status, "first-attempt", **fields)
        assert (text.status, text.gateway_id) == (Status.SENT, "second-attempt")
        text = tell(client, text, "rejected", "second-attempt", **REJECTED)
        assert text.status == Status.FAILED

    def test_it_is_not_sent_when_the_attempt_before_has_arrived_after_all(self, client, sara, omar, by):
        text = make_failed(sara, omar)
        resend_text(text.pk, by)
        text = tell(client, text, "delivered", "first-attempt")
        assert text.status == Status.DELIVERED and text.due_at is None
        assert claim_texts(limit=1) == []

    @pytest.mark.django_db(transaction=True)
    def test_while_a_receipt_comes_it_ends_in_one_of_two_ways(self, client, sara, omar, by):
        texts = [make_failed(sara, omar, gateway_id=f"first-{index}") for index in range(4)]
        calls = []
        for text in texts:
            calls.append(partial(resend_texts, [text.pk], by))
            body = receipt(status="delivered", message_uuid=text.gateway_id, client_ref=str(text.pk))
            calls.append(partial(signed_post, client, STATUS, body))
        at_once(calls)
        for text in texts:
            text.refresh_from_db()
            # A receipt that comes before it is for a text that had failed, and stays what it was.
            assert text.status in (Status.QUEUED, Status.DELIVERED)
            assert text.earlier_gateway_ids == [f"first-{texts.index(text)}"]


class TestWhomItMustNotReach:
    def test_who_has_opted_out(self, sara, omar, by):
        text = make_failed(sara, omar)
        opt_out(omar)
        assert refused(text, by) is Refusal.OPTED_OUT

    def test_who_opts_out_after_it(self, sara, omar, by):
        text = make_failed(sara, omar)
        resend_text(text.pk, by)
        opt_out(omar)
        [claim] = claim_texts(limit=1)
        with pytest.raises(SendError) as caught:
            claim.decrypt_text()
        assert caught.value.code == OPTED_OUT.code

    def test_who_was_replaced(self, chat, sara, omar, by):
        text = make_failed(sara, omar)
        replace_participant(
            chat_id=chat.pk,
            participant_id=omar.pk,
            phone_number=parse_phone_number(ALICE),
            name="Alice",
            now=timezone.now(),
        )
        assert refused(text, by) is Refusal.REPLACED

    def test_nobody_when_the_chat_has_ended(self, chat, sara, omar, by):
        text = make_failed(sara, omar)
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
        assert refused(text, by) is Refusal.CHAT_ENDED

    def test_nobody_when_the_chat_is_about_to_be_ended(self, chat, sara, omar, by):
        text = make_failed(sara, omar)
        type(chat).objects.filter(pk=chat.pk).update(expires_at=ago(seconds=1))
        assert refused(text, by) is Refusal.CHAT_ENDED

    @pytest.mark.django_db(transaction=True)
    def test_ended_and_sent_again_at_once(self, chat, sara, omar, by):
        text = make_failed(sara, omar)
        end = partial(end_chat, chat_id=chat.pk, reason="over", now=timezone.now())
        refusals, _ = at_once([partial(resend_texts, [text.pk], by), end])
        text.refresh_from_db()
        # What had been queued before the end is still passed on, as any other text.
        assert (refusals[text.pk] is None) == (text.status == Status.QUEUED)

    @pytest.mark.parametrize("kind", [Kind.AUTO_REPLY, Kind.CONSENT, Kind.ANNOUNCEMENT, Kind.CLOSING])
    def test_answers_to_something_long_past(self, omar, by, kind):
        text = make_queued(omar, kind=kind, status=Status.FAILED, failed_at=ago(hours=1))
        assert refused(text, by) is Refusal.AUTOMATIC

    def test_nothing_that_has_been_erased(self, sara, omar, by):
        text = make_failed(sara, omar, body="")
        assert refused(text, by) is Refusal.FORGOTTEN
        picture = make_failed(sara, omar, media_count=1, gateway_id="with-a-picture")
        Attachment.objects.create(message=picture.relays, position=0, kind="image", status="forgotten")
        assert refused(picture, by) is Refusal.FORGOTTEN


class TestTheSender:
    def fail(self, text: Message) -> None:
        [claim] = claim_texts(limit=1)
        record_results([Result(claim, error=SendError(Outcome.NEVER, "422", "Refused.", kind=ErrorKind.RECIPIENT))])
        text.refresh_from_db()
        assert text.status == Status.FAILED

    def test_is_not_told_twice(self, platform, sara, omar, by):
        text = make_relay(sara, omar)
        self.fail(text)
        assert [who for who, _ in read_answers()] == [sara.pk]
        Message.objects.filter(kind=Kind.AUTO_REPLY).update(status=Status.DELIVERED, due_at=None, once_key="long ago")
        resend_text(text.pk, by)
        self.fail(text)
        assert [who for who, _ in read_answers()] == [sara.pk]

    def test_the_platform_is_told_of_both(self, platform, sara, omar, by):
        type(platform).objects.update(records_events=True)
        text = make_relay(sara, omar)
        self.fail(text)
        resend_text(text.pk, by)
        Message.objects.filter(kind=Kind.AUTO_REPLY).update(status=Status.DELIVERED, due_at=None)
        self.fail(text)
        assert Event.objects.filter(type="message.failed").count() == 2

    def test_who_was_told_is_not_told_again(self, sara, omar, by):
        text = make_relay(sara, omar)
        self.fail(text)
        assert tell_senders([text.pk], by) == {text.pk: Refusal.TOLD}
        assert len(read_answers()) == 1
        text.refresh_from_db()
        assert text.handled_at and text.handled_by == "olga"

    def test_who_was_told_of_another_text_in_that_hour_is_told_later(self, sara, omar, by):
        texts = [make_failed(sara, omar, gateway_id=str(index), failed_at=ago(hours=3)) for index in range(3)]
        assert sorted(map(str, tell_senders([text.pk for text in texts], by).values())) == ["None", "told", "told"]
        assert [who for who, _ in read_answers()] == [sara.pk]
        assert AuditEntry.objects.filter(action="told_sender").count() == 1
        assert Message.objects.filter(handled_at__isnull=False).count() == 3

    def test_not_when_they_have_opted_out_or_the_chat_has_ended(self, chat, sara, omar, by):
        text = make_failed(sara, omar, failed_at=ago(hours=3))
        out = opt_out(sara)
        assert tell_senders([text.pk], by) == {text.pk: Refusal.OPTED_OUT}
        out.delete()
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
        assert tell_senders([text.pk], by) == {text.pk: Refusal.CHAT_ENDED}
        assert read_answers() == []

    def test_nobody_for_what_nobody_wrote(self, omar, by):
        text = make_queued(omar, status=Status.FAILED, failed_at=ago(hours=1))
        assert tell_senders([text.pk], by) == {text.pk: Refusal.NO_SENDER}


def test_who_ticks_a_failure_off_and_when_is_kept(sara, omar, by):
    text = make_failed(sara, omar)
    assert tick_off([text.pk], by) == {text.pk: None}
    text.refresh_from_db()
    assert text.handled_by == "olga" and text.handled_at
    assert AuditEntry.objects.get().action == "handled_failure"
    assert tick_off([text.pk], by) == {text.pk: Refusal.NOT_FAILED}
    assert AuditEntry.objects.count() == 1
    # It can still be sent again, and is a failure anew should it fail.
    resend_text(text.pk, by)
    text.refresh_from_db()
    assert text.handled_at is None


def opt_out(participant) -> OptOut:
    return OptOut.objects.create(
        virtual_number=participant.virtual_number,
        phone_digest=participant.phone_digest,
        participant=participant,
        scope="number",
        source="text",
        created_at=timezone.now(),
    )


def test_another_chat_of_the_same_two_numbers_is_not_concerned(platform, virtual_number, sara, omar, chat, by):
    end_chat(chat_id=chat.pk, reason="over", now=timezone.now() - timedelta(days=3))
    text = make_failed(sara, omar)
    make_chat(platform)
    assert refused(text, by) is Refusal.CHAT_ENDED
