"""The figures of the desk agree with the log, whatever happens to it, and reading the log for them scans none of it."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import connection
from django.utils import timezone

from chats.models import Chat
from chats.services import end_chat
from desk import counting
from desk.counting import count_figures
from desk.models import Figure, LateChange, Progress
from messaging.models import Message
from proxy_project.sql import execute_planned
from tests.chats.helpers import at_once
from tests.factories import ALICE, BOB, make_chat
from tests.messaging.payloads import receipt
from tests.messaging.rows import Status, ago, begin_log_anew, make_queued, make_relay
from tests.messaging.signing import STATUS, signed_post

pytestmark = pytest.mark.django_db


def count() -> None:
    count_figures(now=timezone.now())


def quarter_of(moment: datetime) -> datetime:
    moment = moment.astimezone(UTC)
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def recount() -> Counter:
    """Return what the log itself says, without SQL."""
    found: Counter = Counter()
    for row in Message.objects.exclude(status=Status.SCHEDULED):
        quarter = quarter_of(row.created_at)
        found[quarter, row.direction, row.status] += 1
        if row.status == Status.FAILED:
            found[quarter, "failed", row.error_code] += 1
        if row.price is not None:
            found[quarter, "cost", row.currency] += int(row.price * 1_000_000)
        if row.kind == "relay" and row.sent_at and row.earlier_gateway_ids is None:
            found[quarter, "relay", ""] += 1
        if row.sent_at and row.delivered_at:
            found[quarter, "delivery", ""] += 1
    return +found


def figures() -> Counter:
    found: Counter = Counter()
    for row in Figure.objects.exclude(name__in=("chats", "pool")):
        found[row.at, row.name, "" if row.name in ("relay", "delivery") else row.key] += row.amount
    return +found


def move(message: Message, **ago_by: float) -> Message:
    Message.objects.filter(pk__in=[message.pk, message.relays_id]).update(created_at=ago(**ago_by))
    message.refresh_from_db()
    return message


def make_texts(omar, sara) -> list[Message]:
    """Return texts of every kind of row, from two days ago to now."""
    fields = [
        {},
        {"status": Status.SENT, "price": Decimal("0.0144"), "currency": "EUR", "sent_at": ago()},
        {"status": Status.DELIVERED, "sent_at": ago(seconds=9), "delivered_at": ago()},
        {"status": Status.FAILED, "error_code": "1180", "failed_at": ago()},
        {"status": Status.FAILED, "error_code": "expired", "failed_at": ago()},
    ]
    ages = [48, 26, 2, 0.3, 0.1, 0]
    return [move(make_relay(sara, omar, **each), hours=age) for age in ages for each in fields]


def test_before_and_after_texts_are_counted_for_good(omar, sara):
    make_texts(omar, sara)
    count()
    assert figures() == recount()
    assert Figure.objects.filter(is_recent=True).exists() and Figure.objects.filter(is_recent=False).exists()
    Message.objects.update(created_at=ago(minutes=11))
    before = figures()
    count()
    count()
    assert sum(figures().values()) == sum(before.values())
    # Those that were counted for good have moved, and so have their figures.
    assert figures() == recount()


def test_a_late_receipt_counts_where_its_text_does(client, omar):
    texts = [move(make_queued(omar, gateway_id=f"id-{age}"), hours=age) for age in (150, 30, 2, 0)]
    count()
    for text in texts:
        fields = {"usage": {"currency": "EUR", "price": "0.0144"}}
        body = receipt(status="delivered", message_uuid=text.gateway_id, client_ref=str(text.pk), **fields)
        assert signed_post(client, STATUS, body).status_code == 200
    assert LateChange.objects.count() == 6
    count()
    assert not LateChange.objects.exists()
    assert figures() == recount()
    assert sum(value for (_, name, key), value in figures().items() if (name, key) == ("out", "delivered")) == 4


def test_changes_and_counts_in_any_order(omar, sara):
    chance = random.Random(2712)
    texts = make_texts(omar, sara)
    for _ in range(60):
        text = chance.choice(texts)
        match chance.randrange(6):
            case 0:
                count()
            case 1:
                texts.append(move(make_queued(omar), hours=chance.choice([0, 0.5, 50])))
            case _:
                status = chance.choice(["sent", "delivered", "failed"])
                Message.objects.filter(pk=text.pk).update(
                    status=status,
                    sent_at=chance.choice([None, ago(minutes=2)]),
                    delivered_at=ago() if status == "delivered" else None,
                    error_code="1180" if status == "failed" else "",
                    earlier_gateway_ids=chance.choice([None, ["a"]]),
                    price=chance.choice([None, Decimal("0.5")]),
                    currency="EUR",
                )
    count()
    assert figures() == recount()


def test_a_long_log_is_counted_in_batches(monkeypatch, omar, sara):
    monkeypatch.setattr(counting, "_BATCH", 7)
    monkeypatch.setattr(counting, "_FIND_END", counting._FIND_END.replace("LIMIT 100000", "LIMIT 7"))
    make_texts(omar, sara)
    count()
    assert figures() == recount()
    assert Progress.objects.get().counted_to > 0


@pytest.mark.django_db(transaction=True)
def test_counts_and_receipts_at_the_same_time_lose_nothing(platform, virtual_number):
    chat = make_chat(platform)
    omar = chat.participants.get(position=2)
    texts = [move(make_queued(omar), minutes=minutes) for minutes in range(2, 22)]

    def deliver(text: Message) -> None:
        Message.objects.filter(pk=text.pk).update(status=Status.DELIVERED, due_at=None, delivered_at=timezone.now())

    count()
    at_once([*(partial(deliver, text) for text in texts[6:]), count, count])
    count()
    assert figures() == recount()


def test_chats_and_the_pool(platform, virtual_number):
    make_chat(platform)
    other = make_chat(platform, (ALICE, BOB))
    count()
    end_chat(chat_id=other.pk, reason="over", now=timezone.now())
    count()
    count()
    found = {(row.name, row.key): row.amount for row in Figure.objects.filter(name__in=("chats", "pool"))}
    assert found == {
        ("chats", "opened"): 2, ("chats", "ended"): 1,
        ("pool", "active"): 1, ("pool", "used"): 1, ("pool", "open"): 2,
    }  # fmt: skip


def test_old_figures_are_forgotten(db):
    Figure.objects.create(at=timezone.now() - timedelta(days=91), name="out", key="sent", amount=1)
    count()
    assert not Figure.objects.filter(name="out").exists()


@pytest.mark.slow
def test_a_count_reads_the_log_by_its_indexes(monkeypatch, omar, platform):
    begin_log_anew()
    Message.objects.bulk_create(
        Message(direction="out", kind="relay", status="delivered", virtual_number=omar.virtual_number,
                participant=omar, chat=omar.chat)
        for _ in range(5_000)
    )  # fmt: skip
    Message.objects.update(created_at=ago(hours=1))
    Chat.objects.bulk_create(Chat(platform=platform, status="ended", ended_at=ago(days=20)) for _ in range(5_000))
    Chat.objects.update(created_at=ago(days=20))
    count()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_message, chats_chat")
    make_queued(omar)
    plans = []

    def explain(sql, params):
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}", params)
            plans.append("\n".join(line for (line,) in cursor.fetchall()))
        return execute_planned(sql, params)

    monkeypatch.setattr(counting, "execute_planned", explain)
    count()
    assert len(plans) == 8
    for plan in plans:
        assert "Seq Scan on messaging_message" not in plan and "Seq Scan on chats_chat" not in plan, plan
