"""The conversation on a chat's page: what happened in between, live news, and what operators do from there."""

import html
import re
import threading
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEntry
from chats import conversation_admin
from chats.models import Chat, Participant
from chats.services import end_chat, end_expired_chats, reopen_chat, replace_participant
from messaging.models import Attachment, Message, OptOut
from messaging.opt_outs import Person, opt_out
from platforms.models import Platform
from proxy_project.encryption import encrypt_bytes
from tests.admin.pages import CHATS, listed, page_of, read, search_chats, words_of
from tests.admin.population import log_answer, log_inbound, log_relay, populate
from tests.admin.test_no_phone_numbers import find_numbers
from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA, make_chat, make_person, make_pool, make_virtual_number
from tests.messaging.payloads import sms
from tests.messaging.signing import INBOUND, signed_post


@pytest.fixture
def chat(platform: Platform) -> Chat:
    """A chat of Sara and Omar that has begun, with nothing on its way."""
    make_virtual_number()
    chat = make_chat(platform, reference="booking-8812")
    make_pool(2)
    Message.objects.update(status="delivered", due_at=None)
    return chat


@pytest.fixture
def sara(chat: Chat) -> Participant:
    return chat.participants.get(position=1)


@pytest.fixture
def omar(chat: Chat) -> Participant:
    return chat.participants.get(position=2)


def address(chat: Chat, name: str, *args: Any) -> str:
    return reverse(f"admin:chats_chat_{name}", args=[chat.pk, *args])


def confirm(client: Client, where: str, **fields: Any) -> Any:
    return client.post(where, {"confirmed": "yes", **fields}, follow=True)


def text(client: Client, chat: Chat, **fields: Any) -> Any:
    return confirm(client, address(chat, "text"), **{"to": "both", "text": "Hi", "token": uuid4(), **fields})


def texted(chat: Chat) -> list[tuple[str, str]]:
    """Return whom operators and platforms have texted, and what."""
    rows = Message.objects.filter(chat=chat, kind="platform").order_by("position").select_related("participant")
    return [(row.participant.name if row.participant else "", row.body) for row in rows]


def read_talk(client: Client, chat: Chat) -> str:
    """Return the words of the conversation, without those that draw icons."""
    source = client.get(page_of(chat)).content.decode()
    source = source[source.index("data-talk-head") - 30 : source.index("data-talk-said")]
    source = re.sub(r'<span class="material-symbols-outlined"[^>]*>\w+</span>', " ", source)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", source)).split())


def write(moment: datetime) -> str:
    """Return a time as a browser sends it, in UTC as the operator's zone."""
    return f"{moment:%Y-%m-%dT%H:%M}"


def actions() -> list[str]:
    entries = AuditEntry.objects.exclude(action__in=("read_chat", "logged_in")).order_by("at", "id")
    return list(entries.values_list("action", flat=True))


