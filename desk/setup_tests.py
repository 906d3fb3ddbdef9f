"""Try what is set up: ask the account, ping the endpoints of platforms, send a text to a number that is not kept."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime

import structlog
from django import forms
from django.contrib.messages import constants as levels
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables
from unfold.widgets import UnfoldAdminTextInputWidget

from audit.log import Actor, record
from audit.models import Action
from chats.models import VirtualNumber
from chats.phone_numbers import InvalidPhoneNumber, parse_phone_number
from messaging.account_check import Finding, check_account
from messaging.balance import read_balance
from messaging.gateways import AccountError, OutboundText, Outcome, SendError
from messaging.gateways.vonage_account import VonageAccount
from messaging.models import OptOut
from platforms.endpoints import EndpointDisabled, ping
from platforms.models import WebhookEndpoint
from proxy_project.encryption import digest_number
from proxy_project.ids import make_id

log = structlog.get_logger(__name__)

# No more are pinged at once.
_PINGED = 20


class TestTextForm(forms.Form):
    phone_number = forms.CharField(
        max_length=40,
        label=gettext_lazy("Your own phone number"),
        help_text=gettext_lazy("With its country code. It is not kept."),
        widget=UnfoldAdminTextInputWidget(
            attrs={"type": "tel", "autocomplete": "off", "placeholder": "+1 415 555 0100"}
        ),
    )

    def clean_phone_number(self) -> str:
        try:
            number: str = parse_phone_number(self.cleaned_data["phone_number"]).e164
        except InvalidPhoneNumber as error:
            raise forms.ValidationError(_(str(error))) from None
        return number


def check(*, by: Actor, now: datetime) -> Sequence[Finding]:
    """Ask the account at the gateway about everything that must fit, and keep the balance; nothing else is changed."""
    record(action=Action.CHECKED_ACCOUNT, by=by)
    findings = list(check_account())
    # What is wrong is among the findings.
    with suppress(AccountError):
        read_balance(account=VonageAccount(), now=now)
    return findings


def ping_endpoints(*, by: Actor, now: datetime) -> Iterator[tuple[int, str]]:
    """Send a ping to each endpoint that is enabled, and say so."""
    endpoints = WebhookEndpoint.objects.filter(is_enabled=True).select_related("platform")
    for endpoint in endpoints.defer("secret", "previous_secret").order_by("created_at")[:_PINGED]:
        try:
            with transaction.atomic():
                ping(endpoint=endpoint, now=now)
                record(action=Action.PINGED_ENDPOINT, by=by, on=endpoint)
        except EndpointDisabled as error:
            yield levels.WARNING, f"{endpoint.platform.name}: {error}"
        else:
            words = _("%(platform)s: a ping is on its way; Webhook endpoints shows how it went.")
            yield levels.SUCCESS, words % {"platform": endpoint.platform.name}


@sensitive_variables("phone_number")
def send_test_text(phone_number: str, *, by: Actor) -> tuple[int, str]:
    """Hand a text to the gateway, from a virtual number to `phone_number`, and say what it answered.

    Neither the number nor the text is logged or kept, so it does not pass the outbox; who has opted out gets none.
    """
    number = VirtualNumber.objects.filter(state=VirtualNumber.State.ACTIVE, can_sms=True).order_by("number").first()
    if number is None:
        return levels.ERROR, _("No virtual number is active: add one first.")
    if OptOut.objects.filter(phone_digest=digest_number(phone_number), ended_at=None).exists():
        return levels.WARNING, _("This number has opted out, so it is not texted: START opts in again.")
    record(action=Action.SENT_TEST_TEXT, by=by, on=number)
    text = OutboundText(make_id(), number.number, phone_number, _("This is a test of masked texting."))
    from messaging.gateways.vonage import VonageGateway  # messaging.gateways.vonage_client says why here

    try:
        VonageGateway().send(text)
    except ImproperlyConfigured as error:
        return levels.ERROR, str(error)
    except SendError as error:
        log.warning("test text not sent", outcome=error.outcome.value, code=error.code)
        if error.outcome is Outcome.UNKNOWN:
            return levels.WARNING, _("Vonage did not answer in time; the text may arrive all the same.")
        return levels.ERROR, _("Vonage did not take it: %(why)s (%(code)s)") % {
            "why": error.detail,
            "code": error.code,
        }
    return levels.SUCCESS, _("Vonage has taken it, from %(number)s: it should arrive within seconds.") % {
        "number": number.number
    }
