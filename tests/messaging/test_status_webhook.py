"""POST /webhooks/status: what became of a text, in whatever order the receipts come."""

import itertools
import uuid
from decimal import Decimal

import pytest
from django.test import Client

from messaging import wording
from messaging.models import Message
from tests.factories import OMAR
from tests.messaging.payloads import receipt
from tests.messaging.rows import Kind, Status, ago, lose_the_key, make_queued, make_relay, read_answers
from tests.messaging.signing import ABSENT, STATUS, signed_post

pytestmark = pytest.mark.django_db

EARLY = [Status.QUEUED, Status.SENDING, Status.UNCONFIRMED]
SOMEBODYS = "0190163d-8694-739b-aea5-966c26f8ad91"
DETAIL = "Illegal Number - blacklisted"
OPTED_OUT = "The recipient has opted out of texts from this virtual number; START opts in again."
NOT_KNOWN = "Unknown to this service: "
ERROR = {"type": "https://developer.vonage.com/api-errors/messages#1240", "title": "1240", "detail": DETAIL}
# A failure that says nothing about the recipient's will.
LOST = {"title": "1260", "detail": "Destination unreachable"}


def deliver(client: Client, message: Message, status: str, **fields) -> Message:
    """Deliver a receipt that names the text by our reference, and return the text as it is then."""
    fields = {"client_ref": str(message.pk), "message_uuid": message.gateway_id or "gateway-id", **fields}
    if status in ("rejected", "undeliverable"):
        fields = {"error": ERROR, **fields}
    response = signed_post(client, STATUS, receipt(status=status, **fields))
    assert (response.status_code, response.content) == (200, b"")
    message.refresh_from_db()
    return message


def make_sent(recipient, **fields) -> Message:
    return make_queued(recipient, status=Status.SENT, gateway_id="gateway-id", sent_at=ago(seconds=5), **fields)


MEANINGS = {
    "submitted": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.DELIVERED,
    "rejected": Status.FAILED,
    "undeliverable": Status.FAILED,
}


@pytest.mark.parametrize("before", [*EARLY, Status.SENT])
@pytest.mark.parametrize(("said", "after"), MEANINGS.items())
def test_a_receipt_moves_a_text_even_before_our_own_answer_is_written(client, omar, before, said, after):
    message = deliver(client, make_queued(omar, status=before, gateway_id=None), said)
    assert (message.status, message.due_at, message.gateway_id) == (after, None, "gateway-id")
    assert message.sent_at is not None
    assert (message.delivered_at is not None) == (after == Status.DELIVERED)
    assert (message.failed_at is not None) == (after == Status.FAILED)
    error = ("1240", OPTED_OUT) if after == Status.FAILED else ("", "")
    assert (message.error_code, message.error_detail) == error


@pytest.mark.parametrize("order", list(itertools.permutations(["submitted", "delivered", "rejected"])))
@pytest.mark.parametrize("before", [*EARLY, Status.SENT])
@pytest.mark.parametrize("times", [1, 2])
def test_statuses_move_forward_only_in_every_order(client, omar, before, order, times):
    message = make_queued(omar, status=before)
    final = MEANINGS[next(said for said in order if said != "submitted")]
    seen = []
    for said in order * times:
        message = deliver(client, message, said)
        seen.append(message.status)
    assert seen[-1] == final
    assert seen[seen.index(final) :] == [final] * len(seen[seen.index(final) :])
    assert (message.delivered_at is None) != (message.failed_at is None)
    assert (message.error_code == "1240") == (final == Status.FAILED)


@pytest.mark.parametrize("said", MEANINGS)
def test_the_same_receipt_twice_changes_nothing(client, omar, said):
    message = make_queued(omar)
    deliver(client, message, said)
    before = Message.objects.values().get(pk=message.pk)
    deliver(client, message, said)
    assert Message.objects.values().get(pk=message.pk) == before


