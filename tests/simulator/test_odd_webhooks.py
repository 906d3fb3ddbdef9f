"""Webhooks that are signed oddly, written in another dialect, or missing: what the service must be able to read."""

import json
import re
import time
import uuid
from urllib.parse import parse_qs

import jwt
import pytest

from messaging.gateways import Forged, InboundText, Unsigned, vonage_webhooks
from tests.harness.simulator import make_attachment
from tests.simulator.conftest import SARA, VIRTUAL_NUMBER, list_statuses

OMAR = "+14155550124"


@pytest.fixture(autouse=True)
def service_settings(simulator, settings):
    settings.VONAGE_API_KEY = simulator.api_key
    settings.VONAGE_APPLICATION_ID = simulator.application_id
    settings.VONAGE_SIGNATURE_SECRET = simulator.signature_secret


@pytest.fixture
def reference():
    return str(uuid.uuid4())


def wait_for_end(receiver, reference) -> dict:
    """Return the last receipt of a text: each travels on its own, and it may overtake the first."""
    receipts = [webhook.payload for webhook in receiver.wait_for(reference, count=2)]
    [final] = [receipt for receipt in receipts if receipt["status"] not in ("submitted", "accepted", "buffered")]
    return final


def type_text(simulator, receiver, text="Two minutes!", **kw):
    return receiver.wait_for(simulator.text(SARA, VIRTUAL_NUMBER, text, **kw))[0]


def read(webhook):
    return vonage_webhooks.read_webhook(authorization=webhook.authorization, body=webhook.body, expected=InboundText)


def read_claims(simulator, webhook):
    options = {"verify_iat": False}
    token = webhook.authorization.split()[1]
    return jwt.decode(token, simulator.signature_secret, algorithms=["HS256"], options=options)


# --- Signatures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error"), [("unsigned_webhooks", Unsigned), ("wrong_signature", Forged), ("wrong_payload_hash", Forged)]
)
def test_an_odd_signature_is_not_believed(simulator, receiver, fault, error):
    simulator.set_faults(**{fault: True})
    with pytest.raises(error):
        read(type_text(simulator, receiver))


def test_a_webhook_that_came_unsigned_is_signed_when_it_is_tried_again(simulator, receiver):
    message_uuid = str(uuid.uuid4())
    receiver.answer(message_uuid, 503, 200)
    simulator.set_faults(unsigned_webhooks={"times": 1})
    simulator.text(SARA, VIRTUAL_NUMBER, "Hello", message_uuid=message_uuid)
    first, second = receiver.wait_for(message_uuid, count=2)
    assert (first.authorization, first.body) == ("", second.body)
    assert read(second).body == "Hello"


def test_an_odd_signature_can_be_for_receipts_only(simulator, caller, receiver, reference):
    simulator.set_faults(unsigned_webhooks={"kind": "status"})
    assert type_text(simulator, receiver).authorization
    caller.send_accepted(client_ref=reference)
    assert {webhook.authorization for webhook in receiver.wait_for(reference, count=2)} == {""}


@pytest.mark.parametrize("skew", [-7200, 7200])
def test_the_clock_of_the_carrier_can_be_wrong(simulator, receiver, skew):
    simulator.set_faults(iat_skew_s=skew)
    claims = read_claims(simulator, type_text(simulator, receiver))
    assert abs(claims["iat"] - time.time() - skew) < 10


# --- Dialects ------------------------------------------------------------------------------------------------


def test_an_error_can_have_an_integer_for_a_title(simulator, caller, receiver, reference):
    simulator.set_faults(final_status="rejected", integer_error_title=True)
    caller.send_accepted(client_ref=reference)
    assert wait_for_end(receiver, reference)["error"]["title"] == 1240


def test_segments_can_be_counted_as_total_count(simulator, caller, receiver, reference):
    simulator.set_faults(total_count=True)
    caller.send_accepted(client_ref=reference, text="x" * 161)
    for receipt in receiver.wait_for(reference, count=2):
        assert receipt.payload["sms"]["total_count"] == "2"
        assert "count_total" not in receipt.payload["sms"]
    assert type_text(simulator, receiver).payload["sms"] == {"total_count": "1", "keyword": "TWO"}


def test_an_inbound_text_can_lack_its_message_type(simulator, receiver):
    simulator.set_faults(no_message_type=True)
    webhook = type_text(simulator, receiver)
    assert "message_type" not in webhook.payload
    assert read(webhook).body == "Two minutes!"


def test_timestamps_can_have_milliseconds(simulator, caller, receiver, reference):
    simulator.set_faults(millisecond_timestamps=True)
    assert type_text(simulator, receiver).payload["timestamp"].endswith(".000Z")
    caller.send_accepted(client_ref=reference, text="x" * 161)
    delivered = wait_for_end(receiver, reference)
    assert delivered["timestamp"].endswith(".000Z")
    assert all(segment["timestamp"].endswith(".000Z") for segment in delivered["sms"]["segments"])


