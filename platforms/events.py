"""Record what platforms are told: one row an event, in the transaction of what it tells of."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from platforms.event_types import EventType
from proxy_project.encryption import decrypt, encrypt
from proxy_project.ids import make_id
from proxy_project.jobs import wake_worker
from proxy_project.sql import execute_prepared

DELIVER = "deliver_events"

# Chats share 1,024 locks, of two integers each: no lock of one integer is ever the same as one of those.
# https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADVISORY-LOCKS
_CHAT_LOCK = "1702256244, uuid_hash({chat_id}) & 1023"

# Nothing is written for a platform that records no events. A delivery waits from the start for as long as the one
# before it in the chat, so that the worker does not look at it again and again. The chat's lock is held from before the
# position is given (OFFSET 0 keeps that in this order) until what has it can be seen by everybody. Without a chat there
# is none: of NULL, the function does nothing.
_RECORD = f"""
    recorded AS (
        INSERT INTO platforms_event (id, platform_id, type, chat_id, message_id, payload, occurred_at)
        SELECT event.id, platform.id, event.type, event.chat_id, event.message_id, event.payload, event.occurred_at
          FROM ({{events}}) AS event
          JOIN platforms_platform AS platform ON platform.id = event.platform_id
         CROSS JOIN LATERAL (
               SELECT pg_advisory_xact_lock_shared({_CHAT_LOCK.format(chat_id="event.chat_id")})
                WHERE platform.records_events
               OFFSET 0
               ) AS writing
        RETURNING id, platform_id, chat_id, type, position
    ),
    queued AS (
        INSERT INTO platforms_eventdelivery (event_id, endpoint_id, chat_id, position, status, due_at)
        SELECT recorded.id, endpoint.id, recorded.chat_id, recorded.position, 'waiting', GREATEST(now(), (
                   SELECT max(due_at) FROM platforms_eventdelivery AS earlier
                    WHERE earlier.endpoint_id = endpoint.id AND earlier.chat_id = recorded.chat_id
                      AND earlier.status = 'waiting'
               ))
          FROM recorded
          JOIN platforms_webhookendpoint AS endpoint
            ON endpoint.platform_id = recorded.platform_id AND endpoint.is_enabled
           AND (endpoint.event_types = '{{{{}}}}' OR recorded.type = ANY (endpoint.event_types))
        RETURNING event_id
    )
"""


_ONE_EVENT = """
    SELECT %(event_id)s::uuid AS id, %(event_platform_id)s::uuid AS platform_id, %(event_type)s::text AS type,
           %(event_chat_id)s::uuid AS chat_id, %(event_message_id)s::uuid AS message_id,
           %(event_payload)s::text AS payload, %(event_at)s::timestamptz AS occurred_at
"""


def event_ctes(*, events: str) -> str:
    """Return CTEs that record events within a larger statement: the rows of the query `events`.

    It gives an id, platform_id, type, chat_id, message_id, payload and occurred_at, as `event_params` makes them;
    whoever runs the statement calls `wake_deliveries` when there is something in `queued`.
    """
    return _RECORD.format(events=events)


# Tells whether every event of a chat whose position is given already can be seen, or never will be; and makes who
# records another one wait until the transaction ends.
NOBODY_WRITES = f"pg_try_advisory_xact_lock({_CHAT_LOCK})"

_RECORD_ALONE = f"WITH {event_ctes(events=_ONE_EVENT)} SELECT (SELECT count(*) FROM recorded), count(*) FROM queued"


def record_event(
    *,
    platform_id: UUID,
    type: EventType,
    data: Mapping[str, Any],
    now: datetime,
    chat_id: UUID | None = None,
    message_id: UUID | None = None,
) -> bool:
    """Record that something happened, in the caller's transaction, and queue it for the platform's endpoints.

    `data` has the keys of the example in `EVENT_TYPES`, made of what JSON knows, datetimes and UUIDs, with phone
    numbers masked; `data["message"]["text"]` is None, and is read from the message when the event is shown. Returns
    whether it was recorded: not for a platform that records no events, which costs one look at its row.
    """
    params = event_params(
        platform_id=platform_id, type=type, data=data, now=now, chat_id=chat_id, message_id=message_id
    )
    recorded, queued = execute_prepared(_RECORD_ALONE, params)[0]
    if queued:
        wake_deliveries()
    return bool(recorded)


def event_params(
    *,
    platform_id: UUID,
    type: EventType,
    data: Mapping[str, Any],
    now: datetime,
    chat_id: UUID | None = None,
    message_id: UUID | None = None,
) -> dict[str, Any]:
    """Return what an event is made of; see `record_event`."""
    return {
        "event_id": make_id(),
        "event_platform_id": platform_id,
        "event_type": type.value,
        "event_chat_id": chat_id,
        "event_message_id": message_id,
        "event_payload": encrypt(json.dumps(data, default=_as_json, ensure_ascii=False)),
        "event_at": now,
    }


def read_data(*, payload: str, text: str | None) -> dict[str, Any]:
    """Return the `data` of an event from its payload, with the text of its message when that may be shown."""
    data: dict[str, Any] = json.loads(payload)
    if "message" in data:
        data["message"]["text"] = text
    return data


def decrypt_data(*, payload: str, body: str | None) -> dict[str, Any]:
    """Return the `data` of an event from what the database holds; raises cryptography's InvalidToken."""
    return read_data(payload=decrypt(payload), text=body and decrypt(body))


def show_time(moment: datetime) -> str:
    """Return a time as the API shows it."""
    return moment.isoformat().replace("+00:00", "Z")


def wake_deliveries() -> None:
    """Have the worker deliver, once the transaction is committed, what is due."""
    wake_worker(DELIVER)


def _as_json(value: Any) -> str:
    if isinstance(value, datetime):
        return show_time(value)
    return str(value)
