"""Claiming due texts: order, pace and fairness. In a test's transaction the database's clock stands still."""

import math
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models import F

from chats.models import Participant, VirtualNumber
from messaging.claims import Claim, claim_texts, seconds_until_due
from messaging.gateways import Outcome, SendError
from messaging.models import GatewayAccount, Message
from messaging.outbox import queue_text_to_stranger
from messaging.results import Result, give_back, record_results
from tests.chats.helpers import at_once
from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA, VIRTUAL_NUMBER, make_chat, make_pool, make_virtual_number
from tests.messaging.rows import Status, ago, lose_the_key, make_queued, make_strangers_queued, now

pytestmark = pytest.mark.django_db


@pytest.fixture
def virtual_number(db: None) -> VirtualNumber:
    """A number that may send hundreds of texts at once, so that pace is only in the tests about it."""
    return make_virtual_number(messages_per_second=10_000, next_send_at=ago(hours=1))


def set_rate(rate: float) -> None:
    """Give all numbers that rate; they have been idle for an hour."""
    VirtualNumber.objects.update(messages_per_second=rate, next_send_at=ago(hours=1))


def claim(limit: int = 100) -> list[str]:
    """Claim and return the bodies."""
    return [each.decrypt_text().body for each in claim_texts(limit=limit)]


def accept(claims: list[Claim]) -> None:
    record_results([Result(each, gateway_id=f"id-{each.id}") for each in claims])


def test_a_claim_holds_what_the_gateway_needs_and_the_row_is_leased(chat, omar, settings):
    settings.SEND_LEASE_SECONDS = 77
    message = make_queued(omar, "hi ✓")
    [each] = claim_texts(limit=10)
    text = each.decrypt_text()
    assert (text.reference, text.from_number, text.to_number, text.body) == (message.pk, VIRTUAL_NUMBER, OMAR, "hi ✓")
    assert (each.attempt, each.virtual_number_id) == (1, omar.virtual_number_id)
    message.refresh_from_db()
    assert (message.status, message.attempts, message.due_at) == (Status.SENDING, 1, now() + timedelta(seconds=77))
    assert claim_texts(limit=10) == []


def test_no_more_are_claimed_than_asked_for(virtual_number):
    make_strangers_queued(virtual_number, 30)
    set_rate(10_000)
    assert [len(claim_texts(limit=limit)) for limit in (1, 7, 100)] == [1, 7, 22]


# --- Order -----------------------------------------------------------------------------------------------------


def test_texts_to_a_person_go_one_after_the_other(chat, omar):
    for body in "123":
        make_queued(omar, body)
    for body in "123":
        claims = claim_texts(limit=10)
        assert [each.decrypt_text().body for each in claims] == [body]
        assert claim() == []
        accept(claims)
    assert claim() == []


@pytest.mark.parametrize("status", set(Message.PENDING_STATUSES) - {Status.SCHEDULED})
def test_a_text_waits_for_an_earlier_one_that_is_not_settled(chat, omar, status):
    make_queued(omar, "first", status=status, due_at=ago(minutes=-5))
    make_queued(omar, "second")
    assert claim() == []


@pytest.mark.parametrize("status", [Status.SENT, Status.DELIVERED, Status.FAILED])
def test_a_text_does_not_wait_for_an_earlier_one_that_is_settled(chat, omar, status):
    make_queued(omar, "first", status=status)
    make_queued(omar, "second")
    assert claim() == ["second"]


@pytest.mark.parametrize("status", [Status.SENDING, Status.UNCONFIRMED])
def test_a_text_never_waits_for_a_later_one(chat, omar, status):
    make_queued(omar, "first")
    make_queued(omar, "second", status=status)
    assert claim() == ["first"]


def test_the_order_is_that_of_the_log_not_of_any_clock(chat, omar):
    make_queued(omar, "first", due_at=ago(minutes=1), created_at=ago(minutes=1))
    make_queued(omar, "second", due_at=ago(hours=2), created_at=ago(hours=2))
    assert claim() == ["first"]


def test_nobody_else_waits(chat, sara, omar, platform):
    make_queued(omar, "held", status=Status.UNCONFIRMED, due_at=ago(minutes=-5))
    make_queued(omar, "waits")
    make_queued(sara, "to the counterpart")
    [other_number] = make_pool(1)
    others = [make_chat(platform, people) for people in ((OMAR, ALICE), (BOB, CHARLIE))]
    Message.objects.filter(once_key__isnull=False).delete()
    for participant in (each for other in others for each in other.participants.all()):
        make_queued(participant, f"to {participant.phone_number}")
    assert others[0].participants.first().virtual_number == other_number
    set_rate(10_000)
    assert sorted(claim()) == sorted(
        ["to the counterpart", *(f"to {number}" for number in (OMAR, ALICE, BOB, CHARLIE))]
    )


