"""After STOP nothing goes out but its confirmation, whoever asks; and the carrier's own signals are a STOP."""

import pytest
from django.test import Client
from django.utils import timezone

from chats.phone_numbers import parse_phone_number
from chats.services import end_chat, reopen_chat, replace_participant
from messaging import wording
from messaging.claims import claim_texts
from messaging.models import Message, OptOut
from messaging.outbox import queue_text
from messaging.scheduled import queue_scheduled_texts
from platforms.models import Event, Platform
from tests.chats.helpers import at_once, body
from tests.factories import CHARLIE, OMAR, SARA, make_chat, make_virtual_number
from tests.messaging.consent.helpers import opt_out_by_text, read_opt_outs, send_all, text
from tests.messaging.legacy import TOKEN, legacy_receipt, send, with_token
from tests.messaging.payloads import receipt
from tests.messaging.rows import (
    Kind,
    Status,
    ago,
    forget_introductions,
    lose_the_key,
    make_queued,
    make_relay,
    read_inbound,
    read_outbound,
)
from tests.messaging.signing import STATUS, signed_post

pytestmark = pytest.mark.django_db

EVERY_KIND = [kind for kind in Kind if kind not in (Kind.TEXT, Kind.CONSENT)]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_no_kind_of_text_reaches_somebody_opted_out(chat, sara, kind):
    opt_out_by_text()
    queue_text(kind=kind, recipient=sara, body="psst")
    assert send_all() == []
    row = Message.objects.latest("position")
    assert (row.status, row.error_code, row.error_kind) == (Status.FAILED, "recipient_opted_out", "opt_out")


@pytest.mark.parametrize("status", [Status.QUEUED, Status.PREPARING, Status.UNCONFIRMED, Status.HELD])
def test_what_waits_when_stop_comes_is_withdrawn_and_its_writer_told(chat, sara, omar, status):
    Platform.objects.update(records_events=True)
    relay = make_relay(omar, sara, "on my way", status=status, due_at=ago(minutes=-5))
    text("STOP")
    relay.refresh_from_db()
    assert (relay.status, relay.error_code) == (Status.FAILED, "recipient_opted_out")
    assert sorted(send_all()) == sorted(
        [(OMAR, wording.COUNTERPART_OPTED_OUT), (SARA, wording.OPTED_OUT.format(platform="Rides"))]
    )
    assert Event.objects.filter(type="message.failed", message_id=relay.pk).count() == 1


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.PREPARING, Status.QUEUED, Status.HELD])
def test_what_a_platform_has_written_is_withdrawn_too(chat, sara, omar, status):
    Platform.objects.update(records_events=True)
    texts = [
        make_queued(person, "your car is here", kind=Kind.PLATFORM, status=status, due_at=ago(minutes=-5))
        for person in (sara, omar)
    ]
    text("STOP")
    for row in texts:
        row.refresh_from_db()
    assert [(row.status, row.error_code) for row in texts] == [(Status.FAILED, "recipient_opted_out"), (status, "")]
    assert [event.message_id for event in Event.objects.filter(type="message.failed")] == [texts[0].pk]


def test_what_was_scheduled_past_a_stop_is_refused_when_it_is_claimed(chat, sara):
    opt_out_by_text()
    row = make_queued(sara, "your car is here", kind=Kind.PLATFORM, status=Status.SCHEDULED, due_at=ago(minutes=1))
    assert queue_scheduled_texts() == 1
    assert send_all() == []
    row.refresh_from_db()
    assert (row.status, row.error_code) == (Status.FAILED, "recipient_opted_out")


def test_what_is_on_the_wire_when_stop_comes_is_not_sent_a_second_time(chat, sara):
    row = make_queued(sara, "hello")
    claim_texts(limit=1)
    text("STOP")
    Message.objects.filter(pk=row.pk).update(status=Status.QUEUED, due_at=ago(minutes=1))
    assert "hello" not in [words for _, words in send_all()]


def test_what_was_queued_past_all_services_is_not_sent_either(chat, sara):
    opt_out_by_text()
    make_queued(sara, "psst")
    assert send_all() == []


def test_the_sender_of_texts_to_somebody_opted_out_is_told_once_an_hour(chat, sara, omar):
    opt_out_by_text()
    Message.objects.filter(kind=Kind.AUTO_REPLY).delete()
    for words in "123":
        text(words, OMAR)
    assert [(row.status, row.error_code) for row in read_inbound()[1:]] == [
        (Status.BLOCKED, "counterpart_opted_out")
    ] * 3
    assert len(send_all()) <= 2  # two when the clock struck in between


def test_after_start_the_counterpart_is_told_of_the_next_stop_within_the_hour_too(chat):
    for word in ("STOP", "START", "STOP"):
        text(word)
    told = [words for to, words in send_all() if to == OMAR]
    assert told == [wording.COUNTERPART_OPTED_OUT, wording.COUNTERPART_OPTED_IN, wording.COUNTERPART_OPTED_OUT]


