"""Well-signed webhooks whose body is not what Vonage documents: refused or stored, never half of either."""

import json
import uuid

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging.models import Attachment, GatewayAccount, Message, OptOut, TextPart
from platforms.models import Event
from tests.factories import OMAR, SARA, VIRTUAL_NUMBER
from tests.messaging.payloads import IMAGE, mms, receipt, sms
from tests.messaging.rows import make_queued
from tests.messaging.signing import ABSENT, INBOUND, STATUS, signed_post

pytestmark = pytest.mark.django_db

BOTH = pytest.mark.parametrize("path", [INBOUND, STATUS])
QUICKLY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def refuse(client: Client, path: str, payload, status: int = 400) -> None:
    before = list(Message.objects.values())
    response = signed_post(client, path, payload)
    assert response.status_code == status
    assert response.json()["type"] == "client_error"
    assert list(Message.objects.values()) == before


BODIES = {
    "empty": b"",
    "spaces": b"  ",
    "not JSON": b"from=14155550123&to=14155550100&text=hi",
    "half of it": json.dumps(sms()).encode()[:-5],
    "two objects": b"{}{}",
    "an array": json.dumps([sms()]).encode(),
    "an empty object": b"{}",
    "null": b"null",
    "a string": b'"text"',
    "a number": b"1",
    "NaN": b"NaN",
    "not UTF-8": b'{"text": "\xff\xfe\xfd"}',
    "deeply nested arrays": b"[" * 100_000 + b"]" * 100_000,
    "deeply nested objects": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "nested and never closed": b'{"a":' * 40_000,
    "a number of 5,000 digits": b'{"to":' + b"1" * 5_000 + b"}",
    "a number of 4,000 digits": b'{"to":' + b"1" * 4_000 + b"}",
}


@BOTH
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_webhook_is_refused(client, chat, path, body):
    refuse(client, path, body)


