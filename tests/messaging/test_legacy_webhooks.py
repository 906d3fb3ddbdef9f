"""What becomes of texts and receipts in the SMS API's format, and of webhooks of either format at the wrong URL."""

import json
import time
import uuid
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messaging import wording
from messaging.models import Message, TextPart
from tests.factories import SARA, VIRTUAL_NUMBER
from tests.messaging.legacy import (
    FORMATS,
    METHODS,
    TOKEN,
    legacy_part,
    legacy_receipt,
    legacy_sms,
    make_id,
    send,
    sign,
    with_token,
)
from tests.messaging.payloads import IMAGE, mms, receipt, sms
from tests.messaging.rows import Kind, Status, ago, make_queued, make_relay, read_answers, read_inbound, read_outbound
from tests.messaging.signing import ABSENT, INBOUND, STATUS, signed_post

pytestmark = pytest.mark.django_db

EACH_FORMAT = pytest.mark.parametrize("form", FORMATS)


@pytest.fixture(autouse=True)
def token(settings):
    settings.VONAGE_LEGACY_WEBHOOKS, settings.VONAGE_WEBHOOK_TOKEN = "token", TOKEN


def deliver(client, params: dict, form: str = "form", path: str = INBOUND) -> None:
    response = send(client, with_token(path), params, form)
    assert (response.status_code, response.content) == (200, b"")


# --- Texts ------------------------------------------------------------------------------------------------------

TEXTS = {
    "every documented field": ({}, "Hello there"),
    "unicode": ({"type": "unicode", "text": "Привет 😀"}, "Привет 😀"),
    "a signature nobody asked for": ({"sig": "x", "nonce": "y", "timestamp": "1772366400"}, "Hello there"),
    "an older account": ({"api_key": ABSENT}, "Hello there"),
    "without type": ({"type": ABSENT}, "Hello there"),
    "without keyword or time": ({"keyword": ABSENT, "message_timestamp": ABSENT}, "Hello there"),
    "numbers with +": ({"to": VIRTUAL_NUMBER, "msisdn": SARA}, "Hello there"),
    "what a query is made of": ({"text": "a&b=c+d%20e?f#g"}, "a&b=c+d%20e?f#g"),
    "control characters": ({"text": "a\x00b\r\n\tc"}, "a\x00b\r\n\tc"),
    "concat false": ({"concat": "false"}, "Hello there"),
    "one part of one": ({"concat": "true", "concat_ref": "1", "concat_total": "1", "concat_part": "1"}, "Hello there"),
    "3200 characters": ({"text": "x" * 3200}, "x" * 3200),
}


@EACH_FORMAT
@pytest.mark.parametrize(("fields", "body"), TEXTS.values(), ids=TEXTS)
def test_a_text_is_logged_and_passed_on_word_for_word(client, chat, sara, omar, form, fields, body):
    params = legacy_sms(**fields)
    deliver(client, params, form)
    [inbound], [relay] = read_inbound(), read_outbound()
    assert (inbound.status, inbound.body, inbound.participant) == (Status.RELAYED, body, sara)
    assert inbound.gateway_id == params["messageId"]
    assert (relay.kind, relay.status, relay.body, relay.participant) == (Kind.RELAY, Status.QUEUED, body, omar)


COERCED = {"numbers": {"msisdn": int(SARA[1:]), "to": int(VIRTUAL_NUMBER[1:])}, "null": {"keyword": None},
           "a number for a text": {"text": 42}, "false": {"concat": False}}  # fmt: skip


@pytest.mark.parametrize("fields", COERCED.values(), ids=COERCED)
def test_values_of_json_need_not_be_strings(client, chat, fields):
    deliver(client, legacy_sms(**fields), "json")
    assert [row.body for row in read_outbound()] == [str(fields.get("text", "Hello there"))]


@pytest.mark.parametrize("label", ["application/x-www-form-urlencoded", "text/plain", "application/json"])
def test_a_body_is_read_by_what_it_is_and_not_by_its_label(client, chat, label):
    for body in (json.dumps(legacy_sms()), f"msisdn={SARA[1:]}&to={VIRTUAL_NUMBER[1:]}&messageId={make_id()}&text=hi"):
        assert client.post(with_token(INBOUND), data=body, content_type=label).status_code == 200
    assert len(read_outbound()) == 2


