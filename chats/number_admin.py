"""The operator's pages of virtual numbers; only the services add a number or move its state."""

from collections.abc import Sequence
from typing import Any

import phonenumbers
from django import forms
from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from audit.admin_mixin import AuditedAdmin
from chats.models import Participant, VirtualNumber
from chats.services import CannotAddVirtualNumber, VirtualNumberInUse, add_virtual_number, change_number_state
from chats.transcript import show_time


class ProblemFilter(admin.SimpleListFilter):
    """The numbers with which something is wrong at the gateway."""

    title = "problem at the gateway"
    parameter_name = "problem"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("missing", "gone from the account"), ("unlinked", "not linked to our application")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[VirtualNumber]) -> QuerySet[VirtualNumber]:
        if self.value() in ("missing", "unlinked"):
            return queryset.filter(**{f"{self.value()}_since__isnull": False})
        return queryset


class VirtualNumberForm(forms.ModelForm):
    def clean_country(self) -> str:
        """Allocation compares it with the countries of people."""
        country: str = self.cleaned_data["country"].upper()
        if country and country not in phonenumbers.SUPPORTED_REGIONS:
            raise forms.ValidationError("Use an ISO 3166 code of two letters, such as US.")
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


@admin.register(VirtualNumber)
class VirtualNumberAdmin(AuditedAdmin, ModelAdmin):
    form = ChangeVirtualNumberForm
    list_display = ("number", "country", "state_", "platform_", "messages_per_second", "can_sms", "can_mms",
                    "open_chats", "problem_")  # fmt: skip
    list_filter = ("state", ProblemFilter, "country", ("platform", admin.RelatedOnlyFieldListFilter))
    search_fields = ("number",)
    search_help_text = "Virtual number"
    show_facets = admin.ShowFacets.NEVER
    empty_state = "No virtual numbers here. Chats need at least one."
    add_fieldsets = ((None, {"fields": ("number", "country", "platform", "messages_per_second")}),)
    fields = ("number", "state", "country", "platform", "messages_per_second", "paced_by", "can_sms",
              "can_mms", "open_chats", "problem_", "created_at")  # fmt: skip
    readonly_fields = ("open_chats", "problem_", "created_at")

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

    def get_queryset(self, request: HttpRequest) -> QuerySet[VirtualNumber]:
        # By the index participant_open_by_number; a join would read the participants of ended chats too.
        open_chats = (
            Participant.objects.filter(virtual_number=OuterRef("pk"), ended_at=None)
            .order_by()
            .values("virtual_number")
            .annotate(chats=Count("chat", distinct=True))
        )
        return (
            super()
            .get_queryset(request)
            .select_related("platform")
            .annotate(open_chats=Coalesce(Subquery(open_chats.values("chats")), 0))
        )

    def save_model(self, request: HttpRequest, obj: VirtualNumber, form: Any, change: bool) -> None:
        # The form has added a new one. Of an old one only what changed is saved: the sender paces by the row.
        if change and form.changed_data:
            obj.save(update_fields=form.changed_data)

    @display(
        description="State",
        ordering="state",
        label={"active": "success", "reserved": "info", "draining": "warning", "retired": "default"},
    )
    def state_(self, number: VirtualNumber) -> str:
        return number.state

    @display(description="Platform")
    def platform_(self, number: VirtualNumber) -> str:
        return number.platform.name if number.platform else "shared"

    @display(description="At the gateway", label={"gone": "danger", "not linked": "danger"})
    def problem_(self, number: VirtualNumber) -> tuple[str, str] | None:
        if number.missing_since:
            return "gone", f"gone since {show_time(number.missing_since)}"
        if number.unlinked_since:
            return "not linked", f"not linked to us since {show_time(number.unlinked_since)}"
        return None

    @display(description="Open chats", ordering="open_chats")
    def open_chats(self, number: VirtualNumber) -> int:
        return number.open_chats  # type: ignore[attr-defined]
