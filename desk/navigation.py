"""The sidebar of the admin: the pages of the desk, and those of everything there is."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from platforms.admin import list_pages as list_models


def list_pages(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar, for unfold: the pages this person may see."""
    desk = [{"title": _("Home"), "icon": "home", "link": reverse("admin:index")}]
    if request.user.has_perm("messaging.view_message"):
        desk.append({"title": _("Failures"), "icon": "sms_failed", "link": reverse("desk_failures")})
        desk.append({"title": _("Set-up"), "icon": "checklist", "link": reverse("desk_setup")})
    return [{"items": desk}, *list_models(request)]
