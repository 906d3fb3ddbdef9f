"""Reopen a chat that has ended: the same two people, on the virtual numbers they know."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from chats.allocation import ChosenNumbers, NoFreeNumber, Seeker
from chats.events import record_chat_events
from chats.models import Chat, Participant
from chats.phone_numbers import PhoneNumber, find_country_of
from chats.services.admission import VirtualNumberTakesNoChats, give_numbers, refuse_countries, refuse_virtual_numbers
from chats.services.locking import (
    Raced,
    decide_until_settled,
    find_people,
    hold_numbers,
    lock_chat,
    lock_people,
)
from chats.services.shortages import warn_of_shortage
from chats.services.starting import introduce_people
from chats.services.times import ImpossibleTime, find_idle_end, refuse_past_times
from platforms.event_types import EventType


class VirtualNumberTaken(Exception):
    """A person of the chat has, or had lately, another chat on the virtual number they knew here."""

    def __init__(self) -> None:
        super().__init__(
            "Somebody of this chat has, or had lately, a chat with somebody else on its virtual number. "
            "Start a new chat instead."
        )


class WasErased(Exception):
    """The phone number of somebody in the chat was erased."""


def reopen_chat(*, chat_id: UUID, changes: Mapping[str, Any], now: datetime) -> Chat:
    """Open a chat again that has ended, and return it; one that has not ended stays as it is.

    `changes` may hold a new `expires_at` and `idle_timeout_seconds`. People who have never heard of the chat, since
    it ended before it started, are introduced. Raises Chat.DoesNotExist, WasErased, ImpossibleTime,
    CountryNotAllowed, VirtualNumberTaken, VirtualNumberTakesNoChats, and PersonIsVirtualNumber.
    """

    def decide() -> Chat:
        expected = [bytes(person.phone_digest) for person in find_people(chat_id)]
        lock_people(*expected)
        chat = lock_chat(chat_id)
        if chat.status != Chat.Status.ENDED:
            return chat
        people = find_people(chat_id)
        if [bytes(person.phone_digest) for person in people] != expected:
            raise Raced
        if not all(person.phone_number for person in people):
            raise WasErased("Phone numbers of this chat have been erased. Start a new chat instead.")
        _set_times(chat, changes, now)
        given = _refuse_conflicts(chat, people, now)
        _reopen(chat, people, now)
        warn_of_shortage(chat=chat, people=people, chosen=given, now=now)
        return chat

    return decide_until_settled(decide)


def _set_times(chat: Chat, changes: Mapping[str, Any], now: datetime) -> None:
    refuse_past_times(starts_at=None, expires_at=changes.get("expires_at"), now=now)
    for field, value in changes.items():
        setattr(chat, field, value)
    if chat.expires_at and chat.expires_at <= now:
        raise ImpossibleTime("expires_at", "The chat's has passed: give a later one, or null.", code="in_the_past")


def _refuse_conflicts(chat: Chat, people: list[Participant], now: datetime) -> ChosenNumbers:
    """Make sure that the countries, the rule of masking and everybody's cool-down allow what was allowed once."""
    phone_numbers = [person.phone_number for person in people]
    refuse_countries(chat.platform, *(PhoneNumber(e164=each, country=find_country_of(each)) for each in phone_numbers))
    refuse_virtual_numbers(*phone_numbers)
    numbers = [person.virtual_number_id for person in people]
    if not hold_numbers(*numbers, platform_id=chat.platform_id):
        raise VirtualNumberTakesNoChats("The chat's virtual number takes no new chats. Start a new chat instead.")
    seekers = [Seeker(phone_digest=bytes(person.phone_digest), number_id=person.virtual_number_id) for person in people]
    try:
        return give_numbers(chat=chat, seekers=seekers, fresh=False, now=now)
    except NoFreeNumber:
        raise VirtualNumberTaken from None


def _reopen(chat: Chat, people: list[Participant], now: datetime) -> None:
    """Every reopening of a chat."""
    chat.status, chat.end_reason, chat.ended_at = Chat.Status.OPEN, "", None
    chat.idle_ends_at = find_idle_end(chat, now)
    chat.revision += 1
    chat.save(update_fields=["status", "end_reason", "ended_at", "expires_at", "idle_timeout_seconds", "idle_ends_at",
                             "revision"])  # fmt: skip
    Participant.objects.filter(chat=chat, replaced_at=None).update(ended_at=None)
    introduce_people({chat: people})
    record_chat_events(type=EventType.CHAT_REOPENED, chat_ids=[chat.pk], now=now)
