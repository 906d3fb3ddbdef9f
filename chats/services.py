"""Start and end chats, and add virtual numbers: the only code that changes them."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import phonenumbers
import psycopg
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from chats.allocation import NoFreeNumber, Seeker, choose_virtual_numbers
from chats.introductions import queue_introduction
from chats.models import Chat, Participant, VirtualNumber
from chats.phone_numbers import PhoneNumber, find_country
from platforms.models import Platform
from proxy_project.encryption import digest_number

EXPIRED = "expired"
# Texts a second; the validator of VirtualNumber.messages_per_second says the same.
SLOWEST_RATE = 0.01

# https://www.fcc.gov/consumers/guides/what-toll-free-number-and-how-does-it-work
_TOLL_FREE = re.compile(r"\+18(00|33|44|55|66|77|88)")
_ATTEMPTS = 5
_RACES = ("open_chat_is_named_by_both_numbers", "chat_reference_is_unique")


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who is to take part in a chat; the name may be empty."""

    phone_number: PhoneNumber
    name: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class StartedChat:
    """A chat, and whether this request opened it or had done so before."""

    chat: Chat
    created: bool


class CannotStartChat(Exception):
    """Base of what is wrong with a chat that was asked for; the message can be shown to the platform."""


class SamePerson(CannotStartChat):
    """Both people have the same phone number."""


class PersonIsVirtualNumber(CannotStartChat):
    """The person at `index` has a phone number that is one of our virtual numbers, or was."""

    def __init__(self, index: int) -> None:
        super().__init__("This is one of the service's own virtual numbers.")
        self.index = index


class AlreadyExpired(CannotStartChat):
    """The chat would be over before it begins."""


class ReferenceTaken(CannotStartChat):
    """The platform used this reference for a chat of other people."""


class CannotAddVirtualNumber(Exception):
    """The number cannot become a virtual number; the message says why in one sentence."""


class VirtualNumberExists(CannotAddVirtualNumber):
    """It is one already."""


def start_chat(
    *,
    platform: Platform,
    people: Sequence[Person],
    reference: str | None,
    expires_at: datetime | None,
    metadata: Mapping[str, Any],
    now: datetime,
) -> StartedChat:
    """Open a chat between two people, each on a virtual number, and queue an introduction to each of them.

    When the platform has used `reference` for the same people, this returns that chat, open or ended.

    Raises SamePerson, ReferenceTaken, AlreadyExpired, PersonIsVirtualNumber, and NoFreeNumber of
    chats.allocation.
    """
    first, second = people
    if first.phone_number == second.phone_number:
        raise SamePerson("The two people have the same phone number.")
    digests = [digest_number(person.phone_number.e164) for person in people]
    locks = [*digests, digest_number(f"{platform.pk} {reference}")] if reference else digests
    for _ in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                _lock(*locks)
                chat = _find_by_reference(platform, reference, digests) if reference else None
                if chat:
                    return StartedChat(chat=chat, created=False)
                if expires_at and expires_at <= now:
                    raise AlreadyExpired("Must be in the future.")
                _refuse_virtual_numbers(people)
                chat = Chat(
                    platform=platform,
                    reference=reference,
                    expires_at=expires_at,
                    metadata=dict(metadata),
                )
                _open(chat, people, digests, now)
                return StartedChat(chat=chat, created=True)
        except IntegrityError as error:
            # Somebody who takes no such lock was first: decide anew from what is there now.
            if _constraint_of(error) not in _RACES:
                raise
    raise NoFreeNumber(0, 1)


def end_chat(*, chat_id: UUID, reason: str, now: datetime) -> Chat:
    """End a chat and return it; nothing more is passed on. A chat that has ended stays as it is.

    Raises Chat.DoesNotExist.
    """
    with transaction.atomic():
        chat = Chat.objects.select_for_update().get(pk=chat_id)
        if chat.status == Chat.Status.OPEN:
            chat.status = Chat.Status.ENDED
            chat.end_reason = reason
            chat.ended_at = now
            chat.save(update_fields=["status", "end_reason", "ended_at"])
            chat.participants.filter(ended_at=None).update(ended_at=now)
    return chat


def end_expired_chats(*, now: datetime, limit: int = 500) -> int:
    """End up to `limit` chats whose time is over, and return how many; fewer than `limit` means all are done.

    Chats that another process is ending at this moment are left to it.
    """
    with transaction.atomic():
        chat_ids = list(
            Chat.objects.filter(status=Chat.Status.OPEN, expires_at__lte=now)
            .order_by("expires_at")
            .select_for_update(skip_locked=True)
            .values_list("pk", flat=True)[:limit]
        )
        if chat_ids:
            Chat.objects.filter(pk__in=chat_ids).update(status=Chat.Status.ENDED, end_reason=EXPIRED, ended_at=now)
            Participant.objects.filter(chat__in=chat_ids, ended_at=None).update(ended_at=now)
    return len(chat_ids)


