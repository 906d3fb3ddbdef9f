"""The operator's pages of webhook endpoints and events: how delivery fares, and what to do about it."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from audit.log import operator_of, record_all
from audit.models import Action
from operators.desk_admin import DeskAdmin, ReadOnlyAdmin, UncountedList
from platforms.deliveries import count_by_endpoint
from platforms.endpoints import (
    BadUrl,
    EndpointDisabled,
    NoEndpoint,
    TooManyEndpoints,
    add_endpoint,
    change_endpoint,
    check_endpoint_url,
    ping,
    redeliver,
    rotate_secret,
)
from platforms.event_types import EventType
from platforms.models import Event, EventDelivery, WebhookEndpoint

Status = EventDelivery.Status


class EndpointForm(forms.ModelForm):
    event_types = forms.MultipleChoiceField(
        label=_("Event types"),
        choices=[(type.value, type.value) for type in EventType],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("Which events are delivered. None chosen: all of them."),
    )

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            check_endpoint_url(url)
        except BadUrl as error:
            raise forms.ValidationError(str(error), code="bad_url") from None
        return url


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(DeskAdmin):
    form = EndpointForm
    list_display = ("url", "platform", "health", "waiting", "failed", "last_success_at", "last_failure_at")
    list_filter = ("is_enabled", ("platform", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("platform",)
    search_fields = ("platform__name",)
    ordering = ("platform__name", "created_at")
    actions = ("ping_endpoints", "rotate_secrets")
    empty_state = _("No webhook endpoints yet. Platforms add them with their API key; so can you.")
    fields = ("platform", "url", "is_enabled", "include_bodies", "event_types", "health", "waiting", "failed",
              "consecutive_failures", "last_success_at", "last_failure_at", "last_failure",
              "previous_secret_until", "created_at")  # fmt: skip
    add_fieldsets = ((None, {"fields": ("platform", "url", "is_enabled", "include_bodies", "event_types")}),)
    readonly_fields = ("health", "waiting", "failed", "consecutive_failures", "last_success_at", "last_failure_at",
                       "last_failure", "previous_secret_until", "created_at")  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: WebhookEndpoint | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "platform") if obj else self.readonly_fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        # No page shows a secret, so none is read.
        return super().get_queryset(request).defer("secret", "previous_secret")

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        if change:
            change_endpoint(endpoint=obj, **{name: getattr(obj, name) for name in form.changed_data})
            return
        try:
            new = add_endpoint(
                platform=obj.platform,
                url=obj.url,
                include_bodies=obj.include_bodies,
                event_types=obj.event_types,
                is_enabled=obj.is_enabled,
            )
        except TooManyEndpoints as error:
            messages.error(request, str(error))
            return
        obj.pk = new.endpoint.pk
        _show_secret(request, new.endpoint, new.secret)

    def log_addition(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        # It may have been refused at the last moment.
        if WebhookEndpoint.objects.filter(pk=obj.pk).exists():
            super().log_addition(request, obj, message)

    def describe_deletion(self, row: WebhookEndpoint) -> Sequence[str]:
        return [
            gettext("%(url)s: %(platform)s is told of nothing there any more, not of what still waits either.")
            % {"url": row.url, "platform": row.platform},
            gettext("To pause an endpoint, switch it off instead: its secret then stays."),
        ]

    @action(description=_("Send a ping"), permissions=["change"])
    def ping_endpoints(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in queryset:
            try:
                with transaction.atomic():
                    ping(endpoint=endpoint, now=timezone.now())
                    self.log_action(request, endpoint, Action.PINGED_ENDPOINT)
            except EndpointDisabled as error:
                messages.warning(request, f"{endpoint.url}: {error}")
            else:
                sent = gettext("%(url)s: a ping is on its way; Events shows its outcome.") % {"url": endpoint.url}
                messages.success(request, sent)

    @action(description=_("Make a new secret"), permissions=["change"])
    def rotate_secrets(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> HttpResponse | None:
        endpoints = list(queryset)
        if "confirmed" not in request.POST:
            return confirm_new_secrets(self, request, [(each.pk, each.url, str(each.platform)) for each in endpoints])
        for endpoint in endpoints:
            with transaction.atomic():
                new = rotate_secret(endpoint=endpoint, now=timezone.now())
                self.log_action(request, endpoint, Action.MADE_SECRET, words="Made a new secret")
            _show_secret(request, endpoint, new.secret)
        return None

    @display(description=_("Health"), label={"works": "success", "new": "info", "fails": "danger", "off": "warning"})
    def health(self, endpoint: WebhookEndpoint) -> tuple[str, str]:
        if not endpoint.is_enabled:
            return "off", gettext("off")
        if endpoint.consecutive_failures:
            return "fails", gettext("fails")
        return ("works", gettext("works")) if endpoint.last_success_at else ("new", gettext("new"))

    @display(description=_("Waiting"))
    def waiting(self, endpoint: WebhookEndpoint) -> int:
        return _count(endpoint)["waiting"]

    @display(description=_("Failed"))
    def failed(self, endpoint: WebhookEndpoint) -> int:
        return _count(endpoint)["failed"]


class StateFilter(admin.SimpleListFilter):
    """Events by what became of a delivery of theirs."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, _name_status(status)) for status in Status]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        if self.value() not in Status.values:
            return queryset
        return queryset.filter(Exists(EventDelivery.objects.filter(event=OuterRef("pk"), status=self.value())))


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin, UncountedList, DeskAdmin):
    """What an event says is the platform's business: only what it is about, and how it fares, is shown."""

    list_display = ("occurred_at", "type", "platform", "state", "chat_")
    list_filter = ("type", StateFilter, ("platform", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("platform",)
    ordering = ("-position",)
    actions = ("redeliver_events",)
    empty_state = _("No events yet. They are recorded from a platform's first webhook endpoint or GET /events on.")
    fields = ("id", "type", "platform", "occurred_at", "chat_", "message_", "deliveries_")

    def has_redeliver_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("platforms.change_event")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        return super().get_queryset(request).defer("payload").prefetch_related("deliveries__endpoint")

    @action(description=_("Deliver again"), permissions=["redeliver"])
    def redeliver_events(self, request: HttpRequest, queryset: QuerySet[Event]) -> None:
        events = list(queryset)
        try:
            with transaction.atomic():
                queued = redeliver(event_ids=[event.pk for event in events])
                record_all(action=Action.REDELIVERED_EVENT, by=operator_of(request), on=events)
        except NoEndpoint as error:
            messages.error(request, str(error))
        else:
            messages.success(request, gettext("Deliveries queued: %(number)s.") % {"number": queued})

    @display(
        description=_("State"),
        label={
            "delivered": "success",
            "waiting": "info",
            "sending": "info",
            "failed": "danger",
            "for polling": "default",
        },
    )
    def state(self, event: Event) -> tuple[str, str]:
        states = {delivery.status for delivery in event.deliveries.all()}
        worst = (Status.FAILED, Status.WAITING, Status.SENDING, Status.DELIVERED)
        found = next((status for status in worst if status in states), None)
        return (found.value, _name_status(found)) if found else ("for polling", gettext("for polling"))

    @display(description=_("Chat"))
    def chat_(self, event: Event) -> str:
        return str(event.chat_id or "-")

    @display(description=_("Text"))
    def message_(self, event: Event) -> str:
        return str(event.message_id or "-")

    @display(description=_("Deliveries"))
    def deliveries_(self, event: Event) -> str:
        rows = (
            (_url_of(delivery), _name_status(Status(delivery.status)), delivery.attempts, delivery.error)
            for delivery in event.deliveries.all()
        )
        return format_html_join("", f"<div>{gettext('{}: {}, attempts: {} {}')}</div>", rows) or "-"


def confirm_new_secrets(
    page: DeskAdmin, request: HttpRequest, receivers: Sequence[tuple[Any, str, str]]
) -> HttpResponse:
    """Say what new secrets do to `receivers`, each an id, a URL and a platform, and ask."""
    number = len(receivers)
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": ngettext("Make a new secret?", "Make %(number)s new secrets?", number) % {"number": number},
        "consequences": (
            gettext("What is sent to the URLs below is signed with the old secret and the new one for a day."),
            gettext("Then whoever checks with the old one alone refuses it: the platform has to be given the new one."),
        ),
        "rows": [{"title": url, "lines": [platform]} for _pk, url, platform in receivers],
        "selected": [pk for pk, _url, _platform in receivers],
        "action": "rotate_secrets",
        "button": ngettext("Make a new secret", "Make new secrets", number),
        "back": reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist"),
    }
    return TemplateResponse(request, "chats/confirm.html", context)


def _name_status(status: EventDelivery.Status) -> str:
    return gettext(status.label).lower()


def _url_of(delivery: EventDelivery) -> str:
    try:
        return delivery.endpoint.url
    except WebhookEndpoint.DoesNotExist:
        return gettext("an endpoint that was deleted")


def _count(endpoint: WebhookEndpoint) -> dict[str, int]:
    # A platform has at most ten.
    return count_by_endpoint(endpoint_ids=[endpoint.pk])[endpoint.pk] if endpoint.pk else {"waiting": 0, "failed": 0}


def _show_secret(request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> None:
    words = gettext("The new secret of %(url)s is %(secret)s (copy it now: it is never shown again).")
    messages.warning(request, words % {"url": endpoint.url, "secret": secret})
