"""By what the list of chats is filtered besides state and platform: the day it started, and a virtual number."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import phonenumbers
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.dateformat import format as format_date
from django.utils.dateparse import parse_date
from django.utils.timezone import localdate, make_aware
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chats.models import Chat, Participant, VirtualNumber

_DAYS = 7


class StartedFilter(admin.SimpleListFilter):
    """The chats that were opened on a day in the operator's time zone; by the index of the list."""

    title = _("day")
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        today = localdate()
        days = [today - timedelta(days=ago) for ago in range(_DAYS)]
        if (chosen := _parse_day(self.value())) and chosen not in days:
            days.append(chosen)
        return [(day.isoformat(), format_date(day, "l, j F")) for day in days]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Chat]) -> QuerySet[Chat]:
        day = _parse_day(self.value())
        if day is None:
            return queryset
        begins_at, ends_at = (make_aware(datetime.combine(each, time.min)) for each in (day, day + timedelta(days=1)))
        return queryset.filter(created_at__gte=begins_at, created_at__lt=ends_at)


class VirtualNumberFilter(admin.SimpleListFilter):
    """The chats on a virtual number, named by its id."""

    title = _("virtual number")
    parameter_name = "number"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = self.used_parameters.get(self.parameter_name)
        number = _find_by_id(value) if value else None
        return [(value, number.number if number else gettext("none of ours"))] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Chat]) -> QuerySet[Chat]:
        value = self.value()
        if value is None:
            return queryset
        number = _find_by_id(value)
        return (
            queryset.filter(pk__in=Participant.objects.filter(virtual_number=number).values("chat"))
            if number
            else queryset.none()
        )


def find_virtual_number(text: str) -> VirtualNumber | None:
    """Return the virtual number that `text` writes, in whatever way, with its country."""
    try:
        number = phonenumbers.parse(f"+{phonenumbers.normalize_digits_only(text).removeprefix('00')}")
    except phonenumbers.NumberParseException:
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return VirtualNumber.objects.filter(number=e164).first()


def _find_by_id(text: str) -> VirtualNumber | None:
    try:
        return VirtualNumber.objects.filter(pk=UUID(text)).first()
    except ValueError:
        return None


def _parse_day(text: str | None) -> date | None:
    try:
        return parse_date(text or "")
    except ValueError:
        return None
