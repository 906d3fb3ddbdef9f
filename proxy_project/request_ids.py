"""Give every request an id of ours, in its answer, in the lines of the log it leads to, and in the audit log."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog
from django.http import HttpRequest, HttpResponse

from proxy_project.ids import make_id
from proxy_project.tracing import trace

HEADER = "X-Request-Id"
_KEY = "texting.request_id"


def give_request_id(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, first of all. What a client sends in the header is not believed: it could be anything."""

    def respond(request: HttpRequest) -> HttpResponse:
        request_id = make_id()
        request.META[_KEY] = request_id
        structlog.contextvars.bind_contextvars(request=str(request_id))
        try:
            with trace("request", request=str(request_id), method=_name_method(request)) as span:
                response = get_response(request)
                if span:
                    # The pattern, never the address.
                    route = request.resolver_match.route if request.resolver_match else "nowhere"
                    span.update_name(f"{_name_method(request)} /{route}")
                    span.set_attribute("http.response.status_code", response.status_code)
        finally:
            structlog.contextvars.unbind_contextvars("request")
        response.headers[HEADER] = str(request_id)
        return response

    return respond


def _name_method(request: HttpRequest) -> str:
    """Return the method; of one that is none of HTTP's, nothing of what it says."""
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    return request.method if request.method in known else "other"


def find_request_id(request: Any) -> UUID | None:
    """Return the id of a request of Django's or of the API; None when it came past the middleware."""
    found: UUID | None = request.META.get(_KEY)
    return found
