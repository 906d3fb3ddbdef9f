"""What platforms text, schedule and block is erased like the rest, and what they used is not."""

import csv
import io
import json
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone

from chats.models import Chat, Participant, mask
from chats.services import end_chat
from messaging.approvals import Verdict, carry_out, claim_questions
from messaging.keeping.erasure import erase_person
from messaging.keeping.retention import erase_old_chats
from messaging.models import Approval, Attachment, Message, UsageDay
from messaging.scheduled import queue_scheduled_texts
from messaging.tasks import erase_what_is_old
from messaging.usage import count_usage
from messaging.writing import write_to
from platforms.models import ApprovalHook, Event, KeptAnswer, Template
from platforms.templates import TemplateKind
from proxy_project.encryption import UNREADABLE, digest_number
from tests.chats.helpers import at_once, body
from tests.factories import OMAR, SARA, make_chat, make_platform, make_virtual_number
from tests.keeping.helpers import assert_absent, dump, make_key, read_everything, receive, run, spellings
from tests.messaging.rows import ago, forget_introductions, make_queued, make_relay, read_inbound, read_outbound

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage")]

NOW = timezone.now()


@pytest.fixture
def told(platform):
    """The platform records events."""
    platform.records_events = True
    platform.save()


@pytest.fixture
def asked(platform):
    """The platform is asked before a text is passed on."""
    platform.asks_for_approval = True
    platform.save()
    return ApprovalHook.objects.create(
        platform=platform, url="https://example.com/", secret="s", default=ApprovalHook.Default.BLOCK
    )


def send(api, chat, text, *, key=None, **fields):
    headers = {"Idempotency-Key": key} if key else {}
    response = api.post(f"/chats/{chat.pk}/messages", {"text": text, **fields}, headers=headers)
    assert response.status_code == 201, response.content
    return response.json()["messages"]


def schedule(api, chat, text, **fields):
    return send(api, chat, text, send_at=(timezone.now() + timedelta(hours=1)).isoformat(), **fields)


def answer(status: Approval.Status, **fields) -> None:
    """Ask about what is due, and have the platform answer."""
    carry_out([Verdict(question, status, **fields) for question in claim_questions(limit=9)], now=timezone.now())


def settle() -> None:
    Message.objects.filter(direction="out", status__in=Message.PENDING_STATUSES).exclude(status="scheduled").update(
        status="delivered", due_at=None
    )


def end(chat: Chat, *, days_ago: float) -> None:
    settle()
    end_chat(chat_id=chat.pk, reason="trip over", now=NOW - timedelta(days=days_ago))
    settle()


def read_csv(api, chat):
    content = api.get(f"/chats/{chat.pk}/messages.csv").getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(content, newline="")))


