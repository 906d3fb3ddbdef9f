"""What GET /usage takes and shows, and how it is documented."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers

from messaging.models import Message
from messaging.usage import GroupBy, Line, Usage

MAX_DAYS = 366

READ_USAGE = f"""\
What your texts come to, in lines for each day, month or virtual number; lines of nothing are left out. Days are UTC,
and a text belongs to the day on which it came in or was queued. At most {MAX_DAYS} days; without `from` and `to`, the
30 days up to today.

The figures are those of the message log at this moment: a text that is on its way counts under the status it has now,
and its price as soon as the carrier has told it. They stay when texts are erased. Texts of strangers, and the answers
to them, count where the virtual number is yours alone.
"""


class UsageParameters(serializers.Serializer[Any]):
    """The parameters of GET /usage, but for `from`, which is no name in Python."""

    to = serializers.DateField(required=False, help_text="The last day, such as 2030-01-31. Not given: today.")
    group_by = serializers.ChoiceField(
        choices=[(each.value, each.value) for each in GroupBy],
        required=False,
        default=GroupBy.DAY.value,
        help_text="What a line is about.",
    )

    def get_fields(self) -> dict[str, Any]:
        first = serializers.DateField(
            required=False, help_text="The first day, such as 2030-01-01. Not given: 29 days before the last."
        )
        return {"from": first, **super().get_fields()}


class PriceSerializer(serializers.Serializer[Any]):
    """A sum in one currency."""

    currency = serializers.CharField(help_text="ISO 4217, such as EUR; empty when the carrier did not say.")
    amount = serializers.DecimalField(max_digits=18, decimal_places=6)


class DirectionSerializer(serializers.Serializer[Usage]):
    """What texts of one direction come to."""

    texts = serializers.IntegerField()
    segments = serializers.IntegerField(help_text="Of those that travelled as SMS.")
    mms = serializers.IntegerField(help_text="How many of them travelled as MMS.")
    attachments = serializers.IntegerField()
    by_kind = serializers.SerializerMethodField()
    by_status = serializers.SerializerMethodField()
    prices = serializers.SerializerMethodField(help_text="As far as the carrier has told.")

    def get_by_kind(self, usage: Usage) -> dict[str, int]:
        return _without_zeros(usage.by_kind)

    def get_by_status(self, usage: Usage) -> dict[str, int]:
        return _without_zeros(usage.by_status)

    @extend_schema_field(PriceSerializer(many=True))
    def get_prices(self, usage: Usage) -> Any:
        prices = [{"currency": currency, "amount": amount} for currency, amount in sorted(usage.prices.items())]
        return PriceSerializer(prices, many=True).data


class TotalSerializer(serializers.Serializer[Line]):
    """Texts in and out."""

    inbound = DirectionSerializer(help_text="Texts from people.")
    outbound = DirectionSerializer(help_text="Texts to people.")


class LineSerializer(TotalSerializer):
    """The texts of one day, month or virtual number."""

    group = serializers.CharField(help_text="Such as 2030-01-31, 2030-01, or +14155550100.")


class UsageSerializer(serializers.Serializer[Any]):
    """What a platform used."""

    to = serializers.DateField(help_text="The last day.")
    group_by = serializers.ChoiceField(choices=[(each.value, each.value) for each in GroupBy])
    results = LineSerializer(many=True, source="lines")
    total = TotalSerializer()

    def get_fields(self) -> dict[str, Any]:
        return {"from": serializers.DateField(source="first", help_text="The first day."), **super().get_fields()}


def _without_zeros(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


_INBOUND: dict[str, Any] = {
    "texts": 3,
    "segments": 4,
    "mms": 0,
    "attachments": 0,
    "by_kind": {Message.Kind.TEXT.value: 3},
    "by_status": {Message.Status.RELAYED.value: 3},
    "prices": [{"currency": "EUR", "amount": "0.022800"}],
}
_OUTBOUND: dict[str, Any] = {
    "texts": 5,
    "segments": 6,
    "mms": 0,
    "attachments": 0,
    "by_kind": {Message.Kind.INTRODUCTION.value: 2, Message.Kind.RELAY.value: 3},
    "by_status": {Message.Status.DELIVERED.value: 4, Message.Status.SENT.value: 1},
    "prices": [{"currency": "EUR", "amount": "0.043200"}],
}
USAGE = OpenApiExample(
    "A day",
    value={
        "from": "2030-01-30",
        "to": "2030-01-30",
        "group_by": "day",
        "results": [{"group": "2030-01-30", "inbound": _INBOUND, "outbound": _OUTBOUND}],
        "total": {"inbound": _INBOUND, "outbound": _OUTBOUND},
    },
    response_only=True,
    status_codes=["200"],
)
