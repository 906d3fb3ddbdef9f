"""What the API's serializers are made of: objects that refuse unknown fields, and lines of text."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction
from rest_framework import serializers

from platforms.templates import validate_no_phone_number


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