BLOCKED = {
    "binary": ({"type": "binary", "text": ABSENT, "data": "0011AA", "udh": "06050415811581"}, "binary"),
    "binary with a text": ({"type": "binary", "data": "0011AA"}, "binary"),
    "a type from the future": ({"type": "hologram"}, "binary"),
    "no text at all": ({"text": ABSENT}, "binary"),
    "empty": ({"text": ""}, "empty"),
    "spaces": ({"text": " \n "}, "empty"),
    "too long": ({"text": "x" * 3201}, "too_long"),
}


@EACH_FORMAT
@pytest.mark.parametrize(("fields", "reason"), BLOCKED.values(), ids=BLOCKED)
def test_what_cannot_be_passed_on_is_logged_and_its_writer_told(client, chat, sara, form, fields, reason):
    deliver(client, legacy_sms(**fields), form)
    assert [(row.status, row.error_code) for row in read_inbound()] == [(Status.BLOCKED, reason)]
    assert read_answers() == [(sara.pk, wording.NOT_PASSED_ON[reason])]


def test_a_text_delivered_again_is_relayed_once_also_in_another_format(client, chat):
    params = legacy_sms()
    for form in (*FORMATS, *FORMATS):
        deliver(client, params | {"message-timestamp": "2026-03-01 12:05:00"}, form)
    signed_post(client, INBOUND, sms(message_uuid=params["messageId"]))
    assert (len(read_inbound()), len(read_outbound())) == (1, 1)


@EACH_FORMAT
@pytest.mark.parametrize("sender", ["12345", "My Bank", "Ärzte"])
def test_short_codes_and_names_are_logged(client, chat, form, sender):
    deliver(client, legacy_sms(msisdn=sender), form)
    assert [(row.status, row.stranger_number) for row in read_inbound()] == [(Status.UNMATCHED, sender)]


MALFORMED = {
    "no id": {"messageId": ABSENT},
    "an id with a space": {"messageId": "0A 1"},
    "a long id": {"messageId": "A" * 65},
    "no sender": {"msisdn": ABSENT},
    "an empty sender": {"msisdn": ""},
    "NUL in the sender": {"msisdn": "1415\x00555"},
    "no recipient": {"to": ABSENT},
    "a recipient that is no number": {"to": "Bank"},
    "other digits": {"to": "١٤١٥٥٥٥٠١٠٠"},
    "neither text nor receipt": {"text": ABSENT, "type": ABSENT},
}


@EACH_FORMAT
@pytest.mark.parametrize("path", [INBOUND, STATUS])
@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_text_is_refused(client, chat, form, path, fields):
    assert send(client, with_token(path), legacy_sms(**fields), form).status_code == 400
    assert not read_inbound()


def test_a_query_that_is_no_webhook_is_refused(client, chat):
    assert client.get(f"{INBOUND}?a=b").status_code == 400
    assert client.post(INBOUND, data="a=b", content_type="application/x-www-form-urlencoded").status_code == 503


# --- Receipts ---------------------------------------------------------------------------------------------------

SENT_ON = {
    "accepted": (Status.SENT, "", ""),
    "buffered": (Status.SENT, "", ""),
    "delivered": (Status.DELIVERED, "", ""),
    "DELIVERED": (Status.DELIVERED, "", ""),
    "expired": (Status.FAILED, "expired_at_carrier", "held the text for too long"),
    "failed": (Status.FAILED, "failed", "could not be delivered"),
    "rejected": (Status.FAILED, "rejected", "refused the text"),
    "unknown": (Status.SENDING, "", ""),
    "exploded": (Status.SENDING, "", ""),
}


@EACH_FORMAT
@pytest.mark.parametrize(("said", "after"), SENT_ON.items())
def test_a_receipt_moves_a_text(client, omar, form, said, after):
    message = make_queued(omar, status=Status.SENDING)
    params = legacy_receipt(status=said, client_ref=str(message.pk))
    deliver(client, params, form, STATUS)
    message.refresh_from_db()
    status, code, words = after
    assert (message.status, message.error_code) == (status, code)
    assert words in message.error_detail and bool(words) == bool(message.error_detail)
    if status != Status.SENDING:
        assert (message.gateway_id, message.price, message.currency) == (params["messageId"], Decimal("0.0333"), "EUR")