def test_answers_to_strangers_wait_for_nobody(virtual_number):
    for number in (SARA, OMAR):
        for day in "12":
            queue_text_to_stranger(
                virtual_number_id=virtual_number.pk, phone_number=number, body=day, once_key=f"{number}:{day}"
            )
    assert sorted(claim()) == ["1", "1", "2", "2"]


def test_a_text_that_is_not_due_is_left(chat, omar):
    make_queued(omar, due_at=ago(seconds=-30))
    assert claim() == []


# --- Pace ------------------------------------------------------------------------------------------------------

TICK = 0.01
SECONDS = 2.0


def claim_over_time(paced, *, limit: int) -> Iterator[float]:
    """Claim every tick for a while, and yield when each text was claimed; `paced` is what has a next_send_at.

    The database's clock stands still in a transaction, so what has a pace is moved into the past instead.
    """
    for tick in range(round(SECONDS / TICK)):
        for _ in claim_texts(limit=limit):
            yield tick * TICK
        paced.update(next_send_at=F("next_send_at") - timedelta(seconds=TICK))


def busiest_second(times: list[float]) -> int:
    return max(sum(start <= time < start + 1 - TICK / 2 for time in times) for start in times)


@pytest.mark.parametrize("rate", [1, 3, 10, 100, 400])
@pytest.mark.parametrize("limit", [1, 40])
def test_a_number_sends_its_rate_and_no_more_in_any_second(virtual_number, rate, limit):
    make_strangers_queued(virtual_number, math.ceil(rate * SECONDS) + 10)
    set_rate(rate)
    times = list(claim_over_time(VirtualNumber.objects, limit=limit))
    assert busiest_second(times) <= rate
    if limit > 1 or rate <= 1 / TICK / 2:
        assert len(times) >= 0.9 * rate * SECONDS


@pytest.mark.parametrize("rate", [5, 30, 100])
def test_the_account_sends_its_rate_and_no_more_in_any_second(settings, db, rate):
    settings.VONAGE_MESSAGES_PER_SECOND = rate
    for number in make_pool(5):
        make_strangers_queued(number, math.ceil(rate * SECONDS))
    set_rate(10_000)
    GatewayAccount.objects.create(name="vonage", next_send_at=ago(hours=1))
    times = list(claim_over_time(GatewayAccount.objects, limit=40))
    assert busiest_second(times) <= rate
    assert len(times) >= 0.9 * rate * SECONDS


def test_claims_push_the_numbers_next_time_by_their_count(virtual_number):
    make_strangers_queued(virtual_number, 50)
    set_rate(100)
    VirtualNumber.objects.update(next_send_at=now())
    assert len(claim_texts(limit=40)) == 1
    virtual_number.refresh_from_db()
    assert virtual_number.next_send_at == pytest.approx(
        now() + timedelta(seconds=1 / 90), abs=timedelta(milliseconds=1)
    )
    assert claim_texts(limit=40) == []


def test_a_number_that_was_idle_does_not_make_up_for_it(virtual_number):
    make_strangers_queued(virtual_number, 50)
    set_rate(100)
    assert len(claim_texts(limit=40)) == 1 + 4  # of a twentieth of a second, a little below the rate
    virtual_number.refresh_from_db()
    assert virtual_number.next_send_at > now()


def test_one_slow_number_does_not_slow_the_others(db):
    slow, fast = make_pool(2)
    for number in (slow, fast):
        make_strangers_queued(number, 20)
    set_rate(10_000)
    VirtualNumber.objects.filter(pk=slow.pk).update(messages_per_second=0.1)
    assert Counter(each.virtual_number_id for each in claim_texts(limit=100)) == {slow.pk: 1, fast.pk: 20}


# --- Fairness --------------------------------------------------------------------------------------------------


def test_a_number_with_a_thousand_texts_does_not_starve_another(db):
    busy, quiet = make_pool(2)
    make_strangers_queued(busy, 1000)
    make_strangers_queued(quiet, 2)
    set_rate(10_000)
    assert Counter(each.virtual_number_id for each in claim_texts(limit=10)) == {busy.pk: 8, quiet.pk: 2}


def test_numbers_take_turns_when_there_is_room_for_one_text_only(db):
    numbers = make_pool(4)
    for number in numbers:
        make_strangers_queued(number, 100)
    set_rate(10_000)
    assert {claim_texts(limit=1)[0].virtual_number_id for _ in range(4)} == {number.pk for number in numbers}


