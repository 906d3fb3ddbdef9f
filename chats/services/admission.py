"""Give people virtual numbers, or say why not: what starting a chat, reopening it and replacing somebody share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from chats.allocation import ChosenNumbers, CountryMatch, Seeker, choose_virtual_numbers
from chats.countries import find_allowed_countries
from chats.models import Chat, VirtualNumber
from chats.phone_numbers import PhoneNumber
from chats.services.locking import Raced, hold_numbers
from platforms.models import Platform
from proxy_project.sql import execute_prepared

_VIRTUAL_AMONG = "SELECT number FROM chats_virtualnumber WHERE number = ANY((SELECT %(numbers)s::text[])::text[])"
_TAKES_CHATS = (VirtualNumber.State.ACTIVE, VirtualNumber.State.RESERVED)


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who is to take part in a chat; the name may be empty, and the IANA `time_zone` too.

    Without a language, it is the platform's.
    """

    phone_number: PhoneNumber
    name: str = field(default="", repr=False)
    language: str = ""
    country_match: CountryMatch = CountryMatch.PREFER
    time_zone: str = ""


@dataclass(frozen=True, kw_only=True)
class NumberChoice:
    """What a platform asks of the virtual numbers of a chat.

    `named` is the one it wants, by its id or in E.164; with `fresh` it is none that the two people had before.
    """

    named: str | None = None
    fresh: bool = False


ANY_NUMBER = NumberChoice()


class SamePerson(Exception):
    """Both people have the same phone number."""


class PersonIsVirtualNumber(Exception):
    """The person at `index` has a phone number that is one of our virtual numbers, or was."""

    def __init__(self, index: int) -> None:
        super().__init__("This is one of the service's own virtual numbers.")
        self.index = index


class CountryNotAllowed(Exception):
    """The phone number of the person at `index` is of a country that the platform does not text."""

    def __init__(self, index: int) -> None:
        super().__init__("Phone numbers of this country are not texted: ask the operator of the service to allow it.")
        self.index = index


class UnknownVirtualNumber(Exception):
    """The platform has no virtual number of this id or number."""


class VirtualNumberTakesNoChats(Exception):
    """The virtual number that was named is draining or retired, or takes no texts."""


def refuse_virtual_numbers(*phone_numbers: str) -> None:
    """Raise PersonIsVirtualNumber when one of `phone_numbers`, in E.164, is a virtual number."""
    for (number,) in execute_prepared(_VIRTUAL_AMONG, {"numbers": list(phone_numbers)}):
        raise PersonIsVirtualNumber(phone_numbers.index(number))


def refuse_countries(platform: Platform, *phone_numbers: PhoneNumber) -> None:
    """Raise CountryNotAllowed when `platform` may not text the country of one of `phone_numbers`."""
    allowed = find_allowed_countries(platform)
    for index, number in enumerate(phone_numbers):
        if allowed and number.country not in allowed:
            raise CountryNotAllowed(index)


def find_named_number(*, platform: Platform, choice: NumberChoice) -> UUID | None:
    """Return the id of the virtual number that the platform named, if it did.

    Raises UnknownVirtualNumber and VirtualNumberTakesNoChats.
    """
    if choice.named is None:
        return None
    try:
        wanted = Q(pk=UUID(choice.named))
    except ValueError:
        wanted = Q(number=choice.named)
    number = VirtualNumber.objects.filter(wanted, Q(platform=platform) | Q(platform=None)).first()
    if number is None:
        raise UnknownVirtualNumber("There is no such virtual number among yours: GET /virtual-numbers lists them.")
    if number.state not in _TAKES_CHATS or not number.can_sms:
        raise VirtualNumberTakesNoChats("This virtual number takes no new chats: name another, or none.")
    return number.pk


def give_numbers(*, chat: Chat, seekers: Sequence[Seeker], fresh: bool, now: datetime) -> ChosenNumbers:
    """Return the virtual numbers of the two `seekers`, which nobody retires until the transaction ends.

    Raises NoFreeNumber, and Raced when a number went out of use at this moment. Callers have locked the people.
    """
    first, second = seekers
    chosen = choose_virtual_numbers(
        platform_id=chat.platform_id,
        first=first,
        second=second,
        fresh=fresh,
        cool_down_hours=settings.COOL_DOWN_HOURS,
        now=now,
    )
    # Whoever keeps a number holds it by the chat that is there.
    given = [number for number, seeker in ((chosen.first, first), (chosen.second, second)) if not seeker.keeps_number]
    if not hold_numbers(*given, platform_id=chat.platform_id):
        raise Raced
    return chosen
