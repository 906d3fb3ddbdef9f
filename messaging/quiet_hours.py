"""Find out until when a text waits for its recipient's morning; docs/decisions/0023-consent.md."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_number


def find_morning(*, now: datetime, zones: Sequence[ZoneInfo], quiet_from: time, quiet_until: time) -> datetime | None:
    """Return when nobody can be asleep any more in any of `zones`; None when that is so `now`.

    Quiet hours may span midnight. Where the zones are so far apart that it is always night in one of them, it is the
    last of their next mornings.
    """
    quiet = [zone for zone in zones if _is_quiet(now, zone, quiet_from, quiet_until)]
    if not quiet:
        return None
    mornings = sorted(_next_morning(now + timedelta(days=day), zone, quiet_until) for zone in zones for day in (0, 1))
    for morning in mornings:
        if not any(_is_quiet(morning, zone, quiet_from, quiet_until) for zone in zones):
            return morning
    return max(_next_morning(now, zone, quiet_until) for zone in zones)


def find_zones(*, phone_number: str, time_zone: str) -> list[ZoneInfo]:
    """Return where a person may be: in the zone that the platform names, else in those of their phone number.

    A number that tells no zone is taken to be in UTC.
    """
    names = (time_zone,) if time_zone else _zones_of(phone_number)
    return [zone for zone in map(_load, names) if zone] or [ZoneInfo("UTC")]


def _zones_of(phone_number: str) -> tuple[str, ...]:
    try:
        names: tuple[str, ...] = time_zones_for_number(phonenumbers.parse(phone_number))
    except phonenumbers.NumberParseException:
        return ()
    return () if UNKNOWN_TIMEZONE in names else names


@lru_cache(maxsize=512)
def _load(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def _is_quiet(moment: datetime, zone: ZoneInfo, quiet_from: time, quiet_until: time) -> bool:
    clock = moment.astimezone(zone).time()
    if quiet_from < quiet_until:
        return quiet_from <= clock < quiet_until
    return clock >= quiet_from or clock < quiet_until


def _next_morning(moment: datetime, zone: ZoneInfo, quiet_until: time) -> datetime:
    local = moment.astimezone(zone)
    morning = datetime.combine(local.date(), quiet_until, tzinfo=zone)
    if morning <= local:
        morning = datetime.combine(local.date() + timedelta(days=1), quiet_until, tzinfo=zone)
    return morning.astimezone(UTC)
