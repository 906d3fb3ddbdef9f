"""The forms by which operators log in and set up their second factor."""

from typing import Any

from django import forms
from django.contrib.auth import authenticate
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

_CODE_WIDGET = {"autocomplete": "one-time-code", "inputmode": "text", "spellcheck": "false"}


class LoginForm(AuthenticationForm):
    """The admin's login, with a place for the code of those who have a second factor."""

    code = forms.CharField(
        required=False,
        max_length=40,
        widget=UnfoldAdminTextInputWidget(attrs=_CODE_WIDGET),
        label="Code",
        help_text="Of the app on your phone, or a recovery code. Without a second factor: leave it empty.",
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
    code = forms.CharField(max_length=40, widget=UnfoldAdminTextInputWidget(attrs=_CODE_WIDGET))