def test_a_chat_with_somebody_opted_out_is_started_and_says_so_and_they_are_not_introduced(
    api, platform, virtual_number
):
    platform.cool_down_hours = 0
    platform.save()
    end_chat(chat_id=make_chat(platform, (SARA, CHARLIE)).pk, reason="over", now=ago(hours=1))
    forget_introductions()
    opt_out_by_text()
    response = api.post("/chats", body())
    assert response.status_code == 201
    assert [one["opted_out"] for one in response.json()["participants"]] == [True, False]
    assert [to for to, _ in send_all()] == [OMAR]
    shown = api.get(f"/chats/{response.json()['id']}").json()["participants"][0]
    assert shown["introduction"]["status"] == "failed"
    assert shown["introduction"]["error"]["code"] == "recipient_opted_out"
    text("START")
    assert [one["opted_out"] for one in api.get("/chats").json()["results"][0]["participants"]] == [False, False]


def test_a_closing_text_a_reopened_chat_and_a_replacement_send_nothing(chat, sara, omar):
    opt_out_by_text()
    end_chat(chat_id=chat.pk, reason="over", closing_text="Thank you.", now=timezone.now())
    reopen_chat(chat_id=chat.pk, changes={}, now=timezone.now())
    replace_participant(
        chat_id=chat.pk,
        participant_id=omar.pk,
        phone_number=parse_phone_number(CHARLIE),
        name="Charlie",
        now=timezone.now(),
    )
    assert SARA not in [to for to, _ in send_all()]


def test_a_stranger_who_has_opted_out_is_not_answered(chat, settings):
    settings.STRANGER_REPLY = "This number is not in use."
    opt_out_by_text(CHARLIE)
    text("hello?", CHARLIE)
    assert send_all() == []


# --- What the carrier tells ------------------------------------------------------------------------------------------

CARRIER = {
    "Messages API, 1240": lambda row: signed_post(
        Client(), STATUS, receipt(status="rejected", message_uuid=row.gateway_id, error={"title": "1240"})
    ),
    "SMS API, err-code 9": lambda row: send(
        Client(),
        with_token(STATUS),
        legacy_receipt(messageId=row.gateway_id, status="failed", err_code="9"),
    ),
}


@pytest.mark.parametrize("deliver", CARRIER.values(), ids=CARRIER)
def test_an_opt_out_that_the_carrier_knows_of_is_one(chat, sara, omar, settings, deliver):
    settings.VONAGE_LEGACY_WEBHOOKS, settings.VONAGE_WEBHOOK_TOKEN = "token", TOKEN
    Platform.objects.update(records_events=True)
    row = make_relay(sara, omar, status=Status.SENT, gateway_id="gateway-1")
    for _ in range(2):
        assert deliver(row).status_code == 200
    assert [(source, in_force) for _, _, source, in_force in read_opt_outs()] == [("carrier", True)]
    assert [event.type for event in Event.objects.order_by("position")] == ["message.failed", "participant.opted_out"]
    text("hello?")
    assert send_all() == [(SARA, wording.COUNTERPART_OPTED_OUT)]


def test_a_refusal_of_a_text_from_before_start_is_no_new_opt_out(chat, sara, omar):
    row = make_relay(sara, omar, status=Status.SENT, gateway_id="gateway-1")
    text("STOP", OMAR)
    text("START", OMAR)
    CARRIER["Messages API, 1240"](row)
    assert [in_force for *_, in_force in read_opt_outs()] == [False]


def test_an_opt_out_from_the_carrier_does_not_need_the_keys(chat, sara, omar):
    row = make_relay(sara, omar, status=Status.SENT, gateway_id="gateway-1")
    lose_the_key()
    assert CARRIER["Messages API, 1240"](row).status_code == 200
    assert len(read_opt_outs()) == 1


# --- At the same moment ----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_stop_and_a_text_to_that_person_at_once_end_in_silence(chat):
    for _ in range(5):
        at_once([lambda: text("STOP"), *[lambda n=n: text(f"text {n}", OMAR) for n in range(3)]])
        late = [words for to, words in send_all() if to == SARA]
        assert [words for words in late if words != wording.OPTED_OUT.format(platform="Rides")] == []
        assert Message.objects.filter(direction="in", status="relayed").count() == len(read_outbound(Kind.RELAY))
        text("START")
        send_all()


@pytest.mark.django_db(transaction=True)
def test_many_stops_at_once_are_one_and_confirmed_once(chat):
    at_once([lambda: text("STOP")] * 4 + [lambda: text("STOP", message_uuid="same")] * 3)
    assert len(read_opt_outs()) == 1
    assert sorted(send_all()) == sorted(
        [(OMAR, wording.COUNTERPART_OPTED_OUT), (SARA, wording.OPTED_OUT.format(platform="Rides"))]
    )


@pytest.mark.django_db(transaction=True)
def test_stops_of_both_people_and_starts_at_once_leave_one_row_each_in_force_at_most(chat):
    at_once([lambda: text("STOP"), lambda: text("STOP", OMAR)] * 2 + [lambda: text("START")] * 2)
    assert OptOut.objects.filter(ended_at=None).count() <= 2
    send_all()
    assert not Message.objects.filter(status__in=Message.PENDING_STATUSES).exists()


@pytest.mark.django_db(transaction=True)
def test_a_stop_and_the_start_of_a_chat_on_another_number_of_the_platform_at_once(platform, virtual_number, chat):
    Platform.objects.update(opt_out_scope="platform")
    make_virtual_number("+14155550101")
    at_once([lambda: text("STOP"), lambda: make_chat(platform, (SARA, CHARLIE))])
    send_all()
    text("hello", CHARLIE, "+14155550101")
    assert SARA not in [to for to, _ in send_all()]
