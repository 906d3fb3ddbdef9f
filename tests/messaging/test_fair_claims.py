"""Segments, turns and expiry in what is claimed. In a test's transaction the database's clock stands still."""

import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from chats.models import VirtualNumber
from messaging import wording
from messaging.claims import claim_texts, seconds_until_due
from messaging.gateways import InboundText
from messaging.models import NO_PLATFORM, GatewayAccount, Message
from messaging.outbox import queue_text, queue_text_to_stranger
from messaging.overdue import settle_overdue
from messaging.relay import receive_text
from platforms.models import Platform
from tests.factories import ALICE, BOB, OMAR, SARA, make_chat, make_platform, make_pool, make_virtual_number
from tests.messaging.rows import Kind, Status, ago, make_queued, make_relay, now, read_answers, read_outbound

pytestmark = pytest.mark.django_db

TICK_SECONDS = 0.01


def queue_for(platform: Platform | None, number: VirtualNumber, count: int, *, segments: int | None = 1) -> None:
    """Queue that many texts of a platform to different people, none of whom waits for another."""
    Message.objects.bulk_create(
        Message(
            direction="out",
            kind=Kind.AUTO_REPLY,
            status=Status.QUEUED,
            virtual_number=number,
            turn_of=platform.pk if platform else NO_PLATFORM,
            stranger_number=f"+1415555{1000 + index:04}",
            body="hello",
            segments=segments,
            due_at=ago(minutes=1),
        )
        for index in range(count)
    )


def make_free(**fields) -> None:
    VirtualNumber.objects.update(next_send_at=ago(hours=1), **fields)


def whose(claims) -> list[uuid.UUID]:
    texts = dict(Message.objects.values_list("id", "turn_of"))
    return [texts[each.id] for each in claims]


def claim_over_time(seconds: float) -> list[tuple[float, int]]:
    """Claim every tick; return when each text was claimed and its segments. Time passes by moving the past away."""
    claimed = []
    for tick in range(round(seconds / TICK_SECONDS)):
        ids = [each.id for each in claim_texts(limit=40)]
        segments = Message.objects.filter(pk__in=ids).values_list("segments", flat=True)
        claimed += [(tick * TICK_SECONDS, each or 1) for each in segments]
        step = timedelta(seconds=TICK_SECONDS)
        VirtualNumber.objects.update(next_send_at=F("next_send_at") - step)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE chats_virtualnumber SET segments_sent_at ="
                " ARRAY(SELECT at - %s FROM unnest(segments_sent_at) AS at)",
                [step],
            )
    return claimed


def busiest_second(claimed: list[tuple[float, int]]) -> int:
    return max(sum(much for at, much in claimed if start <= at < start + 1 - TICK_SECONDS / 2) for start, _ in claimed)


