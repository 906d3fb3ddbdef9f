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
        stranger_digest, body, media_count, error_code, segments, price, currency
    )
    SELECT %(id)s::uuid, 'in', 'text', %(status)s, %(gateway_id)s, %(virtual_number_id)s::uuid, %(chat_id)s::uuid,
           %(participant_id)s::uuid, %(stranger_number)s, %(stranger_digest)s::bytea, %(body)s,
           %(media_count)s, %(error_code)s, %(inbound_segments)s::int, %(inbound_price)s::numeric, %(inbound_currency)s
    {only_if}
    ON CONFLICT (gateway_id) WHERE direction = 'in' DO NOTHING
    RETURNING id, chat_id, body
"""
_LOG_ANYWAY = _LOG.format(only_if="")

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
               %(counterpart_id)s::uuid, inbound.id, body, %(segments)s, platform.id, {EXPIRES_AT}
          FROM inbound
          JOIN chat ON chat.id = chat_id
          JOIN platforms_platform AS platform ON platform.id = chat.platform_id
        {{returning}}
    )
    {{approval}}
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
_EVENT = f", {event_ctes(when='EXISTS (SELECT FROM inbound)')}"
# By (whether the end after silence moves, whether the platform is told, whether it is asked).
RELAY_STATEMENTS = {
    (moves_end, is_told, is_asked): _RELAY.format(
        hold_chat=_HOLD_AND_PUT_OFF_END if moves_end else _HOLD,
        returning="RETURNING relays_id, participant_id, position" if is_asked else "",
        approval=_APPROVAL if is_asked else "",
        event=_EVENT if is_told else "",
        has_deliveries="EXISTS (SELECT FROM queued)" if is_told else "FALSE",
    )
    for moves_end in (False, True)
    for is_told in (False, True)
    for is_asked in (False, True)
}


def log_and_relay(
    text: InboundText, match: Match, sender: Side, counterpart: Side, now: datetime, *, relay_id: UUID
) -> tuple[bool, UUID | None]:
    """Write the inbound row and its relay, which gets the id `relay_id`.

    The worker prepares it before it is sent, where attachments are to be fetched, or the platform to be asked.
    Returns whether the chat is still as `match` has it, and the id; without one, the text was stored before.
    """
    if not text.media:
        return _write_both(text, match, sender, counterpart, now, relay_id)
    with transaction.atomic():
        stands, message_id = _write_both(text, match, sender, counterpart, now, relay_id)
        if message_id:
            keep_media(message_id=message_id, media=text.media)
    return stands, message_id


def log_only(
    text: InboundText, match: Match, writer: Side | None, status: Status, now: datetime, *, obstacle: str = ""
) -> UUID | None:
    """Write the inbound row of a text that goes to nobody, in the caller's transaction; None when it was stored before.

    `writer` is None for a stranger; `obstacle` says why a text is BLOCKED.
    """
    row = _row(text, match.virtual_number_id, writer, status, obstacle)
    if not execute_prepared(_LOG_ANYWAY, row):
        return None
    if writer and match.platform_told:
        record_event(**_received(text, row, match, match.platform_told, now))
    elif status is Status.UNMATCHED and match.owner_told:
        record_unmatched(platform_id=match.owner_told, message_id=row["id"], to_number=text.to_number, now=now)
    message_id: UUID = row["id"]
    return message_id


def _write_both(
    text: InboundText, match: Match, sender: Side, counterpart: Side, now: datetime, relay_id: UUID
) -> tuple[bool, UUID | None]:
    """Write both rows in one statement, each with the same encrypted body, and what its platform is told or asked."""
    is_prepared = bool(text.media) or match.is_asked
    params = _row(text, sender.virtual_number_id, sender, Status.RELAYED) | {
        "relay_id": relay_id,
        "relay_status": Status.PREPARING.value if is_prepared else Status.QUEUED.value,
        "hold_seconds": HOLD_SECONDS if is_prepared else 0,
        "counterpart_id": counterpart.id,
        "counterpart_number_id": counterpart.virtual_number_id,
        "segments": count_segments(text.body),
        "send_for_hours": settings.SEND_FOR_HOURS,
        "revision": match.revision,
    }
    if match.platform_told:
        params |= event_params(**_received(text, params, match, match.platform_told, now))
    statement = RELAY_STATEMENTS[match.moves_idle_end, match.platform_told is not None, match.is_asked]
    [(stands, message_id, has_deliveries)] = execute_prepared(statement, params)
    if message_id and not is_prepared:
        wake_senders()
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
            media=text.media,
            now=now,
        ),
        "now": now,
    }


def _row(
    text: InboundText, number_id: UUID | None, writer: Side | None, status: Status, obstacle: str = ""
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
        "error_code": obstacle if status is Status.BLOCKED else "",
        "inbound_segments": text.segments or count_segments(text.body),
        "inbound_price": text.price,
        "inbound_currency": text.currency,
    }