def test_a_person_with_a_thousand_texts_does_not_starve_another_on_the_same_number(chat, sara, omar):
    Message.objects.bulk_create(
        Message(
            direction="out",
            kind="relay",
            status="queued",
            due_at=ago(minutes=5),
            body="many",
            participant=omar,
            chat=chat,
            virtual_number_id=omar.virtual_number_id,
        )
        for _ in range(1000)
    )
    make_queued(sara, "one")
    assert sorted(claim(limit=2)) == ["many", "one"]


# --- When to look again ------------------------------------------------------------------------------------------


def test_there_is_nothing_to_wait_for_when_nothing_is_queued(chat, omar):
    make_queued(omar, status=Status.UNCONFIRMED)
    assert seconds_until_due() is None


@pytest.mark.parametrize(("due", "free", "seconds"), [(-9, -9, -9), (5, -9, 5), (-9, 7, 7), (5, 7, 7)])
def test_the_wait_is_for_the_text_and_its_number(chat, omar, due, free, seconds):
    make_queued(omar, due_at=now() + timedelta(seconds=due))
    VirtualNumber.objects.update(next_send_at=now() + timedelta(seconds=free))
    assert seconds_until_due() == pytest.approx(seconds)


def test_the_wait_is_for_the_first_of_several_numbers(db):
    for seconds, number in zip((9, 3, 6), make_pool(3), strict=True):
        make_strangers_queued(number, 2)
        VirtualNumber.objects.filter(pk=number.pk).update(next_send_at=now() + timedelta(seconds=seconds))
    assert seconds_until_due() == pytest.approx(3)


# --- What cannot be read -------------------------------------------------------------------------------------------


def test_a_text_whose_key_is_missing_is_tried_again_later_and_others_go_on(chat, sara, omar):
    lost = make_queued(omar)
    lose_the_key()
    participant = Participant.objects.defer("phone_number", "name").get(pk=sara.pk)
    participant.phone_number, participant.name = SARA, ""
    participant.save(update_fields=["phone_number", "name"])
    make_queued(participant, "readable")
    claims = {each.id: each for each in claim_texts(limit=10)}
    with pytest.raises(SendError) as raised:
        claims.pop(lost.pk).decrypt_text()
    assert (raised.value.outcome, raised.value.code) == (Outcome.AGAIN, "key_missing")
    assert [each.decrypt_text().body for each in claims.values()] == ["readable"]


# --- Many senders --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("account_rate", [0, 1_000_000])
def test_many_senders_at_once_claim_every_text_once(virtual_number, settings, account_rate):
    settings.VONAGE_MESSAGES_PER_SECOND = account_rate
    for number in (virtual_number, *make_pool(3)):
        make_strangers_queued(number, 60)
    set_rate(1_000_000)

    def claim_all() -> list[Claim]:
        mine: list[Claim] = []
        while Message.objects.filter(status=Status.QUEUED).exists():
            mine += claim_texts(limit=7)
        return mine

    claims = [each for mine in at_once([claim_all] * 6) for each in mine]
    assert len(claims) == len({each.id for each in claims}) == 240
    assert {each.attempt for each in claims} == {1}


@pytest.mark.django_db(transaction=True)
def test_many_senders_at_once_keep_each_persons_order(chat, sara, omar):
    for body in range(40):
        for participant in (sara, omar):
            make_queued(participant, str(body))
    set_rate(1_000_000)
    seen: dict[str, list[int]] = defaultdict(list)
    lock = threading.Lock()

    def send_all() -> None:
        turns = 0
        while Message.objects.filter(status__in=Message.PENDING_STATUSES).exists():
            claims = claim_texts(limit=3)
            with lock:
                for text in (each.decrypt_text() for each in claims):
                    seen[text.to_number].append(int(text.body))
            turns += 1
            if turns % 5:
                accept(claims)
            else:  # some are given back, and go again
                give_back(claims)
                with lock:
                    for text in (each.decrypt_text() for each in claims):
                        seen[text.to_number].remove(int(text.body))

    at_once([send_all] * 4)
    assert seen == {SARA: list(range(40)), OMAR: list(range(40))}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("paced", ["number", "account"])
def test_many_senders_at_once_share_one_pace(db, settings, paced):
    numbers = make_pool(5)
    for number in numbers:
        make_strangers_queued(number, 10)
    if paced == "account":
        settings.VONAGE_MESSAGES_PER_SECOND = 0.1
    VirtualNumber.objects.update(messages_per_second=0.1 if paced == "number" else 1000, next_send_at=ago(hours=1))
    claims = [each for mine in at_once([lambda: claim_texts(limit=10)] * 8) for each in mine]
    claims += claim_texts(limit=100)
    assert len(claims) == (len(numbers) if paced == "number" else 1)
    assert len({each.virtual_number_id for each in claims}) == len(claims)
