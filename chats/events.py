"""Tell platforms of their chats: what an event says of one."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db.models import Prefetch

from chats.models import Chat, Participant, mask
from platforms.event_types import EventType
from platforms.events import record_event


def record_chat_events(*, type: EventType, chat_ids: Iterable[UUID], now: datetime) -> None:
    """Record, of each chat whose platform records events, what has just become of it, in the caller's transaction."""
    people = Prefetch("participants", Participant.objects.select_related("virtual_number"))
    chats = Chat.objects.filter(pk__in=list(chat_ids), platform__records_events=True).prefetch_related(people)
    for chat in chats.order_by("pk"):
        record_event(
            platform_id=chat.platform_id,
            type=type,
            chat_id=chat.pk,
            data={"chat": describe_chat(chat, list(chat.participants.all()))},
            now=now,
        )


def record_replacement(*, chat: Chat, leaving: Participant, joining: Participant, now: datetime) -> None:
    """Record that `joining` took the place of `leaving`, in the caller's transaction."""
    record_event(
        platform_id=chat.platform_id,
        type=EventType.PARTICIPANT_REPLACED,
        chat_id=chat.pk,
        data={
            "chat": {"id": chat.pk, "reference": chat.reference},
            "participant": describe_participant(joining),
            "replaced": describe_participant(leaving),
        },
        now=now,
    )


def record_consent_event(*, type: EventType, participant: Participant, scope: str, source: str, now: datetime) -> None:
    """Record that a participant has opted out or in, if their platform records events, in the caller's transaction."""
    if not participant.chat.platform.records_events:
        return
    record_event(
        platform_id=participant.chat.platform_id,
        type=type,
        chat_id=participant.chat_id,
        data={
            "chat": {"id": participant.chat_id, "reference": participant.chat.reference},
            "participant": describe_participant(participant),
            "scope": scope,
            "source": source,
        },
        now=now,
    )


def record_report(*, chat: Chat, reporter: Participant, reported: Participant, now: datetime) -> None:
    """Record that `reporter` has reported the other person of their chat, in the caller's transaction."""
    record_event(
        platform_id=chat.platform_id,
        type=EventType.PARTICIPANT_REPORTED,
        chat_id=chat.pk,
        data={
            "chat": {"id": chat.pk, "reference": chat.reference},
            "participant": describe_participant(reported),
            "reporter": describe_participant(reporter),
        },
        now=now,
    )


def describe_chat(chat: Chat, participants: Sequence[Participant]) -> dict[str, Any]:
    """Return a chat as `GET /chats/{id}` shows it, but for the introductions."""
    present = [each for each in participants if each.replaced_at is None]
    former = sorted((each for each in participants if each.replaced_at), key=attrgetter("replaced_at"))
    return {
        "id": chat.pk,
        "status": chat.status,
        "reference": chat.reference,
        "end_reason": chat.end_reason or None,
        "virtual_numbers": list(dict.fromkeys(each.virtual_number.number for each in present)),
        "participants": [describe_participant(each) for each in present],
        "former_participants": [
            {
                "id": each.pk,
                "name": each.name,
                "phone_number": mask(each.phone_number),
                "replaced_at": each.replaced_at,
            }
            for each in former
        ],
        "metadata": chat.metadata,
        "disclosures": {
            "phone_numbers": chat.phone_numbers_in_texts,
            "emails": chat.emails_in_texts,
            "links": chat.links_in_texts,
            "handles": chat.handles_in_texts,
        },
        "starts_at": chat.starts_at,
        "expires_at": chat.expires_at,
        "idle_timeout_seconds": chat.idle_timeout_seconds,
        "idle_ends_at": chat.idle_ends_at,
        "created_at": chat.created_at,
        "ended_at": chat.ended_at,
    }


def describe_participant(participant: Participant) -> dict[str, Any]:
    """Return a participant as the API shows them, but for the introduction and what they agreed to."""
    return {
        "id": participant.pk,
        "name": participant.name,
        "language": participant.language or None,
        "phone_number": mask(participant.phone_number),
        "virtual_number": participant.virtual_number.number,
        "muted_at": participant.muted_at,
        "blocked_at": participant.blocked_at,
    }
