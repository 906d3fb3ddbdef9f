"""An operator's own pages: the second factor, and how they want the desk."""

from typing import Any

import segno
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from audit.log import operator_of, record
from audit.models import Action
from operators.forms import CodeForm, PreferencesForm
from operators.models import Preferences
from operators.preferences import find_language, find_preferences, find_zone
from operators.second_factor import begin_setup, check, confirm, has_second_factor, make_uri, remove

# In the app on the phone, whatever the language.
_ISSUER = "Masked texting"


def list_own_pages(request: HttpRequest) -> list[dict[str, str]]:
    """Return the menu of whoever is logged in, for unfold."""
    return [
        {"title": _("Preferences"), "link": reverse("preferences")},
        {"title": _("Second factor"), "link": reverse("second_factor")},
        {"title": _("Change password"), "link": reverse("admin:password_change")},
    ]


def find_stylesheet(request: HttpRequest) -> str:
    """Return the address of what we add to unfold's styles, for unfold."""
    return static("operators/desk.css")


@never_cache
def preferences(request: HttpRequest) -> HttpResponse:
    """Choose the time zone and the language of the desk; at first they are the browser's."""
    user = request.user
    assert isinstance(user, User)  # admin_view has seen to it
    stands = {"time_zone": find_zone(request), "language": find_language(request)}
    form = PreferencesForm(request.POST if request.method == "POST" else None, initial=stands)
    if form.is_valid():
        Preferences.objects.update_or_create(user=user, defaults=form.cleaned_data)
        with translation.override(form.cleaned_data["language"]):
            messages.success(request, _("Your preferences were saved."))
        return redirect("preferences")
    context = {
        **admin.site.each_context(request),
        "title": _("Preferences"),
        "form": form,
        "is_chosen": find_preferences(request) is not None,
    }
    return TemplateResponse(request, "operators/preferences.html", context)


@never_cache
@sensitive_post_parameters("code")
@sensitive_variables("codes", "factor")
def second_factor(request: HttpRequest) -> HttpResponse:
    """Show the secret until it is confirmed, then the recovery codes, once; later, remove it with a code."""
    user = request.user
    assert isinstance(user, User)  # admin_view has seen to it
    form = CodeForm(request.POST if request.method == "POST" else None)
    code = form.cleaned_data["code"] if form.is_valid() else ""
    context: dict[str, Any] = {**admin.site.each_context(request), "title": _("Second factor"), "form": form}
    if has_second_factor(user):
        with transaction.atomic():
            if code and check(user=user, code=code):
                remove(user=user)
                record(action=Action.REMOVED_SECOND_FACTOR, by=operator_of(request), on=user)
                context["removed"] = True
        context["is_on"] = "removed" not in context
    else:
        factor = begin_setup(user=user)
        with transaction.atomic():
            codes = confirm(factor=factor, code=code, now=timezone.now()) if code else None
            if codes:
                record(action=Action.ADDED_SECOND_FACTOR, by=operator_of(request), on=user)
        if codes:
            context["codes"] = codes
        else:
            uri = make_uri(factor=factor, username=user.get_username(), issuer=_ISSUER)
            context |= {"secret": factor.secret, "picture": segno.make(uri).svg_data_uri(scale=5)}
    if code and not (context.get("codes") or context.get("removed")):
        form.add_error("code", _("This is not the code of this moment. Each works once: wait for the next."))
    return TemplateResponse(request, "operators/second_factor.html", context)
