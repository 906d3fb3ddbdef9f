"""The pages of every list of the API: by an opaque cursor, so that nothing is counted, skipped or shown twice."""

from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request


class Pages(CursorPagination):
    """Pages that stay where they are while rows are added; a wrong parameter is an error."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
    page_size_query_description = "How many results a page has: at most 200, and 50 when not given."

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        filterset = getattr(view, "filterset_class", None)
        known = {"cursor", "page_size", *(filterset.base_filters if filterset else ())}
        if not known.issuperset(request.query_params):
            # A filter with a typing error would show everything, to somebody who believes it does not.
            message = f"There is no such parameter; there are {', '.join(sorted(known))}."
            raise ValidationError(message, code="unknown_parameter")
        return super().paginate_queryset(queryset, request, view)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        page: dict[str, Any] = super().get_paginated_response_schema(schema)
        for name in ("next", "previous"):
            page["properties"][name]["example"] = "https://texting.example.com/chats?cursor=cD0yMDMwLTAx"
        return page

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] |= {"minimum": 1, "default": self.page_size}
        return parameters

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get("page_size", str(self.page_size))
        if not (text.isascii() and text.isdecimal() and text.strip("0")):
            raise ValidationError({"page_size": ["Must be a number of at least 1."]})
        # What has more digits is not worth reading.
        return min(int(text[:9]), self.max_page_size)

    def decode_cursor(self, request: Request) -> Cursor | None:
        detail = "Take the cursor from `next` or `previous` of a page."
        refused = ValidationError({"cursor": [detail]}, code="invalid_cursor")
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            raise refused from None
        if cursor and cursor.position is not None and not self.is_position(str(cursor.position)):
            raise refused
        return cursor

    def is_position(self, text: str) -> bool:
        """Tell whether `text`, from a cursor that anybody can make, is a value the rows can be ordered by."""
        raise NotImplementedError


class TimePages(Pages):
    """By the time that rows were made, newest first."""

    ordering = "-created_at"

    def is_position(self, text: str) -> bool:
        try:
            moment = parse_datetime(text)
        except ValueError:
            return False
        return moment is not None and is_aware(moment)