class TestWhatHappened:
    def test_an_expired_chat_says_so(self, operator: Client, chat: Chat) -> None:
        Chat.objects.update(expires_at=timezone.now())
        end_expired_chats(now=timezone.now())
        page = read_talk(operator, chat)
        assert "Chat started" in page and "Chat expired: its time was over" in page

    def test_who_ended_and_reopened_a_chat_is_told_in_order(self, operator: Client, chat: Chat) -> None:
        confirm(operator, address(chat, "end_one_chat"), reason="trip over")
        confirm(operator, address(chat, "reopen"))
        page = read_talk(operator, chat)
        ended, reopened = page.index("Chat ended by olga: trip over"), page.index("Chat reopened by olga")
        assert page.index("Chat started") < ended < reopened
        assert page.count("Chat ended") == 1

    def test_ends_by_the_platform_are_remembered_by_its_events(
        self, operator: Client, chat: Chat, platform: Platform
    ) -> None:
        Platform.objects.update(records_events=True)
        now = timezone.now()
        end_chat(chat_id=chat.pk, reason="over", now=now - timedelta(minutes=2))
        reopen_chat(chat_id=chat.pk, changes={}, now=now - timedelta(minutes=1))
        page = read_talk(operator, chat)
        assert page.index("Chat ended") < page.index("Chat reopened")

    def test_a_replaced_driver_is_told_between_the_texts(self, operator: Client, chat: Chat, omar: Participant) -> None:
        log_relay(omar, "Engine trouble!")
        number = make_person(ALICE).phone_number
        replace_participant(
            chat_id=chat.pk, participant_id=omar.pk, phone_number=number, name="Nora", now=timezone.now()
        )
        page = read_talk(operator, chat)
        assert page.index("Engine trouble!") < page.index("Omar replaced by Nora") < page.index("Announcement")

    def test_a_stop_and_what_came_of_it_are_told(self, operator: Client, chat: Chat) -> None:
        signed_post(Client(), INBOUND, sms(text="STOP", from_=SARA[1:]))
        page = read_talk(operator, chat)
        assert page.index("Answered by the service: not passed on") < page.index("Sara opted out")
        assert "sees +14155550100 opted out" in page
        signed_post(Client(), INBOUND, sms(text="START", from_=SARA[1:]))
        page = read_talk(operator, chat)
        assert "Sara opted in again" in page and "sees +14155550100 opted out" not in page

    def test_a_report_and_the_mute_that_follows_are_told(self, operator: Client, chat: Chat) -> None:
        signed_post(Client(), INBOUND, sms(text="REPORT", from_=SARA[1:]))
        page = read_talk(operator, chat)
        assert "Sara reported Omar" in page and "Omar muted: reported by the other person" in page

    def test_days_are_told_apart(self, operator: Client, chat: Chat, sara: Participant) -> None:
        now = timezone.now()
        Chat.objects.update(created_at=now - timedelta(days=3))
        Message.objects.update(created_at=now - timedelta(days=1))
        log_relay(sara, "Hi")
        page = read_talk(operator, chat)
        assert (
            page.index("Yesterday")
            < page.index("Introduction")
            < page.index("Today")
            < page.index("Hi Delivered to Omar")
        )

    def test_what_was_left_after_a_redaction_is_shown(self, operator: Client, chat: Chat, sara: Participant) -> None:
        relay = log_relay(sara, "mail me: sara@example.com")
        Message.objects.filter(pk=relay.relays_id).update(disclosures=["email"])
        relay.body = "mail me: [e-mail address removed]"
        relay.save(update_fields=["body"])
        page = read_talk(operator, chat)
        assert "Gives its writer away: e-mail address, removed before it was passed on" in page
        assert "Passed on as: mail me: [e-mail address removed]" in page


