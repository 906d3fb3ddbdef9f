"""Make what a test starts from: platforms, virtual numbers, chats. All phone numbers are examples nobody has."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from chats.models import Chat, VirtualNumber
from chats.phone_numbers import parse_phone_number
from chats.services import Person, start_chat
from platforms.models import ApiKey, Platform

# 555-01xx is set aside for fiction in the numbering plan of North America.
SARA = "+14155550123"
OMAR = "+14155550124"
ALICE = "+14155550125"
BOB = "+14155550126"
CHARLIE = "+14155550127"
# https://www.acma.gov.au/phone-numbers-use-tv-shows-films-and-creative-works
OLIVIA_IN_AUSTRALIA = "+61491570156"
JACK_IN_AUSTRALIA = "+61491570157"
# https://pts.se/en/english-b/telephony/numbering/telephone-numbers-for-use-in-fiction/
ELSA_IN_SWEDEN = "+46701740605"

VIRTUAL_NUMBER = "+14155550100"
AUSTRALIAN_VIRTUAL_NUMBER = "+61491570006"


def make_platform(name: str = "Rides", **fields: Any) -> Platform:
    return Platform.objects.create(name=name, **fields)


def make_api_key(platform: Platform, **fields: Any) -> str:
    key: str
    _, key = ApiKey.objects.create_key(name="test", platform=platform, **fields)
    return key


def make_api_client(platform: Platform, **fields: Any) -> APIClient:
    """Return a client that calls the API as `platform`, with a key of its own."""
    return APIClient(headers={"Authorization": f"Bearer {make_api_key(platform, **fields)}"})


def make_virtual_number(number: str = VIRTUAL_NUMBER, **fields: Any) -> VirtualNumber:
    return VirtualNumber.objects.create(number=number, **{"country": "US", **fields})


def make_pool(size: int, **fields: Any) -> list[VirtualNumber]:
    """Return `size` virtual numbers, +12025550100 and on."""
    return [make_virtual_number(f"+1202555{100 + index:04}", **fields) for index in range(size)]


def make_person(number: str, name: str = "") -> Person:
    return Person(phone_number=parse_phone_number(number), name=name)


def make_chat(
    platform: Platform,
    people: Sequence[str] = (SARA, OMAR),
    *,
    names: Sequence[str] = ("Sara", "Omar"),
    reference: str | None = None,
    expires_at: datetime | None = None,
    now: datetime | None = None,
    **fields: Any,
) -> Chat:
    """Start a chat as the API does; there must be a virtual number for it."""
    return start_chat(
        platform=platform,
        people=[make_person(number, name) for number, name in zip(people, names, strict=True)],
        reference=reference,
        expires_at=expires_at,
        metadata={},
        now=now or timezone.now(),
        **fields,
    ).chat
