"""Gather everything that is held about one person, for who asks what that is."""

from datetime import datetime
from typing import Any

from chats.models import Erasure, Participant
from messaging.models import Message, OptOut, TextPart
from platforms.events import show_time
from platforms.models import Event
from proxy_project.encryption import show_unreadable


def gather_person(*, phone_digest: bytes) -> dict[str, Any]:
    """Return what is held about whoever has the number of `phone_digest`, as JSON can hold it.

    Of a chat, what they wrote and were sent; what the other person wrote is there as it was sent to them.
    """
    people = Participant.objects.filter(phone_digest=phone_digest).select_related("chat__platform", "virtual_number")
    with show_unreadable():
        return {
            "chats": [_describe_chat(person) for person in people.order_by("chat__created_at", "id")],
            "texts_outside_of_chats": [
                _describe_text(message)
                for message in Message.objects.filter(stranger_digest=phone_digest).order_by("position")
            ],
            "parts_of_texts": [
                {"to": part.to_number, "text": part.body, "received_at": _show(part.received_at)}
                for part in TextPart.objects.filter(sender_digest=phone_digest, joined_at=None)
            ],
            "opt_outs": [
                _describe_opt_out(opt_out)
                for opt_out in OptOut.objects.filter(phone_digest=phone_digest)
                .select_related("virtual_number", "platform")
                .order_by("created_at")
            ],
            "erased_at": [_show(erasure.erased_at) for erasure in Erasure.objects.filter(phone_digest=phone_digest)],
        }


def _describe_chat(person: Participant) -> dict[str, Any]:
    chat = person.chat
    texts = Message.objects.filter(chat=chat, participant=person).select_related("approval")
    texts = texts.prefetch_related("attachments").order_by("position")
    return {
        "id": str(chat.pk),
        "platform": chat.platform.name,
        "reference": chat.reference,
        "metadata": chat.metadata,
        "status": chat.status,
        "end_reason": chat.end_reason or None,
        "created_at": _show(chat.created_at),
        "ended_at": _show(chat.ended_at),
        "name": person.name,
        "phone_number": person.phone_number,
        "language": person.language or None,
        "time_zone": person.time_zone or None,
        "awaits_consent": person.awaits_consent,
        "consented_at": _show(person.consented_at),
        "consent_text": person.consent_text or None,
        "virtual_number": person.virtual_number.number,
        "texts": [_describe_text(text) for text in texts],
        "events_to_the_platform": [
            {"type": event.type, "occurred_at": _show(event.occurred_at)}
            for event in Event.objects.filter(chat=chat).only("type", "occurred_at").order_by("position")
        ],
    }


def _describe_opt_out(opt_out: OptOut) -> dict[str, Any]:
    return {
        "virtual_number": opt_out.virtual_number.number,
        "counts_for": opt_out.scope,
        "platform": opt_out.platform.name if opt_out.platform else None,
        "said_by": opt_out.source,
        "word": opt_out.keyword or None,
        "text": opt_out.text or None,
        "answer": opt_out.confirmation or None,
        "reason": opt_out.reason or None,
        "created_at": _show(opt_out.created_at),
        "ended_at": _show(opt_out.ended_at),
        "ended_by": opt_out.end or None,
        "text_that_ended_it": opt_out.end_text or None,
        "answer_to_that": opt_out.end_confirmation or None,
    }


def _describe_text(message: Message) -> dict[str, Any]:
    return {
        "id": str(message.pk),
        "direction": message.direction,
        "kind": message.kind,
        "status": message.status,
        "text": message.body,
        "reason_for_blocking": getattr(message, "approval", None) and (message.approval.reason or None),
        "attachments": [
            {"kind": each.kind, "status": each.status, "content_type": each.content_type, "bytes": each.size}
            for each in message.attachments.all()
        ],
        "created_at": _show(message.created_at),
        "send_at": _show(message.send_at),
        "sent_at": _show(message.sent_at),
        "delivered_at": _show(message.delivered_at),
    }


def _show(moment: datetime | None) -> str | None:
    return show_time(moment) if moment else None