# --- Segments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segments", [[1], [2], [3], [1, 2], [1, 1, 5], [3, 1, 4, 1, 5, 2, 6]], ids=str)
@pytest.mark.parametrize("rate", [10, 30])
def test_a_number_paced_by_segments_sends_its_rate_and_no_more_in_any_second(virtual_number, segments, rate):
    for _ in range(90 // len(segments)):
        for each in segments:
            queue_for(None, virtual_number, 1, segments=each)
    make_free(messages_per_second=rate, paced_by="segments")
    claimed = claim_over_time(3)
    assert busiest_second(claimed) <= rate
    longest = max(segments)
    assert sum(much for _, much in claimed) / 3 >= 0.8 * (rate - longest + 1)


def test_a_number_paced_by_texts_counts_a_long_one_once(virtual_number):
    queue_for(None, virtual_number, 40, segments=5)
    make_free(messages_per_second=10, paced_by="texts")
    assert len(claim_over_time(2)) in (18, 19, 20)


def test_a_text_of_more_segments_than_a_second_allows_goes_and_borrows_from_those_after_it(virtual_number):
    queue_for(None, virtual_number, 1, segments=25)
    queue_for(None, virtual_number, 2, segments=1)
    [other] = make_pool(1)
    queue_for(None, other, 3)
    make_free(messages_per_second=10, paced_by="segments")
    claimed = [each for each in claim_over_time(4) if each]
    [(huge_at, _)] = [each for each in claimed if each[1] == 25]
    assert huge_at == 0
    after = sorted(at for at, segments in claimed if segments == 1)
    assert len(after) == 5
    assert after[2] < 0.5  # the other number's
    assert after[3] >= 2.5
    assert after[4] < 3.2


def test_a_text_that_does_not_fit_is_not_overtaken_for_ever(virtual_number):
    queue_for(None, virtual_number, 8)
    queue_for(None, virtual_number, 1, segments=10)
    queue_for(None, virtual_number, 40)
    make_free(messages_per_second=10, paced_by="segments")
    claimed = claim_over_time(3)
    assert [segments for _, segments in claimed].index(10) == 8
    assert busiest_second(claimed) <= 10


@pytest.mark.parametrize("segments", [None, 0, 1])
def test_what_has_no_segments_counts_as_one(virtual_number, segments):
    queue_for(None, virtual_number, 30, segments=segments)
    make_free(messages_per_second=10, paced_by="segments")
    assert len(claim_over_time(1)) in (9, 10)


def test_segments_are_counted_when_a_text_is_queued(chat, sara, omar):
    queue_text(kind=Kind.AUTO_REPLY, recipient=omar, body="€" * 81)
    queue_text_to_stranger(
        virtual_number_id=omar.virtual_number_id, phone_number=ALICE, body="x" * 307, once_key="a stranger"
    )
    long = InboundText(gateway_id="in-1", from_number=SARA, to_number=omar.virtual_number.number, body="ж" * 71)
    receive_text(long, now=now())
    assert [message.segments for message in read_outbound()] == [2, 3, 2]


# --- Turns -----------------------------------------------------------------------------------------------------------


def rounds_until(platform: Platform, *, most: int) -> int:
    """Claim one text at a time, as when the account is what limits; return how many it takes to serve `platform`."""
    for taken in range(1, most + 1):
        [claimed] = claim_texts(limit=1)
        if whose([claimed]) == [platform.pk]:
            return taken
    return most + 1


@pytest.mark.parametrize("numbers", [1, 5, 50])
def test_a_platform_with_many_numbers_does_not_delay_the_single_text_of_another(platform, other_platform, numbers):
    pool = make_pool(numbers + 1)
    for number in pool[:-1]:
        queue_for(platform, number, 2_000 // numbers)
    make_free(messages_per_second=10_000)
    taken = []
    for _ in range(12):
        queue_for(other_platform, pool[-1], 1)
        taken.append(rounds_until(other_platform, most=25))
    # Half of the turns are its own: 25 in a row that are not happen once in 30 million times.
    assert max(taken) <= 25
    assert sum(taken) <= 12 * 6


def test_a_platform_does_not_delay_another_on_the_same_number(platform, other_platform, virtual_number):
    queue_for(platform, virtual_number, 2_000)
    queue_for(other_platform, virtual_number, 1)
    make_free(messages_per_second=10_000)
    assert rounds_until(other_platform, most=25) <= 25


def test_platforms_share_a_claim_whatever_their_numbers(platform, other_platform):
    pool = make_pool(11)
    for number in pool[:10]:
        queue_for(platform, number, 50)
    queue_for(other_platform, pool[10], 50)
    queue_for(other_platform, pool[0], 50)
    queue_for(None, pool[1], 50)
    make_free(messages_per_second=10_000)
    assert Counter(whose(claim_texts(limit=30))) == {platform.pk: 10, other_platform.pk: 10, NO_PLATFORM: 10}


def test_platforms_share_a_number_whose_rate_is_the_limit(platform, other_platform, virtual_number):
    queue_for(platform, virtual_number, 500)
    queue_for(other_platform, virtual_number, 500)
    make_free(messages_per_second=200, paced_by="segments")
    assert Counter(whose(claim_texts(limit=40))) == {platform.pk: 5, other_platform.pk: 5}


def test_what_one_platform_leaves_another_takes(platform, other_platform, virtual_number):
    queue_for(platform, virtual_number, 3)
    queue_for(other_platform, virtual_number, 50)
    make_free(messages_per_second=10_000)
    assert Counter(whose(claim_texts(limit=20))) == {platform.pk: 3, other_platform.pk: 17}


@pytest.mark.parametrize("waits", ["for a backoff", "for an earlier text", "for its expiry"])
def test_a_number_on_which_nothing_can_be_sent_takes_no_turn(chat, omar, waits):
    """With one slot at a time, whoever is chosen in vain would be chosen again."""
    if waits == "for a backoff":
        make_queued(omar, due_at=ago(seconds=-30))
    elif waits == "for an earlier text":
        make_queued(omar, status=Status.SENDING, due_at=ago(minutes=-1))
        make_queued(omar)
    else:
        make_queued(omar, expires_at=ago(minutes=1))
    [other] = make_pool(1)
    queue_for(None, other, 5)
    make_free(messages_per_second=10_000)
    VirtualNumber.objects.filter(pk=omar.virtual_number_id).update(next_send_at=ago(hours=9))
    assert [claim_texts(limit=1)[0].virtual_number_id for _ in range(5)] == [other.pk] * 5


def test_a_text_takes_the_turn_of_its_chats_platform(platform, other_platform, virtual_number):
    for owner, people in ((platform, (SARA, OMAR)), (other_platform, (ALICE, BOB))):
        make_chat(owner, people)
    receive_text(InboundText("in-1", ALICE, virtual_number.number, "hi"), now=now())
    queue_text_to_stranger(virtual_number_id=virtual_number.pk, phone_number="+14155550190", body="?", once_key="x")
    turns = [message.turn_of for message in read_outbound()]
    assert turns == [platform.pk] * 2 + [other_platform.pk] * 3 + [NO_PLATFORM]


# --- When the account may send again -----------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "seconds"), [(0, -60), (30, 7)])
def test_the_wait_is_for_the_account_too(virtual_number, settings, rate, seconds):
    settings.VONAGE_MESSAGES_PER_SECOND = rate
    queue_for(None, virtual_number, 1)
    make_free()
    GatewayAccount.objects.create(name="vonage", next_send_at=now() + timedelta(seconds=7))
    assert seconds_until_due() == pytest.approx(seconds, abs=1)


# --- Expiry --------------------------------------------------------------------------------------------------------


def set_expiry(minutes: int | None) -> None:
    Platform.objects.update(texts_expire_after_minutes=minutes)


@pytest.mark.parametrize(("minutes", "seconds"), [(None, 7_200), (5, 300), (10_080, 604_800)])
def test_a_text_expires_after_the_time_of_its_platform(chat, sara, omar, settings, minutes, seconds):
    settings.SEND_FOR_HOURS = 2
    set_expiry(minutes)
    receive_text(InboundText("in-1", SARA, omar.virtual_number.number, "hi"), now=now())
    queue_text(kind=Kind.AUTO_REPLY, recipient=omar, body="hi")
    queue_text_to_stranger(virtual_number_id=omar.virtual_number_id, phone_number=ALICE, body="?", once_key="x")
    waits = [round((message.expires_at - now()).total_seconds()) for message in read_outbound()]
    assert waits == [seconds, seconds, 7_200]


def test_only_its_own_platform_decides(platform, virtual_number):
    set_expiry(5)
    make_chat(make_platform("Patient"))
    assert {round((text.expires_at - now()).total_seconds()) for text in read_outbound()} == {24 * 3600}


@pytest.mark.parametrize("paused", [False, True])
def test_an_expired_text_is_not_sent_and_its_writer_is_told(chat, sara, omar, paused):
    if paused:
        GatewayAccount.objects.create(name="vonage", paused_at=ago(minutes=9), probe_at=ago(minutes=1))
    relay = make_relay(sara, omar, expires_at=now())
    assert claim_texts(limit=10) == []
    settle_overdue()
    relay.refresh_from_db()
    assert (relay.status, relay.error_code, relay.failed_at) == (Status.FAILED, "expired", now())
    assert read_answers() == [(sara.pk, wording.NOT_DELIVERED)]


def test_a_text_that_returned_to_the_queue_expires(chat, sara, omar):
    relay = make_relay(sara, omar, status=Status.UNCONFIRMED, due_at=ago(minutes=1), expires_at=ago(minutes=1))
    settle_overdue()
    relay.refresh_from_db()
    assert (relay.status, relay.error_code) == (Status.FAILED, "expired")


def test_a_text_of_an_older_version_expires_as_the_service_says(chat, omar, settings):
    settings.SEND_FOR_HOURS = 2
    old = make_queued(omar, created_at=ago(hours=2.1))
    young = make_queued(omar, created_at=ago(hours=1.9))
    settle_overdue()
    old.refresh_from_db()
    young.refresh_from_db()
    assert (old.status, young.status) == (Status.FAILED, Status.QUEUED)
    assert young.expires_at == young.created_at + timedelta(hours=2)


def test_a_backlog_that_expired_while_nobody_sent_is_not_sent(db):
    number = make_virtual_number()
    queue_for(None, number, 1_500)
    Message.objects.update(expires_at=ago(minutes=1))
    make_free(messages_per_second=10_000)
    settle_overdue()
    assert Message.objects.filter(status=Status.QUEUED).count() == 500
    assert claim_texts(limit=40) == []
