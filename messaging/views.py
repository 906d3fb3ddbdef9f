"""The API of texts: what they come to."""

from datetime import date
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from chats.schema import BAD_PARAMETERS, EVERY_ERROR
from messaging import usage_schema as docs
from messaging.usage import GroupBy, read_usage
from platforms.api import PlatformView, platform_of

_DAYS_SHOWN = 30


class UsageView(PlatformView):
    @extend_schema(
        operation_id="read_usage",
        tags=["usage"],
        summary="Read what was used",
        description=docs.READ_USAGE,
        parameters=[docs.UsageParameters],
        responses={200: docs.UsageSerializer, **BAD_PARAMETERS, **EVERY_ERROR},
        examples=[docs.USAGE],
    )
    def get(self, request: Request) -> Response:
        asked = _read_parameters(request)
        last = asked.get("to") or timezone.now().date()
        first = asked.get("from") or date.fromordinal(max(1, last.toordinal() - _DAYS_SHOWN + 1))
        if first > last:
            raise ValidationError({"from": ["Must not be after `to`."]}, code="bad_range")
        if (last - first).days >= docs.MAX_DAYS:
            raise ValidationError({"from": [f"Must be at most {docs.MAX_DAYS} days before `to`."]}, code="bad_range")
        group_by = GroupBy(asked["group_by"])
        books = read_usage(platform_id=platform_of(request).pk, first=first, last=last, group_by=group_by)
        shown = {"first": first, "to": last, "group_by": group_by, "lines": books.lines, "total": books.total}
        return Response(docs.UsageSerializer(shown).data)


def _read_parameters(request: Request) -> dict[str, Any]:
    known = docs.UsageParameters().fields
    if not set(known).issuperset(request.query_params):
        message = f"There is no such parameter; there are {', '.join(known)}."
        raise ValidationError(message, code="unknown_parameter")
    # As JSON, where an empty value is a value, and refused.
    parameters = docs.UsageParameters(data=request.query_params.dict())
    parameters.is_valid(raise_exception=True)
    asked: dict[str, Any] = parameters.validated_data
    return asked
