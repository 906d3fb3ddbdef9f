"""POST /webhooks/status: texts that Vonage took and rejected by a receipt, of which not all is lost."""

import uuid

import pytest
from django.db.models.functions import Now

from messaging import pauses
from messaging.claims import Claim
from messaging.gateways import SendError
from messaging.gateways.vonage import VonageGateway
from messaging.models import GatewayAccount, Message
from messaging.results import Result, record_results
from tests.messaging.legacy import TOKEN, legacy_receipt, send, with_token
from tests.messaging.media import JPEG, fetch, receive
from tests.messaging.payloads import receipt
from tests.messaging.rows import Status, ago, make_queued, make_relay, next_probe_in, read_answers
from tests.messaging.signing import ABSENT, STATUS, signed_post
from tests.messaging.test_paused_account import OTHER_ENDS, REFUSED
from tests.messaging.test_sending_media import claim, claim_due
from tests.messaging.wire import Wire

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage")]

NO_MMS = ["1020", "1140", "1250", "1310", "1380", "1381", "1382", "1400", "1410", "1420", "1430", "1440"]
NO_TEXT_OF_THE_ACCOUNT = ["1060", "1070"]
OTHERS = ["1050", "1120", "1180", "1240", "1280", "1490", "9999"]
# What Vonage called the text at its first attempt.
FIRST = "5a8f1c2e-7d34-4b6a-9c1d-2f3e4a5b6c7d"


@pytest.fixture
def wire(settings):
    wire = Wire()
    settings.VONAGE_API_URL = wire.url
    yield wire
    wire.close()


def accept(claimed: Claim, gateway_id: str = FIRST) -> None:
    record_results([Result(claimed, gateway_id=gateway_id)])


def tell(client, message: Message, status: str = "rejected", code: str = "", gateway_id: str = FIRST, **fields):
    error = {"error": {"title": code, "detail": "as the carrier puts it"}} if code else {}
    payload = receipt(status=status, message_uuid=gateway_id, client_ref=str(message.pk), **error, **fields)
    assert signed_post(client, STATUS, payload).status_code == 200
    message.refresh_from_db()
    return message


def send_mms() -> Message:
    """Have a picture accepted as an MMS."""
    picture = receive("a", caption="look")
    fetch(a=JPEG)
    accept(claim())
    picture.refresh_from_db()
    assert (picture.status, picture.channel) == (Status.SENT, "mms")
    return picture


# --- As a text with links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["rejected", "undeliverable"])
@pytest.mark.parametrize("code", NO_MMS)
def test_an_mms_that_is_rejected_as_one_goes_as_a_text_with_a_link(client, chat, capable, wire, code, status):
    picture = tell(client, send_mms(), status, code, channel="mms")
    assert (picture.status, picture.channel, picture.error_code) == (Status.QUEUED, "sms", code)
    assert (picture.gateway_id, picture.rejected_gateway_ids, picture.sent_at) == (None, [FIRST], None)
    assert read_answers() == []
    VonageGateway().send(claim().decrypt_text())
    words, link = wire.requests[-1].json["text"].split("\n")
    assert words == "look" and client.get(link.removeprefix("http://localhost:8000")).status_code == 200


@pytest.mark.parametrize("code", OTHERS)
def test_an_mms_that_is_rejected_for_another_reason_is_not_sent_again(client, chat, capable, code):
    picture = tell(client, send_mms(), "rejected", code, channel="mms")
    assert picture.status == (Status.SENT if code == "1490" else Status.FAILED)
    assert (picture.channel, picture.rejected_gateway_ids) == ("mms", None)


def test_a_text_is_not_sent_again_because_it_was_taken_for_an_mms(client, chat, sara, omar):
    text = make_relay(sara, omar, status=Status.SENT, gateway_id=FIRST)
    assert tell(client, text, "rejected", "1430").status == Status.FAILED
    assert len(read_answers()) == 1


def test_what_is_still_said_of_the_mms_says_nothing_of_the_text(client, chat, capable):
    picture = tell(client, send_mms(), "rejected", "1430")
    for status in ("rejected", "submitted", "undeliverable"):
        assert tell(client, picture, status, "" if status == "submitted" else "1430").status == Status.QUEUED
    accept(claim(), "second")
    picture = tell(client, picture, "rejected", "1430")
    assert (picture.status, picture.gateway_id) == (Status.SENT, "second")
    assert tell(client, picture, "delivered", gateway_id="second").status == Status.DELIVERED


def test_an_mms_that_arrived_after_all_is_not_sent_again(client, chat, capable):
    picture = tell(client, send_mms(), "rejected", "1430")
    assert tell(client, picture, "delivered").status == Status.DELIVERED
    assert claim_due() == []