class TestLive:
    def test_it_is_answered_with_nothing_until_something_happens(
        self, operator: Client, chat: Chat, sara: Participant
    ) -> None:
        first = operator.get(address(chat, "live"))
        tag = first.headers["ETag"]
        again = operator.get(address(chat, "live"), headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        relay = log_relay(sara, "I am here", status="sent")
        news = operator.get(address(chat, "live"), headers={"If-None-Match": tag})
        assert "I am here" in news.content.decode() and "<html" not in news.content.decode()
        tag = news.headers["ETag"]
        Message.objects.filter(pk=relay.pk).update(status="delivered")
        assert operator.get(address(chat, "live"), headers={"If-None-Match": tag}).status_code == 200

    def test_it_is_for_those_who_may_see_chats(self, client: Client, viewer: Client, chat: Chat) -> None:
        assert viewer.get(address(chat, "live")).status_code == 200
        assert client.get(address(chat, "live")).status_code == 302
        client.force_login(User.objects.create_user("una", is_staff=True))
        assert client.get(address(chat, "live")).status_code == 403
        assert viewer.post(address(chat, "live")).status_code in (403, 405)
        assert viewer.get(reverse("admin:chats_chat_live", args=[uuid4()])).status_code == 404

    def test_watching_is_recorded_as_reading_once_an_hour(self, operator: Client, chat: Chat) -> None:
        operator.get(page_of(chat))
        operator.get(address(chat, "live"))
        assert AuditEntry.objects.filter(action="read_chat").count() == 1
        other = Client()
        other.force_login(User.objects.create_superuser("otto"))
        other.get(address(chat, "live"))
        other.get(address(chat, "live"))
        assert AuditEntry.objects.filter(action="read_chat", actor_name="otto").count() == 1

    def test_it_costs_a_handful_of_queries_however_long_the_chat_is(
        self, operator: Client, chat: Chat, sara: Participant
    ) -> None:
        Platform.objects.update(records_events=True)
        operator.get(address(chat, "live"))

        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert operator.get(address(chat, "live")).status_code == 200
            return len(captured)

        log_relay(sara, "text")
        short = count()
        for _ in range(60):
            log_relay(sara, "text")
        assert count() == short <= 14


class TestMedia:
    @pytest.fixture
    def picture(self, chat: Chat, sara: Participant, media_storage: None) -> Attachment:
        name = default_storage.save("media/1", ContentFile(encrypt_bytes(b"\xff\xd8picture")))
        message = log_inbound(sara, "", media_count=1)
        return Attachment.objects.create(
            message=message, position=0, kind="image", status="stored", file=name, content_type="image/jpeg",
            size=10, stored_at=timezone.now(),
        )  # fmt: skip

    def test_a_picture_is_shown_to_whoever_may_see_the_chat(
        self, viewer: Client, client: Client, chat: Chat, picture: Attachment
    ) -> None:
        where = address(chat, "media", picture.pk)
        assert f'src="{where}"' in viewer.get(page_of(chat)).content.decode()
        shown = viewer.get(where)
        assert shown.content == b"\xff\xd8picture"
        assert "sandbox" in shown.headers["Content-Security-Policy"]
        assert client.get(where).status_code == 302

    def test_a_picture_of_another_chat_or_one_that_is_gone_is_not(
        self, viewer: Client, chat: Chat, picture: Attachment, platform: Platform
    ) -> None:
        other = make_chat(platform, (ALICE, BOB))
        assert viewer.get(address(other, "media", picture.pk)).status_code == 404
        Attachment.objects.update(status="forgotten")
        assert viewer.get(address(chat, "media", picture.pk)).status_code == 404


class TestTexting:
    def test_what_is_typed_on_the_page_is_confirmed_first(
        self, operator: Client, chat: Chat, sara: Participant
    ) -> None:
        assert address(chat, "text") in operator.get(page_of(chat)).content.decode()
        asked = operator.post(address(chat, "text"), {"to": sara.pk, "text": "The car is blue"})
        assert "Text these people?" in words_of(asked)
        assert "The car is blue" in asked.content.decode() and f'value="{sara.pk}" selected' in asked.content.decode()
        assert texted(chat) == []

    def test_both_people_or_one_are_texted(self, operator: Client, chat: Chat, sara: Participant) -> None:
        assert "On its way to Sara and Omar." in words_of(text(operator, chat, text="The gate is closed"))
        assert "On its way to Sara." in words_of(text(operator, chat, text="Yours is open", to=sara.pk))
        gate = "The gate is closed"
        assert texted(chat) == [("Sara", gate), ("Omar", gate), ("Sara", "Yours is open")]
        assert "Text by an operator" in read_talk(operator, chat)
        assert actions() == ["texted_people", "texted_people"]
        words = [entry.change_message for entry in LogEntry.objects.order_by("pk")]
        assert words == ["Texted both people", "Texted participant 1"]

    def test_a_text_confirmed_twice_is_sent_once(self, operator: Client, chat: Chat) -> None:
        token = uuid4()
        text(operator, chat, token=token)
        assert "nobody gets it twice" in words_of(text(operator, chat, token=token))
        assert len(texted(chat)) == 2 and actions() == ["texted_people"]

    @pytest.mark.parametrize(
        ("typed", "words"),
        [
            ("", "This field is required."),
            (f"call {SARA}", "Must not contain a phone number"),
            ("я" * 900, "segments"),
        ],
    )
    def test_what_the_api_refuses_is_refused_and_stays_typed(
        self, operator: Client, chat: Chat, typed: str, words: str
    ) -> None:
        answer = text(operator, chat, text=typed)
        assert words in words_of(answer) and typed in answer.content.decode()
        assert texted(chat) == []

    def test_who_has_opted_out_is_not_texted_and_the_page_says_why(
        self, operator: Client, chat: Chat, sara: Participant
    ) -> None:
        person = Person(
            phone_digest=bytes(sara.phone_digest),
            virtual_number_id=sara.virtual_number_id,
            platform_id=chat.platform_id,
            participant_id=sara.pk,
        )
        opt_out(person=person, source=OptOut.Source.OPERATOR, now=timezone.now())
        answer = words_of(text(operator, chat, text="Are you there?"))
        assert "has opted out" in answer and "Are you there?" in answer and "cannot be texted" in answer
        assert texted(chat) == [] and actions() == []

    def test_nobody_is_texted_in_a_chat_that_has_ended(self, operator: Client, chat: Chat) -> None:
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
        assert 'name="text"' not in operator.get(page_of(chat)).content.decode()
        answer = words_of(text(operator, chat, text="Are you there?"))
        assert "The chat has ended. Reopen it first." in answer and "Are you there?" in answer
        assert texted(chat) == []


class TestEnding:
    def test_a_closing_text_goes_to_both(self, operator: Client, chat: Chat) -> None:
        where = address(chat, "end_one_chat")
        assert "Ended the chat." in words_of(confirm(operator, where, reason="no-show", closing_text="Bye!"))
        closing = Message.objects.filter(chat=chat, kind="closing")
        assert [message.body for message in closing] == ["Bye!", "Bye!"]

    def test_a_closing_text_with_a_number_is_refused_with_all_that_was_typed(
        self, operator: Client, chat: Chat
    ) -> None:
        where = address(chat, "end_one_chat")
        answer = confirm(operator, where, reason="no-show", closing_text="Call 415 555 0123")
        assert "Must not contain a phone number" in words_of(answer) and "no-show" in answer.content.decode()
        chat.refresh_from_db()
        assert chat.status == "open"


class TestTimes:
    def test_the_end_is_moved_and_taken_away(self, operator: Client, chat: Chat) -> None:
        ends = (timezone.now() + timedelta(days=1)).replace(second=0, microsecond=0)
        confirm(operator, address(chat, "extend"), expires_at=write(ends), seen="")
        chat.refresh_from_db()
        assert chat.expires_at == ends
        confirm(operator, address(chat, "extend"), expires_at="", seen=f"{write(ends)}Z")
        chat.refresh_from_db()
        assert chat.expires_at is None
        assert actions() == ["extended_chat", "extended_chat"]
        assert "End of the chat moved by olga" in read_talk(operator, chat)

    def test_what_another_operator_has_just_set_is_not_overwritten_unseen(self, operator: Client, chat: Chat) -> None:
        theirs, ours = ((timezone.now() + timedelta(days=days)).replace(second=0, microsecond=0) for days in (1, 2))
        Chat.objects.update(expires_at=theirs)
        answer = confirm(operator, address(chat, "extend"), expires_at=write(ours), seen="")
        assert "Somebody else has just moved the end" in words_of(answer)
        assert f'value="{write(ours)}"' in answer.content.decode()
        assert f'value="{write(theirs)}Z"' in answer.content.decode()
        chat.refresh_from_db()
        assert chat.expires_at == theirs
        confirm(operator, address(chat, "extend"), expires_at=write(ours), seen=f"{write(theirs)}Z")
        chat.refresh_from_db()
        assert chat.expires_at == ours

    def test_the_same_end_twice_is_recorded_once(self, operator: Client, chat: Chat) -> None:
        ends = timezone.now() + timedelta(days=1)
        for _ in range(2):
            confirm(operator, address(chat, "extend"), expires_at=write(ends), seen="")
        assert actions() == ["extended_chat"]

    def test_an_end_that_has_passed_is_refused(self, operator: Client, chat: Chat) -> None:
        past = write(timezone.now() - timedelta(days=1))
        answer = confirm(operator, address(chat, "extend"), expires_at=past, seen="")
        assert "Must be in the future." in words_of(answer) and past in answer.content.decode()

    def test_a_chat_is_reopened_once(self, operator: Client, chat: Chat) -> None:
        assert address(chat, "reopen") not in operator.get(page_of(chat)).content.decode()
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
        assert address(chat, "reopen") in operator.get(page_of(chat)).content.decode()
        assert "The chat is open again." in words_of(confirm(operator, address(chat, "reopen")))
        assert "open already" in words_of(confirm(operator, address(chat, "reopen")))
        chat.refresh_from_db()
        assert chat.status == "open" and actions() == ["reopened_chat"]

    def test_a_chat_whose_number_is_taken_stays_ended_and_says_why(
        self, operator: Client, chat: Chat, platform: Platform, sara: Participant
    ) -> None:
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
        other = make_chat(platform, (SARA, BOB))
        Participant.objects.filter(chat=other).update(virtual_number=sara.virtual_number)
        assert "their texts could go astray" in words_of(confirm(operator, address(chat, "reopen")))
        chat.refresh_from_db()
        assert chat.status == "ended" and actions() == []


class TestReplacing:
    def test_somebody_takes_a_place(self, operator: Client, chat: Chat, omar: Participant) -> None:
        where = address(chat, "replace_person")
        fields = {"participant": omar.pk, "phone_number": "+1 415 555 0125", "name": "Nora"}
        page = confirm(operator, where, **fields)
        assert "Omar is replaced." in words_of(page) and "Nora" in words_of(page)
        assert ALICE not in page.content.decode()
        assert "This was done before" in words_of(confirm(operator, where, **fields))
        assert actions() == ["replaced_participant"]
        assert "Omar replaced by Nora by olga" in read_talk(operator, chat)

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"phone_number": "415 555 0125"}, "Write the number internationally"),
            ({"phone_number": SARA}, "has this phone number already"),
            ({"phone_number": "+12025550100"}, "one of the virtual numbers"),
            ({"name": "Nora 415 555 0125"}, "Must not contain a phone number"),
        ],
    )
    def test_what_is_refused_is_said_and_stays_typed(
        self, operator: Client, chat: Chat, omar: Participant, fields: dict[str, str], words: str
    ) -> None:
        given = {"participant": omar.pk, "phone_number": ALICE, "name": "Nora", **fields}
        answer = confirm(operator, address(chat, "replace_person"), **given)
        assert words in words_of(answer)
        assert f'value="{given["name"]}"' in answer.content.decode()
        assert f'value="{given["phone_number"]}"' in answer.content.decode()
        assert not Participant.objects.filter(replaced_at__isnull=False).exists() and actions() == []

    def test_who_was_replaced_by_another_operator_meanwhile_is_not_replaced_again(
        self, operator: Client, chat: Chat, omar: Participant
    ) -> None:
        where = address(chat, "replace_person")
        confirm(operator, where, participant=omar.pk, phone_number=ALICE, name="Nora")
        answer = confirm(operator, where, participant=omar.pk, phone_number=CHARLIE, name="Ned")
        assert "Somebody else has taken this person" in words_of(answer)


