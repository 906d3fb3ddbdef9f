"""The operator's pages of platforms, their API keys, and the people who may use this admin."""

from datetime import datetime
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from rest_framework_api_key.models import APIKey as UnusedAPIKey
from unfold.decorators import action, display

from audit.log import operator_of, record
from audit.models import Action
from messaging.wording import ENGLISH
from operators.desk_admin import DeskAdmin

# Its pages are registered by being imported.
from platforms import approval_admin, event_admin  # noqa: F401
from platforms.models import ApiKey, Platform
from platforms.platform_page import FIELDSETS, PlatformPage
from platforms.services import create_api_key, create_platform, revoke_api_key
from platforms.template_admin import TemplateInline, TemplatePreview
from platforms.templates import normalize_language, validate_no_phone_number

# The library's own keys open nothing here.
admin.site.unregister(UnusedAPIKey)


_PAGES = (
    (_("Chats"), "forum", "chats", "chat"),
    (_("Reports"), "flag", "chats", "report"),
    (_("Message log"), "list_alt", "messaging", "message"),
    (_("Attachments"), "attachment", "messaging", "attachment"),
    (_("Opt-outs"), "do_not_disturb_on", "messaging", "optout"),
    (_("Virtual numbers"), "dialpad", "chats", "virtualnumber"),
    (_("Platforms"), "apartment", "platforms", "platform"),
    (_("API keys"), "key", "platforms", "apikey"),
    (_("Webhook endpoints"), "webhook", "platforms", "webhookendpoint"),
    (_("Approval hooks"), "rule", "platforms", "approvalhook"),
    (_("Events"), "campaign", "platforms", "event"),
    (_("Audit log"), "history", "audit", "auditentry"),
    (_("Users"), "person", "auth", "user"),
    (_("Groups"), "group", "auth", "group"),
)


