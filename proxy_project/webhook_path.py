"""The short way to what Vonage calls."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import resolve

PATHS = ("/webhooks/inbound", "/webhooks/status")


def serve_webhooks(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, outside of all that is for browsers: sessions, logins, forms and pages, of which a webhook has none.

    With them a webhook took a quarter more of Python's time: docs/performance.md.
    """
    matches = {path: resolve(path) for path in PATHS}

    def respond(request: HttpRequest) -> HttpResponse:
        match = matches.get(request.path_info)
        if match is None:
            return get_response(request)
        # What CommonMiddleware does for the others: refuse the names of other hosts, and say how long the answer is.
        request.get_host()
        request.resolver_match = match
        response: HttpResponse = match.func(request)
        response.headers["Content-Length"] = str(len(response.content))
        return response

    return respond
