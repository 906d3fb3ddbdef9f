"""What an operator fills in to do something with a chat; the same is allowed as in the API, whose fields check it."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from chats.fields import NameField, TextField
from chats.models import Chat, Participant
from chats.phone_numbers import InvalidPhoneNumber, PhoneNumber, parse_phone_number
from chats.serializers import MAX_SEGMENTS
from chats.transcript import name_of, show_number
from messaging.gateways.fields import MAX_TEXT_LENGTH
from messaging.segments import count_segments
from platforms.templates import validate_no_phone_number

BOTH = "both"
_LOCAL = "%Y-%m-%dT%H:%M"


class TextForm(forms.Form):
    """A text to one person or both; `token` is another for each page, so that what is posted twice is sent once."""

    to = forms.ChoiceField(label=gettext_lazy("To"), widget=UnfoldAdminSelectWidget)
    text = forms.CharField(
        label=gettext_lazy("Text"),
        max_length=MAX_TEXT_LENGTH,
        strip=True,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "dir": "auto"}),
        help_text=gettext_lazy("Must not contain a phone number."),
    )
    token = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, people: list[Participant], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        to: Any = self.fields["to"]
        to.choices = [(BOTH, _("both people")), *((str(one.pk), describe_person(one)) for one in people)]
        self.fields["token"].initial = uuid4

    def clean_text(self) -> str:
        text = _as_api(TextField(max_length=MAX_TEXT_LENGTH), self.cleaned_data["text"])
        if (segments := count_segments(text)) > MAX_SEGMENTS:
            words = _("Takes %(segments)s segments; at most %(most)s are sent as one text.")
            raise ValidationError(words % {"segments": segments, "most": MAX_SEGMENTS})
        return text

    @property
    def recipient(self) -> UUID | None:
        """Who is texted; None is both people."""
        to: str = self.cleaned_data["to"]
        return None if to == BOTH else UUID(to)


class EndForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=Chat._meta.get_field("end_reason").max_length,
        validators=[validate_no_phone_number],
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Kept with the chat, in the history of this admin too; the platform can read it."),
    )
    closing_text = forms.CharField(
        label=gettext_lazy("Closing text"),
        required=False,
        max_length=600,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "dir": "auto"}),
        help_text=gettext_lazy(
            "The last text, to both people. Empty: the platform's own closing text, if it has one. Must not contain a "
            "phone number."
        ),
    )

    def clean_closing_text(self) -> str:
        return _as_api(TextField(max_length=600, allow_blank=True), self.cleaned_data["closing_text"])


class _MomentField(forms.DateTimeField):
    """A time in the operator's zone, or none."""

    widget = UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})

    def prepare_value(self, value: Any) -> Any:
        return localtime(value).strftime(_LOCAL) if isinstance(value, datetime) else value


class ReopenForm(forms.Form):
    expires_at = _MomentField(
        label=gettext_lazy("Ends at"),
        required=False,
        help_text=gettext_lazy("In your time zone. Empty: it has no such end."),
    )


class ExtendForm(ReopenForm):
    """A new end; `seen` is the one that stood there when the page was opened."""

    seen = forms.CharField(required=False, widget=forms.HiddenInput)


class ReplaceForm(forms.Form):
    participant = forms.ModelChoiceField(
        Participant.objects.none(),
        label=gettext_lazy("Whose number"),
        empty_label=None,
        widget=UnfoldAdminRadioSelectWidget,
    )
    phone_number = forms.CharField(
        label=gettext_lazy("New phone number"),
        max_length=40,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "tel"}),
        help_text=gettext_lazy("International, with + and the country code first."),
    )
    name = forms.CharField(
        label=gettext_lazy("Name"),
        required=False,
        max_length=40,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("Of who takes their place. Empty: it is the same person, with another phone."),
    )

    def __init__(self, *args: Any, chat: Chat, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["participant"]
        # Who was replaced a moment ago can still be chosen: the service says what came of it.
        field.queryset = chat.participants.order_by("position", "pk")
        field.label_from_instance = describe_person
        field.choices = [(str(one.pk), describe_person(one)) for one in people_of(chat)]

    def clean_phone_number(self) -> PhoneNumber:
        try:
            return parse_phone_number(self.cleaned_data["phone_number"])
        except InvalidPhoneNumber as error:
            raise ValidationError(str(error)) from None

    def clean_name(self) -> str | None:
        return _as_api(NameField(max_length=40, allow_blank=True), self.cleaned_data["name"]) or None


class NoForm(forms.Form):
    """Nothing is filled in; what is refused is said here."""


def people_of(chat: Chat) -> list[Participant]:
    """Return the two people whose chat it is now, the first one first."""
    return sorted((one for one in chat.participants.all() if not one.replaced_at), key=lambda one: one.position)


def describe_person(one: Participant) -> str:
    return f"{name_of(one)} {show_number(one.phone_number)}".strip()


def _as_api(checked_by: serializers.Field[Any, Any, Any, Any], value: str) -> Any:
    try:
        return checked_by.run_validation(value)
    except serializers.ValidationError as error:
        details: list[str | Promise] = [str(each) for each in error.detail]
        raise ValidationError(details) from None
