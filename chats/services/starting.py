"""Start chats: at once, or when their time has come."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.db import transaction

from chats.allocation import Seeker
from chats.events import record_chat_events
from chats.introductions import queue_introductions
from chats.models import Chat, Participant
from chats.services.admission import (
    ANY_NUMBER,
    NumberChoice,
    Person,
    SamePerson,
    find_named_number,
    give_numbers,
    refuse_countries,
    refuse_virtual_numbers,
)
from chats.services.ending import EXPIRED, end_locked_chats
from chats.services.locking import decide_until_settled, lock_people
from chats.services.shortages import warn_of_shortage
from chats.services.times import find_idle_end, refuse_past_times, refuse_wrong_order
from platforms.event_types import EventType
from platforms.models import Platform
from proxy_project.encryption import digest_number
from proxy_project.sql import execute_prepared

_BY_REFERENCE = "SELECT id FROM chats_chat WHERE platform_id = %(platform)s AND reference = %(reference)s"


@dataclass(frozen=True, kw_only=True)
class StartedChat:
    """A chat, and whether this request made it or had done so before."""

    chat: Chat
    created: bool


class ReferenceTaken(Exception):
    """The platform used this reference for a chat of other people."""


def start_chat(
    *,
    platform: Platform,
    people: Sequence[Person],
    reference: str | None,
    expires_at: datetime | None,
    metadata: Mapping[str, Any],
    now: datetime,
    starts_at: datetime | None = None,
    idle_timeout_seconds: int | None = None,
    choice: NumberChoice = ANY_NUMBER,
    disclosures: Mapping[str, str] = MappingProxyType({}),
) -> StartedChat:
    """Open a chat between two people, each on a virtual number, and queue an introduction to each of them.

    With `starts_at` it is scheduled: the numbers are theirs from now on, and the rest happens then. When the
    platform has used `reference` for the same people, this returns that chat, whatever became of it. `disclosures`
    has the rules that differ from the platform's, by the names of the chat's fields.

    Raises SamePerson, ReferenceTaken, ImpossibleTime, PersonIsVirtualNumber, CountryNotAllowed,
    UnknownVirtualNumber, VirtualNumberTakesNoChats, and NoFreeNumber of chats.allocation.
    """
    first, second = people
    if first.phone_number == second.phone_number:
        raise SamePerson("The two people have the same phone number.")
    digests = [digest_number(person.phone_number.e164) for person in people]
    locks = [*digests, digest_number(f"{platform.pk} {reference}")] if reference else digests

    def decide() -> StartedChat:
        lock_people(*locks)
        chat = _find_by_reference(platform, reference, digests) if reference else None
        if chat:
            return StartedChat(chat=chat, created=False)
        refuse_past_times(starts_at=starts_at, expires_at=expires_at, now=now)
        refuse_wrong_order(starts_at=starts_at, expires_at=expires_at)
        refuse_countries(platform, *(person.phone_number for person in people))
        refuse_virtual_numbers(*(person.phone_number.e164 for person in people))
        chat = Chat(
            platform=platform,
            reference=reference,
            status=Chat.Status.SCHEDULED if starts_at else Chat.Status.OPEN,
            starts_at=starts_at,
            expires_at=expires_at,
            idle_timeout_seconds=idle_timeout_seconds,
            metadata=dict(metadata),
            **disclosures,
        )
        chat.idle_ends_at = None if starts_at else find_idle_end(chat, now)
        participants = _create(chat, people, digests, choice, now)
        if not starts_at:
            _start({chat: participants}, now)
        return StartedChat(chat=chat, created=True)

    return decide_until_settled(decide)


def start_due_chats(*, now: datetime, limit: int = 200) -> int:
    """Start up to `limit` scheduled chats whose time has come; return how many were due, until it is none.

    One that should be over by now, since no worker ran, ends without a word. Chats that another process moves at
    this moment are left to it.
    """
    with transaction.atomic():
        due = list(
            Chat.objects.filter(status=Chat.Status.SCHEDULED, starts_at__lte=now)
            .order_by("starts_at")
            .select_related("platform")
            .select_for_update(skip_locked=True, no_key=True, of=("self",))[:limit]
        )
        missed = [chat for chat in due if chat.expires_at and chat.expires_at <= now]
        end_locked_chats(missed, reason=EXPIRED, now=now)
        starting = [chat for chat in due if chat not in missed]
        for chat in starting:
            chat.status, chat.idle_ends_at = Chat.Status.OPEN, find_idle_end(chat, now)
        Chat.objects.bulk_update(starting, ["status", "idle_ends_at"])
        _start(_find_people(starting), now)
    return len(due)


def introduce_people(chats: Mapping[Chat, Sequence[Participant]]) -> None:
    """Let both people of each chat, which is open, know of it, if they do not yet."""
    queue_introductions(
        [(chat, *pair) for chat, people in chats.items() for pair in zip(people, reversed(people), strict=True)]
    )


def _start(chats: Mapping[Chat, Sequence[Participant]], now: datetime) -> None:
    """Every start of chats: they are open from now on, both people are introduced, and the platform is told."""
    introduce_people(chats)
    told = [chat.pk for chat in chats if chat.platform.records_events]
    if told:
        record_chat_events(type=EventType.CHAT_STARTED, chat_ids=told, now=now)


def _create(
    chat: Chat, people: Sequence[Person], digests: Sequence[bytes], choice: NumberChoice, now: datetime
) -> list[Participant]:
    named = find_named_number(platform=chat.platform, choice=choice)
    seekers = [
        Seeker(
            phone_digest=digest,
            country=person.phone_number.country,
            country_match=person.country_match,
            number_id=named,
        )
        for person, digest in zip(people, digests, strict=True)
    ]
    given = give_numbers(chat=chat, seekers=seekers, fresh=choice.fresh, now=now)
    chat.save(force_insert=True)
    participants = Participant.objects.bulk_create(
        Participant(
            chat=chat,
            position=position,
            name=person.name,
            language=person.language,
            phone_number=person.phone_number.e164,
            phone_digest=digest,
            virtual_number_id=number,
            time_zone=person.time_zone,
            awaits_consent=chat.platform.asks_confirmation,
        )
        for position, (person, digest, number) in enumerate(
            zip(people, digests, (given.first, given.second), strict=True), start=1
        )
    )
    warn_of_shortage(chat=chat, people=participants, chosen=given, now=now)
    return participants


def _find_by_reference(platform: Platform, reference: str, digests: Iterable[bytes]) -> Chat | None:
    # Prepared, since it is asked of each chat that is started, and there is hardly ever one.
    found = execute_prepared(_BY_REFERENCE, {"platform": platform.pk, "reference": reference})
    if not found:
        return None
    chat = Chat.objects.get(pk=found[0][0])
    # Those who were replaced too: the request that started the chat may be repeated after that.
    sides = {bytes(digest): side for digest, side in chat.participants.values_list("phone_digest", "position")}
    if {sides.get(digest) for digest in digests} != {1, 2}:
        raise ReferenceTaken("Another chat, of other people or of people who were erased, has this reference.")
    return chat


def _find_people(chats: Iterable[Chat]) -> dict[Chat, list[Participant]]:
    people: dict[Chat, list[Participant]] = {chat: [] for chat in chats}
    for participant in Participant.objects.filter(chat__in=list(people), replaced_at=None).order_by("position"):
        people[Chat(pk=participant.chat_id)].append(participant)
    return people
