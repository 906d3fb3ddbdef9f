"""Who calls us: platforms and their API keys."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from rest_framework_api_key.models import AbstractAPIKey

from proxy_project.ids import make_id

# A year.
LONGEST_COOL_DOWN_HOURS = 8784

# What an introduction may name; anything else in braces would reach people as it stands.
INTRODUCTION_FIELDS = ("name", "counterpart", "platform")
LONGEST_WAIT_MINUTES = 7 * 24 * 60


def validate_introduction(template: str) -> None:
    """Raise ValidationError unless `template` can be an introduction: known fields, opt-out wording, no number.

    Carriers drop texts that quote a phone number, and expect the first text to say how to opt out.
    """
    try:
        template.format(**dict.fromkeys(INTRODUCTION_FIELDS, "x"))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        known = ", ".join(f"{{{field}}}" for field in INTRODUCTION_FIELDS)
        raise ValidationError(f"Use only these fields in braces: {known}.", code="unknown_field") from error
    if re.search(r"{\w+[^\w}]", template):
        raise ValidationError("Use a field as it is, such as {counterpart}, without a format.", code="unknown_field")
    if not re.search(r"\bSTOP\b", template):
        raise ValidationError("Say how to opt out, such as “Reply STOP to opt out.”", code="no_opt_out")
    validate_no_phone_number(template)


def validate_no_phone_number(text: str) -> None:
    """Raise ValidationError when `text` could quote a phone number: seven digits or more, however separated."""
    if re.search(r"(?:\d[\s().\-/+]*){7}", text):
        raise ValidationError("Must not contain a phone number: it would be texted to people.", code="phone_number")


class Platform(models.Model):
    """A booking platform: it opens chats, and sees only its own."""

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    name = models.CharField(max_length=100, unique=True)
    introduction = models.TextField(
        blank=True,
        max_length=600,
        validators=[validate_introduction],
        help_text="The first text of a chat, to each person. Fields: {name} of the person, {counterpart}, {platform}. "
        "Must say how to opt out. Empty: the service's own wording.",
    )
    passes_on_files = models.BooleanField(
        "pass on contact cards and files",
        default=False,
        db_default=False,
        help_text="They usually show who sent them. Off: they are withheld, and both people are told. Pictures, "
        "recordings and videos are always passed on.",
    )
    texts_expire_after_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_WAIT_MINUTES)],
        help_text="How many minutes a text may wait to be handed to Vonage; then it fails as expired, and its sender "
        "is told. Counts for texts from now on. Empty: the service's SEND_FOR_HOURS.",
    )
    cool_down_hours = models.FloatField(
        "cool-down (hours)",
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(LONGEST_COOL_DOWN_HOURS)],
        help_text="How long after a chat its people are not given its virtual numbers for somebody else. "
        "Empty: the service's own.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def is_authenticated(self) -> bool:
        """A platform is what an API request acts as, in the place where Django expects a user."""
        return True


class ApiKey(AbstractAPIKey):
    """One of a platform's keys: shown once when it is made, kept as a hash, revocable."""

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="api_keys")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(AbstractAPIKey.Meta):
        verbose_name = "API key"
        verbose_name_plural = "API keys"
