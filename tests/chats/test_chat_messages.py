"""GET /chats/{id}/messages."""

import base64
from decimal import Decimal
from uuid import uuid4

import pytest
from django.utils import timezone

from messaging.models import Message
from messaging.outbox import queue_text
from tests.chats.helpers import errors
from tests.factories import ALICE, BOB, make_chat, make_pool
from tests.harness.statements import noted_statements


@pytest.fixture
def chat(platform):
    make_pool(1)
    return make_chat(platform)


def texts(response):
    assert response.status_code == 200
    return [message["text"] for message in response.json()["results"]]


def add_relay(chat, text):
    return queue_text(kind=Message.Kind.RELAY, recipient=chat.participants.all()[1], body=text)


def test_a_message_shows_what_became_of_it(api, chat):
    now = timezone.now()
    first, second = chat.participants.all()
    inbound = Message.objects.create(
        direction="in",
        kind="text",
        status="relayed",
        virtual_number_id=first.virtual_number_id,
        chat=chat,
        participant=first,
        body="On my way",
        gateway_id="g-1",
        segments=1,
    )
    relay_id = queue_text(kind=Message.Kind.RELAY, recipient=second, body="On my way", relays=inbound.pk)
    assert relay_id
    Message.objects.filter(pk=relay_id).update(
        status="failed",
        error_code="1320",
        error_detail="Unreachable",
        segments=2,
        price=Decimal("0.0162"),
        currency="EUR",
        sent_at=now,
        failed_at=now,
    )
    *_, received, passed_on = api.get(f"/chats/{chat.pk}/messages").json()["results"]
    moment = now.isoformat().replace("+00:00", "Z")
    assert received == {
        "id": str(inbound.pk),
        "direction": "in",
        "kind": "text",
        "participant": str(first.pk),
        "status": "relayed",
        "text": "On my way",
        "attachments": [],
        "disclosures": [],
        "error": None,
        "segments": 1,
        "price": None,
        "currency": None,
        "send_at": None,
        "created_at": received["created_at"],
        "sent_at": None,
        "delivered_at": None,
        "failed_at": None,
    }
    assert passed_on == {
        **received,
        "id": str(relay_id),
        "direction": "out",
        "kind": "relay",
        "participant": str(second.pk),
        "status": "failed",
        "error": {"code": "1320", "detail": "Unreachable"},
        "segments": 2,
        "price": "0.016200",
        "currency": "EUR",
        "created_at": passed_on["created_at"],
        "sent_at": moment,
        "failed_at": moment,
    }


def test_the_oldest_come_first_and_every_page_leads_to_the_next(api, chat):
    for n in range(5):
        add_relay(chat, f"text {n}")
    seen, url = [], f"/chats/{chat.pk}/messages?page_size=3"
    while url:
        page = api.get(url)
        seen += texts(page)
        url = page.json()["next"]
    assert seen[2:] == [f"text {n}" for n in range(5)]


def test_other_chats_are_left_out(api, platform, chat):
    make_chat(platform, (ALICE, BOB))
    assert len(texts(api.get(f"/chats/{chat.pk}/messages"))) == 2


@pytest.mark.parametrize(
    "query, attr",
    [
        ("page_size=x", "page_size"),
        ("state=sent", None),
        ("cursor=" + base64.b64encode(b"p=x").decode(), "cursor"),
        ("cursor=" + base64.b64encode(b"p=-1").decode(), "cursor"),
        ("cursor=" + base64.b64encode(b"p=99999999999999999999").decode(), "cursor"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_refused(api, chat, query, attr):
    response = api.get(f"/chats/{chat.pk}/messages?{query}")
    assert response.status_code == 400
    assert [attr for _, attr in errors(response)] == [attr]


def test_another_platforms_messages_are_not_found(api, other_api, chat):
    assert errors(other_api.get(f"/chats/{chat.pk}/messages")) == [("not_found", None)]
    assert errors(api.get(f"/chats/{uuid4()}/messages")) == [("not_found", None)]


def test_a_page_takes_the_same_statements_however_long_it_is(api, chat):
    api.get(f"/chats/{chat.pk}/messages")
    for n in range(10):
        add_relay(chat, f"text {n}")
    with noted_statements() as noted:
        assert len(texts(api.get(f"/chats/{chat.pk}/messages"))) == 12
    # The key, its limits, the chat, its messages, their attachments.
    assert len(noted) == 5
