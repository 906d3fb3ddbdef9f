"""Add virtual numbers, and take them out of use while chats go on."""

import math
import re
from uuid import UUID

import phonenumbers
from django.core.exceptions import ValidationError
from django.db import transaction

from chats.models import Participant, VirtualNumber
from chats.phone_numbers import find_country_of
from chats.services.locking import lock_people
from platforms.models import Platform
from proxy_project.encryption import digest_number

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
    digest = digest_number(number)
    with transaction.atomic():
        # Whoever starts a chat with this person now waits, and then finds the virtual number.
        lock_people(digest)
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


def _refuse_in_use(number: VirtualNumber) -> None:
    chats = number.participants.filter(ended_at=None).order_by().values("chat").distinct().count()
    if chats:
        what = "1 chat that has not ended uses" if chats == 1 else f"{chats} chats that have not ended use"
        raise VirtualNumberInUse(f"{what} this number. Let it drain, and retire it when they have ended.")
