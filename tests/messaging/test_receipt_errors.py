"""POST /webhooks/status: every error code of Vonage, as the operator and the platform read it."""

import pytest

from messaging import wording
from messaging.gateways import ErrorKind
from messaging.gateways.vonage_codes import ERRORS, MESSAGES_API, SMS_API, SMS_API_ANSWERS
from messaging.models import Message
from scripts import codes
from tests.factories import OMAR
from tests.messaging.payloads import receipt
from tests.messaging.rows import Status, make_queued, make_relay, read_answers
from tests.messaging.signing import STATUS, signed_post

pytestmark = pytest.mark.django_db

# https://developer.vonage.com/en/api/messages#errors
KINDS = {
    "recipient": "1040 1050 1170 1180 1190 1200 1220 1241 1260 1270 1290 1300 1310 1360 1430",
    "opt_out": "1240",
    "configuration": """1010 1020 1021 1022 1060 1080 1090 1120 1130 1150 1160 1242 1251 1340 1380 1381 1382 1400 1410
        1420 1431 1440 1450 1451 1460 1470 1472 1473 1474 1475 1476 1480 1481 1482 1483 1484 2001 2002 2003""",
    "money": "1070",
    "carrier": "1000 1030 1100 1140 1210 1230 1250 1280 1282 1320 1331",
    "unknown": "1330 1350 1370 1461 1490",
}
KIND_OF = {code: kind for kind, codes in KINDS.items() for code in codes.split()}
RETRYABLE = {"1000", "1030", "1100", "1180", "1220", "1230", "1331"}
RESULT_UNKNOWN = "1490"
# What concerns the account: tests/messaging/test_rejected_texts.py
OF_THE_ACCOUNT = ("1060", "1070")


def deliver(client, message: Message, code: str, status: str = "rejected", **fields) -> Message:
    fields = {"client_ref": str(message.pk), "message_uuid": "gateway-id", **fields}
    if code:
        fields["error"] = {"title": code, "detail": f"Number {OMAR} - as the carrier puts it"}
    assert signed_post(client, STATUS, receipt(status=status, **fields)).status_code == 200
    message.refresh_from_db()
    return message


def make_sent(recipient, **fields) -> Message:
    return make_queued(recipient, status=Status.SENT, gateway_id="gateway-id", **fields)


def test_the_table_has_every_code_that_vonage_documents():
    assert MESSAGES_API.keys() == KIND_OF.keys()


def test_a_code_means_one_thing_whichever_api_it_is_of():
    assert not MESSAGES_API.keys() & SMS_API.keys()
    assert ERRORS.keys() == MESSAGES_API.keys() | SMS_API.keys()


def test_the_log_knows_every_kind_that_a_gateway_does():
    assert set(Message.ErrorKind.values) == {kind.value for kind in ErrorKind}


@pytest.mark.parametrize(("code", "kind"), sorted(KIND_OF.items()))
def test_a_code_is_a_kind_and_a_sentence(client, omar, code, kind):
    message = deliver(client, make_sent(omar), code)
    expected = {RESULT_UNKNOWN: Status.SENT, **dict.fromkeys(OF_THE_ACCOUNT, Status.QUEUED)}.get(code, Status.FAILED)
    assert (message.status, message.error_code, message.error_kind) == (expected, code, kind)
    assert message.error_detail.endswith(".") and 15 < len(message.error_detail) < 160
    assert "carrier puts it" not in message.error_detail
    assert message.error_detail.endswith("It may work later.") == (code in RETRYABLE)


@pytest.mark.parametrize("code", ["9999", "1", "no-number", "١٢٤٠", "12400"])
def test_a_code_that_is_not_in_the_table_is_shown_in_the_carriers_words(client, omar, code):
    message = deliver(client, make_sent(omar), code)
    assert (message.status, message.error_code, message.error_kind) == (Status.FAILED, code, "unknown")
    assert message.error_detail == "Unknown to this service: Number …as the carrier puts it"


def test_a_text_that_arrives_has_no_error(client, omar):
    message = deliver(
        client, make_queued(omar, error_code="500", error_detail="x", error_kind="carrier"), "", "delivered"
    )
    assert (message.error_code, message.error_detail, message.error_kind) == ("", "", "")


@pytest.mark.parametrize("code", ["1180", "1240", "1070"])
def test_the_platform_reads_the_code_and_the_words(client, api, chat, omar, code):
    message = deliver(client, make_sent(omar), code)
    shown = api.get(f"/chats/{chat.pk}/messages").json()["results"][0]
    assert shown["error"] == {"code": code, "detail": message.error_detail}


@pytest.mark.parametrize("code", sorted(RETRYABLE))
def test_a_relay_is_not_sent_again_whatever_the_code_and_its_writer_is_told(client, sara, omar, code):
    message = deliver(client, make_relay(sara, omar, status=Status.SENT, gateway_id="gateway-id"), code)
    assert (message.status, message.due_at) == (Status.FAILED, None)
    assert read_answers() == [(sara.pk, wording.NOT_DELIVERED)]


# --- 1490: nobody knows whether all parts of it arrived --------------------------------------------------------


@pytest.mark.parametrize("status", ["rejected", "undeliverable"])
@pytest.mark.parametrize("before", [Status.QUEUED, Status.SENDING, Status.UNCONFIRMED, Status.SENT])
def test_a_text_whose_result_is_unknown_is_sent_and_says_so(client, sara, omar, before, status):
    message = make_relay(sara, omar, status=before)
    for _ in range(2):
        message = deliver(client, message, RESULT_UNKNOWN, status)
        assert (message.status, message.error_code, message.error_kind) == (Status.SENT, RESULT_UNKNOWN, "unknown")
        assert "may have arrived" in message.error_detail
        assert (message.due_at, message.failed_at, message.delivered_at) == (None, None, None)
    assert read_answers() == []


def test_what_a_later_receipt_says_counts(client, omar):
    message = deliver(client, make_sent(omar), RESULT_UNKNOWN)
    message = deliver(client, message, "", "submitted")
    assert message.error_code == RESULT_UNKNOWN
    message = deliver(client, message, "", "delivered")
    assert (message.status, message.error_code, message.error_detail) == (Status.DELIVERED, "", "")


@pytest.mark.parametrize("final", [Status.DELIVERED, Status.FAILED])
def test_an_unknown_result_changes_no_known_one(client, omar, final):
    message = deliver(client, make_queued(omar, status=final, error_code="old"), RESULT_UNKNOWN)
    assert (message.status, message.error_code) == (final, "old")


def test_an_unknown_result_of_an_earlier_attempt_says_nothing_of_this_one(client, omar):
    message = deliver(client, make_sent(omar), RESULT_UNKNOWN, message_uuid="an-earlier-attempt")
    assert (message.status, message.error_code) == (Status.SENT, "")


# --- The page of all codes ---------------------------------------------------------------------------------------


def test_the_answers_of_the_sms_api_are_all_explained():
    # https://developer.vonage.com/api-errors/sms
    assert [int(code) for code in SMS_API_ANSWERS] == [*range(1, 13), 14, 15, 17, 22, 23, 29, 32, 33]
    assert {code for code, error in SMS_API_ANSWERS.items() if error.kind is ErrorKind.MONEY} == {"9"}


def test_the_page_of_codes_follows_the_table():
    assert codes.PAGE.read_text(encoding="utf-8") == codes.render(), "run python -m scripts.codes"