def test_the_text_with_a_link_that_is_rejected_too_has_failed_and_its_writer_is_told(client, chat, capable):
    picture = tell(client, send_mms(), "rejected", "1430")
    accept(claim(), "second")
    picture = tell(client, picture, "rejected", "1430", gateway_id="second")
    assert (picture.status, picture.channel) == (Status.FAILED, "sms")
    assert len(read_answers()) == 1


def test_a_receipt_that_overtakes_our_own_answer_is_not_undone_by_it(client, chat, capable):
    picture = receive("a")
    fetch(a=JPEG)
    mms = claim()
    picture = tell(client, picture, "rejected", "1430")
    accept(mms)
    picture.refresh_from_db()
    assert (picture.status, picture.gateway_id) == (Status.QUEUED, None)
    accept(claim(), "second")
    picture.refresh_from_db()
    assert (picture.status, picture.gateway_id) == (Status.SENT, "second")


# --- The account -------------------------------------------------------------------------------------------------


def probe_now() -> list[Claim]:
    GatewayAccount.objects.update(probe_at=ago(minutes=1))
    return claim_due()


@pytest.fixture
def refused(client, chat, sara, omar) -> Message:
    """Vonage took the text, and then had no money for it; another one waits."""
    text = make_queued(omar)
    accept(claim())
    make_queued(sara)
    return tell(client, text, "rejected", "1070")


@pytest.mark.parametrize("code", NO_TEXT_OF_THE_ACCOUNT)
def test_a_text_that_is_rejected_for_the_accounts_sake_waits_as_it_was(client, chat, sara, omar, code):
    text = make_relay(sara, omar)
    accept(claim())
    text = tell(client, text, "rejected", code)
    assert (text.status, text.attempts, text.error_code) == (Status.QUEUED, 0, code)
    assert (text.gateway_id, text.rejected_gateway_ids, text.sent_at, text.failed_at) == (None, [FIRST], None, None)
    assert read_answers() == []
    account = pauses.read_pause()
    assert account and (account.pause_code, account.pause_detail) == (code, text.error_detail)
    assert claim_due() == []


@pytest.mark.parametrize("of_whom", ["the carrier", "us"])
def test_a_text_in_parts_of_which_some_may_have_arrived_is_not_sent_again(client, chat, sara, omar, of_whom):
    text = make_relay(sara, omar, segments=2 if of_whom == "us" else None)
    accept(claim())
    fields = {"sms": ABSENT if of_whom == "us" else {"count_total": "2"}}
    text = tell(client, text, "rejected", "1070", **fields)
    assert (text.status, text.error_kind) == (Status.FAILED, "money")
    assert len(read_answers()) == 1
    assert pauses.read_pause() is not None


def test_the_same_receipt_again_pauses_nothing(client, refused):
    GatewayAccount.objects.update(paused_at=None, probe_at=None)
    assert tell(client, refused, "rejected", "1070").status == Status.QUEUED
    assert pauses.read_pause() is None


def test_a_receipt_for_a_text_of_somebody_else_pauses_nothing(client, chat, omar):
    payload = receipt(status="rejected", client_ref=str(uuid.uuid4()), error={"title": "1070"})
    assert signed_post(client, STATUS, payload).status_code == 200
    assert pauses.read_pause() is None


def test_a_request_that_is_accepted_does_not_end_the_pause(refused, settings):
    settings.UNCONFIRMED_WAIT_SECONDS = 120
    [probe] = probe_now()
    with next_probe_in(120, 120):
        accept(probe, "second")
    assert pauses.read_pause() is not None
    assert claim_due() == []


@pytest.mark.parametrize("status", ["submitted", "delivered"])
@pytest.mark.parametrize("first", ["the answer", "the receipt"])
def test_a_receipt_of_the_text_that_is_tried_ends_it(client, refused, status, first):
    [probe] = probe_now()
    text = Message.objects.get(pk=probe.id)
    if first == "the answer":
        accept(probe, "second")
    tell(client, text, status, gateway_id="second")
    assert pauses.read_pause() is None
    if first == "the receipt":
        accept(probe, "second")
    account = GatewayAccount.objects.get()
    assert (account.refused_by_receipt, account.probe_was_accepted, account.probe_message_id) == (False, False, None)
    assert len(claim_due()) == 1


@pytest.mark.parametrize("first", ["the answer", "the receipt"])
def test_while_receipts_refuse_the_pause_grows(client, refused, first):
    for longest in (2, 4, 8, 16, 32, 60, 60):
        gateway_id = f"id-{uuid.uuid4()}"
        [probe] = probe_now()
        with next_probe_in(longest / 2, longest):
            if first == "the answer":
                accept(probe, gateway_id)
            tell(client, Message.objects.get(pk=probe.id), "rejected", "1070", gateway_id=gateway_id)
            if first == "the receipt":
                accept(probe, gateway_id)
    assert set(Message.objects.values_list("status", "attempts")) == {("queued", 0)}