class TestTextsOfPlatforms:
    def test_those_of_the_chat_are_emptied_and_what_waits_for_its_time_fails(self, told, api, chat, sara, omar):
        send(api, chat, "Sara waits at the gate", to=str(omar.pk))
        settle()
        [first, second] = schedule(api, chat, "see you at nine, Sara", media=["https://example.com/gate.jpg"])
        assert api.post("/erasures", {"phone_number": SARA}).json()["texts"] == 3
        left = Message.objects.filter(kind="platform").order_by("position")
        assert [(row.status, row.error_code, row.body) for row in left] == [
            ("delivered", "", ""),
            ("failed", "erased", ""),
            ("failed", "erased", ""),
        ]
        assert set(Attachment.objects.values_list("status", flat=True)) == {"forgotten"}
        failed = Event.objects.filter(type="message.failed").values_list("message", flat=True)
        assert {str(pk) for pk in failed} == {first["id"], second["id"]}
        assert queue_scheduled_texts() == 0
        assert_absent(read_everything() + dump(), "Sara", "nine", "gate", "gate.jpg", *spellings(SARA))
        assert [shown["text"] for shown in api.get(f"/chats/{chat.pk}/messages").json()["results"]] == ["", "", ""]

    def test_answers_that_are_kept_for_repeats_hold_no_text_of_the_chat_any_more(self, api, chat, omar):
        other = make_chat(chat.platform, ("+14155550131", "+14155550132"))
        send(api, chat, "to both of you", key="one")
        send(api, chat, "Sara is late", key="two", to=str(omar.pk))
        send(api, other, "to others", key="three")
        api.post("/erasures", {"phone_number": SARA})
        kept = [json.loads(row.body)["messages"] for row in KeptAnswer.objects.order_by("pk") if row.body]
        assert [[text["text"] for text in texts] for texts in kept] == [["", ""], [""], ["to others", "to others"]]

    def test_the_retention_of_a_chat_does_not_wait_for_what_is_never_sent(self, told, settings, api, chat):
        settings.KEEP_FOR_DAYS = 10
        schedule(api, chat, "see you at nine, Sara")
        end(chat, days_ago=11)
        assert erase_old_chats(now=NOW) == 1
        rows = Message.objects.filter(kind="platform")
        assert {(row.status, row.error_code, row.body) for row in rows} == {("failed", "chat_ended", "")}
        assert_absent(read_everything(), "Sara", "nine")
        assert erase_old_chats(now=NOW) == 0

    def test_a_closing_template_is_sent_to_nobody_by_an_erasure(self, platform, chat):
        Template.objects.create(
            platform=platform, kind="closing", language="en", text="Bye {name}, says {counterpart}."
        )
        run("erase_person", SARA)
        assert [(row.status, row.body) for row in read_outbound(Message.Kind.CLOSING)] == [("failed", "")] * 2
        assert Template.objects.get().text == "Bye {name}, says {counterpart}."

    def test_what_is_exported_says_when_and_why(self, asked, api, chat, sara, tmp_path):
        receive("my words")
        answer(Approval.Status.BLOCKED, reason="rude")
        [text] = schedule(api, chat, "see you", to=str(sara.pk))
        run("export_person", str(tmp_path / "x"), SARA)
        [theirs] = json.loads((tmp_path / "x").read_text())["chats"]
        shown = {text["text"]: text for text in theirs["texts"]}
        assert shown["my words"]["reason_for_blocking"] == "rude"
        assert shown["see you"]["send_at"][:19] == text["send_at"][:19]
        assert shown["see you"]["reason_for_blocking"] is None


class TestWhatThePlatformAnswered:
    @pytest.mark.parametrize("how", ["erased", "kept for long enough"])
    def test_reasons_are_erased_with_the_chat(self, asked, settings, chat, how):
        settings.KEEP_FOR_DAYS = 10
        receive("you fool")
        receive("the fool is you", from_=OMAR[1:])
        answer(Approval.Status.BLOCKED, reason="Sara and Omar quarrel")
        assert {approval.reason for approval in Approval.objects.all()} == {"Sara and Omar quarrel"}
        if how == "erased":
            run("erase_person", SARA)
        else:
            end(chat, days_ago=11)
            assert erase_old_chats(now=NOW) == 1
        assert {(approval.status, approval.reason) for approval in Approval.objects.all()} == {("blocked", "")}
        assert_absent(read_everything(), "quarrel", "Sara")

    def test_words_that_were_changed_are_erased_on_both_sides(self, asked, chat):
        receive("call me, Sara")
        answer(Approval.Status.CHANGED, text="•••, Sara")
        run("erase_person", SARA)
        assert [row.body for row in (*read_inbound(), *read_outbound())] == ["", ""]

    def test_an_answer_that_comes_after_the_erasure_changes_nothing(self, asked, chat):
        receive("who is first?")
        questions = claim_questions(limit=9)
        run("erase_person", SARA)
        verdicts = [Verdict(question, Approval.Status.BLOCKED, reason="Sara again") for question in questions]
        carry_out(verdicts, now=timezone.now())
        [approval] = Approval.objects.all()
        assert (approval.status, approval.reason) == ("moot", "")
        assert [row.status for row in read_inbound()] == ["relayed"]
        assert claim_questions(limit=9) == []
        assert_absent(read_everything(), "Sara", "who is first?")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", [Approval.Status.BLOCKED, Approval.Status.CHANGED])
def test_an_answer_at_the_moment_of_the_erasure_leaves_nothing(status):
    make_virtual_number(messages_per_second=10_000)
    platform = make_platform(records_events=True, asks_for_approval=True)
    make_chat(platform)
    receive("who is first?")
    questions = claim_questions(limit=9)
    verdicts = [Verdict(question, status, reason="Sara again", text="Sara again") for question in questions]
    erase = lambda: erase_person(phone_digest=digest_number(SARA), now=timezone.now())  # noqa: E731
    at_once([erase, lambda: carry_out(verdicts, now=timezone.now())])
    assert not {row.status for row in read_outbound()} & {"preparing", "queued"}
    assert_absent(read_everything(), "Sara", "who is first?", "Sara again")


