"""REPORT, and muting and blocking somebody: what still gets through, and what is told to whom."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from chats.models import Chat, Participant, Report, VirtualNumber
from chats.restrictions import block_participant, mute_participant, report_counterpart, unmute_participant
from chats.services import end_chat
from messaging import wording
from messaging.claims import Claim, claim_texts
from messaging.gateways import SendError
from messaging.models import Message
from messaging.outbox import queue_text
from platforms.models import Event, Platform
from tests.chats.helpers import at_once
from tests.factories import OMAR, SARA
from tests.messaging.consent.helpers import send_all
from tests.messaging.payloads import sms
from tests.messaging.rows import Kind, Status, ago, make_relay, read_answers, read_inbound, read_outbound
from tests.messaging.signing import INBOUND, signed_post

pytestmark = pytest.mark.django_db


def text(body: str, from_number: str = SARA, payload: dict[str, Any] | None = None) -> None:
    assert signed_post(Client(), INBOUND, payload or sms(text=body, from_=from_number[1:])).status_code == 200


def act(api: APIClient, person: Participant, what: str, **body: str) -> dict[str, Any]:
    response = api.post(f"/chats/{person.chat_id}/participants/{person.pk}/{what}", body)
    assert response.status_code == 200, response.content
    shown: dict[str, Any] = response.json()
    return shown


def outcomes() -> list[str]:
    return [row.error_code or row.status for row in read_inbound()]


def relays() -> list[str]:
    return [row.body for row in read_outbound(Kind.RELAY)]


def refuse(claim: Claim) -> str | None:
    try:
        claim.decrypt_text()
    except SendError as error:
        return error.code
    return None


# --- Mute and block --------------------------------------------------------------------------------------------


def test_of_a_muted_person_nothing_is_passed_on_and_they_are_not_told(api, chat, sara):
    act(api, sara, "mute", reason="complaint")
    text("from Sara")
    text("", payload=sms(text=""))
    text("from Omar", OMAR)
    assert outcomes() == ["muted", "muted", "relayed"]
    assert relays() == ["from Omar"]
    assert read_answers() == []


def test_with_a_blocked_person_nothing_is_passed_on_either_way(api, chat, sara, omar):
    act(api, sara, "block")
    text("from Sara")
    text("from Omar", OMAR)
    text("from Omar again", OMAR)
    assert outcomes() == ["blocked", "recipient_blocked", "recipient_blocked"]
    assert relays() == []
    assert read_answers() == [(omar.pk, wording.STOPPED["recipient_blocked"])]


@pytest.mark.parametrize("what", ["mute", "block"])
def test_what_was_undone_is_over(api, chat, sara, what):
    act(api, sara, what)
    act(api, sara, f"un{what}")
    text("from Sara")
    text("from Omar", OMAR)
    assert relays() == ["from Sara", "from Omar"]


def test_unblocked_who_was_muted_is_still_muted(api, chat, sara):
    act(api, sara, "mute")
    act(api, sara, "block")
    act(api, sara, "unblock")
    text("from Sara")
    assert outcomes() == ["muted"]


def test_the_chat_shows_who_is_muted_and_since_when(api, chat, sara):
    first = act(api, sara, "mute", reason="complaint")["participants"][0]
    again = act(api, sara, "mute", reason="another")["participants"][0]
    assert first["muted_at"] and first["muted_at"] == again["muted_at"]
    assert first["blocked_at"] is None
    sara.refresh_from_db()
    assert sara.mute_reason == "complaint"
    assert act(api, sara, "unmute")["participants"][0]["muted_at"] is None


def test_a_participant_of_another_chat_or_platform_is_not_found(api, other_api, chat, sara):
    unknown = f"/chats/{chat.pk}/participants/{chat.pk}/mute"
    assert api.post(unknown).status_code == 404
    assert other_api.post(f"/chats/{chat.pk}/participants/{sara.pk}/mute").status_code == 404
    sara.refresh_from_db()
    assert sara.muted_at is None


@pytest.mark.parametrize("status", [Status.QUEUED, Status.PREPARING, Status.UNCONFIRMED, Status.HELD])
@pytest.mark.parametrize("what", ["mute", "block"])
def test_what_waits_is_not_sent_and_its_writer_not_told(api, chat, sara, omar, what, status):
    Platform.objects.update(records_events=True)
    relay = make_relay(sara, omar, status=status, due_at=ago(minutes=-5))
    other = make_relay(omar, sara, status=Status.QUEUED)
    act(api, sara, what)
    relay.refresh_from_db()
    assert (relay.status, relay.error_code) == (Status.FAILED, "writer_restricted")
    assert Event.objects.filter(type="message.failed", message_id=relay.pk).count() == 1
    other.refresh_from_db()
    assert other.status == (Status.QUEUED if what == "mute" else Status.FAILED)
    assert read_answers() == ([] if what == "mute" else [(omar.pk, wording.NOT_DELIVERED)])


def test_nothing_is_sent_to_a_blocked_person_whoever_queues_it(api, chat, sara, omar):
    act(api, sara, "block")
    for kind in (Kind.CLOSING, Kind.ANNOUNCEMENT, Kind.AUTO_REPLY):
        queue_text(kind=kind, recipient=sara, body="hello")
    queue_text(kind=Kind.CLOSING, recipient=omar, body="hello")
    Message.objects.filter(participant=sara).exclude(kind=Kind.CLOSING).delete()
    Message.objects.update(due_at=ago(minutes=1))
    VirtualNumber.objects.update(next_send_at=ago(minutes=1), messages_per_second=1000)
    assert sorted(refuse(claim) or "" for claim in claim_texts(limit=10)) == ["", "recipient_blocked"]


def test_what_comes_back_to_the_queue_after_a_mute_is_not_sent_and_its_writer_not_told(chat, sara, omar):
    make_relay(sara, omar, status=Status.QUEUED, due_at=ago(minutes=1))
    make_relay(omar, sara, status=Status.QUEUED, due_at=ago(minutes=1))
    Participant.objects.filter(pk=sara.pk).update(muted_at=timezone.now())
    assert [to for to, _ in send_all()] == [SARA]
    assert Message.objects.get(status=Status.FAILED).error_code == "writer_restricted"
    assert read_answers() == []


def test_a_blocked_person_is_not_told_that_the_chat_has_ended(api, chat, sara):
    act(api, sara, "block")
    end_chat(chat_id=chat.pk, reason="test", now=ago(minutes=1))
    text("from Sara")
    assert [row.status for row in read_inbound()] == [Status.LATE]
    assert read_answers() == []


# --- REPORT ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["REPORT", " Report! ", "denunciar", "Signaler"])
def test_report_mutes_the_other_one_and_is_confirmed(chat, sara, omar, word):
    text(word)
    text("from Omar", OMAR)
    text("from Sara")
    assert outcomes() == ["keyword", "muted", "relayed"]
    assert relays() == ["from Sara"]
    assert read_answers() == [(sara.pk, wording.REPORTED)]
    report = Report.objects.get()
    assert (report.reporter, report.reported, report.handled_at) == (sara, omar, None)


def test_the_word_in_a_sentence_is_passed_on(chat):
    text("I will report back at five")
    assert relays() == ["I will report back at five"]


def test_report_again_is_one_report_until_it_is_handled(api, chat, omar):
    text("REPORT")
    text("REPORT")
    assert Report.objects.count() == 1
    act(api, omar, "unmute", reason="talked to both")
    assert Report.objects.get().handled_at
    text("from Omar", OMAR)
    text("REPORT")
    text("from Omar again", OMAR)
    assert relays() == ["from Omar"]
    assert Report.objects.filter(handled_at=None).count() == 1
    assert len(read_answers()) == 1


def test_a_webhook_delivered_again_reports_once(chat, platform):
    Platform.objects.update(records_events=True)
    payload = sms(text="REPORT")
    for _ in range(3):
        text("", payload=payload)
    assert (len(read_inbound()), Report.objects.count(), len(read_answers())) == (1, 1, 1)
    assert Event.objects.filter(type="participant.reported").count() == 1


def test_the_platform_is_told_who_reported_whom(chat, platform, sara, omar):
    Platform.objects.update(records_events=True)
    text("REPORT")
    data = json.loads(Event.objects.get(type="participant.reported").payload)
    assert (data["chat"]["id"], data["reporter"]["id"]) == (str(chat.pk), str(sara.pk))
    assert data["participant"]["id"] == str(omar.pk)
    assert data["participant"]["muted_at"] is not None


def test_who_is_muted_can_report_and_who_is_blocked_cannot(api, chat, sara, omar):
    act(api, sara, "mute")
    text("REPORT")
    assert Report.objects.get().reporter == sara
    act(api, omar, "block")
    text("REPORT", OMAR)
    assert Report.objects.count() == 1


def test_a_report_after_the_end_counts_until_the_cool_down_is_over(chat, settings):
    end_chat(chat_id=chat.pk, reason="test", now=ago(hours=2))
    text("REPORT")
    settings.COOL_DOWN_HOURS = 1
    text("REPORT", OMAR)
    assert Report.objects.count() == 1
    assert [row.status for row in read_inbound()] == [Status.KEYWORD, Status.UNMATCHED]


def test_a_stranger_reports_nobody(chat, settings):
    text("REPORT", "+14155550199")
    assert not Report.objects.exists()


# --- Races -----------------------------------------------------------------------------------------------------

RESTRICTIONS: dict[str, Callable[[Chat, Participant], Any]] = {
    "mute": lambda chat, sara: mute_participant(chat_id=chat.pk, participant_id=sara.pk, reason="", now=timezone.now()),
    "block": lambda chat, sara: block_participant(
        chat_id=chat.pk, participant_id=sara.pk, reason="", now=timezone.now()
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("restrict", RESTRICTIONS)
def test_a_text_at_the_moment_of_a_mute_is_withdrawn_or_stopped(chat, sara, restrict):
    for number in range(6):
        calls: list[Callable[[], Any]] = [lambda number=number, n=n: text(f"text {number} {n}") for n in range(4)]
        at_once([*calls, lambda: RESTRICTIONS[restrict](chat, sara)])
        assert not Message.objects.filter(kind=Kind.RELAY, status=Status.QUEUED).exists()
        Participant.objects.update(muted_at=None, blocked_at=None)
        Message.objects.filter(direction="out").delete()
    assert len(read_inbound()) == 24


@pytest.mark.django_db(transaction=True)
def test_reports_of_both_at_once_are_two_and_nothing_is_passed_on_any_more(chat, sara, omar):
    now = timezone.now()
    at_once([lambda: text("REPORT"), lambda: text("REPORT", OMAR)] * 3)
    assert Report.objects.count() == 2
    assert not Participant.objects.filter(muted_at=None).exists()
    unmute_participant(chat_id=chat.pk, participant_id=sara.pk, reason="", now=now)
    assert Report.objects.get(handled_at=None).reported == omar


@pytest.mark.django_db(transaction=True)
def test_a_report_that_fails_half_way_is_taken_when_it_comes_again(chat, monkeypatch):
    payload = sms(text="REPORT")

    def break_off(**_: Any) -> None:
        raise ConnectionError("the database is gone")

    with monkeypatch.context() as patch:
        patch.setattr("messaging.keyword_texts.queue_automatic_text", break_off)
        with pytest.raises(ConnectionError):
            signed_post(Client(), INBOUND, payload)
    assert (read_inbound(), Report.objects.count()) == ([], 0)
    text("", payload=payload)
    assert Report.objects.count() == 1


def test_a_service_call_of_an_unknown_chat_or_person_is_refused(chat, sara):
    with pytest.raises(Chat.DoesNotExist):
        report_counterpart(chat_id=sara.pk, reporter_id=sara.pk, now=timezone.now())
    with pytest.raises(Participant.DoesNotExist):
        report_counterpart(chat_id=chat.pk, reporter_id=chat.pk, now=timezone.now())
