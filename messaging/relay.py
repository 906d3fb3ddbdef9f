"""Decide where an inbound text goes: the one place that says who gets it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction

from chats.lookup import Match, Side, find_match
from messaging import wording
from messaging.gateways import InboundText
from messaging.media.intake import keep_media
from messaging.models import Message
from messaging.outbox import EXPIRES_AT, queue_text, queue_text_to_stranger, wake_senders
from messaging.segments import count_segments
from proxy_project.encryption import digest_number, encrypt
from proxy_project.ids import make_id
from proxy_project.sql import execute_prepared

log = structlog.get_logger(__name__)

Status = Message.Status

# For so long a picture holds up what is written after it, unless fetching it fails the first time.
_HOLD_SECONDS = 60


def receive_text(text: InboundText, *, now: datetime) -> Status | None:
    """Log an inbound text, decide who gets it, and queue that: all of it is stored, or nothing.

    Returns what was decided; None when the gateway has delivered this text before, and nothing was done.
    """
    match = find_match(from_number=text.from_number, to_number=text.to_number)
    # STOP, START and HELP will be decided here, before anything is passed on.
    if match.sender and match.counterpart and not text.undeliverable:
        status = Status.RELAYED
        message_id = _log_and_relay(text, match.sender, match.counterpart)
    else:
        status = _decide(match, now)
        message_id = _log_and_answer(text, match, status, now)
    if message_id is None:
        log.info("text received again")
        return None
    log.info("text received", message=str(message_id), status=status.value)
    return status


def _decide(match: Match, now: datetime) -> Status:
    """Say why a text goes to nobody."""
    if match.counterpart:
        return Status.BLOCKED
    if match.ended_at and now - match.ended_at <= timedelta(hours=settings.COOL_DOWN_HOURS):
        return Status.LATE
    return Status.UNMATCHED


def _answer(text: InboundText, match: Match, status: Status, now: datetime) -> None:
    """Tell the writer that nobody got it, as often as is polite, and never to somebody else."""
    kind = Message.Kind.AUTO_REPLY
    if status is Status.UNMATCHED:
        _answer_stranger(text, match, now)
    elif match.sender and status is Status.LATE:
        once_a_chat = f"ended:{match.sender.id}"
        queue_text(kind=kind, recipient=match.sender, body=wording.CHAT_HAS_ENDED, once_key=once_a_chat)
    elif match.sender:
        body = wording.NOT_PASSED_ON[text.undeliverable]
        once_a_minute = f"{text.undeliverable}:{match.sender.id}:{now:%Y-%m-%dT%H:%M}"
        queue_text(kind=kind, recipient=match.sender, body=body, once_key=once_a_minute)


def _answer_stranger(text: InboundText, match: Match, now: datetime) -> None:
    """Answer once a day, and only a number that is a person's: machines would answer back."""
    if not (settings.STRANGER_REPLY and match.virtual_number_id and text.can_be_answered):
        return
    who = digest_number(text.from_number).hex()[:32]
    queue_text_to_stranger(
        virtual_number_id=match.virtual_number_id,
        phone_number=text.from_number,
        body=settings.STRANGER_REPLY,
        once_key=f"stranger:{match.virtual_number_id}:{who}:{now:%Y-%m-%d}",
    )


# A gateway id seen before inserts nothing, and returns nothing.
_LOG = """
    INSERT INTO messaging_message (
        id, direction, kind, status, gateway_id, virtual_number_id, chat_id, participant_id, stranger_number,
        stranger_digest, body, media_count, error_code
    ) VALUES (
        %(id)s, 'in', 'text', %(status)s, %(gateway_id)s, %(virtual_number_id)s, %(chat_id)s, %(participant_id)s,
        %(stranger_number)s, %(stranger_digest)s, %(body)s, %(media_count)s, %(error_code)s
    ) ON CONFLICT (gateway_id) WHERE direction = 'in' DO NOTHING
    RETURNING id, chat_id, body
"""
# One statement is one transaction: a relay takes two round trips to the database, with the lookup.
_LOG_AND_RELAY = f"""
    WITH inbound AS ({_LOG})
    INSERT INTO messaging_message (
        id, direction, kind, status, due_at, virtual_number_id, chat_id, participant_id, relays_id, body, segments,
        turn_of, expires_at
    )
    SELECT %(relay_id)s, 'out', 'relay', %(relay_status)s, now() + %(hold_seconds)s * interval '1 second',
           %(counterpart_number_id)s, chat.id, %(counterpart_id)s, inbound.id, inbound.body, %(segments)s,
           platform.id, {EXPIRES_AT}
      FROM inbound
      JOIN chats_chat AS chat ON chat.id = inbound.chat_id
      JOIN platforms_platform AS platform ON platform.id = chat.platform_id
    RETURNING relays_id
"""


def _log_and_relay(text: InboundText, sender: Side, counterpart: Side) -> UUID | None:
    """Write the inbound row and its relay; with attachments, which the worker fetches before it is sent."""
    if not text.media:
        return _write_both(text, sender, counterpart, Status.QUEUED, hold_seconds=0)
    with transaction.atomic():
        message_id = _write_both(text, sender, counterpart, Status.PREPARING, hold_seconds=_HOLD_SECONDS)
        if message_id:
            keep_media(message_id=message_id, media=text.media)
    return message_id


def _write_both(
    text: InboundText, sender: Side, counterpart: Side, relay_status: Status, *, hold_seconds: int
) -> UUID | None:
    """Write both rows in one statement, each with the same encrypted body."""
    params = _row(text, sender.virtual_number_id, sender, Status.RELAYED) | {
        "relay_id": make_id(),
        "relay_status": relay_status.value,
        "hold_seconds": hold_seconds,
        "counterpart_id": counterpart.id,
        "counterpart_number_id": counterpart.virtual_number_id,
        "segments": count_segments(text.body),
        "send_for_hours": settings.SEND_FOR_HOURS,
    }
    rows = execute_prepared(_LOG_AND_RELAY, params)
    if not rows:
        return None
    wake_senders()
    return rows[0][0]


def _log_and_answer(text: InboundText, match: Match, status: Status, now: datetime) -> UUID | None:
    """Write the inbound row and queue the answer to its writer, if one is due."""
    writer = None if status is Status.UNMATCHED else match.sender
    with transaction.atomic():
        rows = execute_prepared(_LOG, _row(text, match.virtual_number_id, writer, status))
        if not rows:
            return None
        _answer(text, match, status, now)
    return rows[0][0]


def _row(text: InboundText, number_id: UUID | None, writer: Side | None, status: Status) -> dict[str, Any]:
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
        "error_code": text.undeliverable if status is Status.BLOCKED else "",
    }
