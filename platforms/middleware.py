"""What happens to every request."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from proxy_project.encryption import show_unreadable


def show_unreadable_in_admin(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """Let the pages of the admin say of a row that its key is missing, where everything else is an error."""

    def respond(request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/admin/"):
            return get_response(request)
        with show_unreadable():
            return get_response(request)

    return respond
