"""Write inbound texts into the log, those that are passed on with their relay: the SQL behind every text that comes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction

from chats.lookup import Match, Side
from messaging.approvals import ASK
from messaging.events import describe_received, record_unmatched
from messaging.gateways import InboundText
from messaging.media.intake import keep_media
from messaging.models import Message
from messaging.outbox import EXPIRES_AT, HOLD_SECONDS, wake_senders
from messaging.screening import NOTHING_FOUND, Verdict
from messaging.segments import count_segments
from platforms.event_types import EventType
from platforms.events import event_ctes, event_params, record_event, wake_deliveries
from proxy_project.encryption import digest_number, encrypt
from proxy_project.ids import make_id
from proxy_project.jobs import wake_worker
from proxy_project.sql import execute_prepared

Status = Message.Status

# How much later than it must a chat may end after silence: a twentieth of its timeout, and at most a minute.
IDLE_MARGIN_SECONDS = 60

_INTO_LOG = """
    INSERT INTO messaging_message (
        id, direction, kind, status, gateway_id, virtual_number_id, chat_id, participant_id, stranger_number,
        stranger_digest, body, media_count, error_code, segments, price, currency, disclosures
    )
"""
# A gateway id seen before inserts nothing, and returns nothing.
_UNLESS_LOGGED = "ON CONFLICT (gateway_id) WHERE direction = 'in' DO NOTHING RETURNING id"
_LOG = f"""
    {_INTO_LOG}
    SELECT %(id)s::uuid, 'in', 'text', %(status)s, %(gateway_id)s, %(virtual_number_id)s::uuid, %(chat_id)s::uuid,
           %(participant_id)s::uuid, %(stranger_number)s, %(stranger_digest)s::bytea, %(body)s,
           %(media_count)s, %(error_code)s, %(inbound_segments)s::int, %(inbound_price)s::numeric,
           %(inbound_currency)s, %(disclosures)s::varchar[]
    {{only_if}}
    {_UNLESS_LOGGED}
"""
_LOG_ANYWAY = _LOG.format(only_if="")
# Of a participant: as long as they have not been erased since they were looked up.
_LOG_OF_PERSON = _LOG.format(
    only_if="FROM (SELECT FROM chats_participant WHERE id = %(participant_id)s::uuid"
    " AND phone_digest = %(digest)s::bytea FOR SHARE) AS writer"
)
_IS_LOGGED = "SELECT 1 FROM messaging_message WHERE gateway_id = %(gateway_id)s AND direction = 'in'"

# Of each text that is passed on, what its statement takes, as JSON: many rows in one parameter.
_COLUMNS = {
    "id": "uuid",
    "status": "text",
    "gateway_id": "text",
    "virtual_number_id": "uuid",
    "chat_id": "uuid",
    "participant_id": "uuid",
    "stranger_number": "text",
    "stranger_digest": "bytea",
    "body": "text",
    "media_count": "int",
    "error_code": "text",
    "disclosures": "varchar[]",
    "inbound_segments": "int",
    "inbound_price": "numeric",
    "inbound_currency": "text",
    "revision": "int",
    "relay_id": "uuid",
    "relay_status": "text",
    "relay_body": "text",
    "segments": "int",
    "counterpart_id": "uuid",
    "counterpart_number_id": "uuid",
    "hold_seconds": "int",
    "minute_cost": "interval",
    "day_cost": "interval",
    "text_digest": "bytea",
    "is_same": "bool",
    "quick_answers": "int",
    "event_id": "uuid",
    "event_payload": "text",
}
# One statement is one transaction: relays take two round trips to the database, with the lookup. It locks the chats'
# rows first, as do those who end a chat or replace somebody: what was looked up holds, or nothing of that text is
# stored. LIMIT makes each a probe of the primary key, in the order of the rows, however many PostgreSQL expects.
_RELAY = f"""
    WITH chat AS MATERIALIZED (
        SELECT text.*, held.platform_id
          FROM json_to_recordset(%(texts)s::json) AS text ({", ".join(map(" ".join, _COLUMNS.items()))})
         CROSS JOIN LATERAL (
               SELECT platform_id FROM chats_chat
                WHERE id = text.chat_id AND status = 'open' AND revision = text.revision
                LIMIT 1 FOR {{lock}}
               ) AS held
    ),
    {{moved}}
    inbound AS (
        {_INTO_LOG}
        SELECT id, 'in', 'text', status, gateway_id, virtual_number_id, chat_id, participant_id, stranger_number,
               stranger_digest, body, media_count, error_code, inbound_segments, inbound_price, inbound_currency,
               disclosures
          FROM chat
        {_UNLESS_LOGGED}
    ),
    relay AS (
        INSERT INTO messaging_message (
            id, direction, kind, status, due_at, virtual_number_id, chat_id, participant_id, relays_id, body, segments,
            turn_of, expires_at
        )
        SELECT relay_id, 'out', 'relay', relay_status, now() + hold_seconds * interval '1 second',
               counterpart_number_id, chat_id, counterpart_id, inbound.id, COALESCE(relay_body, body), chat.segments,
               platform.id, {EXPIRES_AT}
          FROM inbound
          JOIN chat ON chat.id = inbound.id
          JOIN platforms_platform AS platform ON platform.id = chat.platform_id
        {{returning}}
    )
    {{approval}}
    {{pace}}
    {{event}}
    SELECT chat.id, inbound.id IS NOT NULL, {{has_deliveries}} FROM chat LEFT JOIN inbound ON inbound.id = chat.id
