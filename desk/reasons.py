"""Why texts failed, in words that an operator understands."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from messaging.gateways import ErrorKind
from messaging.gateways.vonage_codes import ERRORS

# What this service says itself; all else is the carrier's.
_OURS = {
    "expired": gettext_lazy("It could not be handed over to the carrier for too long."),
    "invalid_number": gettext_lazy("The recipient's phone number cannot be texted."),
    "invalid_text": gettext_lazy("The text is not one that the carrier takes."),
    "media_unavailable": gettext_lazy("Its attachments could not be fetched, and there was no text."),
    "does_not_fit": gettext_lazy("The link to its attachment does not fit into the text."),
    "recipient_opted_out": gettext_lazy("Its recipient has opted out."),
    "recipient_replaced": gettext_lazy("Its recipient was replaced by somebody else before it was sent."),
    "chat_ended": gettext_lazy("The chat ended before it was sent."),
    "400": gettext_lazy("The carrier did not understand the request."),
    "413": gettext_lazy("The text is too long for the carrier."),
    "422": gettext_lazy("The carrier refused the number or the text as invalid."),
}
_ADVICE = {
    ErrorKind.RECIPIENT: gettext_lazy("It is for the recipient, or their phone, to change this."),
    ErrorKind.CONFIGURATION: gettext_lazy("Mend it in the Vonage account first; then try again."),
    ErrorKind.MONEY: gettext_lazy("Top up the Vonage account first; then try again."),
    ErrorKind.CARRIER: gettext_lazy("The carrier decides this; other words may get through."),
    ErrorKind.OPT_OUT: gettext_lazy("Only they can change this, by texting START."),
}


def explain_code(code: str, detail: str = "") -> str:
    """Return what the code of an error means; `detail` is what a text with it says, for a code nobody has heard of."""
    if code in _OURS:
        return str(_OURS[code])
    if code in ERRORS:
        return _(ERRORS[code].meaning)
    return detail or (_("The carrier gave the code %(code)s.") % {"code": code} if code else _("Nobody said why."))


def advise(code: str, kind: str) -> str:
    """Return what can be done about an error, if anything is known to help."""
    if code == "expired" or (code in ERRORS and ERRORS[code].retryable):
        return _("It may work now: try again.")
    return str(_ADVICE[ErrorKind(kind)]) if kind in {each.value for each in _ADVICE} else ""
