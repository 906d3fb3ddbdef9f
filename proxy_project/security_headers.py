"""What a browser may do with an answer of ours, and who may keep it: the strictest that each page works with."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Answers to programs: there is nothing in them that a browser would have to run or load.
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# No inline script. Alpine, which unfold's pages are written for, makes functions of their attributes: its build without
# 'unsafe-eval' understands neither `localStorage` nor arrow functions, and both are in every page. unfold has
# style elements and attributes, too. docs/decisions/0026-audit.md.
_ADMIN = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self'; img-src 'self' data:; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# Swagger UI, served by us; it draws with style attributes.
_DOCS = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FEATURES = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), interest-cohort=()"


def add_security_headers(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, around everything that answers; a view that has said more than this is left alone."""

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", _choose_policy(request.path))
        response.headers.setdefault("Permissions-Policy", _FEATURES)
        # Chats and texts are nobody's to keep on the way; what may be kept (static files, the schema) says so itself.
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return respond


def _choose_policy(path: str) -> str:
    if path.startswith("/admin/"):
        return _ADMIN
    return _DOCS if path == "/docs" else _NOTHING
