"""What the API's serializers are made of: objects that refuse unknown fields, and the fields they have."""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils import timezone
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction, extend_schema_field
from rest_framework import serializers

from chats.allocation import CountryMatch
from chats.models import mask
from chats.phone_numbers import InvalidPhoneNumber, PhoneNumber, parse_phone_number
from platforms.templates import LONGEST_TAG, normalize_language, validate_language, validate_no_phone_number
from proxy_project.public_http import NotPublic, check_form

METADATA_KEYS = 50
METADATA_BYTES = 4096
METADATA_DEPTH = 10

# They would turn around the text that follows a name.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_TIME_ZONES = frozenset(available_timezones())


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses a field it does not know: a typing error must not be lost silently."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [key for key in data if key not in self.fields]
            if unknown:
                message = f"There is no such field; there are {', '.join(self.fields)}."
                error = serializers.ErrorDetail(message, code="unknown_field")
                # What cannot be shown as it came is the whole object's error.
                raise serializers.ValidationError(
                    {
                        key if re.fullmatch(r"\w{1,40}", key, re.ASCII) else "non_field_errors": [error]
                        for key in unknown
                    }
                )
        return super().to_internal_value(data)


class StrictSerializerSchema(OpenApiSerializerExtension):
    """Documents that a StrictSerializer takes no other fields, and how long its lists of objects are."""

    target_class = StrictSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        for name, field in self.target.fields.items():
            if isinstance(field, serializers.ListSerializer):
                for bound, documented in (("min_length", "minItems"), ("max_length", "maxItems")):
                    # The stubs do not know the two.
                    if (value := getattr(field, bound, None)) is not None:
                        schema["properties"][name][documented] = value
        return {**schema, "additionalProperties": False}


class _PlainField(serializers.CharField):
    """A string that has none of its `refused` characters; the error is called `refusal`."""

    refusal: ClassVar[str]
    refused_categories: ClassVar[frozenset[str]]
    allowed: ClassVar[str] = ""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        # To Python some of them are white space, and to a schema they are not: they are not called blank.
        if isinstance(data, str) and not data.strip():
            self._refuse_characters(data)
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            # A number would become its digits.
            self.fail("invalid")
        text: str = super().to_internal_value(data)
        self._refuse_characters(text)
        return text

    def _refuse_characters(self, text: str) -> None:
        for character in text:
            if unicodedata.category(character) in self.refused_categories and character not in self.allowed:
                self.fail(self.refusal)


class LineField(_PlainField):
    """One line of text without control characters."""

    default_error_messages = {"not_one_line": "Must be one line, without control characters."}
    refusal = "not_one_line"
    # Control characters, lone surrogates, and the separators of lines and paragraphs.
    refused_categories = frozenset({"Cc", "Cs", "Zl", "Zp"})


class TextField(_PlainField):
    """A text to people, of one or more lines, that tells nobody a phone number."""

    default_error_messages = {"not_text": "Must not contain control characters."}
    refusal = "not_text"
    refused_categories = frozenset({"Cc", "Cs"})
    allowed = "\n"

    def to_internal_value(self, data: Any) -> str:
        return refuse_phone_numbers(super().to_internal_value(data))


def refuse_phone_numbers(text: str) -> str:
    """Return `text`; raises ValidationError when something in it could be a phone number."""
    try:
        validate_no_phone_number(text)
    except DjangoValidationError as error:
        raise serializers.ValidationError(error.messages, code="phone_number") from None
    return text


class NameField(LineField):
    """A name that can be texted to somebody else."""

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if not _BIDI_CONTROLS.isdisjoint(name):
            self.fail("not_one_line")
        return refuse_phone_numbers(name)


@extend_schema_field({"type": "string", "format": "phone-number", "example": "+14155550123"})
class PhoneNumberField(serializers.Field[PhoneNumber, Any, str, Any]):
    """A phone number as text; it is never shown in full."""

    default_error_messages = {"invalid": "Must be a string."}

    def to_internal_value(self, data: Any) -> PhoneNumber:
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            return parse_phone_number(data)
        except InvalidPhoneNumber as error:
            raise serializers.ValidationError(str(error), code=error.code) from None

    def to_representation(self, value: PhoneNumber) -> str:
        return mask(value.e164)


