"""Who has failed to log in too often: what django-axes is told, and what it keeps."""

import hmac
import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from audit.log import operator_of, record
from audit.logins import was_checked
from audit.models import Action


def find_address(request: HttpRequest) -> str:
    """Return the address a login comes from: what the outermost of our own proxies saw, never what a client says."""
    if settings.TRUSTED_PROXIES:
        seen = [each.strip() for each in request.headers.get("X-Forwarded-For", "").split(",")]
        # Each proxy adds whom it saw at the end.
        address = seen[-settings.TRUSTED_PROXIES] if len(seen) >= settings.TRUSTED_PROXIES else ""
        if re.fullmatch(r"[0-9a-fA-F.:]{3,45}", address):
            return address
    return str(request.META.get("REMOTE_ADDR", ""))


def hide_username(request: HttpRequest | None, credentials: dict[str, Any] | None) -> str:
    """Return a digest of what was typed as the user name: now and then it is a password."""
    typed = credentials.get("username") if credentials else request and request.POST.get("username")
    name = str(typed or "").strip().encode("utf-8", "replace")
    return hmac.digest(settings.SECRET_KEY.encode(), name, "sha256").hex()


def record_lock(*, request: HttpRequest, **_: Any) -> None:
    """Record the beginning of a lock, and not each login that is refused while it lasts."""
    if was_checked(request):
        record(action=Action.LOCKED_LOGIN, by=operator_of(request))