class TestResending:
    @pytest.fixture
    def failed(self, chat: Chat, sara: Participant) -> Message:
        return log_relay(sara, "Hi", status="failed", error_code="1240", failed_at=timezone.now())

    def test_a_failed_text_is_sent_again_from_its_bubble(self, operator: Client, chat: Chat, failed: Message) -> None:
        where = address(chat, "resend", failed.pk)
        assert where in operator.get(page_of(chat)).content.decode()
        assert "Omar gets this text" in read(operator, where)
        assert "On its way again to Omar." in words_of(confirm(operator, where))
        assert "not among the texts that have failed" in words_of(confirm(operator, where))
        failed.refresh_from_db()
        assert failed.status == "queued" and actions() == ["resent_text"]
        page = operator.get(page_of(chat))
        assert "sent again" in words_of(page) and where not in page.content.decode()

    def test_one_that_may_not_be_says_why_and_has_no_button(
        self, operator: Client, chat: Chat, failed: Message
    ) -> None:
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
        where = address(chat, "resend", failed.pk)
        page = words_of(operator.get(where))
        assert "Its chat is not open." in page and "Send again" not in page
        assert "Its chat is not open." in words_of(confirm(operator, where))

    def test_a_text_of_another_chat_is_not_found(
        self, operator: Client, chat: Chat, failed: Message, platform: Platform
    ) -> None:
        other = make_chat(platform, (ALICE, BOB))
        assert operator.get(address(other, "resend", failed.pk)).status_code == 404


