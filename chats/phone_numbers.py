"""Read a phone number as people write it, and refuse what cannot be sent a text, without quoting it."""

import re
from dataclasses import dataclass, field

import phonenumbers
from phonenumbers import PhoneNumberType

# A number of fifteen digits, with generous separators.
_LONGEST = 40
_WRITTEN = re.compile(r"\+[0-9 ().\-]+")

_TEXTABLE = frozenset(
    {
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.VOIP,
        PhoneNumberType.PERSONAL_NUMBER,
    }
)
_NOT_TEXTABLE = {
    PhoneNumberType.FIXED_LINE: "a fixed line",
    PhoneNumberType.TOLL_FREE: "a toll-free number",
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.UAN: "a company's universal access number",
    PhoneNumberType.PAGER: "a pager",
    PhoneNumberType.VOICEMAIL: "a voicemail box",
}


@dataclass(frozen=True, kw_only=True)
class PhoneNumber:
    """A number that can be sent a text: E.164 with `+`, and its ISO 3166 country, empty where it has none."""

    e164: str = field(repr=False)
    country: str


class InvalidPhoneNumber(ValueError):
    """This is no phone number that can be sent a text; the message says why, without quoting it."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


def parse_phone_number(text: str) -> PhoneNumber:
    """Return the number that `text` writes internationally, with `+` and with or without separators.

    Raises InvalidPhoneNumber when it is no valid number, or one that cannot be sent a text.
    """
    written = text.strip()
    if not written.startswith("+"):
        raise InvalidPhoneNumber(
            "Write the number internationally: + and the country code first, such as +14155550100.",
            code="not_international",
        )
    if len(written) > _LONGEST or not _WRITTEN.fullmatch(written):
        raise InvalidPhoneNumber(
            "This is not a phone number: use +, the digits 0 to 9, spaces, dashes, dots and parentheses.",
            code="invalid_phone_number",
        )
    try:
        number = phonenumbers.parse(written)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise InvalidPhoneNumber(
            "This is not a valid phone number in its country's numbering plan.", code="invalid_phone_number"
        )
    kind = phonenumbers.number_type(number)
    if kind not in _TEXTABLE:
        what = _NOT_TEXTABLE.get(kind, "not a mobile number")
        raise InvalidPhoneNumber(f"This number cannot be sent a text: it is {what}.", code="not_textable")
    return PhoneNumber(
        e164=phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        country=find_country(number),
    )


def is_premium(e164: str) -> bool:
    """Return whether texting a number that is in E.164 may cost a premium, or is to none that exists."""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return True
    return phonenumbers.number_type(number) in (PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST)


def find_country(number: phonenumbers.PhoneNumber) -> str:
    """Return the ISO 3166 code of a number's country, or nothing for a number of none, such as +883."""
    region = phonenumbers.region_code_for_number(number) or ""
    return region if region.isalpha() else ""


def find_country_of(e164: str) -> str:
    """Return the ISO 3166 code of the country of a number that is in E.164; nothing when it has none."""
    try:
        return find_country(phonenumbers.parse(e164))
    except phonenumbers.NumberParseException:
        return ""
