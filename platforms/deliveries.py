"""Claim deliveries of events that are due, and record what became of them: the conditional updates behind the worker.

Any number of workers do this at once. All times are the database's, so that the workers' clocks need not agree.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from platforms.events import NOBODY_WRITES
from proxy_project.sql import execute_planned, execute_prepared

# How long the nth failure is waited for: the schedule of the specification, three days in all.
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability
_RETRY_AFTER = tuple(
    timedelta(**wait)
    for wait in (
        {"seconds": 5},
        {"minutes": 5},
        {"minutes": 30},
        {"hours": 2},
        {"hours": 5},
        {"hours": 10},
        {"hours": 14},
        {"hours": 20},
        {"hours": 24},
    )
)
# The whole of it, with its jitter. What waited for others of its chat as long is tried once.
GIVE_UP_AFTER = timedelta(hours=80)
# An endpoint that asks to be left alone for longer is asked again all the same.
_LONGEST_RETRY_AFTER = timedelta(hours=24)
# Longer than a request may take, with what else a busy worker does.
LEASE_SECONDS = 60
# Requests to one endpoint at a time, of all workers together.
PER_ENDPOINT = 10


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that is ours to deliver, until the lease ends."""

    id: int
    attempt: int
    event_id: UUID
    event_type: str
    occurred_at: datetime
    encrypted_payload: str
    encrypted_body: str | None
    endpoint_id: UUID
    url: str
    encrypted_secrets: list[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt; without an error, it was delivered."""

    delivery: Delivery
    error: str | None = None
    retry_after: timedelta | None = None
    is_gone: bool = False


# Each endpoint has its own share, so that a slow one delays nobody else. An event whose chat has an earlier one that is
# not settled waits; OFFSET 0 makes that a probe for each, whatever PostgreSQL believes of the size of the queue.
_DUE = """
    SELECT candidate.id, candidate.chat_id FROM platforms_eventdelivery AS candidate
     WHERE candidate.endpoint_id = endpoint.id AND status IN ('waiting', 'sending') AND due_at <= now()
       AND {condition}
       AND NOT EXISTS (
               SELECT FROM platforms_eventdelivery AS earlier
                WHERE earlier.endpoint_id = candidate.endpoint_id AND earlier.chat_id = candidate.chat_id
                  AND earlier.position < candidate.position
                  AND earlier.status IN ('waiting', 'sending')
               OFFSET 0
           )
     ORDER BY due_at, position
"""
_SHARE = """
    LIMIT GREATEST(0, %(per_endpoint)s - (
              SELECT count(*) FROM platforms_eventdelivery AS under_way
               WHERE under_way.endpoint_id = endpoint.id AND status = 'sending' AND due_at > now()
          ))
"""
# An event may have a later position than one that is not committed yet. So the chats of which events are due are locked
# first, those that nobody writes of at this moment; the others are left for the next time, and the endpoint's share is
# for those behind them. The next statement then sees whatever was written of these chats before.
_LOCK_CHATS = f"""
    SELECT waiting.chat_id
      FROM platforms_webhookendpoint AS endpoint
     CROSS JOIN LATERAL (
           SELECT chat_id FROM ({_DUE.format(condition="candidate.chat_id IS NOT NULL")} OFFSET 0) AS due
            WHERE {NOBODY_WRITES.format(chat_id="chat_id")}
           {_SHARE}
           ) AS waiting
     WHERE endpoint.is_enabled
     LIMIT %(limit)s
"""
# The rows are locked until they are claimed: another worker passes over them, and then finds them claimed.
_CLAIM = f"""
    WITH due AS MATERIALIZED (
        SELECT waiting.id
          FROM platforms_webhookendpoint AS endpoint
         CROSS JOIN LATERAL (
               {_DUE.format(condition="(candidate.chat_id IS NULL OR candidate.chat_id = ANY (%(chat_ids)s::uuid[]))")}
               {_SHARE}
                 FOR NO KEY UPDATE SKIP LOCKED
               ) AS waiting
         WHERE endpoint.is_enabled
         LIMIT %(limit)s
    )
    UPDATE platforms_eventdelivery AS delivery
       SET status = 'sending', attempts = delivery.attempts + 1, last_attempt_at = now(),
           due_at = now() + %(lease)s * interval '1 second'
      FROM due, platforms_webhookendpoint AS endpoint,
           platforms_event AS event LEFT JOIN messaging_message AS message ON message.id = event.message_id
     WHERE delivery.id = due.id AND endpoint.id = delivery.endpoint_id AND event.id = delivery.event_id
    RETURNING delivery.id, delivery.attempts, event.id, event.type, event.occurred_at, event.payload,
              CASE WHEN endpoint.include_bodies THEN message.body END, endpoint.id, endpoint.url,
              CASE WHEN endpoint.previous_secret_until > now() THEN ARRAY[endpoint.secret, endpoint.previous_secret]
                   ELSE ARRAY[endpoint.secret] END
"""


def claim_deliveries(*, limit: int) -> list[Delivery]:
    """Claim up to `limit` deliveries that are due, the oldest of each chat only, fairly among endpoints.

    What happened in a chat is delivered in the order of its positions: while a transaction records events of a chat,
    none of them is claimed.
    """
    params = {"limit": limit, "per_endpoint": PER_ENDPOINT, "lease": LEASE_SECONDS}
    with transaction.atomic():
        chat_ids = [chat_id for (chat_id,) in execute_planned(_LOCK_CHATS, params)]
        return [Delivery(*row) for row in execute_planned(_CLAIM, params | {"chat_ids": chat_ids})]


# Delivered is delivered, even when the lease had ended and somebody else is trying it again.
_DELIVERED = """
    UPDATE platforms_eventdelivery
       SET status = 'delivered', due_at = NULL, delivered_at = now(), error = ''
     WHERE id = %(id)s AND status <> 'delivered'
    RETURNING id
"""
_NOT_DELIVERED = """
    UPDATE platforms_eventdelivery
       SET status = %(status)s::text, error = %(error)s,
           due_at = CASE WHEN %(status)s::text = 'waiting' THEN now() + %(wait)s::interval END
     WHERE id = %(id)s AND status = 'sending' AND attempts = %(attempt)s
    RETURNING endpoint_id, chat_id, position, due_at
"""
# Those that wait behind it need not be looked at before.
_HOLD_BACK = """
    UPDATE platforms_eventdelivery SET due_at = %(until)s
     WHERE endpoint_id = %(endpoint_id)s AND chat_id = %(chat_id)s AND position > %(position)s
       AND status = 'waiting' AND due_at < %(until)s
"""
_ENDPOINT_WORKS = """
    UPDATE platforms_webhookendpoint SET consecutive_failures = 0, last_success_at = now()
     WHERE id = %(id)s AND (consecutive_failures > 0 OR last_success_at IS NULL
                            OR last_success_at < now() - interval '1 second')
"""
_ENDPOINT_FAILS = """
    UPDATE platforms_webhookendpoint
       SET consecutive_failures = consecutive_failures + 1, last_failure_at = now(), last_failure = %(error)s,
           is_enabled = is_enabled AND NOT %(is_gone)s
     WHERE id = %(id)s
"""


def record_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Write down what became of attempts: delivered, waiting for the next one, or failed."""
    # Always in one order, so that two workers do not wait for each other.
    for outcome in sorted(outcomes, key=lambda outcome: outcome.delivery.id):
        with transaction.atomic():
            if outcome.error is None:
                if execute_prepared(_DELIVERED, {"id": outcome.delivery.id}):
                    execute_prepared(_ENDPOINT_WORKS, {"id": outcome.delivery.endpoint_id})
            else:
                _record_failure(outcome, outcome.error[:200])


def _record_failure(outcome: Outcome, error: str) -> None:
    delivery = outcome.delivery
    wait = _wait_after(outcome)
    rows = execute_prepared(
        _NOT_DELIVERED,
        {
            "id": delivery.id,
            "attempt": delivery.attempt,
            "status": "waiting" if wait else "failed",
            "error": error,
            "wait": wait or timedelta(0),
        },
    )
    for endpoint_id, chat_id, position, due_at in rows:
        if chat_id and due_at:
            params = {"endpoint_id": endpoint_id, "chat_id": chat_id, "position": position, "until": due_at}
            execute_prepared(_HOLD_BACK, params)
        params = {"id": endpoint_id, "error": error, "is_gone": outcome.is_gone}
        execute_prepared(_ENDPOINT_FAILS, params)


def _wait_after(outcome: Outcome) -> timedelta | None:
    """Return how long the next attempt is waited for; None when this was the last."""
    attempt = outcome.delivery.attempt
    if outcome.delivery.event_type == "ping" or attempt > len(_RETRY_AFTER):
        return None
    wait = _RETRY_AFTER[attempt - 1] * random.uniform(1, 1.1)
    return max(wait, min(outcome.retry_after or wait, _LONGEST_RETRY_AFTER))


_GIVE_UP = """
    UPDATE platforms_eventdelivery
       SET status = 'failed', due_at = NULL,
           error = COALESCE(NULLIF(error, ''), 'It waited for three days and was not delivered.')
     WHERE id IN (SELECT id FROM platforms_eventdelivery
                   WHERE status = 'waiting' AND queued_at < now() - %(after)s::interval
                     AND (attempts > 0 OR NOT EXISTS (SELECT FROM platforms_webhookendpoint AS endpoint
                                                       WHERE endpoint.id = endpoint_id AND is_enabled))
                   LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id
"""


def give_up_overdue() -> int:
    """Let up to 1,000 deliveries fail that have waited for three days, and return how many.

    What was never tried, because it waited for others of its chat, is tried once, if its endpoint is enabled.
    """
    return len(execute_prepared(_GIVE_UP, {"after": GIVE_UP_AFTER}))


_FORGET = """
    WITH old AS (
        SELECT id FROM platforms_event WHERE occurred_at < %(before)s ORDER BY occurred_at LIMIT %(limit)s
    ),
    deliveries AS (DELETE FROM platforms_eventdelivery WHERE event_id IN (SELECT id FROM old))
    DELETE FROM platforms_event WHERE id IN (SELECT id FROM old) RETURNING id
"""


def forget_events(*, before: datetime, limit: int = 1000) -> int:
    """Delete up to `limit` events from before that time, with their deliveries, and return how many."""
    return len(execute_prepared(_FORGET, {"before": before, "limit": limit}))


def count_by_endpoint(*, endpoint_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Return how many deliveries of each endpoint are waiting and have failed."""
    counts: dict[UUID, dict[str, int]] = {id: {"waiting": 0, "failed": 0} for id in endpoint_ids}
    for endpoint_id, waiting, failed in execute_prepared(_COUNT, {"ids": list(endpoint_ids)}):
        counts[endpoint_id] = {"waiting": waiting, "failed": failed}
    return counts


_COUNT = """
    SELECT id, (SELECT count(*) FROM platforms_eventdelivery
                 WHERE endpoint_id = endpoint.id AND status IN ('waiting', 'sending')),
           (SELECT count(*) FROM platforms_eventdelivery WHERE endpoint_id = endpoint.id AND status = 'failed')
      FROM unnest(%(ids)s::uuid[]) AS endpoint (id)
"""