@pytest.mark.parametrize("name", ["text", "extend", "reopen", "replace_person", "end_one_chat"])
def test_who_only_looks_can_do_nothing(viewer: Client, chat: Chat, name: str) -> None:
    where = address(chat, name)
    assert where not in viewer.get(page_of(chat)).content.decode()
    assert viewer.get(where).status_code == 403
    assert viewer.post(where, {"confirmed": "yes"}).status_code == 403
    viewer_may = Permission.objects.get(codename="change_chat")
    User.objects.get().user_permissions.add(viewer_may)
    assert viewer.get(where).status_code == 200


@pytest.mark.parametrize("name", ["text", "extend", "reopen", "replace_person", "end_one_chat"])
def test_nothing_is_done_from_another_site(operator: Client, chat: Chat, name: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(address(chat, name), {"confirmed": "yes", "reason": "x"}).status_code == 403


def test_resending_needs_the_permission_for_texts(viewer: Client, chat: Chat, sara: Participant) -> None:
    failed = log_relay(sara, "Hi", status="failed", failed_at=timezone.now())
    where = address(chat, "resend", failed.pk)
    assert where not in viewer.get(page_of(chat)).content.decode()
    assert viewer.post(where, {"confirmed": "yes"}).status_code == 403


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "fields", "recorded"),
    [
        ("text", {"to": "both", "text": "Hi", "token": str(uuid4())}, "texted_people"),
        ("end_one_chat", {"reason": "over"}, "ended_chat"),
        ("extend", {"expires_at": "2100-01-01T10:00", "seen": ""}, "extended_chat"),
        ("reopen", {}, "reopened_chat"),
        ("replace_person", {"phone_number": ALICE, "name": "Nora"}, "replaced_participant"),
    ],
)
def test_two_operators_at_once_do_it_once(
    operator: Client, chat: Chat, omar: Participant, name: str, fields: dict[str, Any], recorded: str
) -> None:
    if name == "reopen":
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
    if name == "replace_person":
        fields = {**fields, "participant": omar.pk}
    barrier = threading.Barrier(2)
    answers: list[int] = []

    def act() -> None:
        client = Client()
        client.cookies = operator.cookies
        barrier.wait()
        try:
            answers.append(client.post(address(chat, name), {"confirmed": "yes", **fields}).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=act) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [302, 302]
    assert actions() == [recorded]
    assert Message.objects.filter(kind="platform").count() == (2 if name == "text" else 0)


