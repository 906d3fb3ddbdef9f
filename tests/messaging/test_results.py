"""What becomes of claimed texts: accepted, refused, unknown, given back, forgotten, and too old."""

import random
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction

from chats.models import VirtualNumber
from messaging import wording
from messaging.claims import Claim, claim_texts
from messaging.gateways import Outcome, SendError
from messaging.models import Message
from messaging.overdue import settle_overdue
from messaging.results import Result, backoff_seconds, give_back, record_results
from proxy_project.sql import plan_by_indexes_alone
from tests.factories import make_pool, make_virtual_number
from tests.messaging.payloads import receipt
from tests.messaging.rows import (
    Kind,
    Status,
    ago,
    lose_the_key,
    make_queued,
    make_relay,
    make_strangers_queued,
    now,
    read_answers,
)
from tests.messaging.signing import STATUS, signed_post

pytestmark = pytest.mark.django_db

AGAIN = SendError(Outcome.AGAIN, "500", "Vonage has an internal error.")
NEVER = SendError(Outcome.NEVER, "422", "Vonage refused the text.")
UNKNOWN = SendError(Outcome.UNKNOWN, "answer_lost", "The connection was lost.")
ERRORS = {"again": AGAIN, "never": NEVER, "unknown": UNKNOWN}


@pytest.fixture
def virtual_number(db: None) -> VirtualNumber:
    return make_virtual_number(messages_per_second=10_000, next_send_at=ago(hours=1))


def throttled(retry_after: float | None = None) -> SendError:
    return SendError(Outcome.AGAIN, "429", "Vonage asked to slow down.", retry_after=retry_after, throttled=True)


def claim() -> Claim:
    [claimed] = claim_texts(limit=10)
    return claimed


def accept(claimed: Claim, gateway_id: str = "gateway-id") -> Message:
    record_results([Result(claimed, gateway_id=gateway_id)])
    return Message.objects.get(pk=claimed.id)


def refuse(claimed: Claim, error: SendError) -> Message:
    record_results([Result(claimed, error=error)])
    return Message.objects.get(pk=claimed.id)


def wait_of(message: Message) -> float:
    return (message.due_at - now()).total_seconds()


def columns(message: Message) -> dict:
    return Message.objects.values().get(pk=message.pk)


# --- Accepted ------------------------------------------------------------------------------------------------------


def test_an_accepted_text_is_sent(chat, omar):
    make_queued(omar, error_code="500", error_detail="The last time.")
    message = accept(claim(), "a" * 99)
    assert (message.status, message.due_at, message.gateway_id) == (Status.SENT, None, "a" * 64)
    assert (message.error_code, message.error_detail, message.failed_at) == ("", "", None)
    assert message.sent_at is not None


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.FAILED])
def test_an_answer_written_after_the_receipt_does_not_move_the_text_back(client, chat, omar, status):
    message = make_queued(omar)
    claimed = claim()
    said = {"delivered": "delivered", "failed": "rejected"}[status]
    payload = receipt(client_ref=str(message.pk), status=said, error={"title": "1240", "detail": "x"})
    assert signed_post(client, STATUS, payload).status_code == 200
    before = columns(message)
    after = accept(claimed, payload["message_uuid"])
    assert (after.status, after.due_at, after.gateway_id) == (status, None, payload["message_uuid"])
    assert columns(message) == before


@pytest.mark.parametrize(
    ("status", "attempts"), [(Status.UNCONFIRMED, 1), (Status.QUEUED, 1), (Status.SENDING, 2), (Status.UNCONFIRMED, 2)]
)
def test_a_late_acceptance_settles_the_text_wherever_it_is(chat, omar, status, attempts):
    make_queued(omar)
    claimed = claim()
    Message.objects.update(status=status, attempts=attempts, due_at=ago(minutes=-1))
    assert accept(claimed).status == Status.SENT


def test_many_results_at_once_each_go_to_their_text(virtual_number):
    make_strangers_queued(virtual_number, 40)
    claims = claim_texts(limit=40)
    errors = [None, AGAIN, NEVER, UNKNOWN]
    results = [
        Result(each, gateway_id=f"id-{n}") if (error := errors[n % 4]) is None else Result(each, error=error)
        for n, each in enumerate(claims)
    ]
    random.Random(1).shuffle(results)
    record_results(results)
    expected = [Status.SENT, Status.QUEUED, Status.FAILED, Status.UNCONFIRMED]
    statuses = dict(Message.objects.values_list("id", "status"))
    assert [statuses[each.id] for each in claims] == expected * 10
    assert Message.objects.get(pk=claims[4].id).gateway_id == "id-4"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("record", ["accepted", "refused", "given back"])
