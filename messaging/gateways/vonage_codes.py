"""Every error code of Vonage: what it means, whom it concerns, whether to try again, and what can still be done.

Those of the Messages API have four digits, those of the SMS API one or two, so one table holds both.
"""

from dataclasses import dataclass

from messaging.gateways import ErrorKind, Remedy

_CONFIGURATION = ErrorKind.CONFIGURATION
_RECIPIENT = ErrorKind.RECIPIENT
_CARRIER = ErrorKind.CARRIER
_MONEY = ErrorKind.MONEY
_UNKNOWN = ErrorKind.UNKNOWN
_PAUSE = Remedy.PAUSE
_AS_TEXT = Remedy.AS_TEXT

# Not every part of a long text was confirmed within five minutes: all, some or none of it may have arrived.
RESULT_UNKNOWN = "1490"
# With these a text that failed may have arrived all the same; 1320: as one that the carrier had been given before.
MAY_HAVE_ARRIVED = (RESULT_UNKNOWN, "1320")


@dataclass(frozen=True, slots=True)
class CarrierError:
    """What a code means, in a sentence for an operator; `retryable` when the same text may arrive later.

    `remedy` is what this service does by itself about a text that a receipt rejects with it.
    """

    kind: ErrorKind
    meaning: str
    retryable: bool = False
    remedy: Remedy | None = None

    @property
    def in_words(self) -> str:
        return f"{self.meaning} It may work later." if self.retryable else self.meaning


