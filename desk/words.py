"""How the desk says amounts: counts, durations, money and times."""

from datetime import datetime

from django.utils.formats import number_format
from django.utils.timezone import get_current_timezone_name, localtime
from django.utils.translation import gettext as _


def say_count(amount: int) -> str:
    return number_format(amount, force_grouping=True)


def say_seconds(seconds: float | None) -> str:
    """Return a duration with two digits, such as `0.8 s`, `12 s` or `3 min`; a dash for none."""
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return _("%(seconds)s s") % {"seconds": number_format(round(seconds, 1), 1)}
    if seconds < 99.5:
        return _("%(seconds)s s") % {"seconds": round(seconds)}
    if seconds < 99.5 * 60:
        return _("%(minutes)s min") % {"minutes": round(seconds / 60)}
    return _("%(hours)s h") % {"hours": round(seconds / 3600)}


def say_money(micros: int, currency: str) -> str:
    return f"{number_format(micros / 1_000_000, 2, force_grouping=True)} {currency}".strip()


def say_percent(part: int, whole: int) -> str:
    """Return a share; it is all or nothing only when it is."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if part not in (0, whole):
        percent = min(max(percent, 0.1), 99.9)
    return f"{number_format(percent, 1 if 0 < percent < 10 or 90 < percent < 100 else 0)} %"


def say_clock(moment: datetime | None) -> str:
    """Return the time of day in the operator's time zone."""
    return f"{localtime(moment):%H:%M}" if moment else "–"


def say_zone() -> str:
    """Return the name of the operator's time zone, as people write it."""
    return get_current_timezone_name().replace("_", " ")
