"""Which countries' phone numbers are texted: the platform's list, else the service's, else all of them."""

from collections.abc import Collection
from uuid import UUID

from django.conf import settings

from chats.phone_numbers import find_country_of, is_premium
from platforms.models import Platform

COUNTRY_NOT_ALLOWED = "country_not_allowed"


def find_allowed_countries(platform: Platform | None) -> Collection[str]:
    """Return ISO 3166 codes; none means all."""
    return (platform and platform.allowed_countries) or settings.ALLOWED_COUNTRIES


def is_allowed(e164: str, allowed: Collection[str]) -> bool:
    """Return whether a number is of one of the countries `allowed`, if there are any."""
    return not allowed or find_country_of(e164) in allowed


def may_be_answered(e164: str, virtual_number_id: UUID) -> bool:
    """Return whether somebody in no chat may be texted, from this number: no premium number, and of no odd country."""
    if is_premium(e164):
        return False
    # Of a number that all share, the service's list counts.
    owner = Platform.objects.filter(virtual_numbers=virtual_number_id).first()
    return is_allowed(e164, find_allowed_countries(owner))
