"""Who has opted out, and who ever had, for operators and auditors: read, and added to on request; never taken back."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from chats.lookup import find_match
from chats.models import VirtualNumber
from chats.phone_numbers import InvalidPhoneNumber, parse_phone_number
from chats.transcript import name_of, show_body, show_number, show_time
from messaging.models import OptOut
from messaging.opt_outs import Person, opt_out
from operators.desk_admin import DeskAdmin, UncountedList
from platforms.templates import validate_no_phone_number
from proxy_project.encryption import digest_number


class RecordOptOutForm(forms.ModelForm):
    """Somebody has asked, by telephone or mail, not to be texted any more."""

    phone_number = forms.CharField(
        label=_("Phone number"),
        max_length=40,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Of the person who asked, with + and the country code."),
    )

    class Meta:
        model = OptOut
        fields = ("virtual_number", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "reason" in self.fields:
            self.fields["reason"].required = True
            self.fields["reason"].help_text = gettext("How they asked, and when. Without a phone number.")

    def clean_phone_number(self) -> str:
        try:
            return parse_phone_number(self.cleaned_data["phone_number"]).e164
        except InvalidPhoneNumber as error:
            raise forms.ValidationError(str(error)) from None

    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"]
        validate_no_phone_number(reason)
        return reason


@admin.register(OptOut)
class OptOutAdmin(UncountedList, DeskAdmin):
    list_display = ("created_", "person", "virtual_number_", "scope_", "source_", "ended_")
    list_display_links = ("created_",)
    list_filter = ("source", "scope", ("ended_at", admin.EmptyFieldListFilter), "platform")
    empty_state = _("Nobody has opted out.")
    actions = None
    fields = ("id", "person", "virtual_number_", "scope_", "platform", "source_", "keyword", "text_", "confirmation",
              "reason", "recorded_by", "created_", "ended_", "end", "end_text_", "end_confirmation",
              "history_")  # fmt: skip
    add_fieldsets = ((None, {"fields": ("virtual_number", "phone_number", "reason")}),)

    def has_change_permission(self, request: HttpRequest, obj: OptOut | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: OptOut | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[OptOut]:
        return super().get_queryset(request).select_related("virtual_number", "participant", "platform")

    def get_form(self, request: HttpRequest, obj: OptOut | None = None, change: bool = False, **kwargs: Any) -> Any:
        if not change:
            kwargs["form"] = RecordOptOutForm
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: OptOut, form: Any, change: bool) -> None:
        number: VirtualNumber = form.cleaned_data["virtual_number"]
        phone_number: str = form.cleaned_data["phone_number"]
        match = find_match(from_number=phone_number, to_number=number.number)
        person = Person(
            phone_digest=digest_number(phone_number),
            virtual_number_id=number.pk,
            platform_id=match.platform_id,
            participant_id=match.sender.id if match.sender else None,
            stranger_number="" if match.sender else phone_number,
        )
        recorded = opt_out(
            person=person,
            source=OptOut.Source.OPERATOR,
            reason=form.cleaned_data["reason"],
            recorded_by=request.user.get_username(),
            now=timezone.now(),
        )
        if recorded is None:
            messages.info(request, gettext("This person had opted out before; that stays as it was recorded."))
        in_force = OptOut.objects.filter(phone_digest=person.phone_digest, ended_at=None)
        found = recorded or in_force.order_by("-created_at").first()
        assert found  # recorded now, or before
        obj.pk, obj.created_at = found.pk, found.created_at

    @display(description=_("Opted out"))
    def created_(self, opt_out: OptOut) -> str | None:
        return show_time(opt_out.created_at)

    @display(description=_("Person"))
    def person(self, opt_out: OptOut) -> str:
        if opt_out.erased_at:
            return "(erased)"
        if opt_out.participant:
            return f"{name_of(opt_out.participant)} {show_number(opt_out.participant.phone_number)}"
        return " ".join(
            [gettext("stranger"), *([show_number(opt_out.stranger_number)] if opt_out.stranger_number else [])]
        )

    @display(description=_("Virtual number"))
    def virtual_number_(self, opt_out: OptOut) -> str:
        return opt_out.virtual_number.number

    @display(description=_("Counts for"), label={"number": "default", "platform": "warning"})
    def scope_(self, opt_out: OptOut) -> tuple[str, str]:
        return opt_out.scope, opt_out.get_scope_display()

    @display(description=_("Said by"))
    def source_(self, opt_out: OptOut) -> str:
        return opt_out.get_source_display()

    @display(description=_("Ended"))
    def ended_(self, opt_out: OptOut) -> str:
        return show_time(opt_out.ended_at) or gettext("in force")

    @display(description=_("Text"))
    def text_(self, opt_out: OptOut) -> str:
        return show_body(opt_out.text, _numbers_of(opt_out)) or "-"

    @display(description=_("Text that ended it"))
    def end_text_(self, opt_out: OptOut) -> str:
        return show_body(opt_out.end_text, _numbers_of(opt_out)) or "-"

    @display(description=_("All of this person"))
    def history_(self, opt_out: OptOut) -> str:
        everything = OptOut.objects.select_related("virtual_number").filter(phone_digest=opt_out.phone_digest)
        lines = (
            (self.created_(each), each.virtual_number.number, self.source_(each), self.ended_(each))
            for each in everything.order_by("created_at")
        )
        return format_html_join(mark_safe("<br>"), gettext("{}: {}, by {}, until {}"), lines)


def _numbers_of(opt_out: OptOut) -> list[str]:
    number = opt_out.participant.phone_number if opt_out.participant else opt_out.stranger_number
    return [number] if number else []
