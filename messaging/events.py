"""Tell platforms what became of texts: what an event says of one."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from messaging.gateways import Media
from messaging.models import Message
from platforms.event_types import EventType
from platforms.events import record_event

_TYPES = {Message.Status.DELIVERED: EventType.MESSAGE_DELIVERED, Message.Status.FAILED: EventType.MESSAGE_FAILED}
# Carriers may quote a number in their reasons.
_NUMBER = re.compile(r"\+?\(?\d(?:[\s().\-/]{0,3}\d){6,}")


def describe_received(
    *,
    message_id: UUID,
    participant_id: UUID,
    chat_id: UUID,
    reference: str | None,
    status: Message.Status,
    error_code: str = "",
    disclosures: list[str] | None = None,
    media: Sequence[Media] = (),
    now: datetime,
) -> dict[str, Any]:
    """Return the data of MESSAGE_RECEIVED: somebody in a chat, open or ended, has texted."""
    message = _describe_inbound(message_id, participant_id, status, error_code, now, disclosures)
    if status is Message.Status.RELAYED:
        message["attachments"] = [_describe_attachment(each) for each in media]
    return {"chat": {"id": chat_id, "reference": reference}, "message": message}


def record_blocked(*, message: Message, now: datetime) -> None:
    """Record that an inbound text, which was to be passed on, was not; its `chat` has been read with it."""
    assert message.chat  # only a chat's texts are passed on
    record_event(
        platform_id=message.chat.platform_id,
        type=EventType.MESSAGE_BLOCKED,
        chat_id=message.chat.pk,
        message_id=message.pk,
        data={
            "chat": {"id": message.chat.pk, "reference": message.chat.reference},
            "message": describe_message(message),
        },
        now=now,
    )


def record_unmatched(*, platform_id: UUID, message_id: UUID, to_number: str, now: datetime) -> None:
    """Record that somebody in no chat has texted a virtual number that only this platform uses."""
    message = _describe_inbound(message_id, None, Message.Status.UNMATCHED, "", now)
    record_event(
        platform_id=platform_id,
        type=EventType.MESSAGE_UNMATCHED,
        message_id=message_id,
        data={"virtual_number": to_number, "message": message},
        now=now,
    )


def record_ends(*, message_ids: Sequence[UUID]) -> None:
    """Record that texts to participants have arrived or never will, as their status says, in the caller's transaction.

    Of a platform that records no events, nothing is recorded.
    """
    messages = (
        # Nothing that is encrypted: a text whose key is missing is told of like any other.
        Message.objects.filter(pk__in=message_ids, participant__isnull=False, chat__platform__records_events=True)
        .filter(status__in=_TYPES)
        .select_related("chat")
        .defer("body", "stranger_number")
        .order_by("position")
    )
    for message in messages:
        assert message.chat  # filtered by it
        record_event(
            platform_id=message.chat.platform_id,
            type=_TYPES[Message.Status(message.status)],
            chat_id=message.chat.pk,
            message_id=message.pk,
            data={
                "chat": {"id": message.chat.pk, "reference": message.chat.reference},
                "message": describe_message(message),
            },
            now=message.delivered_at or message.failed_at or timezone.now(),
        )


def describe_message(message: Message) -> dict[str, Any]:
    """Return a message as `GET /chats/{id}/messages` shows it, without its text."""
    return {
        "id": message.pk,
        "direction": message.direction,
        "kind": message.kind,
        "participant": message.participant_id,
        "status": message.status,
        "text": None,
        "attachments": [],
        "disclosures": message.disclosures or [],
        "error": (message.error_code and {"code": message.error_code, "detail": hide_numbers(message.error_detail)})
        or None,
        "segments": message.segments,
        "price": message.price,
        "currency": message.currency or None,
        "created_at": message.created_at,
        "send_at": message.send_at,
        "sent_at": message.sent_at,
        "delivered_at": message.delivered_at,
        "failed_at": message.failed_at,
    }


def _describe_inbound(
    message_id: UUID,
    participant_id: UUID | None,
    status: Message.Status,
    error_code: str,
    now: datetime,
    disclosures: list[str] | None = None,
) -> dict[str, Any]:
    return describe_message(
        Message(
            pk=message_id,
            direction=Message.Direction.INBOUND,
            kind=Message.Kind.TEXT,
            participant_id=participant_id,
            status=status,
            error_code=error_code,
            disclosures=disclosures,
            created_at=now,
        )
    )


def _describe_attachment(media: Media) -> dict[str, Any]:
    """Return an attachment as the API shows it while it is being fetched."""
    return {
        "kind": media.kind.value,
        "status": "waiting",
        "content_type": None,
        "size": None,
        "url": None,
        "error": None,
    }


def hide_numbers(text: str) -> str:
    """Return the reason of a carrier without anything in it that could be a phone number."""
    return _NUMBER.sub("•••", text)