def test_when_no_receipt_comes_the_account_goes_on(refused):
    [probe] = probe_now()
    accept(probe, "second")
    GatewayAccount.objects.update(probe_at=ago(minutes=1))
    assert claim_due() == []
    assert pauses.read_pause() is None
    assert len(claim_due()) == 1


def test_a_receipt_that_says_nothing_of_the_account_lets_another_text_be_tried_at_once(client, refused):
    [probe] = probe_now()
    accept(probe, "second")
    tell(client, Message.objects.get(pk=probe.id), "rejected", "1050", gateway_id="second")
    assert pauses.read_pause() is not None
    assert GatewayAccount.objects.filter(probe_at__lte=Now(), probe_message_id=None).exists()
    [another] = probe_now()
    assert another.id != probe.id


@pytest.mark.parametrize("error", [REFUSED, *OTHER_ENDS.values()], ids=["refused", *OTHER_ENDS])
def test_a_request_that_is_not_accepted_is_as_it_is_in_any_pause(refused, error: SendError):
    [probe] = probe_now()
    record_results([Result(probe, error=error)])
    account = pauses.read_pause()
    assert account and account.probe_message_id is None and not account.probe_was_accepted
    assert account.failed_probes == (error is REFUSED)


def test_texts_that_were_on_the_way_when_it_was_paused_prolong_nothing(client, chat, sara, omar):
    texts = [make_queued(sara), make_queued(omar)]
    for claimed in claim_due():
        accept(claimed, f"id-{claimed.id}")
    tell(client, texts[0], "rejected", "1070", gateway_id=f"id-{texts[0].pk}")
    before = GatewayAccount.objects.values().get()
    tell(client, texts[1], "rejected", "1070", gateway_id=f"id-{texts[1].pk}")
    assert GatewayAccount.objects.values().get() == before
    assert Message.objects.filter(status=Status.QUEUED, attempts=0).count() == 2


# --- The SMS API, which gives each part an id of its own -----------------------------------------------------------


@pytest.fixture
def legacy(settings):
    settings.VONAGE_LEGACY_WEBHOOKS, settings.VONAGE_WEBHOOK_TOKEN = "token", TOKEN


def tell_legacy(client, message: Message, status: str, code: str = "0", part: int = 1) -> Message:
    params = legacy_receipt(
        messageId=f"0A000000A1B2C3D{part}", status=status, err_code=code, client_ref=str(message.pk)
    )
    assert send(client, with_token(STATUS), params).status_code == 200
    message.refresh_from_db()
    return message


def test_a_part_that_failed_counts_whatever_its_id(client, chat, legacy, sara, omar):
    text = make_relay(sara, omar)
    accept(claim())
    text = tell_legacy(client, text, "failed", "7")
    assert (text.status, text.error_code, text.gateway_id) == (Status.FAILED, "7", FIRST)
    assert len(read_answers()) == 1
    assert tell_legacy(client, text, "delivered", part=2).status == Status.FAILED


@pytest.mark.parametrize(
    "fields", [{"attempts": 2}, {"attempts": 1, "earlier_gateway_ids": []}], ids=["again", "by an operator"]
)
def test_a_part_of_who_knows_which_attempt_does_not_count_when_it_failed(client, chat, legacy, omar, fields):
    text = make_queued(omar, status=Status.SENT, gateway_id=FIRST, **fields)
    assert tell_legacy(client, text, "failed", "7").status == Status.SENT
    assert tell_legacy(client, text, "delivered").status == Status.DELIVERED


def test_a_part_that_was_rejected_before_our_own_answer_was_written_waits(client, chat, legacy, omar):
    text = make_queued(omar)
    claimed = claim()
    text = tell_legacy(client, text, "rejected", "16")
    accept(claimed)
    text.refresh_from_db()
    assert (text.status, text.attempts, text.gateway_id) == (Status.QUEUED, 0, None)


def test_a_quota_that_is_used_up_pauses_the_account_for_each_attempt(client, chat, legacy, omar):
    text = make_queued(omar)
    accept(claim())
    for attempt in range(3):
        text = tell_legacy(client, text, "rejected", "16", part=attempt)
        assert (text.status, text.attempts, text.gateway_id) == (Status.QUEUED, 0, None)
        assert GatewayAccount.objects.get().failed_probes == attempt
        tell_legacy(client, text, "rejected", "16", part=attempt)
        [probe] = probe_now()
        accept(probe, str(uuid.uuid4()))
    assert tell_legacy(client, text, "delivered", part=9).status == Status.DELIVERED
    assert pauses.read_pause() is None