def list_pages(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar, for unfold: the pages this person may see."""
    items = [
        {"title": title, "icon": icon, "link": reverse(f"admin:{app}_{model}_changelist")}
        for title, icon, app, model in _PAGES
        if admin.site.get_model_admin(apps.get_model(app, model)).has_view_permission(request)
    ]
    return [{"items": items}]


def find_icon(request: HttpRequest) -> str:
    """Return the address of the picture in the browser's tab, for unfold."""
    return static("chats/icon.svg")


class PlatformForm(forms.ModelForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if name == "opt_out_scope" or name.endswith("_in_texts"):
                # Left out of a request, it stays as it is.
                field.required = False

    def clean_opt_out_scope(self) -> str:
        """Left out, it stays."""
        return self.cleaned_data["opt_out_scope"] or self.instance.opt_out_scope

    def clean_name(self) -> str:
        """It may be a part of what people are texted."""
        name: str = self.cleaned_data["name"]
        validate_no_phone_number(name)
        return name

    def clean_language(self) -> str:
        return normalize_language(self.cleaned_data["language"]) or ENGLISH


@admin.register(Platform)
class PlatformAdmin(PlatformPage, TemplatePreview, DeskAdmin):
    form = PlatformForm
    inlines = (TemplateInline,)
    list_display = ("name", "own_introduction", "keys", "created_at")
    search_fields = ("name",)
    empty_state = _("No platforms yet. Add one to get an API key.")
    change_form_outer_before_template = "platforms/platform_panels.html"
    fieldsets = FIELDSETS
    readonly_fields = ("created_at",)

    def has_delete_permission(self, request: HttpRequest, obj: Platform | None = None) -> bool:
        return False

    class Media:
        css = {"all": ("platforms/platform.css",)}
        js = (Script("platforms/preview.js", type="module"),)

    def get_readonly_fields(self, request: HttpRequest, obj: Platform | None = None) -> tuple[str, ...]:
        return self.readonly_fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Platform]:
        return super().get_queryset(request).annotate(key_count=Count("api_keys", filter=Q(api_keys__revoked=False)))

    def save_model(self, request: HttpRequest, obj: Platform, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=form.changed_data)
            return
        created = create_platform(name=obj.name, introduction=obj.introduction)
        obj.pk, obj.created_at = created.platform.pk, created.platform.created_at
        others = {name: getattr(obj, name) for name in form.changed_data if name not in ("name", "introduction")}
        Platform.objects.filter(pk=obj.pk).update(**others)
        record(action=Action.MADE_KEY, by=operator_of(request), on=created.key)
        _show_key(request, created.platform, created.api_key)

    @display(description=_("Introduction"))
    def own_introduction(self, platform: Platform) -> str:
        return gettext("its own wording") if platform.introduction else gettext("the service's wording")

    @display(description=_("Keys in use"))
    def keys(self, platform: Platform) -> int:
        return platform.key_count  # type: ignore[attr-defined]


class ApiKeyForm(forms.ModelForm):
    def clean_expiry_date(self) -> datetime | None:
        expires_at: datetime | None = self.cleaned_data["expiry_date"]
        if expires_at and expires_at <= timezone.now():
            raise forms.ValidationError(gettext("Must be in the future."))
        return expires_at


@admin.register(ApiKey)
class ApiKeyAdmin(DeskAdmin):
    adding = Action.MADE_KEY
    form = ApiKeyForm
    list_display = ("prefix", "name", "platform", "role", "created", "last_used_at", "expiry_date", "state")
    list_filter = ("revoked", "role", ("platform", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("platform",)
    list_disable_select_all = True
    ordering = ("-created",)
    empty_state = _("No API keys yet. A platform needs one to open chats.")
    actions = ("revoke_keys",)
    fields = ("prefix", "name", "platform", "role", "created", "last_used_at", "expiry_date", "state")
    add_fieldsets = ((None, {"fields": ("platform", "name", "role", "expiry_date")}),)

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("platforms.change_apikey")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        created, text = create_api_key(
            platform=obj.platform,
            name=obj.name,
            role=ApiKey.Role(obj.role),
            expires_at=obj.expiry_date,
            now=timezone.now(),
        )
        obj.pk, obj.prefix = created.pk, created.prefix
        _show_key(request, obj.platform, text)

    @action(description=_("Revoke keys"), permissions=["revoke"])
    def revoke_keys(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        keys = list(queryset.filter(revoked=False))
        if "confirmed" in request.POST or not keys:
            for key in keys:
                with transaction.atomic():
                    if revoke_api_key(prefix=key.prefix):
                        self.log_action(request, key, Action.REVOKED_KEY, words="Revoked the key")
            revoked = ", ".join(key.prefix for key in keys) or gettext("nothing new")
            messages.success(request, gettext("Revoked: %(keys)s.") % {"keys": revoked})
            return None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": ngettext("Revoke this API key?", "Revoke these API keys?", len(keys)),
            "consequences": (
                gettext("Whoever uses a key below is refused from now on. This cannot be undone."),
                gettext("Chats that are open go on."),
            ),
            "rows": [{"title": f"{key.prefix} ({key.name})", "lines": [key.platform.name]} for key in keys],
            "selected": [key.pk for key in keys],
            "action": "revoke_keys",
            "button": ngettext("Revoke this key", "Revoke these keys", len(keys)),
            "back": reverse("admin:platforms_apikey_changelist"),
        }
        return TemplateResponse(request, "chats/confirm.html", context)

    @display(description=_("State"), label={"in use": "success", "revoked": "danger", "expired": "warning"})
    def state(self, key: ApiKey) -> tuple[str, str]:
        if key.revoked:
            return "revoked", gettext("revoked")
        return ("expired", gettext("expired")) if key.has_expired else ("in use", gettext("in use"))


def _show_key(request: HttpRequest, platform: Platform, key: str) -> None:
    messages.warning(
        request,
        gettext("The new API key of %(platform)s is %(key)s (copy it now: it is not kept, and never shown again).")
        % {"platform": platform.name, "key": key},
    )
