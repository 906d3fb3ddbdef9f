"""In what time zone and language an operator has the desk: as they chose, else as their browser says."""

from collections.abc import Sequence
from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language_from_request

from operators.models import Preferences

# Set by operators/static/operators/zone.js.
ZONE_COOKIE = "browser_zone"


def find_preferences(request: HttpRequest) -> Preferences | None:
    """Return what whoever is logged in has chosen, if anything; it has been read with the user."""
    if not request.user.is_authenticated:
        return None
    try:
        return request.user.preferences
    except Preferences.DoesNotExist:
        return None


def find_zone(request: HttpRequest) -> str:
    """Return the name of the time zone in which to show times."""
    preferences = find_preferences(request)
    for name in (preferences.time_zone if preferences else "", request.COOKIES.get(ZONE_COOKIE, "")):
        if is_zone(name):
            return name
    return settings.TIME_ZONE


def find_language(request: HttpRequest) -> str:
    """Return the code of the language in which to show the desk, one of settings.LANGUAGES."""
    preferences = find_preferences(request)
    if preferences and preferences.language in dict(settings.LANGUAGES):
        return preferences.language
    return get_language_from_request(request)


def load_zone(name: str) -> tzinfo:
    """Return the time zone of this name, UTC when it is gone from the machine's tables."""
    return ZoneInfo(name) if is_zone(name) else UTC


def is_zone(name: str) -> bool:
    # Never a path that somebody made up.
    return name in list_zones()


@lru_cache(maxsize=1)
def list_zones() -> Sequence[str]:
    """Return the names of all time zones that people live in."""
    return [*sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")), "UTC"]
