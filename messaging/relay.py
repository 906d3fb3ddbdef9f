"""Decide where an inbound text goes: the one place that says who gets it."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction

from chats.countries import may_be_answered
from chats.lookup import SENDER_BLOCKED, Match, Side, find_match
from messaging.gateways import InboundText
from messaging.inbox import log_and_relay, log_only
from messaging.keyword_texts import answer_keyword, read_request
from messaging.models import Message
from messaging.notices import tell_writer
from messaging.outbox import queue_text_to_stranger
from messaging.screening import Verdict, screen_text
from messaging.writing import queue_automatic_text, write_to_stranger
from platforms.models import Platform
from platforms.templates import TemplateKind
from proxy_project.encryption import digest_number
from proxy_project.ids import make_id

log = structlog.get_logger(__name__)

Status = Message.Status

# Its chat ends, or somebody in it is replaced, between the lookup and the relay: once is rare.
_ATTEMPTS = 5


class ChatKeepsChanging(Exception):
    """Whose text it is changed each time before it could be stored; the carrier delivers it again."""


def receive_text(text: InboundText, *, now: datetime) -> Status | None:
    """Log an inbound text, decide who gets it, and queue that: all of it is stored, or nothing.

    Returns what was decided; None when the gateway has delivered this text before, and nothing was done.
    """
    for _ in range(_ATTEMPTS):
        ids: dict[str, str] = {}
        match = find_match(from_number=text.from_number, to_number=text.to_number)
        status = _decide(match, now)
        writer = None if status is Status.UNMATCHED else match.sender
        if keyword := read_request(text, match, writer):
            status = Status.KEYWORD
            stands, message_id = answer_keyword(keyword, text, match, writer, now)
        elif not (verdict := screen_text(text, match, now)).obstacle and match.sender and match.counterpart:
            status = Status.RELAYED
            relay_id = make_id()
            ids["relay"] = str(relay_id)
            stands, message_id = _relay(text, match, match.sender, match.counterpart, verdict, now, relay_id)
        else:
            with transaction.atomic():
                stands, message_id = log_only(text, match, writer, status, now, verdict=verdict)
                if message_id:
                    _answer(text, match, status, verdict, now)
        if not stands:
            continue
        if message_id is None:
            log.info("text received again")
            return None
        if match.sender and status is not Status.UNMATCHED:
            ids["chat"] = str(match.sender.chat_id)
        # The sender and the worker log what becomes of `relay` under its id.
        log.info("text received", message=str(message_id), **ids, status=status.value)
        return status
    raise ChatKeepsChanging


def _relay(
    text: InboundText,
    match: Match,
    sender: Side,
    counterpart: Side,
    verdict: Verdict,
    now: datetime,
    relay_id: UUID,
) -> tuple[bool, UUID | None]:
    """Pass on what may be; if that is not all of it, its writer is told."""
    if not verdict.disclosures:
        return log_and_relay(text, match, sender, counterpart, verdict, now, relay_id=relay_id)
    with transaction.atomic():
        stands, message_id = log_and_relay(text, match, sender, counterpart, verdict, now, relay_id=relay_id)
        if message_id:
            tell_writer(sender, verdict, now)
    return stands, message_id


def _decide(match: Match, now: datetime) -> Status:
    """Say why a text goes to nobody, when it does."""
    if match.counterpart:
        return Status.BLOCKED
    if match.sender and match.ended_at:
        cool_down = timedelta(hours=settings.COOL_DOWN_HOURS) if match.cool_down is None else match.cool_down
        return Status.LATE if now - match.ended_at <= cool_down else Status.UNMATCHED
    if match.is_scheduled:
        return Status.BLOCKED
    return Status.UNMATCHED


def _answer(text: InboundText, match: Match, status: Status, verdict: Verdict, now: datetime) -> None:
    """Tell the writer that nobody got it, as often as is polite, and never to somebody else."""
    if match.restriction == SENDER_BLOCKED:
        return
    if status is Status.UNMATCHED:
        _answer_stranger(text, match, now)
    elif match.sender and status is Status.LATE:
        # Again when it has been reopened since.
        once_an_end = f"ended:{match.sender.id}:{match.revision}"
        kind = TemplateKind.NO_LONGER_IN_CHAT if match.was_replaced else TemplateKind.CHAT_ENDED
        queue_automatic_text(kind=kind, recipient=match.sender, once_key=once_an_end)
    elif match.sender and match.is_scheduled:
        once_a_chat = f"early:{match.sender.id}"
        queue_automatic_text(kind=TemplateKind.CHAT_NOT_STARTED, recipient=match.sender, once_key=once_a_chat)
    elif match.sender:
        tell_writer(match.sender, verdict, now)


def _answer_stranger(text: InboundText, match: Match, now: datetime) -> None:
    """Answer once a day, and only a number that is a person's: machines would answer back."""
    if not (match.virtual_number_id and text.can_be_answered):
        return
    owner = Platform.objects.filter(virtual_numbers=match.virtual_number_id).first()
    body = write_to_stranger(kind=TemplateKind.STRANGER, platform=owner)
    if not (body and may_be_answered(text.from_number, match.virtual_number_id)):
        return
    who = digest_number(text.from_number).hex()[:32]
    queue_text_to_stranger(
        virtual_number_id=match.virtual_number_id,
        phone_number=text.from_number,
        body=body,
        once_key=f"stranger:{match.virtual_number_id}:{who}:{now:%Y-%m-%d}",
    )
