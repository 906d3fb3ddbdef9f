"""Show an operator a participant's phone number: once, for a reason, and recorded."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from unfold.decorators import action
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from audit.log import operator_of, record
from audit.models import LONGEST_REASON, Action
from chats.models import Chat, Participant
from chats.transcript import name_of, short_id, show_number
from platforms.templates import validate_no_phone_number

if TYPE_CHECKING:
    from unfold.admin import ModelAdmin
else:
    ModelAdmin = object


class RevealForm(forms.Form):
    participant = forms.ModelChoiceField(
        Participant.objects.none(), widget=UnfoldAdminRadioSelectWidget, empty_label=None, label=_("Whose number")
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=LONGEST_REASON,
        validators=[validate_no_phone_number],
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Kept in the audit log with your name, the time and whose number it was; never the number."),
    )

    def __init__(self, data: Any = None, *, chat: Chat) -> None:
        super().__init__(data)
        people: Any = self.fields["participant"]
        people.queryset = chat.participants.order_by("position", "pk")
        people.label_from_instance = lambda one: f"{name_of(one)} {show_number(one.phone_number)}"


class RevealsNumbers(ModelAdmin):
    """Adds "Show a number" to the page of a chat."""

    def has_reveal_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("audit.reveal_phone_number") and self.has_view_permission(request)

    @sensitive_variables("number")
    @action(description=_("Show a number"), permissions=["reveal"], url_path="reveal", icon="visibility")
    def reveal_number(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chat = self.get_object(request, object_id)
        if chat is None:
            raise Http404(gettext("There is no such chat."))
        form = RevealForm(request.POST if request.method == "POST" else None, chat=chat)
        number = ""
        if request.method == "POST" and form.is_valid():
            with transaction.atomic():
                participant: Participant = form.cleaned_data["participant"]
                reason = form.cleaned_data["reason"]
                by = operator_of(request)
                record(action=Action.REVEALED_NUMBER, by=by, on=participant, reason=reason)
            # Only what has been recorded is shown.
            number = participant.phone_number or gettext("erased")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Show a phone number of chat %(chat)s") % {"chat": short_id(chat.pk)},
            "form": form,
            "number": number,
            "back": reverse("admin:chats_chat_change", args=[chat.pk]),
        }
        response = TemplateResponse(request, "chats/reveal.html", context)
        # Not even the browser's own memory of the page.
        response["Cache-Control"] = "no-store, private"
        return response
