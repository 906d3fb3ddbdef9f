"""Give every request an id of ours, in its answer, in the lines of the log it leads to, and in the audit log."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog
from django.http import HttpRequest, HttpResponse

from proxy_project.ids import make_id

HEADER = "X-Request-Id"
_KEY = "texting.request_id"


def give_request_id(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, first of all. What a client sends in the header is not believed: it could be anything."""

    def respond(request: HttpRequest) -> HttpResponse:
        request_id = make_id()
        request.META[_KEY] = request_id
        structlog.contextvars.bind_contextvars(request=str(request_id))
        try:
            response = get_response(request)
        finally:
            structlog.contextvars.unbind_contextvars("request")
        response.headers[HEADER] = str(request_id)
        return response

    return respond


def find_request_id(request: Any) -> UUID | None:
    """Return the id of a request of Django's or of the API; None when it came past the middleware."""
    found: UUID | None = request.META.get(_KEY)
    return found