def test_the_totals_of_usage_survive_erasure_and_retention(settings, api, platform, chat, sara, omar):
    settings.KEEP_FOR_DAYS = 10
    other = make_chat(platform, ("+14155550131", "+14155550132"))
    people = list(other.participants.all())
    forget_introductions()
    for hours in (24 * 20, 26, 0):
        for writer, reader in ((sara, omar), people):
            relay = make_relay(writer, reader, segments=2, status="delivered", price="0.0144", currency="EUR")
            Message.objects.filter(pk__in=[relay.pk, relay.relays_id]).update(created_at=ago(hours=hours))
    settle()
    count_usage()
    assert UsageDay.objects.exists()
    # What is counted, and what is not yet.
    make_queued(omar, "the newest", status="delivered", segments=1)
    first = str((NOW - timedelta(days=100)).date())
    before = api.get("/usage", {"from": first}).json()
    assert before["total"]["outbound"]["texts"] >= 7

    run("erase_person", SARA)
    assert api.get("/usage", {"from": first}).json() == before
    end(other, days_ago=11)
    erase_what_is_old(0)
    other.refresh_from_db()
    assert other.erased_at
    assert api.get("/usage", {"from": first}).json() == before
    count_usage()
    assert api.get("/usage", {"from": first}).json() == before


def test_a_row_of_usage_names_nobody():
    ids = {"platform_id", "virtual_number_id"}
    names = {field.column for field in UsageDay._meta.concrete_fields}
    assert names == ids | {
        *("id", "day", "direction", "kind", "status", "currency"),
        *("texts", "segments", "mms", "attachments", "price", "is_late"),
    }


class TestTranscriptsAsCsv:
    def test_of_an_erased_chat(self, settings, api, chat):
        settings.KEEP_FOR_DAYS = 10
        receive("the blue gate")
        send(api, chat, "your driver is here")
        end(chat, days_ago=11)
        before = read_csv(api, chat)
        assert before[0]["From"] == f"Sara ({mask(SARA)})" and before[0]["Text"] == "the blue gate"
        erase_old_chats(now=NOW)
        lines = read_csv(api, chat)
        assert [line["Message"] for line in lines] == [line["Message"] for line in before]
        assert {line["Text"] for line in lines} == {"(erased)"}
        assert (lines[0]["From"], lines[0]["To"]) == ("participant 1", "participant 2")
        assert lines[0]["Outcome"] == "delivered to participant 2"

    def test_of_a_chat_whose_key_is_missing(self, api, chat):
        receive("the blue gate")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE messaging_message SET body = %s", [Fernet(make_key()).encrypt(b"lost").decode()])
        [line] = read_csv(api, chat)
        assert line["Text"] == UNREADABLE


def test_the_language_of_somebody_erased_is_not_kept(api, virtual_number):
    people = [{"phone_number": SARA, "language": "pt-BR"}, {"phone_number": OMAR, "language": "es"}]
    api.post("/chats", {"participants": people})
    run("erase_person", SARA)
    assert [person.language for person in Participant.objects.order_by("position")] == ["", "es"]


def test_without_the_key_of_its_metadata_a_chat_is_told_the_rest(platform, chat, sara):
    Template.objects.create(
        platform=platform, kind="chat_ended", language="en", text="It is over{metadata.seat}, says {platform}."
    )
    with connection.cursor() as cursor:
        token = Fernet(make_key()).encrypt(b"lost").decode()
        cursor.execute("UPDATE chats_chat SET metadata = to_jsonb(%s::text)", [token])
    kind = TemplateKind("chat_ended")
    written = write_to(participant_id=sara.pk, chat_id=chat.pk, kinds=[kind])
    assert written == {kind: "It is over, says Rides."}


def test_a_chat_that_starts_again_after_an_erasure_is_whole(asked, api, chat):
    api.post("/erasures", {"phone_number": SARA})
    make_virtual_number("+14155550141")
    assert api.post("/chats", body()).status_code == 201
    receive("hello again", to="14155550141")
    answer(Approval.Status.APPROVED)
    assert "hello again" in [row.body for row in read_outbound(Message.Kind.RELAY)]
