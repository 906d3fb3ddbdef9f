"""Filter a list of the admin by day, as the operator's time zone has it."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.dateformat import format as format_date
from django.utils.dateparse import parse_date
from django.utils.timezone import localdate, make_aware
from django.utils.translation import gettext_lazy as _

DAYS = 7


class DayFilter(admin.SimpleListFilter):
    """Offers the last days, and whatever other day the address names; what is of a day is for a subclass to say."""

    title = _("day")
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        today = localdate()
        days = [today - timedelta(days=ago) for ago in range(DAYS)]
        if (chosen := _parse_day(self.value())) and chosen not in days:
            days.append(chosen)
        return [(day.isoformat(), format_date(day, "l, j F")) for day in days]

    def find_days(self) -> tuple[date, date] | None:
        """Return the first and the last day that is asked for; None when it is none, or no day."""
        day = _parse_day(self.value())
        return (day, day) if day else None

    def find_bounds(self) -> tuple[datetime, datetime] | None:
        """Return when the first day begins and when the last has ended."""
        if (days := self.find_days()) is None:
            return None
        first, last = days
        begins_at, ends_at = (make_aware(datetime.combine(day, time.min)) for day in (first, last + timedelta(days=1)))
        return begins_at, ends_at


def _parse_day(text: str | None) -> date | None:
    try:
        return parse_date(text or "")
    except ValueError:
        return None
