"""Text the people of a chat on behalf of its platform."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from chats.countries import find_allowed_countries, is_allowed
from chats.models import Chat, Participant
from chats.services.locking import HasEnded, find_people, lock_chat
from chats.services.times import ImpossibleTime
from messaging.media.intake import keep_platform_media
from messaging.models import Message
from messaging.opt_outs import read_opted_out
from messaging.outbox import queue_platform_text
from platforms.models import Platform

LONGEST_AHEAD = timedelta(days=366)


class HasNotStarted(Exception):
    """The chat has not started, and what was asked for needs one that is open."""


class UnknownRecipient(Exception):
    """Nobody in the chat has this id, or no longer."""


class RecipientOptedOut(Exception):
    """Somebody who was to be texted does not want to be."""


class RecipientBlocked(Exception):
    """Somebody who was to be texted is blocked."""


class RecipientNotAllowed(Exception):
    """The phone number of somebody who was to be texted is of a country that the platform does not text any more."""


def send_platform_text(
    *,
    chat_id: UUID,
    text: str,
    now: datetime,
    to: UUID | None = None,
    media: Sequence[str] = (),
    send_at: datetime | None = None,
    once_key: str | None = None,
) -> list[Message]:
    """Queue a text to the participant `to`, or to both people of a chat; return a message for each of them.

    With `send_at` it waits until then. `media` are URLs of what goes with it. The end of the chat after silence is not
    put off by it. Who was texted with this `once_key` before is not texted again. Raises Chat.DoesNotExist, HasEnded,
    HasNotStarted, ImpossibleTime, UnknownRecipient, RecipientOptedOut, RecipientBlocked and RecipientNotAllowed.
    """
    with transaction.atomic():
        chat = lock_chat(chat_id)
        _require_open(chat, send_at, now)
        people = [person for person in find_people(chat_id) if to is None or person.pk == to]
        if not people:
            raise UnknownRecipient("Nobody who is in the chat now has this id: take it from the chat's `participants`.")
        refuse_opted_out(people)
        _refuse_restricted(people, chat.platform)
        queued = []
        for person in people:
            message_id = queue_platform_text(
                recipient=person,
                body=text,
                media_count=len(media),
                send_at=send_at,
                once_key=f"{once_key}:{person.pk}" if once_key else None,
            )
            if message_id is None:
                continue
            if media:
                keep_platform_media(message_id=message_id, urls=media, due_at=send_at)
            queued.append(message_id)
    return list(Message.objects.filter(pk__in=queued).prefetch_related("attachments").order_by("position"))


def refuse_opted_out(people: Sequence[Participant]) -> None:
    """Raise RecipientOptedOut when one of `people` has opted out: the place where texts by platforms ask for it.

    Who opts out at this moment gets no text either: messaging.obstacles asks again when it is to be sent.
    """
    if read_opted_out(people):
        raise RecipientOptedOut(
            "Somebody who was to be texted has opted out: `opted_out` of the chat's `participants` says who. "
            "Text the other one with `to`."
        )


def _refuse_restricted(people: Sequence[Participant], platform: Platform) -> None:
    if any(person.blocked_at for person in people):
        raise RecipientBlocked(
            "Somebody who was to be texted is blocked: `blocked_at` of the chat's `participants` says who. "
            "Text the other one with `to`, or unblock them first."
        )
    allowed = find_allowed_countries(platform)
    if not all(is_allowed(person.phone_number, allowed) for person in people):
        raise RecipientNotAllowed(
            "Phone numbers of the country of somebody who was to be texted are not texted: ask the operator of the "
            "service to allow it, or text the other one with `to`."
        )


def _require_open(chat: Chat, send_at: datetime | None, now: datetime) -> None:
    if chat.status == Chat.Status.SCHEDULED:
        raise HasNotStarted("The chat has not started, so its people do not know it yet.")
    ends = [end for end in (chat.expires_at, chat.idle_ends_at) if end]
    if chat.status == Chat.Status.ENDED or any(end <= now for end in ends):
        raise HasEnded("The chat has ended. Reopen it first.")
    if send_at and send_at <= now:
        raise ImpossibleTime("send_at", "Must be in the future. Leave it out to send at once.", code="in_the_past")
    if send_at and send_at > now + LONGEST_AHEAD:
        raise ImpossibleTime("send_at", "Must be within a year.", code="too_late")
    if send_at and chat.expires_at and send_at >= chat.expires_at:
        raise ImpossibleTime("send_at", "The chat will have ended by then (expires_at).", code="after_end")
