"""The operator's pages of virtual numbers; only the services add a number or move its state."""

from collections.abc import Sequence
from typing import Any

import phonenumbers
from django import forms
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from chats.models import VirtualNumber
from chats.number_actions import NumberActions, State
from chats.number_adding import NumberAdding
from chats.number_use import (
    LIST_DAYS,
    PAGE_DAYS,
    NumberState,
    find_closest,
    list_ailments,
    read_states,
    say_throttling,
)
from chats.services import CannotAddVirtualNumber, VirtualNumberInUse, add_virtual_number, change_number_state
from operators.desk_admin import DeskAdmin

# So many platforms' busiest people are shown above the list.
_CLOSEST = 4
_ABILITIES = ("messages_per_second", "paced_by", "can_sms", "can_mms")


class ProblemFilter(admin.SimpleListFilter):
    """The numbers with which something is wrong at the gateway."""

    title = gettext_lazy("problem at the gateway")
    parameter_name = "problem"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("missing", _("gone from the account")), ("unlinked", _("not linked to our application"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[VirtualNumber]) -> QuerySet[VirtualNumber]:
        if self.value() in ("missing", "unlinked"):
            return queryset.filter(**{f"{self.value()}_since__isnull": False})
        return queryset


class VirtualNumberForm(forms.ModelForm):
    def clean_country(self) -> str:
        """Allocation compares it with the countries of people."""
        country: str = self.cleaned_data["country"].upper()
        if country and country not in phonenumbers.SUPPORTED_REGIONS:
            raise forms.ValidationError(_("Use an ISO 3166 code of two letters, such as US."))
        return country


class ChangeVirtualNumberForm(VirtualNumberForm):
    def _post_clean(self) -> None:
        # As below: within the transaction of the request, and only when all else is well.
        super()._post_clean()  # type: ignore[misc]
        if not self.errors and "state" in self.changed_data:
            try:
                change_number_state(number_id=self.instance.pk, state=self.cleaned_data["state"])
            except VirtualNumberInUse as error:
                self.add_error("state", str(error))


class AddVirtualNumberForm(VirtualNumberForm):
    def _post_clean(self) -> None:
        # The last check is the service's, and only trying tells: within the transaction of the request.
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            try:
                self.instance = add_virtual_number(**self.cleaned_data)
            except CannotAddVirtualNumber as error:
                self.add_error(None, str(error))


class NumberList(ChangeList):
    """The list; how its numbers fare is read for the rows of the page, and for no others."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)  # type: ignore[has-type]
        states = read_states(rows, days=LIST_DAYS, now=timezone.now())
        for row in rows:
            row.use, row.open_chats = states[row.pk], states[row.pk].open_chats
        self.result_list = rows


@admin.register(VirtualNumber)
class VirtualNumberAdmin(NumberActions, NumberAdding, DeskAdmin):
    form = ChangeVirtualNumberForm
    list_display = ("number_", "state_", "problem_", "open_chats", "week", "delivered", "last_inbound")
    list_display_links = ("number_",)
    list_filter = ("state", ProblemFilter, "country", ("platform", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("platform",)
    list_per_page = 50
    list_disable_select_all = True
    list_before_template = "chats/number_closest.html"
    sortable_by = ("number_", "state_")
    search_fields = ("number",)
    search_help_text = gettext_lazy("Virtual number")
    # Nothing here counts.
    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    empty_state = gettext_lazy(
        "No virtual numbers here. Chats need at least one: sync with Vonage, or add those that you rent."
    )
    actions = ("activate_numbers", "reserve_numbers", "drain_numbers", "retire_numbers")
    actions_list = ("add_many", "sync")
    actions_detail = ("activate_number", "reserve_number", "drain_number", "retire_number")
    change_form_before_template = "chats/number_state.html"
    add_fieldsets = ((None, {"fields": ("number", "country", "platform", "messages_per_second")}),)
    fieldsets = (
        (gettext_lazy("Who gets it"), {"fields": ("number", "state", "platform", "country", "created_at")}),
        (gettext_lazy("What it can do, and how fast"), {"fields": _ABILITIES}),
    )
    readonly_fields = ("created_at",)

    class Media:
        css = {"all": ("chats/numbers.css",)}

    def has_delete_permission(self, request: HttpRequest, obj: VirtualNumber | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: VirtualNumber | None = None) -> Sequence[str]:
        return (*self.readonly_fields, "number") if obj else ()

    def get_form(
        self, request: HttpRequest, obj: VirtualNumber | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if not change:
            kwargs["form"] = AddVirtualNumberForm
        return super().get_form(request, obj, change, **kwargs)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NumberList

    def get_queryset(self, request: HttpRequest) -> QuerySet[VirtualNumber]:
        return super().get_queryset(request).select_related("platform")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "GET" and self.has_view_permission(request):
            extra_context = {**(extra_context or {}), "closest": find_closest(limit=_CLOSEST)}
        return super().changelist_view(request, extra_context)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        *args: Any,
        obj: VirtualNumber | None = None,
        **kwargs: Any,
    ) -> HttpResponse:
        if obj:
            now = timezone.now()
            state = read_states([obj], days=PAGE_DAYS, now=now)[obj.pk]
            context |= {
                "number_state": state,
                "number_bars": state.draw(),
                "number_days": PAGE_DAYS,
                "number_ailments": list_ailments(obj, state, now=now),
                "number_throttling": say_throttling(obj),
                "number_closest": next(iter(find_closest(limit=1, number=obj)), None),
                "number_chats": f"{reverse('admin:chats_chat_changelist')}?status__exact=open",
            }
            here = reverse(f"admin:chats_virtualnumber_{_LEADS_TO[State(obj.state)]}", args=[obj.pk])
            context["actions_detail"] = [each for each in context["actions_detail"] if each["path"] != here]
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def save_model(self, request: HttpRequest, obj: VirtualNumber, form: Any, change: bool) -> None:
        # The form has added a new one. Of an old one only what changed is saved: the sender paces by the row.
        if change and form.changed_data:
            obj.save(update_fields=form.changed_data)

    def log_many(self, request: HttpRequest, numbers: Sequence[VirtualNumber], words: str) -> None:
        LogEntry.objects.log_actions(request.user.pk, numbers, CHANGE, words)  # type: ignore[arg-type]

    @display(description=gettext_lazy("Number"), ordering="number", header=True)
    def number_(self, number: VirtualNumber) -> tuple[str, str]:
        can = " + ".join(name for name, has in (("SMS", number.can_sms), ("MMS", number.can_mms)) if has)
        rate = _("%(rate)s/s") % {"rate": f"{number.messages_per_second:g}"}
        whose = number.platform.name if number.platform else _("shared")
        return number.number, " · ".join(filter(None, [whose, number.country, can or _("no texts"), rate]))

    @display(
        description=gettext_lazy("State"),
        ordering="state",
        label={"active": "success", "reserved": "info", "draining": "warning", "retired": "default"},
    )
    def state_(self, number: VirtualNumber) -> tuple[str, str]:
        return number.state, number.get_state_display().partition(":")[0]

    @display(description=gettext_lazy("Open chats"))
    def open_chats(self, number: VirtualNumber) -> int:
        return number.open_chats  # type: ignore[attr-defined]

    @display(description=gettext_lazy("Last 7 days"))
    def week(self, number: VirtualNumber) -> SafeString | str:
        state = _state_of(number)
        if not state.use.highest:
            return _("no texts")
        return render_to_string("chats/number_bars.html", {"state": state, "bars": state.draw()})

    @display(description=gettext_lazy("Delivered"))
    def delivered(self, number: VirtualNumber) -> str:
        return _state_of(number).rate

    @display(description=gettext_lazy("Last text in"))
    def last_inbound(self, number: VirtualNumber) -> str:
        return _state_of(number).last_inbound

    @display(description=gettext_lazy("Health"))
    def problem_(self, number: VirtualNumber) -> SafeString | str:
        ailments = list_ailments(number, _state_of(number), now=timezone.now())
        if not ailments:
            return _("fine")
        return format_html_join("", '<span class="number-ailment number-{}">{}</span>', ailments)


_LEADS_TO = {
    State.ACTIVE: "activate_number",
    State.RESERVED: "reserve_number",
    State.DRAINING: "drain_number",
    State.RETIRED: "retire_number",
}


def _state_of(number: VirtualNumber) -> NumberState:
    return number.use  # type: ignore[attr-defined]
