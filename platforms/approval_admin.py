"""The operator's page of approval hooks: how each fares, and what to do about it."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from audit.models import Action
from operators.desk_admin import DeskAdmin
from platforms.approval import remove_hook, rotate_hook_secret, set_hook
from platforms.endpoints import BadUrl, check_endpoint_url
from platforms.event_admin import confirm_new_secrets
from platforms.models import ApprovalHook


class HookForm(forms.ModelForm):
    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            check_endpoint_url(url)
        except BadUrl as error:
            raise forms.ValidationError(str(error), code="bad_url") from None
        return url


@admin.register(ApprovalHook)
class ApprovalHookAdmin(DeskAdmin):
    form = HookForm
    list_display = ("platform", "url", "default", "timeout_seconds", "health", "last_success_at", "last_failure_at")
    list_select_related = ("platform",)
    search_fields = ("platform__name",)
    ordering = ("platform__name",)
    # Each is removed on its own page, after a look at it.
    actions = ("rotate_secrets",)
    empty_state = _(
        "No approval hooks. A platform that wants to be asked before texts are passed on sets one; so can you."
    )
    fields = ("platform", "url", "default", "timeout_seconds", "health", "consecutive_failures", "skipped_until",
              "last_success_at", "last_failure_at", "last_failure", "previous_secret_until",
              "created_at")  # fmt: skip
    add_fieldsets = ((None, {"fields": ("platform", "url", "default", "timeout_seconds")}),)
    readonly_fields = ("health", "consecutive_failures", "skipped_until", "last_success_at", "last_failure_at",
                       "last_failure", "previous_secret_until", "created_at")  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: ApprovalHook | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "platform") if obj else self.readonly_fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApprovalHook]:
        # No page shows a secret, so none is read.
        return super().get_queryset(request).defer("secret", "previous_secret")

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        # It would leave the platform switched on.
        found.pop("delete_selected", None)
        return found

    def save_model(self, request: HttpRequest, obj: ApprovalHook, form: Any, change: bool) -> None:
        saved = set_hook(
            platform=obj.platform,
            url=obj.url,
            timeout_seconds=obj.timeout_seconds,
            default=ApprovalHook.Default(obj.default),
        )
        if saved.secret:
            _show_secret(request, saved.hook, saved.secret)

    def log_addition(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        # It may have been refused at the last moment.
        if ApprovalHook.objects.filter(pk=obj.pk).exists():
            super().log_addition(request, obj, message)

    def describe_deletion(self, row: ApprovalHook) -> Sequence[str]:
        words = gettext("%(url)s: %(platform)s is asked no more; its texts are passed on at once, those that wait too.")
        return [words % {"url": row.url, "platform": row.platform}]

    def delete_model(self, request: HttpRequest, obj: ApprovalHook) -> None:
        remove_hook(platform=obj.platform)

    @action(description=_("Make a new secret"), permissions=["change"])
    def rotate_secrets(self, request: HttpRequest, queryset: QuerySet[ApprovalHook]) -> HttpResponse | None:
        hooks = list(queryset.select_related("platform"))
        if "confirmed" not in request.POST:
            return confirm_new_secrets(self, request, [(each.pk, each.url, str(each.platform)) for each in hooks])
        for hook in hooks:
            with transaction.atomic():
                saved = rotate_hook_secret(platform=hook.platform, now=timezone.now())
                self.log_action(request, hook, Action.MADE_SECRET, words="Made a new secret")
            if saved.secret:
                _show_secret(request, saved.hook, saved.secret)
        return None

    @display(description=_("Health"), label={"works": "success", "new": "info", "fails": "danger"})
    def health(self, hook: ApprovalHook) -> tuple[str, str]:
        if hook.consecutive_failures:
            return "fails", gettext("fails")
        return ("works", gettext("works")) if hook.last_success_at else ("new", gettext("new"))


def _show_secret(request: HttpRequest, hook: ApprovalHook, secret: str) -> None:
    words = gettext("The new secret of %(url)s is %(secret)s (copy it now: it is never shown again).")
    messages.warning(request, words % {"url": hook.url, "secret": secret})
