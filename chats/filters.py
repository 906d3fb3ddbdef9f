"""Which chats and messages a list shows, and in which pages."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField

from chats.models import Chat, Participant
from messaging.models import Message
from platforms.models import Platform
from proxy_project.pages import Pages, TimePages

# Of chats.pool.Forecast: an example, and what it is.
_FORECAST = {
    "numbers": (20, "Virtual numbers that new chats can have, without those that have a problem."),
    "held_by_busiest_person": (
        17,
        "How many of them the busiest person of your chats holds or cools down from, whichever platforms' chats these "
        "are.",
    ),
    "chats_left_for_busiest_person": (
        3,
        "How many more chats with others that person can have. At 0 they are refused with `no_free_number`: "
        "rent more numbers.",
    ),
}


# The clocks of two machines, at most.
_CLOCKS_DIFFER = timedelta(hours=1)


class MomentField(IsoDateTimeField):
    """A time in UTC: PostgreSQL knows no offsets of 16 hours and more, which ISO 8601 allows."""

    def clean(self, value: Any) -> datetime | None:
        moment: datetime | None = super().clean(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError:
            raise forms.ValidationError("There is no such time.", code="invalid") from None


class MomentFilter(filters.IsoDateTimeFilter):
    field_class = MomentField


class ChatFilter(filters.FilterSet):
    status = filters.MultipleChoiceFilter(
        choices=Chat.Status.choices,
        method="filter_status",
        help_text="Only chats of this status; repeat it for more.",
    )
    reference = filters.CharFilter(max_length=100, help_text="The chat with this reference of yours.")
    person = filters.UUIDFilter(
        method="filter_person",
        help_text="The id of a participant: every chat of the person who has the same phone number.",
    )
    virtual_number = filters.UUIDFilter(
        method="filter_virtual_number", help_text="The id of a virtual number: the chats that are or were on it."
    )
    started_after = MomentFilter(
        field_name="started_at", lookup_expr="gte", help_text="Started then or later, such as 2030-01-31T18:00:00Z."
    )
    started_before = MomentFilter(
        field_name="started_at", method="filter_before", help_text="Started earlier than that."
    )
    ended_after = MomentFilter(
        field_name="ended_at", lookup_expr="gte", help_text="Ended then or later; a chat that goes on has not ended."
    )
    ended_before = MomentFilter(field_name="ended_at", method="filter_before", help_text="Ended earlier than that.")

    class Meta:
        model = Chat
        fields = ["reference"]

    def filter_queryset(self, queryset: QuerySet[Chat]) -> QuerySet[Chat]:
        # As the index chat_by_start has it.
        return super().filter_queryset(queryset.alias(started_at=Coalesce("starts_at", "created_at")))

    def filter_status(self, queryset: QuerySet[Chat], name: str, value: Sequence[str]) -> QuerySet[Chat]:
        return queryset.filter(status__in=value) if value else queryset

    def filter_before(self, queryset: QuerySet[Chat], name: str, value: datetime) -> QuerySet[Chat]:
        # Nothing starts or ends before it was made. Said as well, the newer chats are not read at all.
        return queryset.filter(**{f"{name}__lt": value}, created_at__lt=value + _CLOCKS_DIFFER)

    def filter_person(self, queryset: QuerySet[Chat], name: str, value: UUID) -> QuerySet[Chat]:
        # Somebody of another platform's chats is nobody here.
        people = Participant.objects.filter(pk=value, chat__platform=self.request.user)
        digest = people.values_list("phone_digest", flat=True).first()
        return queryset.none() if digest is None else filter_by_digest(queryset, bytes(digest))

    def filter_virtual_number(self, queryset: QuerySet[Chat], name: str, value: UUID) -> QuerySet[Chat]:
        return queryset.filter(Exists(Participant.objects.filter(chat=OuterRef("pk"), virtual_number=value)))


class MessageFilter(filters.FilterSet):
    direction = filters.ChoiceFilter(choices=Message.Direction.choices)
    kind = filters.MultipleChoiceFilter(
        choices=Message.Kind.choices, method="filter_any", help_text="Only this kind; repeat it for more."
    )
    status = filters.MultipleChoiceFilter(
        choices=Message.Status.choices, method="filter_any", help_text="Only this status; repeat it for more."
    )
    after = MomentFilter(
        field_name="created_at", lookup_expr="gte", help_text="Logged then or later, such as 2030-01-31T18:00:00Z."
    )
    before = MomentFilter(field_name="created_at", lookup_expr="lt", help_text="Logged earlier than that.")

    class Meta:
        model = Message
        fields = ["direction"]

    def filter_any(self, queryset: QuerySet[Message], name: str, value: Sequence[str]) -> QuerySet[Message]:
        return queryset.filter(**{f"{name}__in": value}) if value else queryset


def find_person(*, platform: Platform, digest: bytes) -> UUID | None:
    """Return the id of a participant of the platform's chats, former ones too, who has this phone digest."""
    people = Participant.objects.filter(chat__platform=platform, phone_digest=digest)
    return people.order_by("-pk").values_list("pk", flat=True).first()


def filter_by_digest(chats: QuerySet[Chat], digest: bytes) -> QuerySet[Chat]:
    """Return those of one person."""
    # Read first by the index participant_by_phone: they are few.
    return chats.filter(pk__in=Participant.objects.filter(phone_digest=digest).order_by().values("chat"))


class ChatPages(TimePages):
    """Newest first."""


class VirtualNumberPages(Pages):
    """In the order of the numbers."""

    ordering = "number"

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        page = super().get_paginated_response_schema(schema)
        page["properties"]["forecast"] = {
            "type": "object",
            "description": "How far the pool reaches for the people of your chats.",
            "properties": {
                field: {"type": "integer", "description": description, "example": example}
                for field, (example, description) in _FORECAST.items()
            },
            "required": list(_FORECAST),
        }
        page["required"] = [*page.get("required", ()), "forecast"]
        return page

    def is_position(self, text: str) -> bool:
        return text.isascii() and len(text) <= 16 and "\0" not in text


class MessagePages(Pages):
    """In the order in which the texts were logged."""

    ordering = "position"

    def is_position(self, text: str) -> bool:
        return text.isascii() and text.isdecimal() and len(text) < 19