def test_an_inbound_text_can_be_of_an_unsupported_type(simulator, receiver):
    simulator.set_faults(unsupported_message_type=True)
    message_uuid = simulator.mms(SARA, VIRTUAL_NUMBER, "look", make_attachment(b"1"))
    for webhook in (type_text(simulator, receiver), receiver.wait_for(message_uuid)[0]):
        assert webhook.payload["message_type"] == "unsupported"
        assert not {"text", "image", "sms", "usage", "content"} & set(webhook.payload)


def test_dialects_leave_alone_what_a_test_has_put_in_a_webhook(simulator, receiver):
    simulator.set_faults(total_count=True, millisecond_timestamps=True, no_message_type=True)
    payload = type_text(simulator, receiver, payload={"sms": "none", "timestamp": 5}).payload
    assert (payload["sms"], payload["timestamp"]) == ("none", 5)


# --- The SMS API's format ------------------------------------------------------------------------------------


def read_parts(simulator, receiver, text, count):
    """Type a text that comes in parts, and return (part, text) of each in the order of their delivery."""
    simulator.text(SARA, VIRTUAL_NUMBER, text)
    simulator.wait_until_quiet()
    exchanges = [exchange for exchange in simulator.traffic() if exchange["kind"] == "inbound"]
    assert len(exchanges) == count
    bodies = [parse_qs(exchange["body"]) for exchange in exchanges]
    assert {body["concat-total"][0] for body in bodies} <= {"3"}
    return [(int(body["concat-part"][0]), body["text"][0]) for body in bodies]


LONG = "a" * 150 + "b" * 150 + "c" * 150


@pytest.mark.parametrize(
    ("parts", "count", "distinct"), [("in_order", 3, 3), ("shuffled", 3, 3), ("missing", 2, 2), ("doubled", 4, 3)]
)
def test_texts_can_come_in_parts(simulator, receiver, parts, count, distinct):
    simulator.set_faults(inbound_format={"format": "legacy-form", "parts": parts})
    delivered = read_parts(simulator, receiver, LONG, count)
    assert set(delivered) <= {(1, "a" * 150), (2, "b" * 150), (3, "c" * 150)}
    assert len(set(delivered)) == distinct


def test_a_short_text_comes_in_two_parts_when_it_is_told_to_come_in_parts(simulator, receiver):
    simulator.set_faults(inbound_format={"format": "legacy-json", "parts": "shuffled"})
    simulator.text(SARA, VIRTUAL_NUMBER, "ab")
    assert simulator.texts()[0]["webhook"]["copies"] == 2
    simulator.wait_until_quiet()
    exchanges = [json.loads(exchange["body"]) for exchange in simulator.traffic()]
    assert {(body["concat-part"], body["text"]) for body in exchanges} == {("1", "a"), ("2", "b")}


@pytest.mark.parametrize("form", ["legacy-get", "legacy-form", "legacy-json"])
def test_every_text_can_come_in_the_sms_apis_format(simulator, receiver, form):
    simulator.set_faults(inbound_format={"format": form, "signature": "sha256"}, receipt_format=form)
    simulator.text(SARA, VIRTUAL_NUMBER, "Two minutes!")
    simulator.wait_until_quiet()
    [exchange] = simulator.traffic()
    assert exchange["method"] == ("GET" if form == "legacy-get" else "POST")
    assert "Two" in exchange["body"] and "sig" in exchange["body"] and "concat" not in exchange["body"]


def test_receipts_can_come_in_the_sms_apis_format(simulator, caller, receiver, reference):
    simulator.set_faults(receipt_format="legacy-json", final_status="rejected")
    caller.send_accepted(client_ref=reference)
    final = wait_for_end(receiver, reference)
    assert (final["status"], final["err-code"], final["client-ref"]) == ("rejected", "9", reference)


def test_each_part_has_receipts_of_its_own_in_the_sms_apis_format(simulator, caller, receiver, reference):
    simulator.set_faults(receipt_format="legacy-json", double_receipts=True)
    gateway_id = caller.send_accepted(client_ref=reference, text="x" * 153 * 3)
    simulator.wait_until_quiet()
    receipts = [json.loads(exchange["body"]) for exchange in simulator.traffic() if exchange["kind"] == "status"]
    ids = {body["messageId"] for body in receipts}
    assert (len(ids), len(receipts)) == (3, 12)
    assert all(re.fullmatch("[0-9A-F]{16}", part_id) for part_id in ids) and gateway_id not in ids


