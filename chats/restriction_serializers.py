"""What the API takes and shows of rules on disclosures, and of mutes and blocks."""

from typing import Any

from rest_framework import serializers

from chats.fields import LineField, StrictSerializer
from platforms.models import DisclosureRule

RULES = (
    "What becomes of texts with something by which people could reach each other without you; null: as your platform."
)


class _RuleField(serializers.ChoiceField):
    """A rule on disclosures; null is the platform's own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=DisclosureRule.choices, required=False, allow_null=True, **kwargs)


class DisclosuresSerializer(StrictSerializer):
    """What becomes of texts that hold something by which people could reach each other without you."""

    phone_numbers = _RuleField(source="phone_numbers_in_texts")
    emails = _RuleField(source="emails_in_texts")
    links = _RuleField(source="links_in_texts")
    handles = _RuleField(source="handles_in_texts", help_text="Names in messengers, and invitations to them.")


class RestrictSerializer(StrictSerializer):
    """Why somebody is to be muted or blocked."""

    reason = LineField(required=False, allow_null=True, max_length=100, help_text="For you and the operator.")
