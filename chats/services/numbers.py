"""Add virtual numbers, and take them out of use while chats go on."""

import math
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import phonenumbers
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count

from chats.models import Participant, VirtualNumber
from chats.phone_numbers import find_country_of
from chats.services.locking import lock_everybody, lock_people
from platforms.models import Platform
from proxy_project.encryption import digest_number
from proxy_project.sql import execute_planned

# Texts a second; the validator of VirtualNumber.messages_per_second says the same.
SLOWEST_RATE = 0.01

# https://www.fcc.gov/consumers/guides/what-toll-free-number-and-how-does-it-work
_TOLL_FREE = re.compile(r"\+18(00|33|44|55|66|77|88)")


class CannotAddVirtualNumber(Exception):
    """The number cannot become a virtual number; the message says why in one sentence."""


class VirtualNumberExists(CannotAddVirtualNumber):
    """It is one already."""


class VirtualNumberInUse(Exception):
    """Chats that are open or scheduled use the number; the message says how many, and what to do."""


@dataclass(frozen=True, kw_only=True)
class StatesChanged:
    """Which virtual numbers were moved, as they were before, and which were not because chats still use them."""

    moved: Sequence[VirtualNumber]
    in_use: Sequence[VirtualNumber]


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
    row = describe_virtual_number(
        number=number,
        platform=platform,
        country=country,
        messages_per_second=messages_per_second,
        state=state,
        can_sms=can_sms,
        can_mms=can_mms,
        paced_by=paced_by,
    )
    digest = digest_number(row.number)
    with transaction.atomic():
        # Whoever starts a chat with this person now waits, and then finds the virtual number.
        lock_people(digest)
        if VirtualNumber.objects.filter(number=row.number).exists():
            raise VirtualNumberExists("This virtual number exists already.")
        if Participant.objects.filter(phone_digest=digest, ended_at=None).exists():
            raise CannotAddVirtualNumber("This is the phone number of a person in an open chat.")
        row.save(force_insert=True)
    return row


def describe_virtual_number(
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
    """Return the row that add_virtual_number would add, unsaved; the database is not asked.

    Raises CannotAddVirtualNumber.
    """
    number = number.strip()
    row = VirtualNumber(
        number=number,
        platform=platform,
        country=country.upper() or find_country_of(number),
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
    return row


@contextmanager
def adding_many() -> Iterator[None]:
    """Hold the lock under which many virtual numbers may be looked at and then added, in one transaction.

    No chat is started meanwhile, so this is to be short.
    """
    with transaction.atomic():
        lock_everybody()
        yield


# In one statement: the ORM takes seconds for thousands of rows, and whoever starts a chat waits for it.
_INSERT = """
    INSERT INTO chats_virtualnumber (id, number, country, state, can_sms, can_mms, messages_per_second, paced_by,
                                     platform_id, created_at)
    SELECT id, number, country, state, can_sms, can_mms, rate, paced_by, platform_id, now()
      FROM unnest(%(ids)s::uuid[], %(numbers)s::text[], %(countries)s::text[], %(states)s::text[], %(sms)s::bool[],
                  %(mms)s::bool[], %(rates)s::float[], %(paced_by)s::text[], %(platforms)s::uuid[])
           AS row (id, number, country, state, can_sms, can_mms, rate, paced_by, platform_id)
"""


def insert_virtual_numbers(rows: Sequence[VirtualNumber]) -> None:
    """Add rows of describe_virtual_number, which neither exist nor are people; call it within adding_many."""
    params = {
        "ids": [row.pk for row in rows],
        "numbers": [row.number for row in rows],
        "countries": [row.country for row in rows],
        "states": [str(row.state) for row in rows],
        "sms": [row.can_sms for row in rows],
        "mms": [row.can_mms for row in rows],
        "rates": [float(row.messages_per_second) for row in rows],
        "paced_by": [str(row.paced_by) for row in rows],
        "platforms": [row.platform_id for row in rows],
    }
    execute_planned(_INSERT, params)


def find_existing(numbers: Collection[str]) -> set[str]:
    """Return those of `numbers`, in E.164, that are virtual numbers."""
    return set(VirtualNumber.objects.filter(number__in=numbers).values_list("number", flat=True))


def find_people_among(numbers: Collection[str]) -> set[str]:
    """Return those of `numbers`, in E.164, that are phone numbers of people in chats that have not ended."""
    by_digest = {digest_number(number): number for number in numbers}
    found = Participant.objects.filter(phone_digest__in=list(by_digest), ended_at=None)
    return {by_digest[bytes(digest)] for digest in found.values_list("phone_digest", flat=True)}


def find_pacing(*, number: str, country: str) -> VirtualNumber.PacedBy:
    """Return what the rate of a number in E.164 usually counts: segments for long numbers of the US and Canada.

    https://api.support.vonage.com/hc/en-us/articles/4406782736532
    """
    if country in ("US", "CA") and not _TOLL_FREE.match(number):
        return VirtualNumber.PacedBy.SEGMENTS
    return VirtualNumber.PacedBy.TEXTS


def change_number_state(*, number_id: UUID, state: VirtualNumber.State) -> VirtualNumber:
    """Move a virtual number to `state` and return it; chats that are open or scheduled go on.

    Draining, it takes no new chats. Retired it can be only when no chat needs it any more: raises VirtualNumberInUse,
    and VirtualNumber.DoesNotExist.
    """
    with transaction.atomic():
        # Waits for chats that are being started on it, and they for us: FOR UPDATE against `hold_numbers`.
        number = VirtualNumber.objects.select_for_update().get(pk=number_id)
        if state == VirtualNumber.State.RETIRED:
            _refuse_in_use(number)
        number.state = state
        number.save(update_fields=["state"])
    return number


def change_number_states(*, number_ids: Sequence[UUID], state: VirtualNumber.State) -> StatesChanged:
    """Move virtual numbers to `state`, all that may, in one transaction; return which were and which were not moved.

    As of change_number_state: those that chats still use are not retired.
    """
    with transaction.atomic():
        # In one order, so that two of these do not wait for each other.
        numbers = list(VirtualNumber.objects.select_for_update().filter(pk__in=number_ids).order_by("pk"))
        others = [number for number in numbers if number.state != state]
        in_use = count_chats([number.pk for number in others]) if state == VirtualNumber.State.RETIRED else {}
        moved = [number for number in others if not in_use.get(number.pk)]
        VirtualNumber.objects.filter(pk__in=[number.pk for number in moved]).update(state=state)
    return StatesChanged(moved=moved, in_use=[number for number in others if in_use.get(number.pk)])


def count_chats(number_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return how many chats that have not ended use each virtual number, of those that are used, in one query."""
    # By the index participant_open_by_number; a join would read the participants of ended chats too.
    used = Participant.objects.filter(virtual_number__in=number_ids, ended_at=None).order_by()
    counted = used.values("virtual_number").annotate(chats=Count("chat", distinct=True))
    return dict(counted.values_list("virtual_number", "chats"))


def _refuse_in_use(number: VirtualNumber) -> None:
    chats = number.participants.filter(ended_at=None).order_by().values("chat").distinct().count()
    if chats:
        what = "1 chat that has not ended uses" if chats == 1 else f"{chats} chats that have not ended use"
        raise VirtualNumberInUse(f"{what} this number. Let it drain, and retire it when they have ended.")
