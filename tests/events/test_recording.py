"""What is recorded, when, and what it says: in the transaction of what it tells of, or not at all."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from chats.events import describe_chat
from chats.models import VirtualNumber
from chats.people import read_people
from chats.representations import ChatSerializer, MessageSerializer, ParticipantSerializer
from chats.services import end_chat, end_expired_chats
from messaging.claims import claim_texts
from messaging.events import describe_message
from messaging.gateways import Outcome, Progress, SendError
from messaging.models import Message
from messaging.overdue import settle_overdue
from messaging.results import Result, record_results
from platforms.event_types import EVENT_TYPES, EventType
from platforms.events import read_data
from platforms.models import Event, EventDelivery, Platform, WebhookEndpoint
from tests.events.helpers import read_types, receipt_for, record, text_from
from tests.factories import ALICE, OMAR, SARA, make_chat, make_platform, make_virtual_number

pytestmark = pytest.mark.django_db


@pytest.fixture
def platform(db: None) -> Platform:
    return make_platform("Rides", records_events=True)


@pytest.fixture
def chat(platform, virtual_number):
    chat = make_chat(platform, reference="booking-8812")
    Event.objects.all().delete()
    return chat


def only_event() -> tuple[Event, dict]:
    event = Event.objects.get()
    return event, read_data(payload=event.payload, text=event.message and event.message.body)


def test_a_started_chat_is_told_once_even_when_it_is_asked_for_twice(platform, virtual_number):
    for _ in range(2):
        chat = make_chat(platform, reference="booking-8812")
    event, data = only_event()
    assert (event.type, event.platform, event.chat_id) == ("chat.started", platform, chat.pk)
    assert (data["chat"]["id"], data["chat"]["status"], data["chat"]["reference"]) == (
        str(chat.pk),
        "open",
        "booking-8812",
    )


def test_an_ended_chat_is_told_once(chat):
    for _ in range(2):
        end_chat(chat_id=chat.pk, reason="trip finished", now=timezone.now())
    event, data = only_event()
    assert (event.type, data["chat"]["status"], data["chat"]["end_reason"]) == ("chat.ended", "ended", "trip finished")


def test_an_expired_chat_is_told(platform, chat):
    type(chat).objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    for _ in range(2):
        end_expired_chats(now=timezone.now())
    event, data = only_event()
    assert (event.type, data["chat"]["end_reason"]) == ("chat.ended", "expired")


def test_a_received_text_is_told_once_even_when_its_webhook_comes_twice(chat):
    for _ in range(2):
        text_from(SARA, "I am here", id="same")
    event, data = only_event()
    sara = chat.participants.get(position=1)
    inbound = Message.objects.get(direction="in")
    assert (event.type, event.chat_id, event.message_id) == ("message.received", chat.pk, inbound.pk)
    assert data["chat"] == {"id": str(chat.pk), "reference": "booking-8812"}
    assert data["message"]["id"] == str(inbound.pk)
    assert (data["message"]["participant"], data["message"]["status"]) == (str(sara.pk), "relayed")
    assert data["message"]["text"] == "I am here"


def test_a_text_after_the_end_is_told_as_late(chat):
    end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
    Event.objects.all().delete()
    text_from(SARA, "I lost my bag")
    event, data = only_event()
    assert (event.type, event.chat_id, data["message"]["status"]) == ("message.received", chat.pk, "late")


def test_a_text_of_a_stranger_is_told_to_the_platform_that_owns_the_number(platform, other_platform):
    Platform.objects.update(records_events=True)
    make_virtual_number("+14155550101", platform=other_platform)
    text_from(ALICE, "Who is this?", to="+14155550101")
    event, data = only_event()
    assert (event.type, event.platform, event.chat_id) == ("message.unmatched", other_platform, None)
    assert (data["virtual_number"], data["message"]["participant"]) == ("+14155550101", None)


def test_a_text_of_a_stranger_to_a_shared_number_is_told_to_nobody(platform, virtual_number):
    text_from(ALICE, "Who is this?")
    assert read_types() == []


@pytest.mark.parametrize(
    "progress, told",
    [(Progress.SENT, []), (Progress.DELIVERED, ["message.delivered"]), (Progress.FAILED, ["message.failed"])],
)
def test_a_receipt_is_told_once_when_it_is_the_end(chat, progress, told):
    message = Message.objects.filter(kind="introduction").first()
    for _ in range(3):
        receipt_for(message.pk, progress, error_code="1240" if progress is Progress.FAILED else "")
    assert read_types() == told
    if told:
        event, data = only_event()
        assert (event.message_id, data["message"]["kind"]) == (message.pk, "introduction")
        assert event.occurred_at == (Message.objects.get(pk=message.pk).delivered_at or event.occurred_at)


def test_a_text_that_the_gateway_refuses_for_good_is_told(chat):
    VirtualNumber.objects.update(next_send_at=timezone.now() - timedelta(hours=1))
    claim = claim_texts(limit=1)[0]
    detail = "The recipient +1 (415) 555-0123 does not exist"
    record_results([Result(claim, error=SendError(Outcome.NEVER, "1240", detail))])
    event, data = only_event()
    assert (event.type, event.message_id) == ("message.failed", claim.id)
    assert data["message"]["error"] == {"code": "1240", "detail": "The recipient ••• does not exist"}


def test_texts_that_wait_for_too_long_are_told(chat):
    Message.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    settle_overdue()
    assert read_types() == ["message.failed", "message.failed"]


def test_nothing_is_recorded_for_a_platform_that_records_no_events(platform, virtual_number):
    Platform.objects.update(records_events=False)
    platform.refresh_from_db()
    chat = make_chat(platform)
    text_from(SARA)
    receipt_for(Message.objects.filter(kind="relay").get().pk, Progress.DELIVERED)
    end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
    text_from(SARA)
    assert read_types() == []


def test_an_event_is_rolled_back_with_what_it_tells_of(chat):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        text_from(SARA)
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
        assert len(read_types()) == 2
        raise ZeroDivisionError
    assert read_types() == []
    chat.refresh_from_db()
    assert chat.status == "open"


def test_no_phone_number_is_in_any_event_and_nothing_of_it_is_plain_in_the_database(chat):
    text_from(SARA, "Call me: +1 415 555 0123")
    end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload FROM platforms_event")
        stored = "".join(row[0] for row in cursor.fetchall())
    for word in ("Sara", "Omar", "booking-8812", "Call", SARA[1:], OMAR[1:]):
        assert word not in stored
    for event in Event.objects.all():
        assert SARA[-10:] not in event.payload and OMAR[-10:] not in event.payload
        assert "Call" not in event.payload


def test_a_text_that_was_erased_is_in_no_event(chat):
    text_from(SARA, "secret")
    Message.objects.update(body="")
    assert only_event()[1]["message"]["text"] == ""
    Message.objects.all().delete()
    event = Event.objects.select_related("message").get()
    assert event.message is None


def test_chats_and_messages_have_the_fields_of_the_api(chat):
    people = list(chat.participants.select_related("virtual_number"))
    described = describe_chat(chat, people)
    shown = ChatSerializer(chat, context={"people": read_people([chat.pk])}).data
    assert described.keys() == shown.keys()
    assert described["participants"][0].keys() == ParticipantSerializer().fields.keys() - {
        "introduction",
        "opted_out",
        "awaits_consent",
    }
    assert describe_message(Message.objects.first()).keys() == MessageSerializer().fields.keys()
    assert [str(each["id"]) for each in described["participants"]] == [each["id"] for each in shown["participants"]]


@pytest.mark.parametrize("type", EventType)
def test_every_type_is_described_by_an_example_with_the_same_keys(type):
    data = EVENT_TYPES[type].data
    assert EVENT_TYPES[type].when.endswith(".")
    if "message" in data:
        assert data["message"].keys() == MessageSerializer().fields.keys()
    if "participants" in data.get("chat", {}):
        assert data["chat"].keys() == ChatSerializer().fields.keys()


def test_an_event_is_queued_for_the_endpoints_that_take_it(platform):
    urls = {
        "all": {"event_types": []},
        "this": {"event_types": ["ping", "chat.ended"]},
        "other": {"event_types": ["ping"]},
        "off": {"event_types": [], "is_enabled": False},
    }
    for url, fields in urls.items():
        WebhookEndpoint.objects.create(platform=platform, url=url, secret="x", **fields)
    WebhookEndpoint.objects.create(platform=make_platform("Rentals"), url="theirs", secret="x")
    record(platform, EventType.CHAT_ENDED)
    assert set(EventDelivery.objects.values_list("endpoint__url", "status")) == {
        ("all", "waiting"),
        ("this", "waiting"),
    }


def test_an_event_waits_from_the_start_for_as_long_as_the_one_before_it_in_its_chat(platform):
    WebhookEndpoint.objects.create(platform=platform, url="x", secret="x")
    chat_id = uuid4()
    record(platform, chat_id=chat_id)
    later = timezone.now() + timedelta(hours=5)
    EventDelivery.objects.update(due_at=later)
    record(platform, chat_id=chat_id)
    record(platform, chat_id=uuid4())
    assert [
        due_at == later for due_at in EventDelivery.objects.order_by("position").values_list("due_at", flat=True)
    ] == [
        True,
        True,
        False,
    ]