def add_virtual_number(
    *,
    number: str,
    platform: Platform | None,
    country: str,
    messages_per_second: float | None,
    state: VirtualNumber.State = VirtualNumber.State.ACTIVE,
    can_sms: bool = True,
    can_mms: bool = False,
    paced_by: VirtualNumber.PacedBy | None = None,
) -> VirtualNumber:
    """Add a number, in E.164, to the pool of `platform` or, without one, of all.

    An empty `country` is found by the number, and without `paced_by` so is that. Raises CannotAddVirtualNumber when
    the number is not E.164, exists, or is the phone number of somebody in an open chat.
    """
    number = number.strip()
    row = VirtualNumber(
        number=number,
        platform=platform,
        country=country.upper() or _country_of(number),
        state=state,
        can_sms=can_sms,
        can_mms=can_mms,
    )
    row.paced_by = paced_by or find_pacing(number=number, country=row.country)
    if row.country and row.country not in phonenumbers.SUPPORTED_REGIONS:
        raise CannotAddVirtualNumber("The country must be an ISO 3166 code of two letters, such as US.")
    if messages_per_second is not None:
        if not SLOWEST_RATE <= messages_per_second < math.inf:
            raise CannotAddVirtualNumber(f"The rate must be a number of at least {SLOWEST_RATE}.")
        row.messages_per_second = messages_per_second
    try:
        row.clean_fields(exclude=["platform"])
    except ValidationError as error:
        raise CannotAddVirtualNumber(" ".join(error.messages)) from None
    digest = digest_number(number)
    with transaction.atomic():
        # Whoever starts a chat with this person now waits, and then finds the virtual number.
        _lock(digest)
        if VirtualNumber.objects.filter(number=number).exists():
            raise VirtualNumberExists("This virtual number exists already.")
        if Participant.objects.filter(phone_digest=digest, ended_at=None).exists():
            raise CannotAddVirtualNumber("This is the phone number of a person in an open chat.")
        row.save(force_insert=True)
    return row


def find_pacing(*, number: str, country: str) -> VirtualNumber.PacedBy:
    """Return what the rate of a number in E.164 usually counts: segments for long numbers of the US and Canada.

    https://api.support.vonage.com/hc/en-us/articles/4406782736532
    """
    if country in ("US", "CA") and not _TOLL_FREE.match(number):
        return VirtualNumber.PacedBy.SEGMENTS
    return VirtualNumber.PacedBy.TEXTS


def _lock(*digests: bytes) -> None:
    """Make other transactions that want one of `digests` wait for this one; sorted, so none deadlock."""
    numbers = sorted({int.from_bytes(digest[:8], "big", signed=True) for digest in digests})
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(pg_advisory_xact_lock(key)) FROM unnest(%s::bigint[]) AS keys (key)", [numbers])


def _find_by_reference(platform: Platform, reference: str, digests: Sequence[bytes]) -> Chat | None:
    chat = Chat.objects.filter(platform=platform, reference=reference).first()
    if chat is None:
        return None
    known = chat.participants.values_list("phone_digest", flat=True)
    if {bytes(digest) for digest in known} != set(digests):
        raise ReferenceTaken("Another chat, of other people, has this reference.")
    return chat


def _refuse_virtual_numbers(people: Sequence[Person]) -> None:
    numbers = [person.phone_number.e164 for person in people]
    for number in VirtualNumber.objects.filter(number__in=numbers).values_list("number", flat=True):
        raise PersonIsVirtualNumber(numbers.index(number))


def _open(chat: Chat, people: Sequence[Person], digests: Sequence[bytes], now: datetime) -> None:
    first, second = (
        Seeker(phone_digest=digest, country=person.phone_number.country)
        for person, digest in zip(people, digests, strict=True)
    )
    numbers = choose_virtual_numbers(
        platform_id=chat.platform_id,
        first=first,
        second=second,
        cooling_since=now - timedelta(hours=settings.COOL_DOWN_HOURS),
    )
    chat.save(force_insert=True)
    participants = [
        Participant(
            chat=chat,
            position=position,
            name=person.name,
            phone_number=person.phone_number.e164,
            phone_digest=digest,
            virtual_number_id=number,
        )
        for position, (person, digest, number) in enumerate(zip(people, digests, numbers, strict=True), start=1)
    ]
    Participant.objects.bulk_create(participants)
    for participant, counterpart in zip(participants, reversed(participants), strict=True):
        queue_introduction(platform=chat.platform, participant=participant, counterpart=counterpart)


def _constraint_of(error: IntegrityError) -> str | None:
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None


def _country_of(number: str) -> str:
    try:
        return find_country(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return ""