def test_results_are_written_while_receipts_of_the_same_texts_are(virtual_number, record):
    """Whoever moves several texts locks them in the order of their ids, or both would wait for each other."""
    make_strangers_queued(virtual_number, 2)
    first, second = sorted(claim_texts(limit=2), key=lambda each: each.id)
    write = {
        "accepted": lambda: record_results([Result(each, gateway_id=str(each.id)) for each in (second, first)]),
        "refused": lambda: record_results([Result(each, error=AGAIN) for each in (second, first)]),
        "given back": lambda: give_back([second, first]),
    }[record]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Message.objects.select_for_update().get(pk=first.id)
            writing = pool.submit(in_a_thread, write)
            wait_until_somebody_waits_for_a_lock()
            # Were it ours to wait for as well, PostgreSQL would end one of us.
            Message.objects.select_for_update().get(pk=second.id)
        writing.result(timeout=60)
    assert Message.objects.filter(status=Status.SENDING).count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("status", "then"), [("sending", "unconfirmed"), ("unconfirmed", "queued")])
def test_what_is_overdue_waits_for_nobody(virtual_number, status, then):
    make_strangers_queued(virtual_number, 2)
    held, free = Message.objects.all()
    Message.objects.update(status=status, due_at=ago(minutes=1))
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        Message.objects.select_for_update().get(pk=held.pk)
        pool.submit(in_a_thread, settle_overdue).result(timeout=60)
    for message, expected in ((held, status), (free, then)):
        message.refresh_from_db()
        assert message.status == expected


def in_a_thread(do) -> None:
    """Do it with a connection of its own, planned as the sender's."""
    plan_by_indexes_alone(connection=connection)
    try:
        do()
    finally:
        connection.close()


def wait_until_somebody_waits_for_a_lock() -> None:
    deadline = time.monotonic() + 10
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            # What a transaction sees of the others stands still, too.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
            )
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waits for a lock")