def test_no_page_of_the_conversation_holds_a_phone_number(operator: Client) -> None:
    population = populate()
    for chat in (population.open_chat, population.ended_chat):
        failed = Message.objects.filter(chat=chat, status="failed", kind="relay").values_list("pk", flat=True)
        addresses = [address(chat, name) for name in ("live", "text", "extend", "reopen", "replace_person")]
        addresses += [address(chat, "resend", pk) for pk in failed]
        for where in addresses:
            page = operator.get(where)
            assert page.status_code == 200, where
            assert find_numbers(page.content.decode()) == [], where


class TestSearch:
    def test_chats_are_found_by_their_virtual_number(self, operator: Client, platform: Platform, chat: Chat) -> None:
        other = make_chat(platform, (SARA, ALICE))
        numbers = [each.participants.get(position=1).virtual_number.number for each in (chat, other)]
        assert numbers[0] != numbers[1]
        page = search_chats(operator, numbers[1].replace("202", " 202 "))
        assert listed(page) == [other.pk]
        assert numbers[1][1:] not in str(page.redirect_chain)

    def test_chats_are_found_by_their_day(self, operator: Client, platform: Platform, chat: Chat) -> None:
        old = make_chat(platform, (ALICE, BOB))
        day = timezone.now() - timedelta(days=2)
        Chat.objects.filter(pk=old.pk).update(created_at=day)
        assert listed(operator.get(CHATS, {"day": f"{day:%Y-%m-%d}"})) == [old.pk]
        assert listed(operator.get(CHATS, {"day": f"{timezone.now():%Y-%m-%d}"})) == [chat.pk]
        assert len(listed(operator.get(CHATS, {"day": "soon"}))) == 2
        assert listed(operator.get(CHATS, {"number": "x"})) == []


def test_texts_of_an_operator_are_limited_to_the_latest_at_once(
    operator: Client, chat: Chat, omar: Participant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_admin, "TEXTS_AT_ONCE", 2)
    for index in range(4):
        log_answer(omar, f"no. {index}")
    page = read_talk(operator, chat)
    assert "no. 3" in page and "no. 1" not in page and "Chat started" not in page
    assert OMAR not in page
