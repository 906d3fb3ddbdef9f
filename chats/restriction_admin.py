"""The operator's pages of mutes, blocks and reports; only chats.restrictions changes them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from audit.models import Action
from chats.models import Chat, Participant, Report
from chats.restrictions import (
    block_participant,
    handle_reports,
    mute_participant,
    unblock_participant,
    unmute_participant,
)
from chats.transcript import name_of, short_id, show_number, show_time
from operators.desk_admin import DeskAdmin, ReadOnlyAdmin
from platforms.templates import validate_no_phone_number

_CHANGES = {
    "mute": ("Mute", "Muted", mute_participant, Action.MUTED_PARTICIPANT),
    "unmute": ("Unmute", "Unmuted", unmute_participant, Action.UNMUTED_PARTICIPANT),
    "block": ("Block", "Blocked", block_participant, Action.BLOCKED_PARTICIPANT),
    "unblock": ("Unblock", "Unblocked", unblock_participant, Action.UNBLOCKED_PARTICIPANT),
}


class RestrictForm(forms.Form):
    participant = forms.ModelChoiceField(
        queryset=Participant.objects.none(), empty_label=None, widget=UnfoldAdminSelectWidget
    )
    change = forms.ChoiceField(
        choices=[(key, words) for key, (words, *_) in _CHANGES.items()], widget=UnfoldAdminSelectWidget
    )
    reason = forms.CharField(
        max_length=Participant._meta.get_field("mute_reason").max_length,
        validators=[validate_no_phone_number],
        widget=UnfoldAdminTextInputWidget,
        help_text="Kept with the participant, and in the history of this admin.",
    )

    def __init__(self, data: Any, *, chat: Chat) -> None:
        super().__init__(data)
        field = self.fields["participant"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = chat.participants.filter(replaced_at=None)
        field.label_from_instance = lambda person: describe_person(person)  # type: ignore[assignment, method-assign]


class RestrictionActions(DeskAdmin):
    """What the page of a chat can do to its people."""

    @action(
        description="Mute or block",
        permissions=["end"],
        url_path="restrict",
        icon="volume_off",
        variant=ActionVariant.DEFAULT,
    )
    def restrict(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chat = self.get_object(request, object_id)
        if chat is None:
            raise Http404("There is no such chat.")
        is_confirmed = request.method == "POST" and "confirmed" in request.POST
        form = RestrictForm(request.POST if is_confirmed else None, chat=chat)
        if is_confirmed and form.is_valid():
            self._restrict(request, chat, **form.cleaned_data)
            return redirect("admin:chats_chat_change", chat.pk)
        people = chat.participants.filter(replaced_at=None)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Mute or block somebody?",
            "consequences": (
                "Of a muted person nothing is passed on; of a blocked one neither, and nothing is sent to them.",
                "They are not told, so that nothing escalates. What still waits to be sent is not sent.",
                "Unmuting somebody settles the reports about them.",
            ),
            "rows": [{"title": describe_person(person), "lines": describe_restrictions(person)} for person in people],
            "form": form,
            "button": "Do that",
            "back": reverse("admin:chats_chat_change", args=[chat.pk]),
        }
        return TemplateResponse(request, "chats/confirm.html", context)

    def _restrict(
        self, request: HttpRequest, chat: Chat, *, participant: Participant, change: str, reason: str
    ) -> None:
        _, done, service, recorded = _CHANGES[change]
        with transaction.atomic():
            service(chat_id=chat.pk, participant_id=participant.pk, reason=reason, now=timezone.now())
            words = f"{done} participant {participant.position}: {reason}"
            self.log_action(request, chat, recorded, on=participant, reason=reason, words=words)
        messages.success(request, f"{done} {name_of(participant)}.")


class OpenReportFilter(admin.SimpleListFilter):
    """The reports that somebody has to look at; they are what the list shows first."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open"), ("handled", "handled")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Report]) -> QuerySet[Report]:
        if self.value() in ("open", "handled"):
            return queryset.filter(handled_at__isnull=self.value() == "open")
        return queryset


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin, DeskAdmin):
    list_display = ("created_", "state_", "chat_", "reporter_", "reported_")
    list_filter = (OpenReportFilter,)
    list_per_page = 50
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER
    empty_state = "No reports. A person who texts REPORT makes one."
    actions = ("handle",)
    fields = ("id", "state_", "chat_", "reporter_", "reported_", "created_at", "handled_at")

    def has_handle_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may end chats may say that a report has been looked at."""
        return request.user.has_perm("chats.change_chat")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        return super().get_queryset(request).select_related("reporter", "reported")

    @action(description="Mark as handled", permissions=["handle"])
    def handle(self, request: HttpRequest, queryset: QuerySet[Report]) -> None:
        reports = list(queryset)
        with transaction.atomic():
            handled = handle_reports(reports=queryset, now=timezone.now())
            for report in reports:
                self.log_action(request, report, Action.HANDLED_REPORT, words="Marked as handled")
        messages.success(request, f"Marked {handled} as handled; whoever is muted stays muted.")

    @display(description="Reported")
    def created_(self, report: Report) -> str | None:
        return show_time(report.created_at)

    @display(description="State", label={"open": "danger", "handled": "success"})
    def state_(self, report: Report) -> str:
        return "handled" if report.handled_at else "open"

    @display(description="Chat")
    def chat_(self, report: Report) -> str:
        page = reverse("admin:chats_chat_change", args=[report.chat_id])
        return format_html('<a class="text-link" href="{}">{}</a>', page, short_id(report.chat_id))

    @display(description="By")
    def reporter_(self, report: Report) -> str:
        return describe_person(report.reporter)

    @display(description="About")
    def reported_(self, report: Report) -> str:
        return describe_person(report.reported)


def describe_person(person: Participant) -> str:
    return f"{name_of(person)} {show_number(person.phone_number)}"


def describe_restrictions(person: Participant) -> list[str]:
    """Return in words that somebody is muted or blocked, since when and why."""
    states = (("Muted", person.muted_at, person.mute_reason), ("Blocked", person.blocked_at, person.block_reason))
    lines = [f"{what} since {show_time(at)}{f': {why}' if why else ''}" for what, at, why in states if at]
    return lines or ["Neither muted nor blocked"]