def test_nothing_to_record_is_nothing(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        record_results([])
        give_back([])


# --- Refused -------------------------------------------------------------------------------------------------------


def test_a_text_refused_for_now_is_queued_again(chat, sara, omar):
    make_relay(sara, omar)
    message = refuse(claim(), AGAIN)
    assert (message.status, message.attempts, message.error_code) == (Status.QUEUED, 1, "500")
    assert (message.error_detail, message.failed_at) == (AGAIN.detail, None)
    assert read_answers() == []
    assert claim_texts(limit=10) == []


@pytest.mark.parametrize("attempt", [1, 2, 3, 5, 7, 8, 50, 30_000])
def test_the_backoff_grows_is_spread_and_is_bounded(attempt):
    full = min(60, 2 ** min(attempt - 1, 10))
    waits = [backoff_seconds(attempt) for _ in range(200)]
    assert full / 2 <= min(waits) < full * 0.6
    assert full * 0.9 < max(waits) <= full


@pytest.mark.parametrize(("attempts", "full"), [(0, 1), (1, 2), (2, 4), (5, 32), (20, 60)])
def test_a_refused_text_waits_for_its_backoff(chat, omar, attempts, full):
    make_queued(omar, attempts=attempts)
    assert full / 2 - 0.001 <= wait_of(refuse(claim(), AGAIN)) <= full + 0.001


@pytest.mark.parametrize(("retry_after", "least", "most"), [(45.0, 45, 45), (0.0, 0.5, 1), (None, 0.5, 1)])
@pytest.mark.parametrize("make_error", [throttled, lambda wait: SendError(Outcome.AGAIN, "503", "", retry_after=wait)])
def test_retry_after_is_obeyed(chat, omar, retry_after, least, most, make_error):
    make_queued(omar)
    assert least - 0.001 <= wait_of(refuse(claim(), make_error(retry_after))) <= most + 0.001


def test_a_429_cools_its_number_and_no_other(db):
    hot, cool = make_pool(2, messages_per_second=10_000, next_send_at=ago(hours=1))
    make_strangers_queued(hot, 2)
    record_results([Result(claim_texts(limit=1)[0], error=throttled(30))])
    make_strangers_queued(cool, 1)
    hot.refresh_from_db()
    assert hot.next_send_at == now() + timedelta(seconds=30)
    assert [each.virtual_number_id for each in claim_texts(limit=10)] == [cool.pk]


def test_429s_are_counted_as_long_as_there_is_one_a_day(virtual_number):
    for times in (1, 3):
        make_strangers_queued(virtual_number, times)
        record_results([Result(each, error=throttled(0)) for each in claim_texts(limit=times)])
        VirtualNumber.objects.update(next_send_at=ago(hours=1))
    virtual_number.refresh_from_db()
    assert (virtual_number.throttled_times, virtual_number.throttled_at) == (4, now())
    VirtualNumber.objects.update(throttled_at=ago(hours=25))
    make_strangers_queued(virtual_number, 1)
    record_results([Result(claim_texts(limit=1)[0], error=throttled(0))])
    virtual_number.refresh_from_db()
    assert virtual_number.throttled_times == 1


def test_of_several_429s_the_longest_wait_counts_and_none_shortens_it(virtual_number):
    make_strangers_queued(virtual_number, 3)
    first, second, third = claim_texts(limit=3)
    record_results([Result(first, error=throttled(30)), Result(second, error=throttled(50))])
    record_results([Result(third, error=throttled(10))])
    virtual_number.refresh_from_db()
    assert virtual_number.next_send_at == now() + timedelta(seconds=50)


def test_a_500_cools_no_number(virtual_number):
    make_strangers_queued(virtual_number, 2)
    record_results([Result(claim_texts(limit=1)[0], error=SendError(Outcome.AGAIN, "503", "", retry_after=30))])
    assert len(claim_texts(limit=10)) == 1


def test_a_text_refused_for_good_has_failed_and_its_writer_is_told(chat, sara, omar):
    make_relay(sara, omar)
    message = refuse(claim(), NEVER)
    assert (message.status, message.due_at, message.error_code) == (Status.FAILED, None, "422")
    assert message.failed_at == now()
    assert read_answers() == [(sara.pk, wording.NOT_DELIVERED)]


@pytest.mark.parametrize("kind", [Kind.INTRODUCTION, Kind.AUTO_REPLY])
def test_nobody_is_told_of_a_failed_text_that_nobody_wrote(chat, omar, kind):
    make_queued(omar, kind=kind)
    assert refuse(claim(), NEVER).status == Status.FAILED
    assert Message.objects.count() == 1


def test_a_text_whose_answer_was_lost_is_unconfirmed(chat, sara, omar, settings):
    settings.UNCONFIRMED_WAIT_SECONDS = 33
    make_relay(sara, omar)
    message = refuse(claim(), UNKNOWN)
    assert (message.status, message.error_code, wait_of(message)) == (Status.UNCONFIRMED, "answer_lost", 33)
    assert read_answers() == []


def test_long_reasons_fit(chat, omar):
    make_queued(omar)
    message = refuse(claim(), SendError(Outcome.AGAIN, "c" * 99, "d" * 999))
    assert (message.error_code, message.error_detail) == ("c" * 40, "d" * 200)


MOVED_ON = {
    "claimed again": {"status": Status.SENDING, "attempts": 2},
    "lease ended": {"status": Status.UNCONFIRMED, "attempts": 1},
    "queued again": {"status": Status.QUEUED, "attempts": 1},
    "sent": {"status": Status.SENT, "attempts": 1, "due_at": None, "gateway_id": "x"},
    "delivered": {"status": Status.DELIVERED, "attempts": 1, "due_at": None, "gateway_id": "x"},
    "failed": {"status": Status.FAILED, "attempts": 1, "due_at": None, "failed_at": ago(minutes=1)},
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("fields", MOVED_ON.values(), ids=MOVED_ON)
def test_a_refusal_of_an_older_attempt_does_not_touch_the_text(chat, sara, omar, fields, error):
    message = make_relay(sara, omar)
    claimed = claim()
    Message.objects.filter(pk=message.pk).update(**fields)
    before = columns(message)
    refuse(claimed, error)
    give_back([claimed])
    assert columns(message) == before
    assert read_answers() == []


def test_a_result_for_a_text_that_was_erased_is_nothing(chat, omar):
    make_queued(omar)
    claimed = replace(claim(), id=uuid.uuid4())
    record_results([Result(claimed, gateway_id="x"), Result(claimed, error=NEVER)])
    assert Message.objects.get().status == Status.SENDING


# --- Given back ------------------------------------------------------------------------------------------------------


def test_a_text_given_back_is_as_if_it_had_not_been_claimed(chat, omar):
    message = make_queued(omar)
    give_back([claim()])
    message.refresh_from_db()
    assert (message.status, message.attempts, message.due_at) == (Status.QUEUED, 0, now())
    again = claim()
    assert (again.id, again.attempt) == (message.pk, 1)


# --- Overdue ---------------------------------------------------------------------------------------------------------


def test_a_text_whose_sender_died_is_unconfirmed_then_queued_then_sent_again(chat, omar, settings):
    settings.UNCONFIRMED_WAIT_SECONDS = 120
    message = make_queued(omar)
    claim()
    settle_overdue()
    assert columns(message)["status"] == Status.SENDING
    Message.objects.update(due_at=ago(minutes=1))
    settle_overdue()
    message.refresh_from_db()
    assert (message.status, message.error_code, wait_of(message)) == (Status.UNCONFIRMED, "answer_lost", 120)
    settle_overdue()
    assert columns(message)["status"] == Status.UNCONFIRMED
    Message.objects.update(due_at=ago(minutes=1))
    settle_overdue()
    assert columns(message)["status"] == Status.QUEUED
    assert claim().attempt == 2


@pytest.mark.parametrize(("said", "status"), [("submitted", Status.SENT), ("delivered", Status.DELIVERED)])
@pytest.mark.parametrize("before", [Status.SENDING, Status.UNCONFIRMED])
def test_a_receipt_settles_a_text_in_doubt_and_it_is_not_sent_again(client, chat, omar, before, said, status):
    message = make_queued(omar, status=before)
    payload = receipt(client_ref=str(message.pk), status=said)
    assert signed_post(client, STATUS, payload).status_code == 200
    settle_overdue()
    settle_overdue()
    assert columns(message)["status"] == status
    assert claim_texts(limit=10) == []


def test_a_text_behind_one_in_doubt_goes_when_the_receipt_comes(client, chat, omar):
    first = make_queued(omar, status=Status.UNCONFIRMED, due_at=ago(minutes=-1))
    second = make_queued(omar)
    assert claim_texts(limit=10) == []
    signed_post(client, STATUS, receipt(client_ref=str(first.pk)))
    assert claim().id == second.pk


def test_a_text_queued_for_too_long_fails_and_its_writer_is_told(chat, sara, omar, settings):
    settings.SEND_FOR_HOURS = 2
    young = make_relay(sara, omar, created_at=ago(hours=1.9))
    old = make_relay(sara, omar, created_at=ago(hours=2.1), error_detail="Vonage has an internal error.")
    waiting = make_relay(omar, sara, created_at=ago(hours=2.1))
    for _ in range(2):
        settle_overdue()
    assert columns(young)["status"] == Status.QUEUED
    for message in (old, waiting):
        message.refresh_from_db()
        assert (message.status, message.error_code, message.due_at) == (Status.FAILED, "expired", None)
        assert message.failed_at == now()
    assert "internal error" in old.error_detail
    assert "waited for its turn" in waiting.error_detail
    assert sorted(read_answers()) == sorted((who.pk, wording.NOT_DELIVERED) for who in (sara, omar))


@pytest.mark.parametrize("status", [Status.SENDING, Status.UNCONFIRMED, Status.SENT, Status.DELIVERED])
def test_only_a_text_that_waits_to_be_sent_can_be_too_old(chat, sara, omar, status, settings):
    due = ago(minutes=-5) if status in Message.PENDING_STATUSES else None
    message = make_relay(sara, omar, status=status, created_at=ago(hours=99), due_at=due)
    settle_overdue()
    assert columns(message)["status"] == status


def test_an_old_text_with_a_long_reason_fits(chat, omar):
    make_queued(omar, created_at=ago(hours=99), error_detail="é" * 200)
    settle_overdue()
    assert Message.objects.get().status == Status.FAILED


def test_an_old_introduction_fails_silently(chat, omar):
    make_queued(omar, created_at=ago(hours=99))
    settle_overdue()
    assert [row.status for row in Message.objects.all()] == [Status.FAILED]


def test_an_old_text_whose_key_is_missing_fails_like_any_other(chat, sara, omar):
    relay = make_relay(sara, omar, created_at=ago(hours=99))
    lose_the_key()
    settle_overdue()
    assert Message.objects.filter(pk=relay.pk).values_list("status", flat=True).get() == Status.FAILED
    assert Message.objects.filter(kind=Kind.AUTO_REPLY, participant_id=sara.pk).count() == 1
