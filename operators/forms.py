"""The forms by which operators log in, set up their second factor, and say how they want the desk."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import authenticate
from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from operators.preferences import list_zones

_CODE_WIDGET = {"autocomplete": "one-time-code", "inputmode": "text", "spellcheck": "false"}


class LoginForm(AuthenticationForm):
    """The admin's login, with a place for the code of those who have a second factor."""

    code = forms.CharField(
        required=False,
        max_length=40,
        widget=UnfoldAdminTextInputWidget(attrs=_CODE_WIDGET),
        label=_("Code"),
        help_text=_("Of the app on your phone, or a recovery code. Without a second factor: leave it empty."),
    )

    def clean(self) -> dict[str, Any]:
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if username is not None and password:
            code = self.cleaned_data.get("code", "")
            self.user_cache = authenticate(self.request, username=username, password=password, code=code)
            if self.user_cache is None:
                raise self.get_invalid_login_error()
            self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data


class CodeForm(forms.Form):
    code = forms.CharField(label=_("Code"), max_length=40, widget=UnfoldAdminTextInputWidget(attrs=_CODE_WIDGET))


class PreferencesForm(forms.Form):
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        widget=UnfoldAdminSelectWidget,
        help_text=_("Times of the admin are shown in it, and read in it where you enter one."),
    )
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES, widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones: Any = self.fields["time_zone"]
        zones.choices = [(name, name.replace("_", " ")) for name in list_zones()]