CODES = {"1": "not say why", "2": "for now", "3": "no longer", "4": "bars", "5": "moved to another carrier",
         "6": "spam", "7": "busy",
         "8": "network", "9": "opted out",
         "10": "carrier takes", "11": "no route", "12": "reached", "13": "age", "14": "blocks",
         "15": "prepaid", "16": "quota", "50": "entity", "51": "header", "52": "content", "53": "consent",
         "54": "regulation", "99": "general error", "77": "could not be delivered"}  # fmt: skip


@pytest.mark.parametrize(("code", "words"), CODES.items())
@pytest.mark.parametrize("spell", [str, int])
def test_an_error_code_is_kept_with_its_words(client, omar, sara, code, words, spell):
    message = make_relay(sara, omar, status=Status.SENT, gateway_id="0A1")
    deliver(client, legacy_receipt(messageId="0A1", status="failed", err_code=spell(code)), "json", STATUS)
    message.refresh_from_db()
    # What concerns the account: tests/messaging/test_rejected_texts.py
    expected = Status.QUEUED if code == "16" else Status.FAILED
    assert (message.status, message.error_code) == (expected, code)
    assert words in message.error_detail
    assert message.error_kind
    told = wording.COUNTERPART_OPTED_OUT if code == "9" else wording.NOT_DELIVERED
    assert read_answers() == ([(sara.pk, told)] if expected == Status.FAILED else [])


def test_a_receipt_of_each_part_moves_a_text_once(client, omar):
    message = make_queued(omar, status=Status.SENT, gateway_id="0A1", sent_at=ago(seconds=5))
    for gateway_id, status in (("0A2", "failed"), ("0A1", "delivered"), ("0A2", "delivered"), ("0A1", "buffered")):
        deliver(client, legacy_receipt(messageId=gateway_id, status=status, client_ref=str(message.pk)), "form", STATUS)
    message.refresh_from_db()
    assert message.status == Status.DELIVERED


def test_a_receipt_that_overtakes_our_own_answer_is_asked_for_again_while_it_is_new(client, omar):
    assert send(client, with_token(STATUS), legacy_receipt()).status_code == 503
    deliver(client, legacy_receipt(scts="2603011200"), "form", STATUS)
    old = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 400))
    deliver(client, legacy_receipt(scts=ABSENT, message_timestamp=old), "form", STATUS)
    deliver(client, legacy_receipt(scts="x", message_timestamp="y"), "form", STATUS)
    deliver(client, legacy_receipt(client_ref=str(uuid.uuid4())), "form", STATUS)


# --- The wrong URL ----------------------------------------------------------------------------------------------


def warnings(caplog) -> list[str]:
    return [record.msg["setting"] for record in caplog.records if "wrong URL" in str(record.msg)]


@EACH_FORMAT
def test_a_legacy_webhook_at_the_other_url_is_taken_and_the_setting_named(client, chat, omar, caplog, settings, form):
    message = make_queued(omar, status=Status.SENT)
    deliver(client, legacy_receipt(client_ref=str(message.pk)), form, INBOUND)
    assert warnings(caplog) == ["API Settings > Delivery receipts (DLR) webhooks"]
    assert f"{settings.PUBLIC_URL}/webhooks/status" in caplog.text
    message.refresh_from_db()
    assert message.status == Status.DELIVERED
    caplog.clear()
    deliver(client, legacy_sms(), form, STATUS)
    deliver(client, legacy_part(1, 2, "a"), form, STATUS)
    assert warnings(caplog) == ["API Settings > Inbound SMS webhooks"] * 2
    assert f"{settings.PUBLIC_URL}/webhooks/inbound" in caplog.text
    assert (len(read_outbound(Kind.RELAY)), TextPart.objects.count()) == (1, 1)


@pytest.mark.parametrize("status", ["submitted", "delivered", "rejected", "exploded"])
def test_a_status_of_the_messages_api_at_the_inbound_url_is_taken(client, omar, caplog, status):
    message = make_queued(omar)
    assert signed_post(client, INBOUND, receipt(status=status, client_ref=str(message.pk))).status_code == 200
    known = status != "exploded"
    assert warnings(caplog) == ["Applications > yours > Messages > Status URL"] * known
    message.refresh_from_db()
    assert (message.status != Status.QUEUED) == known
    assert not read_inbound()


