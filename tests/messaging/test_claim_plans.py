"""The sender's statements read a few rows of a partial index, however long the log is."""

import re

import pytest
from django.db import connection, transaction

from chats.models import VirtualNumber
from messaging import claims, overdue, receipts, scheduled, withdrawals
from tests.messaging.rows import make_queued, make_strangers_queued
from tests.messaging.senders import session_of_a_sender

pytestmark = pytest.mark.django_db

FINISHED_ROWS = 30_000
_FINISHED = """
    INSERT INTO messaging_message (id, direction, kind, status, virtual_number_id, chat_id, participant_id,
                                   gateway_id, sent_at)
    SELECT gen_random_uuid(), 'out', 'relay', CASE n %% 10 WHEN 0 THEN 'failed' ELSE 'delivered' END,
           %(number)s, %(chat)s, %(participant)s, 'finished-' || n, now()
      FROM generate_series(1, %(rows)s) AS n
"""

# What each statement is given, and the indexes that it has to use; `*` is a value that the plan does not know.
STATEMENTS = {
    "claim": (
        claims._CLAIM,
        {"message_queued_in_turn", "message_queued_by_person", "message_pending_by_person"},
    ),
    "claim hinted": (
        claims._CLAIM_HINTED,
        {"messaging_message_pkey", "message_queued_in_turn", "message_pending_by_person"},
    ),
    "next due": (claims._NEXT_DUE, {"message_queued_in_turn"}),
    "leases ended": (overdue._LEASES_ENDED, {"message_in_doubt"}),
    "send again": (overdue._SEND_AGAIN, {"message_in_doubt"}),
    # Planned anew each time; of two short indexes it takes either.
    "say when": (overdue._SAY_WHEN, set()),
    "expire": (overdue._EXPIRE, {"message_to_expire"}),
    "queue scheduled": (scheduled._QUEUE, {"message_scheduled"}),
    "withdraw": (withdrawals._WITHDRAW, {"message_pending_by_person"}),
    "receipt by reference": (receipts._RECORD_BY_REFERENCE, {"messaging_message_pkey"}),
    "receipt by gateway id": (receipts._RECORD_BY_GATEWAY_ID, {"outbound_gateway_id"}),
}


@pytest.fixture
def long_log(chat, omar, virtual_number: VirtualNumber) -> None:
    """A log of finished texts, with some in the outbox."""
    with connection.cursor() as cursor:
        parameters = {"number": virtual_number.pk, "chat": chat.pk, "participant": omar.pk, "rows": FINISHED_ROWS}
        cursor.execute(_FINISHED, parameters)
        for _ in range(5):
            make_queued(omar)
        make_queued(omar, status="sending")
        make_queued(omar, status="unconfirmed")
        make_strangers_queued(virtual_number, 20)
        cursor.execute("ANALYZE messaging_message")


def read_plan(statement: str) -> str:
    """Return the plan that PostgreSQL makes without knowing the parameters, as for a prepared statement."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    numbered = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", statement)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (GENERIC_PLAN) {numbered}".replace("%%", "%"))
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.parametrize(("statement", "indexes"), STATEMENTS.values(), ids=STATEMENTS)
def test_a_long_log_is_not_read(long_log, statement, indexes):
    plan = read_plan(statement)
    assert "Seq Scan on messaging_message" not in plan, plan
    used = set(re.findall(r"(?:using|on) (message_\w+|outbound_gateway_id|messaging_message_pkey)", plan))
    assert indexes <= used, plan


def test_a_plan_without_the_indexes_would_be_noticed(long_log):
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX message_queued_in_turn")
    assert not STATEMENTS["claim"][1] <= set(re.findall(r"(?:using|on) (\w+)", read_plan(claims._CLAIM)))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("finished", [0, FINISHED_ROWS], ids=["on the first day", "after a long time"])
def test_a_burst_is_not_claimed_with_the_plan_of_an_empty_queue(chat, omar, virtual_number: VirtualNumber, finished):
    with session_of_a_sender():
        with connection.cursor() as cursor:
            parameters = {"number": virtual_number.pk, "chat": chat.pk, "participant": omar.pk, "rows": finished}
            cursor.execute(_FINISHED, parameters)
            cursor.execute("VACUUM ANALYZE messaging_message, chats_virtualnumber")
        for _ in range(10):
            assert claims.claim_texts(limit=1) == []
        make_strangers_queued(virtual_number, 1000)
        # A plan made for no rows compares every waiting text with every other: 500,000 rows here.
        with transaction.atomic():
            assert len(claims.claim_texts(limit=1)) == 1
            assert 0 < count_rows_read() < 20_000


def count_rows_read() -> int:
    """Return how many rows of the log, and entries of its indexes, this transaction has read."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class"
            " WHERE oid = 'messaging_message'::regclass"
            " OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'messaging_message'::regclass)"
        )
        return int(cursor.fetchone()[0])
