"""Texts that senders are told of by their ids: claimed at once where that is nobody's turn, and found if not."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection, transaction

from chats.models import VirtualNumber
from messaging import sender
from messaging.claims import Claim, claim_hinted, claim_texts
from messaging.gateways import OutboundText, Outcome, SendError
from messaging.models import GatewayAccount, Message
from messaging.opt_outs import OptOut
from messaging.outbox import WAKE_CHANNEL, _asked, queue_text, read_hints, wake_senders
from messaging.results import Result, record_results
from proxy_project.encryption import digest_number
from tests.chats.helpers import at_once
from tests.factories import OMAR, VIRTUAL_NUMBER, make_pool, make_virtual_number
from tests.messaging.rows import Kind, Status, ago, make_queued, make_strangers_queued
from tests.messaging.senders import running_sender, session_of_a_sender
from tests.messaging.test_claim_plans import count_rows_read
from tests.messaging.test_fair_claims import queue_for
from tests.messaging.test_long_queues import queue

pytestmark = pytest.mark.django_db

NOTHING_LEFT, SOME_LEFT = False, True


@pytest.fixture
def virtual_number(db: None) -> VirtualNumber:
    return make_virtual_number(messages_per_second=10_000, next_send_at=ago(hours=1))


def ids_of(messages: list[Message]) -> list[uuid.UUID]:
    return [message.pk for message in messages]


def queued_on(number: VirtualNumber) -> list[uuid.UUID]:
    return list(Message.objects.filter(virtual_number=number).order_by("position").values_list("pk", flat=True))


def claim(hints: list[uuid.UUID], limit: int = 40) -> tuple[list[uuid.UUID], bool]:
    """Claim these texts, and return what was claimed, in the order of `hints`, and whether some are left."""
    claims, are_left = claim_hinted(hints, limit=limit)
    return sorted((each.id for each in claims), key=hints.index), are_left


# --- Claims ----------------------------------------------------------------------------------------------------------


def test_a_hinted_text_is_claimed_like_any_other(chat, omar, settings):
    settings.SEND_LEASE_SECONDS = 77
    message = make_queued(omar, "hi ✓")
    [[each], are_left] = claim_hinted([message.pk], limit=1)
    text = each.decrypt_text()
    assert (text.reference, text.from_number, text.to_number, text.body) == (message.pk, VIRTUAL_NUMBER, OMAR, "hi ✓")
    assert (each.attempt, each.is_probe, are_left) == (1, False, NOTHING_LEFT)
    message.refresh_from_db()
    assert (message.status, message.attempts) == (Status.SENDING, 1)
    assert message.due_at == each.leased_until
    assert claim([message.pk]) == ([], NOTHING_LEFT)


def test_texts_to_a_person_go_one_after_the_other(chat, omar):
    hints = ids_of([make_queued(omar) for _ in range(3)])
    for nth, message_id in enumerate(hints, 1):
        claims, are_left = claim_hinted(hints[::-1], limit=40)
        assert ([each.id for each in claims], are_left) == ([message_id], nth < 3)
        assert claim(hints) == ([], nth < 3)
        record_results([Result(each, gateway_id=str(each.id)) for each in claims])


@pytest.mark.parametrize("status", sorted(set(Message.PENDING_STATUSES) - {Status.SCHEDULED, Status.HELD}))
def test_a_text_waits_for_an_earlier_one_that_is_not_settled(chat, omar, status):
    make_queued(omar, status=status, due_at=ago(minutes=-5))
    assert claim([make_queued(omar).pk]) == ([], SOME_LEFT)


@pytest.mark.parametrize(("field", "minutes"), [("due_at", -1), ("expires_at", 1)])
def test_a_text_that_is_not_due_or_has_expired_is_left(chat, omar, field, minutes):
    assert claim([make_queued(omar, **{field: ago(minutes=minutes)}).pk]) == ([], SOME_LEFT)


@pytest.mark.parametrize("status", [Status.SENDING, Status.SENT, Status.FAILED, Status.PREPARING])
def test_what_is_not_queued_is_nothing_to_look_for(chat, omar, status):
    assert claim([make_queued(omar, status=status).pk, uuid.uuid4()]) == ([], NOTHING_LEFT)


@pytest.mark.parametrize(("rate", "claimed"), [(1, 1), (100, 5), (10_000, 20)])
@pytest.mark.parametrize("paced_by", ["texts", "segments"])
def test_a_number_sends_no_more_than_its_rate(virtual_number, rate, claimed, paced_by):
    make_strangers_queued(virtual_number, 20)
    VirtualNumber.objects.update(messages_per_second=rate, paced_by=paced_by)
    hints = queued_on(virtual_number)
    assert claim(hints) == (hints[:claimed], claimed < 20)
    # As far into the future as a large claim would have moved it.
    virtual_number.refresh_from_db()
    moved = virtual_number.next_send_at
    Message.objects.update(status="queued", due_at=ago(minutes=1))
    VirtualNumber.objects.update(next_send_at=ago(hours=1), segments_sent_at=None)
    assert len(claim_texts(limit=20)) == claimed
    virtual_number.refresh_from_db()
    assert virtual_number.next_send_at == moved


def test_segments_are_counted(virtual_number):
    queue_for(None, virtual_number, 4, segments=3)
    VirtualNumber.objects.update(messages_per_second=100, paced_by="segments")
    hints = queued_on(virtual_number)
    assert claim(hints) == (hints[:2], SOME_LEFT)
    virtual_number.refresh_from_db()
    assert len(virtual_number.segments_sent_at) == 6


def test_a_number_that_is_not_free_yet_sends_nothing(virtual_number):
    make_strangers_queued(virtual_number, 1)
    VirtualNumber.objects.update(next_send_at=ago(seconds=-1))
    assert claim(queued_on(virtual_number)) == ([], SOME_LEFT)


def test_of_a_paused_account_nothing_is_claimed_but_the_probe(virtual_number):
    make_strangers_queued(virtual_number, 3)
    GatewayAccount.objects.create(name="vonage", paused_at=ago(minutes=9), probe_at=ago(minutes=1))
    assert claim(queued_on(virtual_number)) == ([], SOME_LEFT)
    assert [each.is_probe for each in claim_texts(limit=3)] == [True]


def test_a_stop_between_queueing_and_sending_stands_in_the_way(chat, omar, virtual_number):
    message = make_queued(omar)
    OptOut.objects.create(
        virtual_number=virtual_number,
        phone_digest=digest_number(OMAR),
        scope="number",
        source="text",
        created_at=ago(seconds=1),
    )
    [[each], _] = claim_hinted([message.pk], limit=1)
    with pytest.raises(SendError) as raised:
        each.decrypt_text()
    assert (raised.value.outcome, raised.value.code) == (Outcome.NEVER, "recipient_opted_out")


# --- Turns -----------------------------------------------------------------------------------------------------------


def test_a_text_behind_another_on_its_number_takes_no_turn(platform, other_platform, virtual_number):
    queue_for(platform, virtual_number, 1)
    queue_for(other_platform, virtual_number, 1)
    [first, second] = queued_on(virtual_number)
    assert claim([second]) == ([], SOME_LEFT)
    assert claim([second, first]) == ([second, first], NOTHING_LEFT)


def test_what_waits_on_other_numbers_or_for_its_time_is_not_in_the_way(platform, virtual_number):
    [other] = make_pool(1)
    queue_for(platform, other, 10)
    queue_for(platform, virtual_number, 1)
    Message.objects.filter(virtual_number=virtual_number).update(due_at=ago(minutes=-1))
    queue_for(platform, virtual_number, 1)
    hint = queued_on(virtual_number)[-1]
    assert claim([hint]) == ([hint], NOTHING_LEFT)


def test_when_not_all_find_a_thread_all_take_their_turns(virtual_number):
    make_strangers_queued(virtual_number, 3)
    assert claim(queued_on(virtual_number), limit=2) == ([], SOME_LEFT)


@pytest.mark.parametrize(("texts", "claimed"), [(1, 1), (2, 2), (3, 0)])
def test_when_the_account_has_no_turn_for_all_all_take_theirs(virtual_number, settings, texts, claimed):
    settings.VONAGE_MESSAGES_PER_SECOND = 30
    make_strangers_queued(virtual_number, texts)
    GatewayAccount.objects.create(name="vonage", next_send_at=ago(hours=1))
    found, are_left = claim(queued_on(virtual_number))
    assert (len(found), are_left) == (claimed, claimed < texts)
    if claimed == 2:
        make_strangers_queued(virtual_number, 1)
        assert claim(queued_on(virtual_number)[-1:]) == ([], SOME_LEFT)


@pytest.mark.django_db(transaction=True)
def test_a_long_queue_is_not_read(chat, sara, omar):
    with session_of_a_sender():
        queue([omar], 20_000)
        hint = Message.objects.order_by("position").values_list("pk", flat=True)[0]
        with transaction.atomic():
            assert claim([hint]) == ([hint], NOTHING_LEFT)
            assert count_rows_read() < 100
        with transaction.atomic():
            assert claim([make_queued(sara).pk]) == ([], SOME_LEFT)
            assert count_rows_read() < 200


# --- Many senders ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("account_rate", [0, 1_000_000])
def test_many_senders_that_are_told_of_the_same_texts_claim_each_once(virtual_number, settings, account_rate):
    settings.VONAGE_MESSAGES_PER_SECOND = account_rate
    for number in (virtual_number, *make_pool(3)):
        make_strangers_queued(number, 20)
    VirtualNumber.objects.update(messages_per_second=1_000_000, next_send_at=ago(hours=1))
    hints = ids_of(list(Message.objects.all()))

    def claim_all() -> list[Claim]:
        mine: list[Claim] = []
        are_left = True
        while are_left:
            for start in range(0, len(hints), 7):
                claims, _ = claim_hinted(hints[start : start + 7], limit=7)
                mine += claims
            are_left = Message.objects.filter(status=Status.QUEUED).exists()
        return mine

    claims = [each for mine in at_once([claim_all] * 4) for each in mine]
    assert len(claims) == len({each.id for each in claims}) == len(hints)
    assert {each.attempt for each in claims} == {1}


# --- What is said ----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def nothing_untold() -> None:
    """What earlier tests have rolled back in this thread is not told in this one."""
    _asked.hints.clear()


@contextmanager
def listening() -> Iterator[list[str]]:
    """Yield a list that holds, in the end, what senders were told."""
    said: list[str] = []
    parameters = {**connection.get_connection_params()}
    for name in ("cursor_factory", "context", "prepare_threshold", "server_side_binding", "pool"):
        parameters.pop(name, None)
    with psycopg.connect(**parameters, autocommit=True) as listener:
        listener.execute(f"LISTEN {WAKE_CHANNEL}")
        yield said
        said += [notification.payload for notification in listener.notifies(timeout=0.5)]


@pytest.mark.django_db(transaction=True)
def test_senders_are_told_the_ids_once_the_texts_are_there(chat, sara, omar):
    with listening() as said, transaction.atomic():
        first = queue_text(kind=Kind.AUTO_REPLY, recipient=omar, body="hello")
        second = queue_text(kind=Kind.AUTO_REPLY, recipient=sara, body="hello")
    assert [read_hints(each) for each in said] == [[first, second]]
    assert said == [f"{first.hex},{second.hex}"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("texts", "is_said"), [(1, True), (150, True), (151, False)])
def test_as_many_ids_are_said_as_postgresql_lets_through(db, texts, is_said):
    hints = [uuid.uuid4() for _ in range(texts)]
    with listening() as said, transaction.atomic():
        for hint in hints:
            wake_senders(hint)
    assert [read_hints(each) for each in said] == [hints if is_said else None]
    assert len(said[0]) < 8_000


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_is_nothing_to_look_for(chat, omar):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        queue_text(kind=Kind.AUTO_REPLY, recipient=omar, body="never queued")
        1 / 0  # noqa: B018
    with listening() as said:
        queued = queue_text(kind=Kind.AUTO_REPLY, recipient=omar, body="hello")
    [hints] = [read_hints(each) for each in said]
    assert claim(hints or []) == ([queued], NOTHING_LEFT)


@pytest.mark.django_db(transaction=True)
def test_whoever_cannot_say_which_texts_has_senders_look_at_everything(db):
    with listening() as said, transaction.atomic():
        wake_senders(uuid.uuid4())
        wake_senders()
    assert said == [""]


@pytest.mark.parametrize("said", ["", "x", ",", f"{'0f' * 16},", "*" * 7_999])
def test_what_nobody_understands_is_a_reason_to_look_at_everything(said):
    assert read_hints(said) is None


# --- Senders ---------------------------------------------------------------------------------------------------------


class Gateway:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self._has_sent = threading.Condition()

    def send(self, text: OutboundText) -> str:
        with self._has_sent:
            self.sent.append(text.body)
            self._has_sent.notify_all()
        return str(text.reference)

    def wait_for(self, count: int, *, seconds: float = 10) -> bool:
        with self._has_sent:
            return self._has_sent.wait_for(lambda: len(self.sent) >= count, seconds)


@pytest.fixture
def no_polls(monkeypatch) -> None:
    """Senders look at the queue when they are told to, and not from time to time."""
    monkeypatch.setattr(sender, "_POLL_SECONDS", 60.0)
    monkeypatch.setattr(sender, "_SETTLE_SECONDS", 60.0)


@contextmanager
def idle_sender(gateway: Gateway, *, others: int = 0) -> Iterator[None]:
    """Run a sender that has looked at the queue before, and listens."""
    with running_sender(gateway, threads=4):
        wait_for_listeners(others + 1)
        time.sleep(0.5)
        yield
    # Those of other senders were hung up on with its own, and listen again.
    wait_for_listeners(others)


def wait_for_listeners(count: int) -> None:
    deadline = time.monotonic() + 10
    listening = -1
    while listening < count and time.monotonic() < deadline:
        time.sleep(0.05)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE %s",
                [f"LISTEN {WAKE_CHANNEL}"],
            )
            listening = cursor.fetchone()[0]
    assert listening >= count


@pytest.mark.django_db(transaction=True)
def test_a_text_is_sent_without_a_look_at_the_queue(no_polls, monkeypatch, chat, omar):
    gateway = Gateway()
    with idle_sender(gateway):
        monkeypatch.setattr(sender, "claim_texts", lambda **_: [])
        for number in "123":
            queue_text(kind=Kind.AUTO_REPLY, recipient=omar, body=number)
            assert gateway.wait_for(int(number))
            while Message.objects.exclude(status=Status.SENT).exists():
                time.sleep(0.01)
    assert gateway.sent == ["1", "2", "3"]


@pytest.mark.django_db(transaction=True)
def test_what_could_not_be_claimed_at_once_is_looked_for(no_polls, chat, sara, omar):
    gateway = Gateway()
    with idle_sender(gateway), transaction.atomic():
        for number in "12345678":
            queue_text(kind=Kind.AUTO_REPLY, recipient=omar, body=number)
    with running_sender(gateway, threads=4):
        assert gateway.wait_for(8)
    assert gateway.sent == list("12345678")


@pytest.mark.django_db(transaction=True)
def test_a_text_of_which_nobody_was_told_is_found_by_a_poll(chat, omar):
    gateway = Gateway()
    with idle_sender(gateway):
        make_queued(omar, "unheard of")
        assert gateway.wait_for(1, seconds=5)


@pytest.mark.django_db(transaction=True)
def test_of_two_senders_that_are_told_one_sends(chat, sara, omar):
    gateway = Gateway()
    with idle_sender(gateway), idle_sender(gateway, others=1):
        for number in range(20):
            queue_text(kind=Kind.AUTO_REPLY, recipient=(sara, omar)[number % 2], body=str(number))
        assert gateway.wait_for(20)
        time.sleep(0.2)
    assert sorted(gateway.sent, key=int) == [str(number) for number in range(20)]
    for start in (0, 1):
        mine = [int(body) for body in gateway.sent if int(body) % 2 == start]
        assert mine == sorted(mine)
