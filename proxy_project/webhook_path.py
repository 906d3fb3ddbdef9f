"""The short way to what Vonage calls."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import resolve
from django.utils.module_loading import import_string

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


def make_answer() -> HttpResponse:
    """Return an answer without a body, as the middleware around webhooks leaves it, but for the id of a request."""
    around = settings.MIDDLEWARE[1 : settings.MIDDLEWARE.index(f"{__name__}.{serve_webhooks.__name__}")]
    request = HttpRequest()
    request.path = PATHS[0]
    request.META["HTTP_X_FORWARDED_PROTO"] = "https"

    def respond(_: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"Content-Length": "0"})

    for name in reversed(around):
        respond = import_string(name)(respond)
    return respond(request)