def read_phone_number_header(text: str) -> PhoneNumber:
    """Return the number in a header; raises ValidationError, which does not quote it."""
    try:
        return parse_phone_number(text)
    except InvalidPhoneNumber as error:
        raise serializers.ValidationError({"Participant-Phone-Number": [str(error)]}, code=error.code) from None


class ZonedDateTimeField(serializers.DateTimeField):
    """An ISO 8601 time that says its zone."""

    default_error_messages = {"no_zone": "Must end in Z or an offset, such as 2030-01-31T18:00:00Z."}

    def enforce_timezone(self, value: datetime) -> datetime:
        if timezone.is_naive(value):
            self.fail("no_zone")
        return super().enforce_timezone(value)


@extend_schema_field({"type": "object", "additionalProperties": True, "maxProperties": METADATA_KEYS})
class MetadataField(serializers.Field[dict[str, Any], Any, Any, Any]):
    """A small JSON object that PostgreSQL can keep and we can always give back."""

    default_error_messages = {
        "not_an_object": "Must be an object.",
        "too_many_keys": f"Must have at most {METADATA_KEYS} keys.",
        "too_large": f"Must be at most {METADATA_BYTES} bytes of JSON.",
        "too_deep": f"Must not be nested more than {METADATA_DEPTH} levels deep.",
        "not_text": "Must not contain the character U+0000 or half of a surrogate pair.",
        "not_a_number": "Must not contain a number that is out of range.",
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("not_an_object")
        if len(data) > METADATA_KEYS:
            self.fail("too_many_keys")
        for item, level in _walk(data):
            if level > METADATA_DEPTH:
                self.fail("too_deep")
            if isinstance(item, str) and "\0" in item:
                self.fail("not_text")
        try:
            size = len(json.dumps(data, ensure_ascii=False, allow_nan=False).encode("utf-8"))
        except UnicodeEncodeError:
            self.fail("not_text")
        except ValueError:
            self.fail("not_a_number")
        if size > METADATA_BYTES:
            self.fail("too_large")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class CountryMatchField(serializers.ChoiceField):
    """Whether the virtual number is of the country of a person's phone number."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            choices=[match.value for match in CountryMatch],
            help_text="Whether their virtual number must be, should be (the default) or need not be of the country "
            "of their phone number.",
            **kwargs,
        )

    def to_internal_value(self, data: Any) -> CountryMatch:
        return CountryMatch(super().to_internal_value(data))


class LanguageField(LineField):
    """A language tag of BCP 47, written as it says."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=LONGEST_TAG, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        tag = normalize_language(super().to_internal_value(data))
        try:
            validate_language(tag)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages, code="invalid_language") from None
        return tag


@extend_schema_field({"type": "string", "enum": sorted(_TIME_ZONES)})
class TimeZoneField(serializers.Field[str, Any, str, Any]):
    """An IANA time zone. A ChoiceField is copied with its 600 choices for every request."""

    default_error_messages = dict(serializers.ChoiceField.default_error_messages)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in _TIME_ZONES:
            self.fail("invalid_choice", input=data)
        return data

    def to_representation(self, value: str) -> str:
        return value


class MediaUrlField(serializers.CharField):
    """Where an attachment can be fetched: https, and a host, without a user name; whether it is public shows then."""

    def to_internal_value(self, data: Any) -> str:
        url: str = super().to_internal_value(data)
        try:
            check_form(url)
        except NotPublic as error:
            raise serializers.ValidationError(str(error), code="bad_url") from None
        return url


def _walk(value: Any) -> Iterator[tuple[Any, int]]:
    """Yield every value and key within a JSON value, with the level it is on, however deep that is."""
    ahead = [(value, 1)]
    while ahead:
        item, level = ahead.pop()
        yield item, level
        if isinstance(item, dict):
            ahead.extend((part, level + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list):
            ahead.extend((part, level + 1) for part in item)