# --- Receipts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("which", "left"), [("submitted", ["delivered"]), ("last", ["submitted"])])
def test_one_receipt_can_be_missing(simulator, caller, receiver, reference, which, left):
    simulator.set_faults(no_receipts={"which": which})
    caller.send_accepted(client_ref=reference)
    simulator.wait_until_quiet()
    assert list_statuses(receiver.webhooks(reference)) == left


@pytest.mark.parametrize(("fault", "confirmed"), [(True, 1), ({"delivered": 0}, 0), ({"delivered": 9}, 3)])
def test_only_some_segments_can_be_confirmed(simulator, caller, receiver, reference, fault, confirmed):
    simulator.set_faults(partial_segments=fault)
    caller.send_accepted(client_ref=reference, text="x" * 153 * 3)
    final = wait_for_end(receiver, reference)
    assert (final["status"], final["error"]["title"]) == ("rejected", "1490")
    assert final["sms"]["count_total"] == "3"
    assert [segment["status"] for segment in final["sms"]["segments"]] == ["delivered"] * confirmed


def test_segments_can_be_rejected_for_a_reason(simulator, caller, receiver, reference):
    simulator.set_faults(partial_segments={"delivered": 1, "error_code": 1180})
    caller.send_accepted(client_ref=reference, text="x" * 153 * 3)
    final = wait_for_end(receiver, reference)
    assert (final["status"], final["error"]["title"]) == ("rejected", "1180")
    said = [(segment["status"], segment.get("error_code")) for segment in final["sms"]["segments"]]
    assert said == [("delivered", None), ("rejected", "1180"), ("rejected", "1180")]


@pytest.mark.parametrize(
    ("status", "as_message"),
    [("expired", "undeliverable"), ("failed", "undeliverable"), ("buffered", "submitted"), ("unknown", "submitted")],
)
@pytest.mark.parametrize("form", ["legacy-json", None])
def test_statuses_of_the_sms_api(simulator, caller, receiver, reference, status, as_message, form):
    simulator.set_faults(final_status=status, **({"receipt_format": form} if form else {}))
    caller.send_accepted(client_ref=reference)
    simulator.wait_until_quiet()
    bodies = [json.loads(exchange["body"]) for exchange in simulator.traffic() if exchange["kind"] == "status"]
    assert [body["status"] for body in bodies] == (["accepted", status] if form else ["submitted", as_message])
    assert simulator.texts()[0]["status"] == as_message


# --- Opting out ----------------------------------------------------------------------------------------------


def send_and_wait(simulator, caller, receiver, **fields):
    """Send a text and return the statuses and the error of its receipts."""
    reference = str(uuid.uuid4())
    caller.send_accepted(client_ref=reference, **fields)
    simulator.wait_until_quiet()
    receipts = receiver.webhooks(reference)
    return list_statuses(receipts), receipts[-1].payload.get("error", {}).get("title")


def test_opt_out_assist_blocks_the_pair_that_texted_stop(simulator, caller, receiver):
    simulator.set_faults(opt_out_assist=True)
    receiver.wait_for(simulator.text(SARA, VIRTUAL_NUMBER, " stop "))
    assert "unsubscribed" in simulator.wait_for_text(SARA)["text"]
    blocked, fine = (["rejected"], "1240"), (["submitted", "delivered"], None)
    assert send_and_wait(simulator, caller, receiver) == blocked
    assert send_and_wait(simulator, caller, receiver, channel="mms") == blocked
    assert send_and_wait(simulator, caller, receiver, from_number="14155550101") == fine
    assert send_and_wait(simulator, caller, receiver, to=OMAR[1:]) == fine
    simulator.text(SARA, VIRTUAL_NUMBER, "Start")
    assert send_and_wait(simulator, caller, receiver) == fine


def test_without_opt_out_assist_stop_is_a_text_like_any_other(simulator, caller, receiver):
    simulator.text(SARA, VIRTUAL_NUMBER, "STOP")
    assert send_and_wait(simulator, caller, receiver) == (["submitted", "delivered"], None)
    assert len(simulator.texts_to(SARA)) == 1


def test_all_opt_outs_are_forgotten_by_a_reset(simulator, caller, receiver):
    simulator.set_faults(opt_out_assist=True)
    simulator.text(SARA, VIRTUAL_NUMBER, "STOP")
    simulator.reset()
    simulator.set_faults(opt_out_assist=True)
    assert send_and_wait(simulator, caller, receiver) == (["submitted", "delivered"], None)


def test_help_is_answered_by_the_carrier_and_delivered_to_the_service(simulator, receiver):
    simulator.set_faults(opt_out_assist=True)
    assert type_text(simulator, receiver, "HELP").payload["text"] == "HELP"
    assert simulator.wait_for_text(SARA)["text"] == "Reply STOP to unsubscribe."
