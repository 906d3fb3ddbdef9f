"""The page on which an operator sets up or removes their second factor."""

from typing import Any

import segno
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from audit.log import operator_of, record
from audit.models import Action
from operators.forms import CodeForm
from operators.second_factor import begin_setup, check, confirm, has_second_factor, make_uri, remove


@never_cache
@sensitive_post_parameters("code")
@sensitive_variables("codes", "factor")
def second_factor(request: HttpRequest) -> HttpResponse:
    """Show the secret until it is confirmed, then the recovery codes, once; later, remove it with a code."""
    user = request.user
    assert isinstance(user, User)  # admin_view has seen to it
    form = CodeForm(request.POST if request.method == "POST" else None)
    code = form.cleaned_data["code"] if form.is_valid() else ""
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Second factor", "form": form}
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
            uri = make_uri(factor=factor, username=user.get_username(), issuer="Masked texting")
            context |= {"secret": factor.secret, "picture": segno.make(uri).svg_data_uri(scale=5)}
    if code and not (context.get("codes") or context.get("removed")):
        form.add_error("code", "This is not the code of this moment. Each works once: wait for the next.")
    return TemplateResponse(request, "operators/second_factor.html", context)
