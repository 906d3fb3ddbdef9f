"""What the admin does around every page: second factor, masking, time zone and language of the operator."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone, translation

from operators.masking import seen_by
from operators.preferences import find_language, find_zone, load_zone
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


def serve_operator(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, after authentication: the admin shows what this operator may see, in their zone and language.

    Nothing else does: the API and everything that is texted have their own.
    """

    def respond(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/admin/"):
            return get_response(request)
        zone = load_zone(find_zone(request))
        with seen_by(request), timezone.override(zone), translation.override(find_language(request)):
            response = get_response(request)
            response.headers.setdefault("Content-Language", translation.get_language())
            return response

    return respond


def _lacks_it(request: HttpRequest) -> bool:
    free = (reverse("second_factor"), reverse("admin:login"), reverse("admin:logout"), reverse("admin:jsi18n"))
    return request.path not in free and request.user.is_authenticated and not has_second_factor(request.user)
