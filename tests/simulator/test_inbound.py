"""Texts typed on a handset: the webhook the service gets, and what a test can change in it."""

import hashlib
import re
import uuid

import jwt
import pytest

from messaging.gateways import Forged, InboundText, Unsigned, vonage_webhooks
from tests.simulator.conftest import SARA, VIRTUAL_NUMBER


@pytest.fixture(autouse=True)
def service_settings(simulator, settings):
    settings.VONAGE_API_KEY = simulator.api_key
    settings.VONAGE_APPLICATION_ID = simulator.application_id
    settings.VONAGE_SIGNATURE_SECRET = simulator.signature_secret


def type_text(simulator, receiver, text="Two minutes!", **kw):
    """Type a text on Sara's handset, and return the first webhook that came of it."""
    return receiver.wait_for(simulator.text(SARA, VIRTUAL_NUMBER, text, **kw))[0]


def read(webhook):
    return vonage_webhooks.read_webhook(authorization=webhook.authorization, body=webhook.body, expected=InboundText)


def test_the_webhook_of_a_text(simulator, receiver):
    message_uuid = simulator.text(SARA, VIRTUAL_NUMBER, "two minutes & <b>hurry</b> é")
    [webhook] = receiver.wait_for(message_uuid)
    assert uuid.UUID(message_uuid)
    assert webhook.path == "/inbound"
    assert webhook.headers["content-type"] == "application/json"
    payload = webhook.payload
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", payload.pop("timestamp"))
    assert payload == {
        "channel": "sms",
        "message_uuid": message_uuid,
        "to": VIRTUAL_NUMBER.removeprefix("+"),
        "from": SARA.removeprefix("+"),
        "message_type": "text",
        "text": "two minutes & <b>hurry</b> é",
        "context_status": "none",
        "sms": {"num_messages": "1", "count_total": "1", "keyword": "TWO"},
        "usage": {"currency": "EUR", "price": "0.0057"},
        "origin": {"network_code": "310260"},
    }


def test_the_service_believes_it(simulator, receiver):
    webhook = type_text(simulator, receiver, "Two minutes!")
    claims = jwt.decode(webhook.authorization.split()[1], simulator.signature_secret, algorithms=["HS256"])
    assert (claims["iss"], claims["api_key"]) == ("Vonage", simulator.api_key)
    assert claims["payload_hash"] == hashlib.sha256(webhook.body).hexdigest()
    inbound = read(webhook)
    assert (inbound.from_number, inbound.to_number, inbound.body) == (SARA, VIRTUAL_NUMBER, "Two minutes!")


def test_an_empty_text_has_no_keyword(simulator, receiver):
    webhook = type_text(simulator, receiver, " ")
    assert "keyword" not in webhook.payload["sms"]


def test_a_long_text_arrives_in_one_piece_that_says_its_segments(simulator, receiver):
    payload = type_text(simulator, receiver, "😀" * 36).payload
    assert payload["text"] == "😀" * 36
    assert (payload["sms"]["num_messages"], payload["usage"]["price"]) == ("2", "0.0114")


@pytest.mark.parametrize(("sender", "on_the_wire"), [("12345", "12345"), ("ACME", "ACME")])
def test_short_codes_and_companies_can_text_too(simulator, receiver, sender, on_the_wire):
    [webhook] = receiver.wait_for(simulator.text(sender, VIRTUAL_NUMBER, "Your code is 123"))
    assert webhook.payload["from"] == on_the_wire


def test_copies_are_the_same_webhook_delivered_at_once(simulator, receiver):
    webhooks = receiver.wait_for(simulator.text(SARA, VIRTUAL_NUMBER, "Hello", copies=5), count=5)
    assert len({webhook.body for webhook in webhooks}) == 1
    assert len({webhook.authorization for webhook in webhooks}) == 5
    simulator.wait_until_quiet()
    [text] = simulator.texts()
    assert text["webhook"] == {"copies": 5, "attempts": 5, "status": 200, "done": True, "lost": 0}


def test_a_message_uuid_can_be_chosen_and_used_again(simulator, receiver):
    chosen = str(uuid.uuid4())
    for _ in range(2):
        assert simulator.text(SARA, VIRTUAL_NUMBER, "Hello", message_uuid=chosen) == chosen
    assert len(receiver.wait_for(chosen, count=2)) == 2


def test_a_webhook_signed_with_a_wrong_secret_is_not_believed(simulator, receiver):
    with pytest.raises(Forged):
        read(type_text(simulator, receiver, sign="wrong"))


def test_a_webhook_can_come_without_signature(simulator, receiver):
    webhook = type_text(simulator, receiver, sign="none")
    assert "authorization" not in webhook.headers
    with pytest.raises(Unsigned):
        read(webhook)


def test_payload_replaces_and_removes_what_the_webhook_says_and_is_signed(simulator, receiver):
    changes = {"message_type": "image", "image": {"url": "https://proxy.example/1.jpg"}, "text": None, "usage": None}
    webhook = type_text(simulator, receiver, payload=changes)
    assert webhook.payload["image"] == {"url": "https://proxy.example/1.jpg"}
    assert webhook.payload["message_type"] == "image"
    assert not {"text", "usage"} & set(webhook.payload)
    assert [media.url for media in read(webhook).media] == ["https://proxy.example/1.jpg"]