"""
# The end after silence moves a little further than it has to, so that the next texts need not move it.
_MOVE_END = f"""
    moved AS (
        UPDATE chats_chat
           SET idle_ends_at = GREATEST(idle_ends_at, now() + interval '1 second' * (
                   idle_timeout_seconds + LEAST({IDLE_MARGIN_SECONDS}, idle_timeout_seconds / 20.0)))
         WHERE id = ANY (ARRAY(SELECT chat_id FROM chat))
    ),
"""
_APPROVAL = """
    , approval AS (
        INSERT INTO messaging_approval (message_id, platform_id, recipient_id, position, status, due_at)
        SELECT relays_id, chat.platform_id, relay.participant_id, position, 'waiting', now()
          FROM relay JOIN chat ON chat.id = relays_id
    )
"""
# Of a text that came again, nothing is counted. A row that is there already reads in the one that could not be inserted
# what it needs to know of the text: what it costs, and whether it is the same again.
_PACE = """
    , pace AS (
        INSERT INTO chats_pace AS pace (
            participant_id, minute_whole_at, day_whole_at, last_at, last_text, same_texts, same_since, quick_answers
        )
        SELECT participant_id, %(now)s + minute_cost, %(now)s + day_cost, %(now)s, text_digest,
               CASE WHEN is_same THEN 2 ELSE 1 END, %(now)s, quick_answers
          FROM inbound JOIN chat ON chat.id = inbound.id
        ON CONFLICT (participant_id) DO UPDATE
           SET minute_whole_at = GREATEST(pace.minute_whole_at, excluded.last_at)
                                 + (excluded.minute_whole_at - excluded.last_at),
               day_whole_at = GREATEST(pace.day_whole_at, excluded.last_at)
                              + (excluded.day_whole_at - excluded.last_at),
               last_at = excluded.last_at, last_text = excluded.last_text,
               same_texts = CASE WHEN excluded.same_texts > 1 THEN pace.same_texts + 1 ELSE 1 END,
               same_since = CASE WHEN excluded.same_texts > 1 THEN pace.same_since ELSE excluded.same_since END,
               quick_answers = excluded.quick_answers
    )
"""
_RECEIVED = f"""
    SELECT event_id AS id, platform_id, '{EventType.MESSAGE_RECEIVED.value}' AS type, chat_id,
           inbound.id AS message_id, event_payload AS payload, %(now)s AS occurred_at
      FROM inbound JOIN chat ON chat.id = inbound.id
