"""Keep operators who still lack the second factor they need on the page that sets it up."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from operators.second_factor import has_second_factor


def require_second_factor(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, after authentication: with REQUIRE_SECOND_FACTOR nothing else of the admin is there without one."""

    def respond(request: HttpRequest) -> HttpResponse:
        if settings.REQUIRE_SECOND_FACTOR and request.path.startswith("/admin/") and _lacks_it(request):
            return redirect("second_factor")
        return get_response(request)

    return respond


def _lacks_it(request: HttpRequest) -> bool:
    free = (reverse("second_factor"), reverse("admin:login"), reverse("admin:logout"), reverse("admin:jsi18n"))
    return request.path not in free and request.user.is_authenticated and not has_second_factor(request.user)