# https://developer.vonage.com/en/api/messages#errors (`x-errors` of its OpenAPI document), for `error.title` of a
# status webhook. In the answer to a request the same numbers mean other things.
MESSAGES_API = {
    "1000": CarrierError(_CARRIER, "Vonage or the carrier was sent too much at once.", True),
    "1010": CarrierError(_CONFIGURATION, "The request lacked a parameter."),
    "1020": CarrierError(_CONFIGURATION, "A parameter of the request was invalid.", remedy=_AS_TEXT),
    "1021": CarrierError(_CONFIGURATION, "A tag in the request was invalid."),
    "1022": CarrierError(_CONFIGURATION, "The template or its parameters were invalid."),
    "1030": CarrierError(_CARRIER, "Vonage or the carrier had an internal error.", True),
    "1040": CarrierError(_RECIPIENT, "Vonage could not process the text, or knows no network for the number."),
    "1050": CarrierError(_RECIPIENT, "The recipient's number is barred."),
    "1060": CarrierError(
        _CONFIGURATION, "The Vonage account is barred; only Vonage's support can tell why.", remedy=_PAUSE
    ),
    "1070": CarrierError(_MONEY, "The credit or the quota of the Vonage account is used up.", remedy=_PAUSE),
    "1080": CarrierError(_CONFIGURATION, "The Vonage account may not send through this API."),
    "1090": CarrierError(_CONFIGURATION, "The text is too long for the carrier."),
    "1100": CarrierError(_CARRIER, "Vonage could not reach the carrier.", True),
    "1120": CarrierError(_CONFIGURATION, "The virtual number may not text this recipient: an illegal sender there."),
    "1130": CarrierError(_CONFIGURATION, "The time to live of the text was invalid."),
    "1140": CarrierError(_CARRIER, "The recipient's network does not allow this kind of text.", remedy=_AS_TEXT),
    "1150": CarrierError(_CONFIGURATION, "The message class was invalid."),
    "1160": CarrierError(
        _CONFIGURATION, "The Vonage account is on trial and may text only numbers registered in its dashboard."
    ),
    "1170": CarrierError(_RECIPIENT, "The recipient's number is missing or invalid."),
    "1180": CarrierError(_RECIPIENT, "The recipient's phone cannot be reached for now.", True),
    "1190": CarrierError(_RECIPIENT, "The recipient's number is not in use."),
    "1200": CarrierError(_RECIPIENT, "The recipient's number has moved to another network, and was not found there."),
    "1210": CarrierError(_CARRIER, "The carrier's spam filter refused the text."),
    "1220": CarrierError(_RECIPIENT, "The recipient's phone was busy.", True),
    "1230": CarrierError(_CARRIER, "The recipient's network had a fault for the moment.", True),
    "1240": CarrierError(
        ErrorKind.OPT_OUT, "The recipient has opted out of texts from this virtual number; START opts in again."
    ),
    "1241": CarrierError(_RECIPIENT, "The recipient's number was sent too many texts."),
    "1242": CarrierError(_CONFIGURATION, "The number pool does not exist in the Vonage account."),
    "1250": CarrierError(_CARRIER, "Vonage has no route to the recipient's network.", remedy=_AS_TEXT),
    "1251": CarrierError(_CONFIGURATION, "The routing rules of the Vonage account forbid the recipient's network."),
    "1260": CarrierError(_RECIPIENT, "The recipient's number cannot be reached."),
    "1270": CarrierError(_RECIPIENT, "The recipient's age, as the carrier knows it, does not allow the text."),
    "1280": CarrierError(_CARRIER, "The carrier blocks texts to this number, or from the virtual number."),
    "1282": CarrierError(_CARRIER, "The carrier refused the text by its policy."),
    "1290": CarrierError(_RECIPIENT, "The recipient's prepaid credit does not cover the text."),
    "1300": CarrierError(_RECIPIENT, "The recipient's number does not belong to the network it was sent to."),
    "1310": CarrierError(_RECIPIENT, "The recipient's phone cannot show this kind of text.", remedy=_AS_TEXT),
    "1320": CarrierError(_CARRIER, "The carrier took the text for one it was sent already."),
    "1330": CarrierError(_UNKNOWN, "The carrier refused the text for good and did not say why."),
    "1331": CarrierError(_CARRIER, "The carrier does not respond.", True),
    "1340": CarrierError(_CONFIGURATION, "The text was sent outside of the time in which the recipient may be texted."),
    "1350": CarrierError(_UNKNOWN, "Vonage refused the text with a code that it does not explain."),
    "1360": CarrierError(_RECIPIENT, "The text expired: the recipient's phone was not reached in time."),
    "1370": CarrierError(_UNKNOWN, "Vonage refused the text with a code that it does not explain."),
    "1380": CarrierError(_CONFIGURATION, "Vonage could not fetch the media of the text.", remedy=_AS_TEXT),
    "1381": CarrierError(_CONFIGURATION, "The media of the text are too large.", remedy=_AS_TEXT),
    "1382": CarrierError(_CONFIGURATION, "The media of the text are of a type that cannot be sent.", remedy=_AS_TEXT),
    "1400": CarrierError(_CONFIGURATION, "Vonage does not support this channel.", remedy=_AS_TEXT),
    "1410": CarrierError(_CONFIGURATION, "Vonage refused the parameters of the channel.", remedy=_AS_TEXT),
    "1420": CarrierError(
        _CONFIGURATION, "The virtual number is not one that the Vonage account may send from.", remedy=_AS_TEXT
    ),
    "1430": CarrierError(_RECIPIENT, "The recipient's number cannot receive texts on this channel.", remedy=_AS_TEXT),
    "1431": CarrierError(_CONFIGURATION, "The text had several recipients, and may have one."),
    "1440": CarrierError(_CONFIGURATION, "The virtual number cannot send this type of message.", remedy=_AS_TEXT),
    "1450": CarrierError(_CONFIGURATION, "Vonage refused our reference for the text."),
    "1451": CarrierError(_CONFIGURATION, "The text replied to one that Vonage does not know."),
    "1460": CarrierError(
        _CONFIGURATION, "The daily limit of the brand or campaign (10DLC) is used up; it starts anew tomorrow."
    ),
    "1461": CarrierError(_UNKNOWN, "Vonage refused the text with a code that it does not explain."),
    "1470": CarrierError(_CONFIGURATION, "Vonage's Fraud Defender blocked the text."),
    "1472": CarrierError(_CONFIGURATION, "Vonage's Fraud Defender blocked a burst of texts."),
    "1473": CarrierError(_CONFIGURATION, "Vonage's Fraud Defender took the text for artificially inflated traffic."),
    "1474": CarrierError(_CONFIGURATION, "Vonage's Fraud Defender blocked the text by a rule of the account."),
    "1475": CarrierError(_CONFIGURATION, "Vonage's Fraud Defender blocked the text by a rule of the account."),
    "1476": CarrierError(_CONFIGURATION, "The virtual number is on the list of numbers that never send (DNO)."),
    "1480": CarrierError(_CONFIGURATION, "The carrier filtered the text for its registered sender (entity)."),
    "1481": CarrierError(_CONFIGURATION, "The carrier filtered the text for its header."),
    "1482": CarrierError(_CONFIGURATION, "The carrier filtered the text for its content."),
    "1483": CarrierError(_CONFIGURATION, "The carrier filtered the text for want of the recipient's consent."),
    "1484": CarrierError(_CONFIGURATION, "The carrier filtered the text by a regulation of the country."),
    RESULT_UNKNOWN: CarrierError(
        _UNKNOWN, "Not all parts of the text were confirmed in time; all, some or none of it may have arrived."
    ),
    "2001": CarrierError(_CONFIGURATION, "Vonage's fraud protection blocked the text."),
    "2002": CarrierError(_CONFIGURATION, "Vonage refused the text with an error that concerns e-mail."),
    "2003": CarrierError(_CONFIGURATION, "Vonage refused the text with an error that concerns e-mail."),
}

