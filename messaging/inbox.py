"""Write inbound texts into the log, those that are passed on with their relay: the SQL behind every text that comes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
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

# A gateway id seen before inserts nothing, and returns nothing.
_LOG = """
    INSERT INTO messaging_message (
        id, direction, kind, status, gateway_id, virtual_number_id, chat_id, participant_id, stranger_number,
        stranger_digest, body, media_count, error_code, segments, price, currency, disclosures
    )
    SELECT %(id)s::uuid, 'in', 'text', %(status)s, %(gateway_id)s, %(virtual_number_id)s::uuid, %(chat_id)s::uuid,
           %(participant_id)s::uuid, %(stranger_number)s, %(stranger_digest)s::bytea, %(body)s,
           %(media_count)s, %(error_code)s, %(inbound_segments)s::int, %(inbound_price)s::numeric,
           %(inbound_currency)s, %(disclosures)s::varchar[]
    {only_if}
    ON CONFLICT (gateway_id) WHERE direction = 'in' DO NOTHING
    RETURNING id, chat_id, body
"""
_LOG_ANYWAY = _LOG.format(only_if="")
# Of a participant: as long as they have not been erased since they were looked up.
_LOG_OF_PERSON = _LOG.format(
    only_if="FROM (SELECT FROM chats_participant WHERE id = %(participant_id)s::uuid"
    " AND phone_digest = %(digest)s::bytea FOR SHARE) AS writer"
)
_IS_LOGGED = "SELECT 1 FROM messaging_message WHERE gateway_id = %(gateway_id)s AND direction = 'in'"

# One statement is one transaction: a relay takes two round trips to the database, with the lookup. It locks the
# chat's row first, as do those who end a chat or replace somebody: what was looked up holds, or nothing is stored.
_RELAY = f"""
    WITH chat AS ({{hold_chat}}),
    inbound AS ({_LOG.format(only_if="FROM chat")}),
    relay AS (
        INSERT INTO messaging_message (
            id, direction, kind, status, due_at, virtual_number_id, chat_id, participant_id, relays_id, body, segments,
            turn_of, expires_at
        )
        SELECT %(relay_id)s::uuid, 'out', 'relay', %(relay_status)s,
               now() + %(hold_seconds)s * interval '1 second', %(counterpart_number_id)s::uuid, chat_id,
               %(counterpart_id)s::uuid, inbound.id, COALESCE(%(relay_body)s::text, body), %(segments)s,
               platform.id, {EXPIRES_AT}
          FROM inbound
          JOIN chat ON chat.id = chat_id
          JOIN platforms_platform AS platform ON platform.id = chat.platform_id
        {{returning}}
    )
    {{approval}}
    {{pace}}
    {{event}}
    SELECT EXISTS (SELECT FROM chat), (SELECT id FROM inbound), {{has_deliveries}}
"""
_STANDS = "id = %(chat_id)s::uuid AND status = 'open' AND revision = %(revision)s"
_HOLD = f"SELECT id, platform_id FROM chats_chat WHERE {_STANDS} FOR SHARE"
# The end after silence moves a little further than it has to, so that the next texts need not move it.
_HOLD_AND_PUT_OFF_END = f"""
    UPDATE chats_chat
       SET idle_ends_at = GREATEST(idle_ends_at, now() + interval '1 second' * (
               idle_timeout_seconds + LEAST({IDLE_MARGIN_SECONDS}, idle_timeout_seconds / 20.0)))
     WHERE {_STANDS}
    RETURNING id, platform_id
"""
_APPROVAL = """
    , approval AS (
        INSERT INTO messaging_approval (message_id, platform_id, recipient_id, position, status, due_at)
        SELECT relays_id, platform_id, participant_id, position, 'waiting', now() FROM relay CROSS JOIN chat
    )
