"""What the service says has happened: its message log, its events and what still waits, without numbers and texts."""

from dataclasses import dataclass, field
from typing import Any

from django.db import connection


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the message log."""

    id: str
    position: int
    direction: str
    kind: str
    status: str
    chat_id: str | None
    participant_id: str | None
    relays: str | None
    gateway_id: str | None
    error_code: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event, and how far from PostgreSQL's the clock was that dated it."""

    id: str
    position: int
    type: str
    chat_id: str
    message_id: str | None
    seconds_ahead: float


@dataclass(frozen=True)
class Log:
    """All of it, once everything has come to rest."""

    rows: list[Row]
    events: list[Event]
    chats: dict[str, str]  # reference → id
    stuck: list[str] = field(default_factory=list)


_ROWS = """
    SELECT id::text, position, direction, kind, status, chat_id::text, participant_id::text, relays_id::text,
           gateway_id, error_code
      FROM messaging_message ORDER BY position
"""
_EVENTS = """
    SELECT event.id::text, event.position, type, event.chat_id::text, message_id::text,
           extract(epoch FROM occurred_at - delivery.queued_at)::float
      FROM platforms_event AS event JOIN platforms_eventdelivery AS delivery ON delivery.event_id = event.id
     ORDER BY event.position
"""
_STUCK = """
    SELECT 'message ' || id || ' is ' || status FROM messaging_message
     WHERE status IN ('preparing', 'queued', 'sending', 'unconfirmed')
     UNION ALL
    SELECT 'the delivery of event ' || event_id || ' is ' || status FROM platforms_eventdelivery
     WHERE status <> 'delivered'
     UNION ALL
    SELECT 'the account is paused' FROM messaging_gatewayaccount WHERE paused_at IS NOT NULL
"""
# As if a killed worker's lease of a minute had ended; with one worker, nobody else has any.
_END_EVENT_LEASES = "UPDATE platforms_eventdelivery SET due_at = now() WHERE status = 'sending'"


def find_stuck() -> list[str]:
    """Return what is not settled yet, by ids."""
    return [line for (line,) in _read(_STUCK)]


def read_log() -> Log:
    return Log(
        rows=[Row(*row) for row in _read(_ROWS)],
        events=[Event(*row) for row in _read(_EVENTS)],
        chats=dict(_read("SELECT reference, id::text FROM chats_chat")),
        stuck=find_stuck(),
    )


def end_event_leases() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_END_EVENT_LEASES)
    connection.close()


def _read(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
