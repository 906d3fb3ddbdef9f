"""The page of a platform: its settings by what they are about, its keys, and how its webhooks fare."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.functional import lazy
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from audit.log import operator_of, record
from audit.models import Action
from messaging.keywords import list_stop_words
from platforms.deliveries import count_by_endpoint
from platforms.endpoints import REDELIVERED_AT_ONCE, EndpointDisabled, redeliver_failed
from platforms.models import ApiKey, Platform, WebhookEndpoint
from platforms.template_admin import find_preview_address

# Keys that open nothing any more are shown after those that do, and not all of them.
_KEYS = 20


def _list_stop_words() -> SafeString:
    words = ((language, ", ".join(words)) for language, words in list_stop_words(booking_words=False).items())
    listed = format_html_join("", "<li><b>{}</b> {}</li>", words)
    text = _("Whoever texts one of these words, and nothing else, gets no further text. They are:")
    return format_html('{}<details class="platform-words"><summary>STOP …</summary><ul>{}</ul></details>', text, listed)


FIELDSETS = (
    (None, {"fields": ("name", "language", "created_at")}),
    (
        gettext_lazy("What people are texted"),
        {
            "classes": ("tab",),
            "description": gettext_lazy(
                "The first text of a chat, and when texts may go. What the service says on other occasions is under "
                "Templates."
            ),
            "fields": ("introduction", "asks_confirmation", "quiet_from", "quiet_until", "passes_on_files",
                       "texts_expire_after_minutes"),
        },
    ),
    (
        gettext_lazy("Opt-out words"),
        {
            "classes": ("tab",),
            "description": lazy(_list_stop_words, str)(),
            "fields": ("opt_out_scope", "cancel_words_stop"),
        },
    ),
    (
        gettext_lazy("What people may text"),
        {
            "classes": ("tab",),
            "description": gettext_lazy(
                "What becomes of a text by which people could reach each other without the service."
            ),
            "fields": ("phone_numbers_in_texts", "emails_in_texts", "links_in_texts", "handles_in_texts"),
        },
    ),
    (
        gettext_lazy("Limits"),
        {
            "classes": ("tab",),
            "description": gettext_lazy("How much people and the platform itself may do; what is more is refused."),
            "fields": ("allowed_countries", "texts_per_minute", "texts_per_day",
                       "reads_per_minute", "writes_per_minute", "chats_per_day"),
        },
    ),
    (
        gettext_lazy("Retention"),
        {
            "classes": ("tab",),
            "description": gettext_lazy(
                "For how long people's numbers and texts are kept, and when a virtual number may be theirs again."
            ),
            "fields": ("keep_for_days", "cool_down_hours"),
        },
    ),
    (
        gettext_lazy("Events"),
        {
            "classes": ("tab",),
            "description": gettext_lazy("What the platform is told of what happens in its chats."),
            "fields": ("records_events", "expiring_minutes"),
        },
    ),
)  # fmt: skip


class PlatformPage:
    """First among the bases of the page of platforms."""

    def get_urls(self) -> list[Any]:
        view = require_http_methods(["GET", "POST"])(self.redeliver_to_endpoint)
        own = path(
            "<uuid:platform_id>/endpoints/<uuid:endpoint_id>/redeliver",
            self.admin_site.admin_view(view),  # type: ignore[attr-defined]
            name="platforms_platform_redeliver",
        )
        return [own, *super().get_urls()]  # type: ignore[misc]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Platform | None = None, **kwargs: Any
    ) -> HttpResponse:
        if obj:
            context |= {
                "preview_address": find_preview_address(obj),
                "panel_keys": _list_keys(request, obj),
                "panel_endpoints": _list_endpoints(request, obj),
            }
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)  # type: ignore[misc]

    def redeliver_to_endpoint(self, request: HttpRequest, platform_id: UUID, endpoint_id: UUID) -> HttpResponse:
        """Say what would be delivered again; posted, do it."""
        if not _may_redeliver(request):
            raise PermissionDenied
        endpoint = WebhookEndpoint.objects.filter(pk=endpoint_id, platform=platform_id).defer(
            "secret", "previous_secret"
        )
        found = endpoint.select_related("platform").first()
        if found is None:
            raise Http404("There is no such endpoint.")
        back = redirect("admin:platforms_platform_change", platform_id)
        if request.method == "POST":
            _redeliver(request, found)
            return back
        failed = count_by_endpoint(endpoint_ids=[found.pk])[found.pk]["failed"]
        if not failed:
            messages.info(request, _("Nothing has failed there; nothing is to be delivered again."))
            return back
        count = min(failed, REDELIVERED_AT_ONCE)
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": self.opts,  # type: ignore[attr-defined]
            "title": ngettext("Deliver %(count)s event again?", "Deliver %(count)s events again?", count)
            % {"count": _say(count)},
            "consequences": [
                _("%(platform)s gets them at this URL, in their order, and nowhere else.")
                % {"platform": found.platform.name},
                _("They tell of what was so then: a platform that keeps to their ids takes each once."),
            ],
            "rows": [{"title": found.url, "lines": [_say_last(found)]}],
            "button": ngettext("Deliver it again", "Deliver them again", count),
            "back": reverse("admin:platforms_platform_change", args=[platform_id]),
        }
        return TemplateResponse(request, "chats/confirm.html", context)


def _redeliver(request: HttpRequest, endpoint: WebhookEndpoint) -> None:
    try:
        with transaction.atomic():
            queued = redeliver_failed(endpoint=endpoint)
            if queued:
                record(action=Action.REDELIVERED_EVENT, by=operator_of(request), on=endpoint)
    except EndpointDisabled as error:
        messages.error(request, _(str(error)))
        return
    if queued:
        words = ngettext("%(count)s event is on its way again.", "%(count)s events are on their way again.", queued)
        messages.success(request, words % {"count": _say(queued)})
    else:
        messages.info(request, _("Nothing had failed there; nothing is delivered again."))


def _list_keys(request: HttpRequest, platform: Platform) -> dict[str, Any] | None:
    if not request.user.has_perm("platforms.view_apikey"):
        return None
    now = timezone.now()
    rows = []
    for key in ApiKey.objects.filter(platform=platform).order_by("revoked", "-created")[:_KEYS]:
        is_expired = bool(key.expiry_date and key.expiry_date <= now)
        rows.append(
            {
                "pk": key.pk,
                "name": key.name,
                "prefix": key.prefix,
                "role": key.get_role_display().partition(":")[0],
                "page": reverse("admin:platforms_apikey_change", args=[key.pk]),
                "state": _("revoked") if key.revoked else _("expired") if is_expired else _("in use"),
                "tone": "quiet" if key.revoked else "warning" if is_expired else "good",
                "may_revoke": not key.revoked and request.user.has_perm("platforms.change_apikey"),
                "used": _("last used %(time)s") % {"time": _say_time(key.last_used_at)}
                if key.last_used_at
                else _("never used"),
                "expires": _("until %(time)s") % {"time": _say_time(key.expiry_date)} if key.expiry_date else "",
            }
        )
    may_add = request.user.has_perm("platforms.add_apikey")
    add = f"{reverse('admin:platforms_apikey_add')}?platform={platform.pk}" if may_add else ""
    return {"rows": rows, "add": add, "revoke": reverse("admin:platforms_apikey_changelist")}


def _list_endpoints(request: HttpRequest, platform: Platform) -> dict[str, Any] | None:
    if not request.user.has_perm("platforms.view_webhookendpoint"):
        return None
    # A platform has at most ten.
    endpoints = list(platform.webhook_endpoints.defer("secret", "previous_secret"))
    counts = count_by_endpoint(endpoint_ids=[endpoint.pk for endpoint in endpoints]) if endpoints else {}
    rows = []
    for endpoint in endpoints:
        state, tone = _judge(endpoint)
        failed, waiting = counts[endpoint.pk]["failed"], counts[endpoint.pk]["waiting"]
        rows.append(
            {
                "pk": endpoint.pk,
                "url": endpoint.url,
                "page": reverse("admin:platforms_webhookendpoint_change", args=[endpoint.pk]),
                "state": state,
                "tone": tone,
                "last": _say_last(endpoint),
                "counts": _("%(waiting)s waiting, %(failed)s failed")
                % {"waiting": _say(waiting), "failed": _say(failed)},
                "may_ping": endpoint.is_enabled and request.user.has_perm("platforms.change_webhookendpoint"),
                "redeliver": reverse("admin:platforms_platform_redeliver", args=[platform.pk, endpoint.pk])
                if failed and endpoint.is_enabled and _may_redeliver(request)
                else "",
            }
        )
    may_add = request.user.has_perm("platforms.add_webhookendpoint")
    add = f"{reverse('admin:platforms_webhookendpoint_add')}?platform={platform.pk}" if may_add else ""
    return {"rows": rows, "add": add, "ping": reverse("admin:platforms_webhookendpoint_changelist")}


def _judge(endpoint: WebhookEndpoint) -> tuple[str, str]:
    if not endpoint.is_enabled:
        return _("off"), "warning"
    if endpoint.consecutive_failures:
        words = ngettext("fails, once in a row", "fails, %(count)s times in a row", endpoint.consecutive_failures)
        return words % {"count": _say(endpoint.consecutive_failures)}, "danger"
    return (_("works"), "good") if endpoint.last_success_at else (_("new"), "quiet")


def _say_last(endpoint: WebhookEndpoint) -> str:
    if endpoint.consecutive_failures and endpoint.last_failure_at:
        return _("failed at %(time)s: %(why)s") % {
            "time": _say_time(endpoint.last_failure_at),
            "why": endpoint.last_failure or "–",
        }
    if endpoint.last_success_at:
        return _("took an event at %(time)s") % {"time": _say_time(endpoint.last_success_at)}
    return _("nothing was delivered yet")


def _may_redeliver(request: HttpRequest) -> bool:
    return request.user.has_perm("platforms.change_event")


def _say_time(moment: Any) -> str:
    return date_format(localtime(moment), "j M Y, H:i")


def _say(amount: int) -> str:
    return number_format(amount, force_grouping=True)
