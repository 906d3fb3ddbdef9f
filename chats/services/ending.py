"""End chats: when a platform or an operator says so, at their time, and after silence."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from chats.events import record_chat_events
from chats.models import Chat, Participant
from chats.services.locking import find_people, lock_chat
from chats.transcript import cut_out
from messaging.models import Message
from messaging.outbox import queue_text
from messaging.writing import describe_reader, read_templates, write
from platforms.event_types import EventType
from platforms.models import LONGEST_EXPIRING_MINUTES, USUAL_EXPIRING_MINUTES
from platforms.templates import TemplateKind
from proxy_project.sql import execute_prepared

EXPIRED = "expired"
SILENT = "idle"


def end_chat(*, chat_id: UUID, reason: str, now: datetime, closing_text: str = "") -> Chat:
    """End a chat and return it; nothing more is passed on. A chat that has ended stays as it is.

    `closing_text` goes to both people, or without one the platform's template; unless the chat has never started: then
    they know of nothing that ends. Raises Chat.DoesNotExist.
    """
    with transaction.atomic():
        chat = lock_chat(chat_id)
        if chat.status == Chat.Status.ENDED:
            return chat
        has_started = chat.status == Chat.Status.OPEN
        _end([chat], reason=_without_numbers(reason, chat_id), now=now)
        if closing_text and has_started:
            for person in find_people(chat.pk):
                queue_text(kind=Message.Kind.CLOSING, recipient=person, body=closing_text)
        elif has_started:
            _queue_closing_texts([chat])
    return chat


def end_expired_chats(*, now: datetime, limit: int = 500) -> int:
    """End up to `limit` chats whose time is over, and as many after silence; return how many, until it is none.

    Chats that are being texted in, or that another process moves at this moment, are left for the next time.
    """
    return _end_due("expires_at", reason=EXPIRED, now=now, limit=limit) + _end_due(
        "idle_ends_at", reason=SILENT, now=now, limit=limit
    )


# By the index chat_to_expire. One that is being texted in is told of the next time.
_CLAIM_EXPIRING = """
    UPDATE chats_chat SET told_of_end_at = expires_at
     WHERE id = ANY (ARRAY(
               SELECT chat.id
                 FROM chats_chat AS chat JOIN platforms_platform AS platform ON platform.id = chat.platform_id
                WHERE chat.status = 'open' AND chat.expires_at > %(now)s
                  AND chat.expires_at <= %(now)s + %(longest)s * interval '1 minute'
                  AND chat.expires_at <= %(now)s + COALESCE(platform.expiring_minutes, %(usual)s) * interval '1 minute'
                  AND chat.told_of_end_at IS DISTINCT FROM chat.expires_at AND platform.records_events
                ORDER BY chat.expires_at
                LIMIT %(limit)s
                  FOR NO KEY UPDATE OF chat SKIP LOCKED
           ))
    RETURNING id
"""


def tell_of_ends(*, now: datetime, limit: int = 500) -> int:
    """Tell platforms of up to `limit` chats whose `expires_at` is near, once for each; return how many, until none."""
    with transaction.atomic():
        params = {"now": now, "limit": limit, "longest": LONGEST_EXPIRING_MINUTES, "usual": USUAL_EXPIRING_MINUTES}
        chat_ids = [chat_id for (chat_id,) in execute_prepared(_CLAIM_EXPIRING, params)]
        record_chat_events(type=EventType.CHAT_EXPIRING, chat_ids=chat_ids, now=now)
    return len(chat_ids)


def end_locked_chats(chats: Collection[Chat], *, reason: str, now: datetime) -> None:
    """End chats that the caller has locked, none of which has ended."""
    _end(chats, reason=reason, now=now)


def _without_numbers(reason: str, chat_id: UUID) -> str:
    """Return a reason without the numbers of the chat's people: unlike those it is kept as it stands."""
    if not any(character.isdigit() for character in reason):
        return reason
    for person in Participant.objects.filter(chat=chat_id):
        reason = cut_out(reason, phone_number=person.phone_number, name="")
    return reason


def _end_due(column: str, *, reason: str, now: datetime, limit: int) -> int:
    with transaction.atomic():
        chats = list(
            Chat.objects.filter(status=Chat.Status.OPEN, **{f"{column}__lte": now})
            .order_by(column)
            .select_for_update(skip_locked=True, no_key=True)[:limit]
        )
        _end(chats, reason=reason, now=now)
        _queue_closing_texts(chats)
    return len(chats)


def _queue_closing_texts(chats: Collection[Chat]) -> None:
    """Queue the last text to the people of `chats`, if their platform has a template for it."""
    kind = TemplateKind.CLOSING
    templates = read_templates(platform_ids={chat.platform_id for chat in chats}, kinds=[kind])
    for chat in chats:
        if own := templates.get(chat.platform_id):
            people = find_people(chat.pk)
            for person, counterpart in zip(people, reversed(people), strict=True):
                reader = describe_reader(chat=chat, participant=person, counterpart=counterpart.name)
                body = write(kind=kind, reader=reader, platform=chat.platform, templates=own)
                if body:
                    queue_text(kind=Message.Kind.CLOSING, recipient=person, body=body)


def _end(chats: Collection[Chat], *, reason: str, now: datetime) -> None:
    """Every end of a chat. The virtual numbers cool down from now on."""
    if not chats:
        return
    for chat in chats:
        chat.status, chat.end_reason, chat.ended_at = Chat.Status.ENDED, reason, now
    ids = [chat.pk for chat in chats]
    Chat.objects.filter(pk__in=ids).update(status=Chat.Status.ENDED, end_reason=reason, ended_at=now)
    Participant.objects.filter(chat__in=ids, ended_at=None).update(ended_at=now)
    record_chat_events(type=EventType.CHAT_ENDED, chat_ids=ids, now=now)