"""
_EVENT = f", {event_ctes(events=_RECEIVED)}"
# By (whether the end after silence moves, whether the platform is told, whether it is asked, whether the writer's pace
# is kept).
RELAY_STATEMENTS = {
    # On one line: psycopg reads a statement of more than 4,096 characters anew each time.
    (moves_end, is_told, is_asked, is_paced): " ".join(
        _RELAY.format(
            lock="NO KEY UPDATE" if moves_end else "SHARE",
            moved=_MOVE_END if moves_end else "",
            returning="RETURNING relays_id, participant_id, position" if is_asked else "",
            approval=_APPROVAL if is_asked else "",
            pace=_PACE if is_paced else "",
            event=_EVENT if is_told else "",
            has_deliveries="EXISTS (SELECT FROM queued)" if is_told else "FALSE",
        ).split()
    )
    for moves_end in (False, True)
    for is_told in (False, True)
    for is_asked in (False, True)
    for is_paced in (False, True)
}


@dataclass(frozen=True, slots=True)
class Relay:
    """A text that is passed on: from whom, to whom, and what of it; the outbound row gets this `id`."""

    text: InboundText
    match: Match
    sender: Side
    counterpart: Side
    verdict: Verdict
    id: UUID = field(default_factory=make_id)

    @property
    def is_prepared(self) -> bool:
        """Whether the worker prepares it before it is sent: attachments are fetched, or the platform is asked."""
        return bool(self.text.media) or self.match.is_asked

    @property
    def statement(self) -> tuple[bool, bool, bool, bool]:
        """Which of RELAY_STATEMENTS writes it."""
        match = self.match
        return match.moves_idle_end, match.platform_told is not None, match.is_asked, self.verdict.pace is not None


class Stored(NamedTuple):
    """Whether the chat of a text is still as it was looked up, and the inbound row's id; none: it was stored before."""

    stands: bool
    message_id: UUID | None


def log_and_relay(relay: Relay, now: datetime) -> Stored:
    """Write the inbound row and its relay.

    The relay says what the verdict lets pass, the inbound row what was written.
    """
    if not relay.text.media:
        return log_and_relay_all([relay], now)[0]
    with transaction.atomic():
        [stored] = log_and_relay_all([relay], now)
        if stored.message_id:
            keep_media(message_id=stored.message_id, media=relay.text.media)
    return stored


def log_and_relay_all(relays: Sequence[Relay], now: datetime) -> list[Stored]:
    """Do for several texts what log_and_relay does for one; no two are of one person, and none has attachments.

    Those that are written alike are written in one statement: all of them, or none.
    """
    alike: dict[tuple[bool, bool, bool, bool], list[Relay]] = {}
    for relay in relays:
        alike.setdefault(relay.statement, []).append(relay)
    stored: dict[UUID, Stored] = {}
    for statement, some in alike.items():
        stored |= _write_both(RELAY_STATEMENTS[statement], some, now)
    return [stored[relay.id] for relay in relays]


def log_only(
    text: InboundText,
    match: Match,
    writer: Side | None,
    status: Status,
    now: datetime,
    *,
    verdict: Verdict = NOTHING_FOUND,
) -> tuple[bool, UUID | None]:
    """Write the inbound row of a text that goes to nobody, in the caller's transaction.

    `writer` is None for a stranger; the obstacle of `verdict` says why a text is BLOCKED. Returns whether the writer is
    still who was looked up, and the id; without one, the text was stored before.
    """
    row = _row(text, match.virtual_number_id, writer, status, verdict)
    digest = {"digest": digest_number(text.from_number)}
    if not execute_prepared(_LOG_OF_PERSON if writer else _LOG_ANYWAY, row | digest):
        return not writer or bool(execute_prepared(_IS_LOGGED, {"gateway_id": text.gateway_id})), None
    if writer and match.platform_told:
        record_event(**_received(text, row, match, match.platform_told, now))
    elif status is Status.UNMATCHED and match.owner_told:
        record_unmatched(platform_id=match.owner_told, message_id=row["id"], to_number=text.to_number, now=now)
    message_id: UUID = row["id"]
    return True, message_id


