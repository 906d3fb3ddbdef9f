"""Every example that Vonage documents, through the real URL: the row it becomes, the answer, the texts on the wire."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from chats.models import VirtualNumber
from messaging import wording
from messaging.claims import claim_texts
from messaging.gateways import SendError
from messaging.gateways.vonage import VonageGateway
from messaging.models import GatewayAccount, Message, OptOut
from messaging.results import Result, record_results
from tests.messaging.legacy import send, sign
from tests.messaging.media import Host, fetch_due_media
from tests.messaging.rows import Status, ago, make_queued, make_relay, read_answers, read_inbound
from tests.messaging.samples import AMR, PDF, VCARD, make_jpeg, make_video
from tests.messaging.signing import INBOUND, STATUS, signed_post
from tests.messaging.wire import ACCEPTED, Wire, answer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage", "capable")]

SARA_, OMAR_ = "14155550123", "14155550124"


@pytest.fixture
def wire(settings):
    wire = Wire()
    settings.VONAGE_API_URL = wire.url
    yield wire
    wire.close()


def hand_over() -> None:
    """Do what the sender does, until nothing is due."""
    gateway = VonageGateway()
    for _ in range(5):
        Message.objects.filter(due_at__lte=ago()).update(due_at=ago(minutes=1))
        VirtualNumber.objects.update(next_send_at=ago(minutes=1))
        for claim in claim_texts(limit=5):
            try:
                result = Result(claim, gateway_id=gateway.send(claim.decrypt_text()))
            except SendError as error:
                result = Result(claim, error=error)
            record_results([result])


def read_wire(wire: Wire) -> list[tuple[str, str, Any]]:
    """Return (recipient, message_type, what it holds) of each text on the wire; of media only captions and types."""
    return [(sent["to"], sent["message_type"], _show(sent[sent["message_type"]])) for sent in _bodies(wire)]


def _bodies(wire: Wire) -> list[dict]:
    return [request.json for request in wire.requests]


def _show(content: Any) -> Any:
    if isinstance(content, list):
        return [(item["type"], item.get("caption")) for item in content]
    return content.get("caption") if isinstance(content, dict) else content


# --- Inbound, Messages API: https://developer.vonage.com/en/api/messages#inbound-message ---------------------

SMS = {
    "channel": "sms",
    "message_uuid": "5a8f1c2e-7d34-4b6a-9c1d-2f3e4a5b6c7d",
    "to": "14155550100",
    "from": "14155550123",
    "timestamp": "2026-03-01T12:00:00Z",
    "message_type": "text",
    "text": "Hello there",
    "context_status": "none",
    "sms": {"num_messages": "1", "count_total": "1", "keyword": "HELLO"},
    "usage": {"currency": "EUR", "price": "0.0057"},
    "origin": {"network_code": "310260"},
}
MINIMAL = {name: SMS[name] for name in ("channel", "message_uuid", "to", "from", "timestamp")} | {"text": ""}
MMS = {name: SMS[name] for name in ("message_uuid", "to", "from", "timestamp", "origin")} | {"channel": "mms"}
_MEDIA = "https://api-us.nexmo.com/v3/media/"
FILES = {
    "1b456509": make_jpeg(),
    "77aa": VCARD,
    "memo": AMR,
    "v": make_video(),
    "c": VCARD,
    "f": PDF,
}

TO_OMAR = {
    "a text": (SMS, [(OMAR_, "text", "Hello there")]),
    "milliseconds": (SMS | {"timestamp": "2026-03-01T12:00:00.000Z"}, [(OMAR_, "text", "Hello there")]),
    "another name of the counter": (SMS | {"sms": {"total_count": "3"}}, [(OMAR_, "text", "Hello there")]),
    "without message_type": (
        {name: value for name, value in SMS.items() if name != "message_type"},
        [(OMAR_, "text", "Hello there")],
    ),
    "the smallest, with a text": (MINIMAL | {"text": "Hi"}, [(OMAR_, "text", "Hi")]),
    "a text as MMS": (
        MMS | {"message_type": "text", "text": "long text sent as MMS"},
        [(OMAR_, "text", "long text sent as MMS")],
    ),
    "a picture and a contact card": (
        MMS
        | {
            "message_type": "image",
            "image": {"url": _MEDIA + "1b456509", "name": "IMG_1.jpg", "caption": "look"},
            "content": [{"type": "image", "url": _MEDIA + "1b456509"}, {"type": "vcard", "url": _MEDIA + "77aa"}],
        },
        [(OMAR_, "image", f"look {wording.WITHHELD['vcard']}"), (SARA_, "text", wording.YOURS_WAS_WITHHELD)],
    ),
    "a recording": (
        MMS | {"message_type": "audio", "audio": {"url": _MEDIA + "memo", "name": "memo.amr"}},
        [(OMAR_, "audio", None)],
    ),
    "a film": (
        MMS | {"message_type": "video", "video": {"url": _MEDIA + "v", "name": "v.3gp"}},
        [(OMAR_, "video", None)],
    ),
    "a contact card": (
        MMS | {"message_type": "vcard", "vcard": {"url": _MEDIA + "c", "name": "c.vcf"}},
        [(OMAR_, "text", wording.WITHHELD["vcard"]), (SARA_, "text", wording.YOURS_WAS_WITHHELD)],
    ),
    "a file": (
        MMS | {"message_type": "file", "file": {"url": _MEDIA + "f", "name": "f.pdf", "caption": "doc"}},
        [(OMAR_, "text", f"doc {wording.WITHHELD['file']}"), (SARA_, "text", wording.YOURS_WAS_WITHHELD)],
    ),
}
# What was written with media.
CAPTIONS = {"image": "look", "file": "doc"}
TO_NOBODY = {
    "the smallest legal body": (MINIMAL, "empty"),
    "of an unsupported kind": (MMS | {"message_type": "unsupported"}, "media"),
}


@pytest.mark.parametrize(("payload", "on_the_wire"), TO_OMAR.values(), ids=TO_OMAR)
def test_an_inbound_text_of_the_messages_api(client, chat, sara, wire, payload, on_the_wire):
    response = signed_post(client, INBOUND, payload)
    assert (response.status_code, response.content) == (200, b"")
    [inbound] = read_inbound()
    assert (inbound.status, inbound.participant, inbound.gateway_id) == (Status.RELAYED, sara, SMS["message_uuid"])
    assert inbound.body == payload.get("text", CAPTIONS.get(payload.get("message_type"), ""))
    # What has no counter is counted by us.
    [segments, *_] = payload.get("sms", {"": "1"}).values()
    assert inbound.segments == int(segments)
    assert (inbound.price, inbound.currency) == ((Decimal("0.0057"), "EUR") if "usage" in payload else (None, ""))
    fetch_due_media(fetch=Host(**FILES))
    hand_over()
    assert sorted(read_wire(wire), key=str) == sorted(on_the_wire, key=str)
    assert {sent["from"] for sent in _bodies(wire)} == {"14155550100"}


@pytest.mark.parametrize(("payload", "reason"), TO_NOBODY.values(), ids=TO_NOBODY)
def test_an_inbound_message_of_the_messages_api_that_is_no_text(client, chat, sara, wire, payload, reason):
    assert signed_post(client, INBOUND, payload).status_code == 200
    [inbound] = read_inbound()
    assert (inbound.status, inbound.error_code, inbound.body) == (Status.BLOCKED, reason, "")
    hand_over()
    assert read_wire(wire) == [(SARA_, "text", wording.NOT_PASSED_ON[reason])]


def test_stop(client, chat, sara, omar, wire):
    payload = SMS | {"text": "STOP", "sms": {"num_messages": "1", "keyword": "STOP"}}
    assert signed_post(client, INBOUND, payload).status_code == 200
    [inbound] = read_inbound()
    assert (inbound.status, inbound.body, inbound.segments) == (Status.KEYWORD, "STOP", 1)
    [opted_out] = OptOut.objects.all()
    assert (opted_out.participant, opted_out.keyword, opted_out.ended_at) == (sara, "stop", None)
    hand_over()
    [(first, _, confirmation), (second, _, news)] = read_wire(wire)
    assert {first: confirmation, second: news} == {SARA_: opted_out.confirmation, OMAR_: wording.COUNTERPART_OPTED_OUT}


# --- Inbound, SMS API: https://developer.vonage.com/en/messaging/sms/guides/inbound-sms -----------------------

LEGACY = {
    "api-key": "abcd1234",
    "msisdn": "14155550123",
    "to": "14155550100",
    "messageId": "0A000000A1B2C3D4",
    "text": "Hello",
    "type": "text",
    "keyword": "HELLO",
    "message-timestamp": "2026-03-01 12:00:00",
}
SECOND_HALF = LEGACY | {
    "messageId": "0A000000A1B2C3D6",
    "text": "second half",
    "keyword": "SECOND",
    "concat": "true",
    "concat-ref": "108",
    "concat-total": "2",
    "concat-part": "2",
}
FIRST_HALF = SECOND_HALF | {"messageId": "0A000000A1B2C3D5", "text": "first half, ", "concat-part": "1"}
BINARY = {name: value for name, value in LEGACY.items() if name != "text"} | {"type": "binary", "data": "0011AA"}
LEGACY_TEXTS = {
    "a text": ([LEGACY], [(OMAR_, "text", "Hello")]),
    "unicode": ([LEGACY | {"type": "unicode", "text": "Привет 😀"}], [(OMAR_, "text", "Привет 😀")]),
    "two parts": ([SECOND_HALF, FIRST_HALF], [(OMAR_, "text", "first half, second half")]),
    "binary": ([BINARY], [(SARA_, "text", wording.NOT_PASSED_ON["binary"])]),
    "binary with a header": ([BINARY | {"udh": "06050415811581"}], [(SARA_, "text", wording.NOT_PASSED_ON["binary"])]),
}


@pytest.mark.parametrize("form", ["get", "form", "json"])
@pytest.mark.parametrize(("payloads", "on_the_wire"), LEGACY_TEXTS.values(), ids=LEGACY_TEXTS)
def test_an_inbound_text_of_the_sms_api(client, chat, wire, settings, form, payloads, on_the_wire):
    settings.VONAGE_LEGACY_WEBHOOKS = "signed:md5hash"
    for payload in payloads:
        assert send(client, INBOUND, sign(payload, "md5hash"), form).status_code == 200
    [inbound] = read_inbound()
    is_text = on_the_wire[0][0] == OMAR_
    assert (inbound.status, inbound.body) == ((Status.RELAYED, on_the_wire[0][2]) if is_text else (Status.BLOCKED, ""))
    hand_over()
    assert read_wire(wire) == on_the_wire


@pytest.mark.parametrize("path", [INBOUND, STATUS])
def test_the_check_of_a_url(client, db, path):
    empty = client.post(path, data=b"", content_type="application/json")
    assert (client.get(path).status_code, empty.status_code) == (200, 200)


# --- Delivery receipts: https://developer.vonage.com/en/messages/concepts/messages-status-callbacks -----------

RECEIPT = {
    "message_uuid": "5a8f",
    "to": "14155550124",
    "from": "14155550100",
    "timestamp": "2026-03-01T12:00:01Z",
    "status": "submitted",
    "channel": "sms",
    "usage": {"currency": "EUR", "price": "0.0072"},
    "destination": {"network_code": "310260"},
    "sms": {"count_total": "1"},
}
SEGMENTS = [{"timestamp": f"2026-03-01T12:00:0{n}Z", "status": "delivered"} for n in (3, 4)]


def _error(code: Any, detail: str) -> dict[str, Any]:
    kind = f"https://developer.vonage.com/api-errors/messages#{code}"
    return {"error": {"type": kind, "title": code, "detail": detail, "instance": "bf0c"}}


REJECTED_SEGMENTS = {
    "total_count": "2",
    "segments": [SEGMENTS[0], {"timestamp": "2026-03-01T12:00:04Z", "status": "rejected", "error_code": "1240"}],
}
OPTED_OUT = "Illegal Number - You tried to send a message to a blacklisted phone number"
RECEIPTS = {
    "submitted": (RECEIPT, (Status.SENT, "", "", 1)),
    "delivered": (
        RECEIPT | {"status": "delivered", "sms": {"count_total": "2", "segments": SEGMENTS}},
        (Status.DELIVERED, "", "", 2),
    ),
    "delivered, with the counter of another page": (
        RECEIPT | {"status": "delivered", "sms": {"total_count": "2"}},
        (Status.DELIVERED, "", "", 2),
    ),
    "rejected": (RECEIPT | {"status": "rejected"} | _error("1240", OPTED_OUT), (Status.FAILED, "1240", "opt_out", 1)),
    "rejected, with a number for a code": (
        RECEIPT | {"status": "rejected"} | _error(1240, OPTED_OUT),
        (Status.FAILED, "1240", "opt_out", 1),
    ),
    "of a workflow": (
        RECEIPT | {"workflow": {"workflow_id": "3TcNjguHxr2vcCZ9", "items_number": "1", "items_total": "1"}},
        (Status.SENT, "", "", 1),
    ),
    "of a workflow, by other names": (
        RECEIPT | {"status": "delivered", "workflow": {"id": "3TcNjguHxr2vcCZ9", "item_number": 1, "total_items": 1}},
        (Status.DELIVERED, "", "", 1),
    ),
    "rejected, with segments": (
        RECEIPT | {"status": "rejected", "sms": REJECTED_SEGMENTS} | _error("1180", "Absent subscriber temporary"),
        (Status.FAILED, "1180", "recipient", 2),
    ),
    "rejected, with an error at the segment alone": (
        RECEIPT | {"status": "rejected", "sms": REJECTED_SEGMENTS},
        (Status.FAILED, "1240", "opt_out", 2),
    ),
    "undeliverable": (
        RECEIPT | {"status": "undeliverable", "channel": "mms", "sms": {}} | _error("1331", "Provider error"),
        (Status.FAILED, "1331", "carrier", None),
    ),
    "rejected, for lack of a segment": (
        RECEIPT | {"status": "rejected"} | _error("1490", "SMS segment timeout"),
        (Status.SENT, "1490", "unknown", 1),
    ),
    "a code from the future": (
        RECEIPT | {"status": "rejected"} | _error("9999", "Something new"),
        (Status.FAILED, "9999", "unknown", 1),
    ),
}


@pytest.mark.parametrize("is_known_by", ["client_ref", "message_uuid"])
@pytest.mark.parametrize(("payload", "expected"), RECEIPTS.values(), ids=RECEIPTS)
def test_a_receipt_of_the_messages_api(client, chat, sara, omar, wire, payload, expected, is_known_by):
    row = make_relay(sara, omar, status=Status.SENT, gateway_id="5a8f")
    reference = {"client_ref": str(row.pk)} if is_known_by == "client_ref" else {}
    response = signed_post(client, STATUS, payload | reference)
    assert (response.status_code, response.content) == (200, b"")
    row.refresh_from_db()
    assert (row.status, row.error_code, row.error_kind, row.segments) == expected
    assert (row.price, row.currency) == (Decimal("0.0072"), "EUR")
    hand_over()
    why = wording.COUNTERPART_OPTED_OUT if row.error_kind == "opt_out" else wording.NOT_DELIVERED
    told = [(SARA_, "text", why)] if row.status == Status.FAILED else []
    assert read_wire(wire) == told


DELIVERY = {
    "msisdn": "14155550124",
    "to": "14155550100",
    "network-code": "310260",
    "messageId": "0A000000A1B2C3D4",
    "price": "0.03330000",
    "status": "delivered",
    "scts": "2603011200",
    "err-code": "0",
    "api-key": "abcd1234",
    "message-timestamp": "2026-03-01 12:00:04",
}


@pytest.mark.parametrize("form", ["get", "form", "json"])
@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [({}, Status.DELIVERED, ""), ({"status": "failed", "err-code": "9"}, Status.FAILED, "9")],
)
def test_a_receipt_of_the_sms_api(client, chat, omar, settings, form, fields, status, code):
    settings.VONAGE_LEGACY_WEBHOOKS = "signed:md5hash"
    row = make_queued(omar, status=Status.SENT)
    payload = sign({**DELIVERY, **fields, "client-ref": str(row.pk)}, "md5hash")
    assert send(client, STATUS, payload, form).status_code == 200
    row.refresh_from_db()
    assert (row.status, row.error_code) == (status, code)
    assert (row.price, row.currency) == (Decimal("0.0333"), "EUR")


# --- What Vonage answers to a text: https://developer.vonage.com/en/api/messages#send-message ------------------


def _problem(status: int, fragment: str, title: str, **fields: Any) -> bytes:
    kind = f"https://developer.vonage.com/api-errors{fragment}"
    body = {"type": kind, "title": title, "detail": "Some words.", "instance": "bf0c", **fields}
    content_type = "application/json" if status == 422 else "application/problem+json"
    return answer(status, body, Content_Type=content_type, X_Request_Id="bf0c")


def _parameters(name: str) -> dict[str, Any]:
    return {"invalid_parameters": [{"name": name, "reason": "must be between 7 and 15 characters"}]}


# The text is queued, and the account is paused.
PAUSED = "paused"
ANSWERS = {
    "accepted": (ACCEPTED, Status.SENT, "", ""),
    "wrong credentials": (_problem(401, "/#unathorized", "You did not provide correct credentials."),
                          PAUSED, "401", "configuration"),
    "no Messages capability": (_problem(401, "/#unprovisioned", "The crendentials provided do not have access"),
                               PAUSED, "401", "configuration"),
    "no money": (_problem(402, "/#low-balance", "Low balance"), PAUSED, "402", "money"),
    "suspended": (_problem(403, "/#account-suspended", "Account suspended"), PAUSED, "403", "configuration"),
    "not found": (_problem(404, "#not-found", "Not found"), PAUSED, "404", "configuration"),
    "throttled": (
        answer(429, {"type": "https://developer.vonage.com/api-errors/messages#1000", "title": "Rate Limit Hit"},
               Retry_After=15, X_RateLimit_Limit=30, X_RateLimit_Reset=1769182705723),
        Status.QUEUED, "429", "carrier",
    ),
    "an internal error": (_problem(500, "/messages#1000", "Internal error"), Status.QUEUED, "500", "carrier"),
    **{
        title: (_problem(422, fragment, title, **fields), Status.FAILED, "422", kind)
        for fragment, title, fields, kind in (
            ("#invalid-json", "Invalid JSON", {}, "unknown"),
            ("/messages#1100", "Unsupported channel", {}, "configuration"),
            ("/messages#1110", "Invalid channel parameters", _parameters("from"), "configuration"),
            ("/messages#1120", "Invalid sender", {}, "configuration"),
            ("/messages#110", "Invalid recipient", {}, "recipient"),
            ("/messages#1140", "Invalid message type", {}, "configuration"),
            ("/messages#1150", "Invalid params", _parameters("to"), "recipient"),
            ("/messages#1060", "Invalid client reference", {}, "unknown"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize(("given", "status", "code", "kind"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_to_a_text(chat, sara, omar, wire, given, status, code, kind):
    wire.answers = [given, ACCEPTED]
    row = make_relay(sara, omar, "hello")
    gateway = VonageGateway()
    VirtualNumber.objects.update(next_send_at=ago(minutes=1))
    [claim] = claim_texts(limit=5)
    try:
        result = Result(claim, gateway_id=gateway.send(claim.decrypt_text()))
    except SendError as error:
        result = Result(claim, error=error)
    record_results([result])
    row.refresh_from_db()
    assert row.status == (Status.QUEUED if status is PAUSED else status)
    assert (row.error_code, row.error_kind) == (code, kind)
    assert GatewayAccount.objects.filter(paused_at__isnull=False).exists() is (status is PAUSED)
    assert len(read_answers()) == (status == Status.FAILED)
    [sent] = _bodies(wire)
    assert sent == {
        "to": OMAR_,
        "from": "14155550100",
        "channel": "sms",
        "message_type": "text",
        "text": "hello",
        "client_ref": str(row.pk),
    }
    assert UUID(sent["client_ref"]) == row.pk


def test_the_answer_may_name_a_workflow(chat, omar, wire):
    wire.answers = [answer(202, {"message_uuid": "5a8f1c2e", "workflow_id": "3TcNjguHxr2vcCZ9Ddsnq6tw8yQUpZ9rMHv9"})]
    row = make_queued(omar)
    hand_over()
    row.refresh_from_db()
    assert (row.status, row.gateway_id) == (Status.SENT, "5a8f1c2e")
