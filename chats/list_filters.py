"""By what the list of chats is filtered besides state and platform: the day it started, and a virtual number."""

from typing import Any
from uuid import UUID

import phonenumbers
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chats.models import Chat, Participant, VirtualNumber
from operators.day_filter import DayFilter


class StartedFilter(DayFilter):
    """The chats that were opened on a day; by the index of the list."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Chat]) -> QuerySet[Chat]:
        bounds = self.find_bounds()
        return queryset.filter(created_at__gte=bounds[0], created_at__lt=bounds[1]) if bounds else queryset


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