@BOTH
def test_a_body_over_the_size_limit_is_refused(client, chat, settings, path):
    refuse(client, path, sms(text="x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE), 413)


WRONG_TYPES = {"null": None, "true": True, "a float": 1.5, "a list": ["14155550123"], "an object": {"a": 1}}


@pytest.mark.parametrize("value", [*WRONG_TYPES.values(), ABSENT], ids=[*WRONG_TYPES, "absent"])
@pytest.mark.parametrize("field", ["message_uuid", "to", "from"])
def test_a_required_field_of_a_wrong_type_is_refused(client, chat, field, value):
    refuse(client, INBOUND, sms(**{field: value}))


@pytest.mark.parametrize("value", [1, True, 1.5, ["hi"], {"a": 1}])
def test_a_text_that_is_no_string_is_refused(client, chat, value):
    refuse(client, INBOUND, sms(text=value))


@pytest.mark.parametrize("value", [*WRONG_TYPES.values(), ABSENT], ids=[*WRONG_TYPES, "absent"])
@pytest.mark.parametrize("field", ["message_uuid", "status"])
def test_a_required_field_of_a_receipt_of_a_wrong_type_is_refused(client, chat, field, value):
    refuse(client, STATUS, receipt(**{field: value}))


HOSTILE = {
    "empty": "",
    "NUL": "1415555\x000123",
    "NUL at the end": "14155550123\x00",
    "a newline at the end": "14155550123\n",
    "a newline": "14155\n550123",
    "a lone surrogate": "1415555012\ud800",
    "10 kB": "1" * 10_000,
    "a tab": "14155\t550123",
    "DEL": "14155550123\x7f",
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("field", ["message_uuid", "to", "from"])
def test_a_hostile_field_is_refused(client, chat, field, value):
    refuse(client, INBOUND, sms(**{field: value}))


NO_NUMBER = [
    "١٤١٥٥٥٥٠١٠٠",
    "1415555010０",
    "++14155550100",
    "+",
    "12",
    "1" * 16,
    "14155550100;",
    " 14155550100",
    "0x14",
]


@pytest.mark.parametrize("value", NO_NUMBER)
def test_a_recipient_that_is_no_number_is_refused(client, chat, value):
    refuse(client, INBOUND, sms(to=value))


def test_a_sender_in_other_digits_is_not_taken_for_a_participant(client, chat):
    assert signed_post(client, INBOUND, sms(from_="١" + SARA[2:])).status_code == 200
    assert list(Message.objects.values_list("status", flat=True)) == ["unmatched"]


HOSTILE_RECEIPTS = {
    "status unknown": {"status": "exploded"},
    "a price that is no number": {"usage": {"price": "free", "currency": "EUR"}},
    "a tiny price": {"usage": {"price": "1E-99999", "currency": "EUR"}},
    "a price of many digits": {"usage": {"price": "0." + "1" * 100_000, "currency": "EUR"}},
    "a price that rounds up": {"usage": {"price": "999999.9999999", "currency": "EUR"}},
    "an infinite price": {"usage": {"price": "Infinity", "currency": "EUR"}},
    "a price of NaN": {"usage": {"price": "NaN"}},
    "a signalling NaN": {"usage": {"price": "sNaN"}},
    "a negative price": {"usage": {"price": "-1"}},
    "a currency of many letters": {"usage": {"price": "1", "currency": "EURO" * 100}},
    "usage a list": {"usage": ["1"]},
    "many segments": {"sms": {"count_total": "9" * 400}},
    "negative segments": {"sms": {"count_total": "-1"}},
    "segments in other digits": {"sms": {"count_total": "٣"}},
    "error a string": {"status": "rejected", "error": "1240"},
    "error with a lone surrogate": {"status": "rejected", "error": {"title": "\ud800", "detail": "a\ud800b"}},
    "error with NUL": {"status": "rejected", "error": {"title": "1\x002", "detail": "a\x00b"}},
    "error of objects": {"status": "rejected", "error": {"title": {"a": 1}, "detail": [{"b": 2}]}},
    "a long error": {"status": "rejected", "error": {"title": "9" * 5_000, "detail": "é" * 5_000}},
    "timestamp null": {"timestamp": None},
    "timestamp a number": {"timestamp": 1772366400},
    "timestamp in no calendar": {"timestamp": "2026-02-31T12:00:00Z"},
    "timestamp in the year 1": {"timestamp": "0001-01-01T00:00:00"},
    "timestamp at the end of time": {"timestamp": "9999-12-31T23:59:59-23:59"},
}


@pytest.mark.parametrize("fields", HOSTILE_RECEIPTS.values(), ids=HOSTILE_RECEIPTS)
@pytest.mark.parametrize("ours", [True, False])
def test_a_hostile_part_of_a_receipt_does_not_stop_it(client, omar, fields, ours):
    reference = make_queued(omar).pk if ours else uuid.uuid4()
    response = signed_post(client, STATUS, receipt(**{"client_ref": str(reference), **fields}))
    assert response.status_code == 200


@pytest.mark.parametrize("reference", [*WRONG_TYPES.values(), "", "x", "\x00", "\ud800", 5, "9" * 5_000, "-" * 32])
def test_a_reference_that_is_not_ours_is_no_error(client, omar, reference):
    payload = receipt(client_ref=reference, timestamp="2026-03-01T12:00:00Z")
    assert signed_post(client, STATUS, payload).status_code == 200


# --- Anything at all -------------------------------------------------------------------------------------------

# Every code point, lone surrogates too: JSON can carry them.
any_text = st.text(st.characters(), max_size=40)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([*sms(), *receipt(), "image", "content", "client_ref", "error"])

any_url = any_text | st.sampled_from(["", "https://api-us.nexmo.com/v3/media/1", "http://[", "https://a" + "b" * 3_000])
media_items = any_json | st.fixed_dictionaries(
    {},
    optional={"type": st.sampled_from(["image", "vcard", "content", "", None]) | any_json, "url": any_url | any_json},
)


def mutated(payload: dict) -> st.SearchStrategy[dict]:
    """Return a valid payload with a few fields replaced by anything."""
    return st.dictionaries(names, any_json, max_size=3).map(lambda changes: payload | changes)


def check_inbound(client: Client, payload) -> None:
    """Check that a webhook is answered 200 and is one inbound row, or is refused and none."""
    if isinstance(payload, dict) and "message_uuid" in payload:
        payload = {"message_uuid": str(uuid.uuid4())} | payload
    Message.objects.all().delete()
    response = signed_post(client, INBOUND, payload)
    rows = Message.objects.filter(direction="in").count()
    assert (response.status_code, rows) in {(200, 1), (400, 0)}
    if not rows:
        assert not Message.objects.exists()
        assert not OptOut.objects.exists() and not Event.objects.exists()
    # A text waits for attachments exactly as long as there are some to wait for.
    waiting = Message.objects.filter(status="preparing")
    assert waiting.count() == waiting.filter(relays__attachments__status="waiting").distinct().count()
    assert all(attachment.position < 30 for attachment in Attachment.objects.all())


@pytest.mark.slow
@QUICKLY
@given(any_json)
def test_any_json_is_stored_or_refused(client, chat, payload):
    check_inbound(client, payload)


@QUICKLY
@given(
    mutated(sms())
    | mutated(mms("image", image=IMAGE))
    | mutated(sms(from_=OMAR[1:], to=VIRTUAL_NUMBER[1:]))
    | st.lists(media_items, max_size=40).map(lambda items: mms("image", image=IMAGE, content=items))
    | media_items.map(lambda item: mms("video", video=item))
)
def test_any_mutation_of_a_text_is_stored_once_or_refused(client, chat, payload):
    check_inbound(client, payload)


@pytest.fixture
def noted(client, db):
    """That webhooks are signed is noted, so that those of the test write nothing more about it."""
    signed_post(client, STATUS, receipt(client_ref=str(uuid.uuid4())))


LOG = (Message, OptOut, Event, TextPart, Attachment, GatewayAccount)


def read_all() -> list[list[dict]]:
    """Return everything that a webhook may write."""
    return [list(model.objects.order_by("pk").values()) for model in LOG]


def check_receipt(client: Client, payload) -> None:
    """Check that a receipt is taken, or is refused and changes nothing at all."""
    before = read_all()
    response = signed_post(client, STATUS, payload)
    assert response.status_code in {200, 400, 503}
    if response.status_code != 200:
        assert read_all() == before


@QUICKLY
@given(any_json)
def test_any_json_is_a_receipt_or_refused(client, omar, noted, payload):
    make_queued(omar, status="sent", gateway_id="gateway-id")
    check_receipt(client, payload)


@QUICKLY
@given(st.binary(max_size=200) | st.binary(max_size=20).map(lambda middle: b'{"status":"' + middle + b'"}'))
@pytest.mark.parametrize("path", [INBOUND, STATUS])
def test_any_bytes_under_a_valid_signature_are_refused(client, omar, noted, path, body):
    make_queued(omar)
    before = read_all()
    response = signed_post(client, path, body)
    assert response.status_code == 400
    assert read_all() == before


@pytest.mark.slow
@QUICKLY
@given(st.data())
def test_any_mutation_of_a_receipt_is_taken_or_refused(client, omar, noted, data):
    message = make_queued(omar)
    statuses = st.sampled_from(["submitted", "delivered", "rejected", "undeliverable", "read"])
    valid = receipt(client_ref=str(message.pk), status=data.draw(statuses), error={"title": "1", "detail": "x"})
    check_receipt(client, data.draw(mutated(valid)))