@pytest.mark.parametrize("final", [Status.DELIVERED, Status.FAILED])
def test_a_final_text_keeps_its_status_and_takes_the_facts(client, omar, final):
    message = make_queued(omar, status=final, gateway_id="gateway-id", error_code="old")
    message = deliver(client, message, "submitted", usage={"price": "0.5", "currency": "EUR"})
    assert (message.status, message.error_code, message.price) == (final, "old", Decimal("0.5"))


# --- Whose receipt it is ---------------------------------------------------------------------------------------


def test_a_receipt_without_a_reference_is_found_by_the_gateway_id(client, omar):
    message, other = make_sent(omar), make_queued(omar, gateway_id="another-id")
    deliver(client, message, "delivered", client_ref=ABSENT)
    other.refresh_from_db()
    assert (message.status, other.status) == (Status.DELIVERED, Status.QUEUED)


@pytest.mark.parametrize("reference", ["not-a-uuid", "", SOMEBODYS, 7])
def test_a_receipt_with_a_strange_reference_is_found_by_the_gateway_id(client, omar, reference):
    assert deliver(client, make_sent(omar), "delivered", client_ref=reference).status == Status.DELIVERED


def test_the_reference_counts_more_than_the_gateway_id(client, omar):
    by_id, by_reference = make_sent(omar), make_queued(omar)
    deliver(client, by_reference, "delivered", message_uuid="gateway-id")
    by_id.refresh_from_db()
    assert (by_id.status, by_reference.status) == (Status.SENT, Status.DELIVERED)


def test_a_receipt_never_touches_an_inbound_text(client, sara, omar):
    relay = make_relay(sara, omar, status=Status.SENT)
    inbound = relay.relays
    Message.objects.filter(pk=inbound.pk).update(gateway_id="inbound-id")
    for fields in ({"client_ref": str(inbound.pk)}, {"client_ref": ABSENT, "message_uuid": "inbound-id"}):
        payload = receipt(status="rejected", timestamp="2026-03-01T12:00:00Z", **fields)
        assert signed_post(client, STATUS, payload).status_code == 200
    inbound.refresh_from_db()
    assert inbound.status == Status.RELAYED


# Our reference is stored before the text is sent, so a receipt with one is never early; one without may be.
UNKNOWN = {
    "fresh, without a reference": ({}, 503),
    "fresh, with a reference that is no id": ({"client_ref": "booking 7"}, 503),
    "fresh, with somebody's reference": ({"client_ref": SOMEBODYS}, 200),
    "old": ({"timestamp": "2026-03-01T12:00:00Z"}, 200),
    "without a time": ({"timestamp": ABSENT}, 200),
    "a status that tells nothing": ({"status": "seen"}, 200),
}