# https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts#dlr-error-codes, for `err-code` of a receipt;
# the last three for the status of one without.
SMS_API = {
    "1": CarrierError(_UNKNOWN, "The carrier did not say why."),
    "2": CarrierError(_RECIPIENT, "The recipient's phone cannot be reached for now.", True),
    "3": CarrierError(_RECIPIENT, "The recipient's number is no longer in use."),
    "4": CarrierError(_RECIPIENT, "The recipient, or their carrier, bars texts."),
    "5": CarrierError(_RECIPIENT, "The recipient's number moved to another carrier, and was not found there."),
    "6": CarrierError(_CARRIER, "The carrier took the text for spam."),
    "7": CarrierError(_RECIPIENT, "The recipient's phone was busy.", True),
    "8": CarrierError(_CARRIER, "The recipient's network had a fault.", True),
    "9": CarrierError(ErrorKind.OPT_OUT, "The recipient has opted out of texts from this virtual number."),
    "10": CarrierError(_CONFIGURATION, "The text is not one that the carrier takes."),
    "11": CarrierError(_CARRIER, "Vonage has no route to the recipient's network."),
    "12": CarrierError(_RECIPIENT, "The recipient's number cannot be reached."),
    "13": CarrierError(_RECIPIENT, "The recipient's age, as the carrier knows it, does not allow the text."),
    "14": CarrierError(_CARRIER, "The carrier blocks the text."),
    "15": CarrierError(_RECIPIENT, "The recipient's prepaid credit does not cover the text."),
    "16": CarrierError(_MONEY, "The quota of the Vonage account is used up.", remedy=_PAUSE),
    **{
        code: CarrierError(_CONFIGURATION, f"A regulation of the country filtered the text: {what}.")
        for code, what in (("50", "entity"), ("51", "header"), ("52", "content"), ("53", "consent"), ("54", "general"))
    },
    "99": CarrierError(_UNKNOWN, "The carrier had a general error."),
    "expired_at_carrier": CarrierError(
        _RECIPIENT, "The carrier held the text for too long without reaching the phone."
    ),
    "failed": CarrierError(_UNKNOWN, "The text could not be delivered."),
    "rejected": CarrierError(_CARRIER, "The carrier refused the text."),
}

# No code is in both.
ERRORS = MESSAGES_API | SMS_API

# https://developer.vonage.com/api-errors/sms, for `status` in an answer of the SMS API; the same numbers mean other
# things in its receipts. This service does not send through it: they are for who reads Vonage's own records.
SMS_API_ANSWERS = {
    "1": CarrierError(_CARRIER, "Vonage was sent too much at once.", True),
    "2": CarrierError(_CONFIGURATION, "The request lacked a parameter."),
    "3": CarrierError(_CONFIGURATION, "A parameter of the request was invalid."),
    "4": CarrierError(_CONFIGURATION, "The API key or secret is wrong or disabled.", remedy=_PAUSE),
    "5": CarrierError(_CARRIER, "Vonage had an internal error.", True),
    "6": CarrierError(_RECIPIENT, "Vonage could not process the text, or knows no network for the number."),
    "7": CarrierError(_RECIPIENT, "The recipient's number is barred."),
    "8": CarrierError(
        _CONFIGURATION, "The Vonage account is suspended; only Vonage's support can tell why.", remedy=_PAUSE
    ),
    "9": CarrierError(_MONEY, "The credit of the Vonage account does not cover the text.", remedy=_PAUSE),
    "10": CarrierError(_CARRIER, "The account has too many connections to Vonage.", True),
    "11": CarrierError(_CONFIGURATION, "The Vonage account may not send through this API.", remedy=_PAUSE),
    "12": CarrierError(_CONFIGURATION, "The text is too long."),
    "14": CarrierError(_CONFIGURATION, "The signature of the request was wrong.", remedy=_PAUSE),
    "15": CarrierError(_CONFIGURATION, "The virtual number may not text this recipient: an illegal sender there."),
    "17": CarrierError(_CARRIER, "The carrier blocked the text."),
    "22": CarrierError(_CONFIGURATION, "The network code of the request was invalid."),
    "23": CarrierError(_CONFIGURATION, "The callback URL of the request was invalid."),
    "29": CarrierError(
        _CONFIGURATION, "The Vonage account is on trial and may text only numbers registered in its dashboard."
    ),
    "32": CarrierError(_CONFIGURATION, "The request had both a signature and the API secret.", remedy=_PAUSE),
    "33": CarrierError(_RECIPIENT, "The recipient's number is no longer in use."),
}
