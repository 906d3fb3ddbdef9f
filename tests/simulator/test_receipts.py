"""Delivery receipts: what Vonage says of a text it accepted, signed so that the service believes it."""

import hashlib
import re
import uuid

import jwt
import pytest

from messaging.gateways import Forged, Progress, Receipt, vonage_webhooks
from tests.simulator.conftest import SARA, VIRTUAL_NUMBER, list_statuses


def test_a_text_is_submitted_and_then_delivered(simulator, caller, receiver):
    reference = str(uuid.uuid4())
    message_uuid = caller.send_accepted(client_ref=reference)
    submitted, delivered = receiver.wait_for(message_uuid, count=2)

    assert {submitted.path, delivered.path} == {"/status"}
    timestamp = submitted.payload["timestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", timestamp)
    assert submitted.payload == {
        "message_uuid": message_uuid,
        "to": SARA.removeprefix("+"),
        "from": VIRTUAL_NUMBER.removeprefix("+"),
        "timestamp": timestamp,
        "status": "submitted",
        "channel": "sms",
        "client_ref": reference,
        "usage": {"currency": "EUR", "price": "0.0072"},
        "destination": {"network_code": "310260"},
        "sms": {"count_total": "1"},
    }
    later = {"status": "delivered", "timestamp": delivered.payload["timestamp"]}
    assert delivered.payload == submitted.payload | later


def test_the_text_shows_the_status_that_was_told(simulator, caller, receiver):
    message_uuid = caller.send_accepted()
    simulator.wait_for_text(SARA, predicate=lambda text: text["status"] == "delivered")
    assert list_statuses(receiver.wait_for(message_uuid, count=2)) == ["submitted", "delivered"]


def test_a_text_without_client_ref_has_none_in_its_receipts(caller, receiver):
    for receipt in receiver.wait_for(caller.send_accepted(), count=2):
        assert "client_ref" not in receipt.payload


def test_a_long_text_is_counted_in_segments(caller, receiver):
    submitted, delivered = receiver.wait_for(caller.send_accepted(text="x" * 161), count=2)
    assert submitted.payload["sms"] == {"count_total": "2"}
    assert submitted.payload["usage"] == {"currency": "EUR", "price": "0.0144"}
    segments = delivered.payload["sms"]["segments"]
    assert delivered.payload["sms"]["count_total"] == "2"
    assert [segment["status"] for segment in segments] == ["delivered", "delivered"]


def test_receipts_go_to_the_webhook_url_of_the_text(caller, receiver):
    message_uuid = caller.send_accepted(webhook_url=f"{receiver.url}/for-this-text")
    assert {receipt.path for receipt in receiver.wait_for(message_uuid, count=2)} == {"/for-this-text"}


def test_a_receipt_is_signed_as_vonage_signs(simulator, caller, receiver):
    receipt = receiver.wait_for(caller.send_accepted())[0]
    scheme, _, token = receipt.authorization.partition(" ")
    assert scheme == "Bearer"
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    claims = jwt.decode(token, simulator.signature_secret, algorithms=["HS256"])
    assert uuid.UUID(claims.pop("jti")) and isinstance(claims.pop("iat"), int)
    assert claims == {
        "iss": "Vonage",
        "api_key": simulator.api_key,
        "application_id": simulator.application_id,
        "payload_hash": hashlib.sha256(receipt.body).hexdigest(),
    }
    assert receipt.headers["content-type"] == "application/json"


@pytest.fixture
def service_settings(simulator, settings):
    settings.VONAGE_API_KEY = simulator.api_key
    settings.VONAGE_APPLICATION_ID = simulator.application_id
    settings.VONAGE_SIGNATURE_SECRET = simulator.signature_secret
    return settings


def test_the_service_believes_a_receipt(service_settings, caller, receiver):
    reference = uuid.uuid4()
    message_uuid = caller.send_accepted(client_ref=str(reference))
    _, delivered = receiver.wait_for(message_uuid, count=2)
    receipt = vonage_webhooks.read_webhook(authorization=delivered.authorization, body=delivered.body, expected=Receipt)
    assert receipt is not None
    assert (receipt.gateway_id, receipt.reference) == (message_uuid, reference)
    assert (receipt.progress, receipt.segments, receipt.currency) == (Progress.DELIVERED, 1, "EUR")


def test_the_service_does_not_believe_a_receipt_with_another_secret(service_settings, caller, receiver):
    service_settings.VONAGE_SIGNATURE_SECRET = "another secret, which is not the one the simulator has"
    receipt = receiver.wait_for(caller.send_accepted())[0]
    with pytest.raises(Forged):
        vonage_webhooks.read_webhook(authorization=receipt.authorization, body=receipt.body, expected=Receipt)