"""
# Of a text that came again, nothing is counted.
_PACE = """
    , pace AS (
        INSERT INTO chats_pace AS pace (
            participant_id, minute_whole_at, day_whole_at, last_at, last_text, same_texts, same_since, quick_answers
        )
        SELECT %(participant_id)s::uuid, %(now)s + %(minute_cost)s, %(now)s + %(day_cost)s, %(now)s,
               %(text_digest)s::bytea, 1, %(now)s, %(quick_answers)s
          FROM inbound
        ON CONFLICT (participant_id) DO UPDATE
           SET minute_whole_at = GREATEST(pace.minute_whole_at, %(now)s) + %(minute_cost)s,
               day_whole_at = GREATEST(pace.day_whole_at, %(now)s) + %(day_cost)s,
               last_at = excluded.last_at, last_text = excluded.last_text,
               same_texts = CASE WHEN %(is_same)s THEN pace.same_texts + 1 ELSE 1 END,
               same_since = CASE WHEN %(is_same)s THEN pace.same_since ELSE excluded.same_since END,
               quick_answers = excluded.quick_answers
    )
"""
_EVENT = f", {event_ctes(when='EXISTS (SELECT FROM inbound)')}"
# By (whether the end after silence moves, whether the platform is told, whether it is asked, whether the writer's pace
# is kept).
RELAY_STATEMENTS = {
    # On one line: psycopg reads a statement of more than 4,096 characters anew each time.
    (moves_end, is_told, is_asked, is_paced): " ".join(
        _RELAY.format(
            hold_chat=_HOLD_AND_PUT_OFF_END if moves_end else _HOLD,
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


def log_and_relay(
    text: InboundText,
    match: Match,
    sender: Side,
    counterpart: Side,
    verdict: Verdict,
    now: datetime,
    *,
    relay_id: UUID,
) -> tuple[bool, UUID | None]:
    """Write the inbound row and its relay, which gets the id `relay_id`.

    The relay says what `verdict` lets pass, the inbound row what was written. The worker prepares it before it is sent,
    where attachments are to be fetched, or the platform to be asked. Returns whether the chat is still as `match` has
    it, and the id; without one, the text was stored before.
    """
    if not text.media:
        return _write_both(text, match, sender, counterpart, verdict, now, relay_id)
    with transaction.atomic():
        stands, message_id = _write_both(text, match, sender, counterpart, verdict, now, relay_id)
        if message_id:
            keep_media(message_id=message_id, media=text.media)
    return stands, message_id


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


def _write_both(
    text: InboundText,
    match: Match,
    sender: Side,
    counterpart: Side,
    verdict: Verdict,
    now: datetime,
    relay_id: UUID,
) -> tuple[bool, UUID | None]:
    """Write both rows in one statement, mostly with the same encrypted body, and what its platform is told or asked."""
    is_prepared = bool(text.media) or match.is_asked
    body = text.body if verdict.body is None else verdict.body
    params = _row(text, sender.virtual_number_id, sender, Status.RELAYED, verdict) | {
        "relay_body": None if verdict.body is None else encrypt(body),
        "relay_id": relay_id,
        "relay_status": Status.PREPARING.value if is_prepared else Status.QUEUED.value,
        "hold_seconds": HOLD_SECONDS if is_prepared else 0,
        "counterpart_id": counterpart.id,
        "counterpart_number_id": counterpart.virtual_number_id,
        "segments": count_segments(body),
        "send_for_hours": settings.SEND_FOR_HOURS,
        "revision": match.revision,
    }
    if match.platform_told:
        params |= event_params(**_received(text, params, match, match.platform_told, now))
    if verdict.pace:
        params |= verdict.pace
    statement = RELAY_STATEMENTS[
        match.moves_idle_end, match.platform_told is not None, match.is_asked, verdict.pace is not None
    ]
    [(stands, message_id, has_deliveries)] = execute_prepared(statement, params)
    if message_id and not is_prepared:
        wake_senders(relay_id)
    if message_id and match.is_asked:
        wake_worker(ASK)
    if has_deliveries:
        wake_deliveries()
    return stands, message_id


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
