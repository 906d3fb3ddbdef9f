"""Decide where an inbound text goes: the one place that says who gets it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from structlog.contextvars import bound_contextvars

from chats.countries import may_be_answered
from chats.lookup import SENDER_BLOCKED, Match, find_match, find_matches
from messaging.gateways import InboundText
from messaging.inbox import Relay, Stored, log_and_relay, log_and_relay_all, log_only
from messaging.keyword_texts import answer_keyword, read_request
from messaging.models import Message
from messaging.notices import tell_writer
from messaging.outbox import queue_text_to_stranger
from messaging.screening import Verdict, screen_text
from messaging.writing import queue_automatic_text, write_to_stranger
from platforms.models import Platform
from platforms.templates import TemplateKind
from proxy_project.encryption import digest_number

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
        relay: Relay | None = None
        match = find_match(from_number=text.from_number, to_number=text.to_number)
        status = _decide(match, now)
        writer = None if status is Status.UNMATCHED else match.sender
        if keyword := read_request(text, match, writer):
            status = Status.KEYWORD
            stands, message_id = answer_keyword(keyword, text, match, writer, now)
        elif not (verdict := screen_text(text, match, now)).obstacle and match.sender and match.counterpart:
            status = Status.RELAYED
            relay = Relay(text, match, match.sender, match.counterpart, verdict)
            stands, message_id = _relay(relay, now)
        else:
            with transaction.atomic():
                stands, message_id = log_only(text, match, writer, status, now, verdict=verdict)
                if message_id:
                    _answer(text, match, status, verdict, now)
        if not stands:
            continue
        _log(message_id, status, match, relay)
        return status if message_id else None
    raise ChatKeepsChanging


def relay_plain_texts(texts: Sequence[InboundText], *, now: datetime, requests: Sequence[str]) -> list[bool]:
    """Do what receive_text does with those of several texts that are simply passed on, together.

    No two of them are from one number. Returns for each whether it is stored; of any other nothing was done, and it is
    for receive_text. After an error some may be stored, which receive_text finds. `requests` are the ids of their
    requests, for the log.
    """
    matches = find_matches([(text.from_number, text.to_number) for text in texts])
    relays = [_find_plain_relay(text, match, now) for text, match in zip(texts, matches, strict=True)]
    stored = iter(log_and_relay_all([relay for relay in relays if relay], now))
    is_stored = []
    for relay, request in zip(relays, requests, strict=True):
        stands, message_id = next(stored) if relay else (False, None)
        if relay and stands:
            with bound_contextvars(request=request):
                _log(message_id, Status.RELAYED, relay.match, relay)
        is_stored.append(stands)
    return is_stored


def _find_plain_relay(text: InboundText, match: Match, now: datetime) -> Relay | None:
    """Return the relay of a text with which nothing is to be done but to pass it on."""
    if not (match.sender and match.counterpart) or text.media or match.is_asked:
        return None
    if read_request(text, match, match.sender):
        return None
    verdict = screen_text(text, match, now)
    if verdict.obstacle or verdict.disclosures:
        return None
    return Relay(text, match, match.sender, match.counterpart, verdict)


def _log(message_id: UUID | None, status: Status, match: Match, relay: Relay | None) -> None:
    if message_id is None:
        log.info("text received again")
        return
    # The sender and the worker log what becomes of `relay` under its id.
    ids = {"relay": str(relay.id)} if relay else {}
    if match.sender and status is not Status.UNMATCHED:
        ids["chat"] = str(match.sender.chat_id)
    log.info("text received", message=str(message_id), **ids, status=status.value)


def _relay(relay: Relay, now: datetime) -> Stored:
    """Pass on what may be; if that is not all of it, its writer is told."""
    if not relay.verdict.disclosures:
        return log_and_relay(relay, now)
    with transaction.atomic():
        stored = log_and_relay(relay, now)
        if stored.message_id:
            tell_writer(relay.sender, relay.verdict, now)
    return stored


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