@pytest.mark.parametrize(("fields", "status"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_receipt_for_a_text_that_is_not_ours(client, omar, fields, status):
    before = list(Message.objects.values())
    assert signed_post(client, STATUS, receipt(**fields)).status_code == status
    assert list(Message.objects.values()) == before


def test_a_receipt_that_overtook_the_gateway_id_is_taken_when_it_comes_again(client, omar):
    early = receipt(status="delivered")
    assert signed_post(client, STATUS, early).status_code == 503
    message = make_queued(omar, status=Status.SENT, gateway_id=early["message_uuid"])
    assert signed_post(client, STATUS, early).status_code == 200
    message.refresh_from_db()
    assert message.status == Status.DELIVERED


# --- What is kept of a receipt ---------------------------------------------------------------------------------

FACTS = {
    "as documented": ({}, (1, Decimal("0.0072"), "EUR")),
    "count_total": ({"sms": {"count_total": "3"}}, (3, Decimal("0.0072"), "EUR")),
    "total_count": ({"sms": {"total_count": "4", "segments": []}}, (4, Decimal("0.0072"), "EUR")),
    "count as a number": ({"sms": {"count_total": 5}}, (5, Decimal("0.0072"), "EUR")),
    "count that is no number": ({"sms": {"count_total": "many"}}, (None, Decimal("0.0072"), "EUR")),
    "no sms": ({"sms": ABSENT}, (None, Decimal("0.0072"), "EUR")),
    "no usage": ({"usage": ABSENT}, (1, None, "")),
    "price as a number": ({"usage": {"price": 0.1, "currency": "EUR"}}, (1, Decimal("0.1"), "EUR")),
    "price free of charge": ({"usage": {"price": "0", "currency": "EUR"}}, (1, Decimal(0), "EUR")),
    "price that is no number": ({"usage": {"price": "free", "currency": "EUR"}}, (1, None, "EUR")),
    "price NaN": ({"usage": {"price": "NaN", "currency": "EUR"}}, (1, None, "EUR")),
    "price infinite": ({"usage": {"price": "Infinity", "currency": "EUR"}}, (1, None, "EUR")),
    "price negative": ({"usage": {"price": "-1", "currency": "EUR"}}, (1, None, "EUR")),
    "price too large": ({"usage": {"price": "1000000", "currency": "EUR"}}, (1, None, "EUR")),
    "price too fine": ({"usage": {"price": "0.00000049", "currency": "EUR"}}, (1, Decimal(0), "EUR")),
    "currency that is none": ({"usage": {"price": "1", "currency": "euro"}}, (1, Decimal(1), "")),
}


@pytest.mark.parametrize(("fields", "facts"), FACTS.values(), ids=FACTS)
def test_segments_and_price_are_kept(client, omar, fields, facts):
    message = deliver(client, make_sent(omar), "submitted", **fields)
    assert (message.segments, message.price, message.currency) == facts


def test_a_later_receipt_without_facts_forgets_none(client, omar):
    message = deliver(client, make_sent(omar), "submitted", sms={"count_total": "2"})
    message = deliver(client, message, "delivered", sms=ABSENT, usage=ABSENT)
    assert (message.segments, message.price, message.currency) == (2, Decimal("0.0072"), "EUR")


ERRORS = {
    "as documented": (ERROR, ("1240", OPTED_OUT)),
    "an integer title": ({"title": 1240, "detail": DETAIL}, ("1240", OPTED_OUT)),
    "no detail": ({"title": "1240"}, ("1240", OPTED_OUT)),
    "no title": ({"detail": DETAIL}, ("", NOT_KNOWN + DETAIL)),
    "a code nobody documented": ({"title": "9999x", "detail": "?"}, ("9999x", NOT_KNOWN + "?")),
    "nothing but a code nobody documented": ({"title": "9999"}, ("9999", NOT_KNOWN + "the carrier did not say why.")),
    "empty": ({}, ("", "")),
    "no object": ("1240", ("", "")),
    "null": (None, ("", "")),
    "nulls": ({"title": None, "detail": None}, ("", "")),
    "long": ({"title": "1" * 99, "detail": "x" * 999}, ("1" * 40, (NOT_KNOWN + "x" * 200)[:200])),
    "what cannot be stored": ({"title": "99\x0099", "detail": "a\x00\ud800b"}, ("9999", NOT_KNOWN + "ab")),
}


@pytest.mark.parametrize(("error", "kept"), ERRORS.values(), ids=ERRORS)
def test_the_reason_of_a_failure_is_kept(client, omar, error, kept):
    message = deliver(client, make_sent(omar), "rejected", error=error)
    assert (message.status, message.error_code, message.error_detail) == (Status.FAILED, *kept)


@pytest.mark.parametrize(
    "quoted",
    [OMAR, OMAR[1:], "+1 415 555 0124", "+1 (415) 555-0124", "1.415.555.0124", "0415555 0124", "١٤١٥٥٥٥٠١٢٤"],
)
def test_what_could_be_a_number_is_cut_out_of_the_reason(client, omar, quoted):
    detail = f"Number {quoted} is barred (code 12)"
    message = deliver(client, make_sent(omar), "rejected", error={"title": "9050", "detail": detail})
    assert message.error_detail.replace("… ", "…") == f"{NOT_KNOWN}Number …is barred (code 12)"


# --- A relay that failed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["rejected", "undeliverable"])
@pytest.mark.parametrize("before", [*EARLY, Status.SENT])
def test_the_writer_of_a_text_that_failed_is_told_once(client, sara, omar, before, said):
    relay = make_relay(sara, omar, status=before)
    for _ in range(2):
        deliver(client, relay, said, error=LOST)
    assert read_answers() == [(sara.pk, wording.NOT_DELIVERED)]
    [answer] = Message.objects.filter(kind=Kind.AUTO_REPLY)
    assert (answer.status, answer.chat, answer.virtual_number) == (Status.QUEUED, sara.chat, sara.virtual_number)


def test_a_text_that_was_delivered_before_it_was_rejected_is_told_to_nobody(client, sara, omar):
    relay = make_relay(sara, omar, status=Status.SENT)
    deliver(client, relay, "delivered")
    deliver(client, relay, "rejected", error=LOST)
    assert read_answers() == []


def test_a_writer_is_told_at_most_once_an_hour(client, sara, omar):
    # The hour is the database's, which no test can move: the texts of an earlier one have an earlier key.
    for _ in range(3):
        deliver(
            client, make_relay(sara, omar, status=Status.SENT), "rejected", message_uuid=str(uuid.uuid4()), error=LOST
        )
    assert len(read_answers()) <= 2  # two when the clock struck in between
    [first, *_] = Message.objects.filter(kind=Kind.AUTO_REPLY)
    Message.objects.filter(kind=Kind.AUTO_REPLY).exclude(pk=first.pk).delete()
    Message.objects.filter(pk=first.pk).update(once_key=f"not-delivered:{sara.pk}:{ago(hours=1):%Y-%m-%dT%H}")
    deliver(client, make_relay(sara, omar, status=Status.SENT), "rejected", message_uuid=str(uuid.uuid4()), error=LOST)
    assert read_answers() == [(sara.pk, wording.NOT_DELIVERED)] * 2


def test_each_writer_is_told(client, sara, omar):
    for writer, recipient in ((sara, omar), (omar, sara)):
        deliver(
            client,
            make_relay(writer, recipient, status=Status.SENT),
            "rejected",
            message_uuid=str(uuid.uuid4()),
            error=LOST,
        )
    assert [who for who, _ in read_answers()] == [sara.pk, omar.pk]


@pytest.mark.parametrize("kind", [Kind.INTRODUCTION, Kind.AUTO_REPLY])
def test_nobody_is_told_of_a_text_that_nobody_wrote(client, omar, kind):
    assert deliver(client, make_sent(omar, kind=kind), "rejected", error=LOST).status == Status.FAILED
    assert Message.objects.count() == 1


def test_a_text_that_can_no_longer_be_decrypted_fails_all_the_same(client, sara, omar):
    relay = make_relay(sara, omar, status=Status.SENT)
    lose_the_key()
    payload = receipt(status="rejected", client_ref=str(relay.pk))
    assert signed_post(client, STATUS, payload).status_code == 200
    assert Message.objects.filter(kind=Kind.AUTO_REPLY, participant_id=sara.pk).count() == 1


# --- A text that was sent twice, since no receipt came in time ---------------------------------------------------


@pytest.mark.parametrize("said", ["rejected", "undeliverable"])
def test_a_failure_of_an_earlier_attempt_does_not_fail_the_text(client, sara, omar, said):
    relay = make_relay(sara, omar, status=Status.SENT, gateway_id="second-id", attempts=2)
    relay = deliver(client, relay, said, message_uuid="first-id", error=LOST)
    assert (relay.status, relay.gateway_id, relay.error_code) == (Status.SENT, "second-id", "")
    assert read_answers() == []
    assert deliver(client, relay, said, message_uuid="second-id", error=LOST).status == Status.FAILED


def test_a_delivery_of_an_earlier_attempt_is_a_delivery(client, omar):
    message = make_queued(omar, status=Status.SENT, gateway_id="second-id", attempts=2)
    message = deliver(client, message, "delivered", message_uuid="first-id")
    assert (message.status, message.gateway_id) == (Status.DELIVERED, "second-id")
    assert deliver(client, message, "rejected", message_uuid="second-id").status == Status.DELIVERED
