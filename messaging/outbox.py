"""Queue texts: one row each, in the caller's transaction, for the sender to find."""

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.db import transaction

from messaging.models import NO_PLATFORM, Message
from messaging.segments import count_segments
from proxy_project.encryption import digest_number, encrypt
from proxy_project.ids import make_id
from proxy_project.sql import execute_prepared

# The channel on which senders listen.
WAKE_CHANNEL = "texts_queued"

# Apart from the transaction that queued the text, since PostgreSQL commits those that notify one after the other,
# fsync included; and without an fsync of its own. A sender that is not woken looks again within a second.
_WAKE = f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{WAKE_CHANNEL}', %(hints)s)"
# What is said has to be shorter than 8,000 bytes: https://www.postgresql.org/docs/current/sql-notify.html
_MOST_HINTS = 150

# For so long a picture holds up what is written after it, unless fetching it fails the first time.
HOLD_SECONDS = 60

# For statements that queue a text of `platform`.
EXPIRES_AT = """
    now() + COALESCE(platform.texts_expire_after_minutes * interval '1 minute', %(send_for_hours)s * interval '1 hour')
"""
_QUEUE = f"""
    INSERT INTO messaging_message (
        id, direction, kind, status, due_at, virtual_number_id, chat_id, participant_id, stranger_number,
        stranger_digest, relays_id, body, segments, media_count, once_key, send_at, turn_of, expires_at
    )
    SELECT %(id)s, 'out', %(kind)s, %(status)s,
           COALESCE(%(send_at)s::timestamptz, now() + %(hold_seconds)s * interval '1 second'),
           %(virtual_number_id)s, %(chat_id)s, %(participant_id)s, %(stranger_number)s, %(stranger_digest)s,
           %(relays_id)s, %(body)s, %(segments)s, %(media_count)s, %(once_key)s, %(send_at)s,
           COALESCE(platform.id, '{NO_PLATFORM}'), {EXPIRES_AT}
      FROM (SELECT) AS text
      LEFT JOIN chats_chat AS chat ON chat.id = %(chat_id)s
      LEFT JOIN platforms_platform AS platform ON platform.id = chat.platform_id
    ON CONFLICT DO NOTHING RETURNING id
"""


class Recipient(Protocol):
    """A participant, as a row or as what a lookup found of it."""

    @property
    def id(self) -> UUID: ...
    @property
    def chat_id(self) -> UUID: ...
    @property
    def virtual_number_id(self) -> UUID: ...


def queue_text(
    *,
    kind: Message.Kind,
    recipient: Recipient,
    body: str,
    relays: UUID | None = None,
    once_key: str | None = None,
) -> UUID | None:
    """Queue a text to a participant, from the virtual number they know; the sender is woken on commit.

    Returns the message's id; None when a text with this `once_key`, or a relay of this message, exists already.
    """
    return _queue(
        kind=kind,
        virtual_number_id=recipient.virtual_number_id,
        chat_id=recipient.chat_id,
        participant_id=recipient.id,
        body=body,
        relays_id=relays,
        once_key=once_key,
    )


def queue_platform_text(
    *, recipient: Recipient, body: str, media_count: int, send_at: datetime | None, once_key: str | None = None
) -> UUID | None:
    """Queue a text that a platform has written to a participant, and return its id; None when `once_key` was used.

    With attachments, which the caller keeps, it waits until they are fetched. With `send_at` it waits for that time,
    and gets its place among the texts to its recipient only then.
    """
    status = Message.Status.PREPARING if media_count else Message.Status.QUEUED
    return _queue(
        kind=Message.Kind.PLATFORM,
        status=Message.Status.SCHEDULED if send_at else status,
        virtual_number_id=recipient.virtual_number_id,
        chat_id=recipient.chat_id,
        participant_id=recipient.id,
        body=body,
        media_count=media_count,
        send_at=send_at,
        once_key=once_key,
    )


def queue_text_to_stranger(
    *,
    virtual_number_id: UUID,
    phone_number: str,
    body: str,
    once_key: str | None,
    kind: Message.Kind = Message.Kind.AUTO_REPLY,
) -> UUID | None:
    """Queue an answer to somebody who is no participant; None when `once_key` was used already."""
    return _queue(
        kind=kind,
        virtual_number_id=virtual_number_id,
        stranger_number=encrypt(phone_number),
        stranger_digest=digest_number(phone_number),
        body=body,
        once_key=once_key,
    )


def _queue(
    *,
    kind: Message.Kind,
    virtual_number_id: UUID,
    body: str,
    chat_id: UUID | None = None,
    participant_id: UUID | None = None,
    stranger_number: str = "",
    stranger_digest: bytes | None = None,
    relays_id: UUID | None = None,
    once_key: str | None = None,
    status: Message.Status = Message.Status.QUEUED,
    media_count: int = 0,
    send_at: datetime | None = None,
) -> UUID | None:
    message_id = make_id()
    rows = execute_prepared(
        _QUEUE,
        {
            "id": message_id,
            "kind": kind.value,
            "virtual_number_id": virtual_number_id,
            "chat_id": chat_id,
            "participant_id": participant_id,
            "stranger_number": stranger_number,
            "stranger_digest": stranger_digest,
            "relays_id": relays_id,
            "body": encrypt(body),
            "segments": count_segments(body),
            "media_count": media_count,
            "once_key": once_key,
            "status": status.value,
            "send_at": send_at,
            "hold_seconds": HOLD_SECONDS if status is Message.Status.PREPARING else 0,
            "send_for_hours": settings.SEND_FOR_HOURS,
        },
    )
    if not rows:
        return None
    if status is Message.Status.QUEUED:
        wake_senders(message_id)
    return message_id


def wake_senders(*hints: UUID) -> None:
    """Tell the senders, once the transaction is committed, that texts are queued; once a transaction.

    `hints` are those texts, all of them due now, which senders then find at once. Without any they look at everything
    that is queued, as they do each second whatever they are told.
    """
    _asked.hints.extend(hints or [None])
    transaction.on_commit(_notify, robust=True)


def read_hints(said: str) -> list[UUID] | None:
    """Return which texts senders were told of; None when they are to look at everything."""
    try:
        return [UUID(hint) for hint in said.split(",")]
    except ValueError:
        return None


class _Asked(threading.local):
    """What this thread has queued since it last told the senders; None is for whatever there may be.

    What was rolled back is told with the next, and no sender finds it.
    """

    def __init__(self) -> None:
        self.hints: list[UUID | None] = []


_asked = _Asked()
# What threads have queued, and nobody has told yet.
_untold: list[UUID | None] = []
_telling = threading.Lock()


def _notify() -> None:
    """Tell the senders; what other threads have committed meanwhile, whoever is telling them tells them next."""
    if not _asked.hints:
        return
    _untold.extend(_asked.hints)
    _asked.hints = []
    while _untold and _telling.acquire(blocking=False):
        try:
            hints = list(_untold)
            del _untold[: len(hints)]
            execute_prepared(_WAKE, {"hints": _say(hints)})
        finally:
            _telling.release()


def _say(hints: Sequence[UUID | None]) -> str:
    return "" if None in hints or len(hints) > _MOST_HINTS else ",".join(hint.hex for hint in hints if hint)