@pytest.mark.parametrize("payload", [sms(), sms(message_type=ABSENT), mms("image", image=IMAGE)])
def test_a_text_of_the_messages_api_at_the_status_url_is_taken(client, chat, caplog, payload):
    assert signed_post(client, STATUS, payload).status_code == 200
    assert warnings(caplog) == ["Applications > yours > Messages > Inbound URL"]
    assert len(read_inbound()) == 1


def test_a_webhook_at_its_own_url_warns_of_nothing(client, chat, omar, caplog):
    message = make_queued(omar)
    deliver(client, legacy_sms())
    deliver(client, legacy_receipt(client_ref=str(message.pk)), "form", STATUS)
    signed_post(client, INBOUND, sms())
    signed_post(client, STATUS, receipt(client_ref=str(message.pk)))
    assert warnings(caplog) == []


# --- Anything at all --------------------------------------------------------------------------------------------

QUICKLY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
any_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
any_value = any_text | st.integers() | st.booleans() | st.sampled_from(["true", "0", "1", "2", "255", "256", "-1"])
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([*legacy_part(1, 2, "a"), *legacy_receipt(), "data", "sig", "timestamp", "token", "client-ref"])


def check(client, path: str, params, form: str) -> None:
    """Check that a webhook is answered as documented, and that a refused one left nothing behind."""
    Message.objects.filter(direction="in").delete()
    TextPart.objects.all().delete()
    response = send(client, path, params, form)
    assert response.status_code in {200, 400, 401, 503}
    stored = Message.objects.filter(direction="in").count() + TextPart.objects.count()
    assert stored <= (response.status_code == 200)
    assert Message.objects.filter(kind=Kind.RELAY).count() == Message.objects.filter(status="relayed").count()


@pytest.mark.slow
@QUICKLY
@given(st.data())
@pytest.mark.parametrize("path", [INBOUND, STATUS])
@EACH_FORMAT
def test_any_mutation_of_a_webhook_is_stored_once_or_refused(client, chat, form, path, data):
    valid = data.draw(st.sampled_from([legacy_sms, legacy_receipt, lambda: legacy_part(1, 2, "a")]))()
    changes = data.draw(st.dictionaries(names, any_json if form == "json" else any_value, max_size=3))
    check(client, with_token(path), valid | changes, form)


@QUICKLY
@given(st.data())
@pytest.mark.parametrize("method", METHODS)
def test_any_mutation_of_a_signed_webhook_is_stored_once_or_refused(client, chat, settings, method, data):
    settings.VONAGE_LEGACY_WEBHOOKS = f"signed:{method}"
    changes = data.draw(st.dictionaries(names, any_value, max_size=3))
    form = data.draw(st.sampled_from(FORMATS))
    check(client, INBOUND, sign(legacy_sms() | changes, method), form)
    check(client, INBOUND, sign(legacy_sms(), method) | changes, form)


@QUICKLY
@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/x-www-form-urlencoded", "x"]))
def test_any_body_and_query_is_answered(client, chat, body, label):
    for path in (INBOUND, with_token(STATUS), f"{INBOUND}?msisdn=%ff&messageId=%00"):
        assert client.post(path, data=body, content_type=label).status_code in {200, 400, 401, 503}
    assert not read_inbound()


HOSTILE = {
    "deeply nested": b'{"messageId":' * 10_000,
    "nested inside": b'{"messageId":"1","text":' + b"[" * 100_000,
    "a number of 5,000 digits": b'{"messageId":"1","msisdn":' + b"1" * 5_000 + b"}",
    "NaN": b'{"messageId": NaN}',
    "an array": b'[{"messageId":"1"}]',
    "a thousand and one fields": b"messageId=1&" + b"a=1&" * 1_001,
    "not UTF-8": b"messageId=1&text=\xff\xfe",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_is_refused(client, chat, body):
    response = client.post(with_token(INBOUND), data=body, content_type="application/json")
    assert response.status_code in {400, 503}
    assert not read_inbound()


def test_a_body_over_the_size_limit_is_refused(client, chat, settings):
    params = legacy_sms(text="x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    assert send(client, with_token(INBOUND), params).status_code == 413
