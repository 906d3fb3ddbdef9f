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
# How much later than it must a chat may end after silence: a twentieth of its timeout, and at most a minute.
IDLE_MARGIN_SECONDS = 60
# Its chat ends, or somebody in it is replaced, between the lookup and the relay: once is rare.
_ATTEMPTS = 5


class ChatKeepsChanging(Exception):
    """Whose text it is changed each time before it could be stored; the carrier delivers it again."""


def receive_text(text: InboundText, *, now: datetime) -> Status | None:
    """Log an inbound text, decide who gets it, and queue that: all of it is stored, or nothing.

    Returns what was decided; None when the gateway has delivered this text before, and nothing was done.
    """
    for _ in range(_ATTEMPTS):
        match = find_match(from_number=text.from_number, to_number=text.to_number)
        # STOP, START and HELP will be decided here, before anything is passed on.
        if match.sender and match.counterpart and not text.undeliverable:
            status = Status.RELAYED
            stands, message_id = _log_and_relay(text, match, match.sender, match.counterpart)
            if not stands:
                continue
        else:
            status = _decide(match, now)
            message_id = _log_and_answer(text, match, status, now)
        if message_id is None:
            log.info("text received again")
            return None
        log.info("text received", message=str(message_id), status=status.value)
        return status
    raise ChatKeepsChanging


def _decide(match: Match, now: datetime) -> Status:
    """Say why a text goes to nobody."""
    if match.counterpart:
        return Status.BLOCKED
    if match.sender and match.ended_at:
        cool_down = timedelta(hours=settings.COOL_DOWN_HOURS) if match.cool_down is None else match.cool_down
        return Status.LATE if now - match.ended_at <= cool_down else Status.UNMATCHED
    if match.is_scheduled:
        return Status.BLOCKED
    return Status.UNMATCHED


def _answer(text: InboundText, match: Match, status: Status, now: datetime) -> None:
    """Tell the writer that nobody got it, as often as is polite, and never to somebody else."""
    kind = Message.Kind.AUTO_REPLY
    if status is Status.UNMATCHED:
        _answer_stranger(text, match, now)
    elif match.sender and status is Status.LATE:
        # Again when it has been reopened since.
        once_an_end = f"ended:{match.sender.id}:{match.revision}"
        body = wording.NO_LONGER_IN_CHAT if match.was_replaced else wording.CHAT_HAS_ENDED
        queue_text(kind=kind, recipient=match.sender, body=body, once_key=once_an_end)
    elif match.sender and match.is_scheduled:
        once_a_chat = f"early:{match.sender.id}"
        queue_text(kind=kind, recipient=match.sender, body=wording.CHAT_HAS_NOT_STARTED, once_key=once_a_chat)
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
    )
    SELECT %(id)s::uuid, 'in', 'text', %(status)s, %(gateway_id)s, %(virtual_number_id)s::uuid, %(chat_id)s::uuid,
           %(participant_id)s::uuid, %(stranger_number)s, %(stranger_digest)s::bytea, %(body)s,
           %(media_count)s, %(error_code)s
    {only_if}
    ON CONFLICT (gateway_id) WHERE direction = 'in' DO NOTHING
    RETURNING id, chat_id, body
"""
_LOG_ANYWAY = _LOG.format(only_if="")
# One statement is one transaction: a relay takes two round trips to the database, with the lookup. It locks the
# chat's row first, as do those who end a chat or replace somebody: what was looked up holds, or nothing is stored.
_LOG_AND_RELAY = f"""
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
    )
    SELECT EXISTS (SELECT FROM chat), (SELECT id FROM inbound)
"""
_STANDS = "id = %(chat_id)s::uuid AND status = 'open' AND revision = %(revision)s"
_RELAY = _LOG_AND_RELAY.format(hold_chat=f"SELECT id, platform_id FROM chats_chat WHERE {_STANDS} FOR SHARE")
# The end after silence moves a little further than it has to, so that the next texts need not move it.
_RELAY_AND_PUT_OFF_END = _LOG_AND_RELAY.format(
    hold_chat=f"""
        UPDATE chats_chat
           SET idle_ends_at = GREATEST(idle_ends_at, now() + interval '1 second' * (
                   idle_timeout_seconds + LEAST({IDLE_MARGIN_SECONDS}, idle_timeout_seconds / 20.0)))
         WHERE {_STANDS}
        RETURNING id, platform_id
    """
)


def _log_and_relay(text: InboundText, match: Match, sender: Side, counterpart: Side) -> tuple[bool, UUID | None]:
    """Write the inbound row and its relay; with attachments, which the worker fetches before it is sent.

    Returns whether the chat is still as `match` has it, and the id; without one, the text was stored before.
    """
    if not text.media:
        return _write_both(text, match, sender, counterpart, Status.QUEUED, hold_seconds=0)
    with transaction.atomic():
        stands, message_id = _write_both(text, match, sender, counterpart, Status.PREPARING, hold_seconds=_HOLD_SECONDS)
        if message_id:
            keep_media(message_id=message_id, media=text.media)
    return stands, message_id


def _write_both(
    text: InboundText, match: Match, sender: Side, counterpart: Side, relay_status: Status, *, hold_seconds: int
) -> tuple[bool, UUID | None]:
    """Write both rows in one statement, each with the same encrypted body."""
    params = _row(text, sender.virtual_number_id, sender, Status.RELAYED) | {
        "relay_id": make_id(),
        "relay_status": relay_status.value,
        "hold_seconds": hold_seconds,
        "counterpart_id": counterpart.id,
        "counterpart_number_id": counterpart.virtual_number_id,
        "segments": count_segments(text.body),
        "send_for_hours": settings.SEND_FOR_HOURS,
        "revision": match.revision,
    }
    [(stands, message_id)] = execute_prepared(_RELAY_AND_PUT_OFF_END if match.moves_idle_end else _RELAY, params)
    if message_id:
        wake_senders()
    return stands, message_id


def _log_and_answer(text: InboundText, match: Match, status: Status, now: datetime) -> UUID | None:
    """Write the inbound row and queue the answer to its writer, if one is due."""
    writer = None if status is Status.UNMATCHED else match.sender
    with transaction.atomic():
        rows = execute_prepared(
            _LOG_ANYWAY, _row(text, match.virtual_number_id, writer, status, _name_obstacle(text, match))
        )
        if not rows:
            return None
        _answer(text, match, status, now)
    return rows[0][0]


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
    }


def _name_obstacle(text: InboundText, match: Match) -> str:
    return "not_started" if match.is_scheduled else text.undeliverable