def _write_both(statement: str, relays: Sequence[Relay], now: datetime) -> dict[UUID, Stored]:
    """Write both rows of each text in one statement, and what its platform is told or asked; by the relays' ids."""
    # All lock chats and people in one order, so that of two statements with the same ones one waits for the other.
    ordered = sorted(relays, key=lambda relay: (relay.sender.chat_id, relay.sender.id))
    rows = {relay.id: _relay_row(relay, now) for relay in ordered}
    params = {"texts": json.dumps([*rows.values()], default=str), "send_for_hours": settings.SEND_FOR_HOURS, "now": now}
    results = execute_prepared(statement, params)
    is_new = {message_id: is_new for message_id, is_new, _ in results}
    new = [relay for relay in relays if is_new.get(rows[relay.id]["id"])]
    if queued := [relay.id for relay in new if not relay.is_prepared]:
        wake_senders(*queued)
    if any(relay.match.is_asked for relay in new):
        wake_worker(ASK)
    if any(has_deliveries for _, _, has_deliveries in results):
        wake_deliveries()
    return {
        relay_id: Stored(row["id"] in is_new, row["id"] if is_new.get(row["id"]) else None)
        for relay_id, row in rows.items()
    }


def _relay_row(relay: Relay, now: datetime) -> dict[str, Any]:
    """Return what the statement takes of a text; both rows mostly have the same encrypted body."""
    text, match, verdict = relay.text, relay.match, relay.verdict
    row = _row(text, relay.sender.virtual_number_id, relay.sender, Status.RELAYED, verdict) | {
        "revision": match.revision,
        "relay_id": relay.id,
        "relay_status": Status.PREPARING.value if relay.is_prepared else Status.QUEUED.value,
        "relay_body": None if verdict.body is None else encrypt(verdict.body),
        "segments": count_segments(text.body if verdict.body is None else verdict.body),
        "counterpart_id": relay.counterpart.id,
        "counterpart_number_id": relay.counterpart.virtual_number_id,
        "hold_seconds": HOLD_SECONDS if relay.is_prepared else 0,
    }
    if match.platform_told:
        event = event_params(**_received(text, row, match, match.platform_told, now))
        row |= {"event_id": event["event_id"], "event_payload": event["event_payload"]}
    if pace := verdict.pace:
        row |= {
            "minute_cost": f"{pace['minute_cost'].total_seconds():.6f} seconds",
            "day_cost": f"{pace['day_cost'].total_seconds():.6f} seconds",
            "text_digest": f"\\x{pace['text_digest'].hex()}",
            "is_same": pace["is_same"],
            "quick_answers": pace["quick_answers"],
        }
    return row


def _received(
    text: InboundText, row: Mapping[str, Any], match: Match, platform_id: UUID, now: datetime
) -> dict[str, Any]:
    """Return the event that says that a participant has texted, for what records it."""
    return {
        "platform_id": platform_id,
        "type": EventType.MESSAGE_RECEIVED,
        "chat_id": row["chat_id"],
        "message_id": row["id"],
        "data": describe_received(
            message_id=row["id"],
            participant_id=row["participant_id"],
            chat_id=row["chat_id"],
            reference=match.reference,
            status=Status(row["status"]),
            error_code=row["error_code"],
            disclosures=row["disclosures"],
            media=text.media,
            now=now,
        ),
        "now": now,
    }


def _row(
    text: InboundText, number_id: UUID | None, writer: Side | None, status: Status, verdict: Verdict
) -> dict[str, Any]:
    return {
        "id": make_id(),
        "status": status.value,
        "gateway_id": text.gateway_id,
        "virtual_number_id": number_id,
        "chat_id": writer and writer.chat_id,
        "participant_id": writer and writer.id,
        # Of a participant, the participant's row has the number; erasing it there is enough.
        "stranger_number": "" if writer else encrypt(text.from_number),
        "stranger_digest": None if writer else digest_number(text.from_number),
        "body": encrypt(text.body),
        "media_count": len(text.media),
        "error_code": verdict.obstacle if status is Status.BLOCKED else "",
        "disclosures": verdict.disclosures,
        "inbound_segments": text.segments or count_segments(text.body),
        "inbound_price": text.price,
        "inbound_currency": text.currency,
    }
