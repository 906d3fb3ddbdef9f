"""What the API of chats takes; representations.py is what it shows."""

from typing import Any

from rest_framework import serializers

from chats.allocation import CountryMatch
from chats.fields import (
    METADATA_BYTES,
    METADATA_KEYS,
    CountryMatchField,
    LanguageField,
    LineField,
    MediaUrlField,
    MetadataField,
    NameField,
    PhoneNumberField,
    StrictSerializer,
    TextField,
    TimeZoneField,
    ZonedDateTimeField,
)
from chats.restriction_serializers import RULES, DisclosuresSerializer
from chats.services import NumberChoice, Person
from chats.transcript import cut_out
from messaging.gateways.fields import MAX_TEXT_LENGTH
from messaging.segments import count_segments

# What carriers pass on as one text, and many phones show as one.
MAX_SEGMENTS = 10
# A minute, so that people have time to answer; and a year.
IDLE_TIMEOUT_SECONDS = (60, 366 * 24 * 3600)


class PersonSerializer(StrictSerializer):
    """Somebody who is to take part in a chat."""

    phone_number = PhoneNumberField(
        help_text="International, with `+`; spaces, dashes, dots and parentheses may be there."
    )
    name = NameField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=40,
        help_text="What the other person is told, in the introduction. Must not contain a phone number.",
    )
    language = LanguageField(
        required=False,
        allow_null=True,
        help_text="In what language the service texts them (BCP 47), such as es or pt-BR: your templates in it, "
        "else its own wording in English or Spanish. Left out: your platform's language.",
    )
    country_match = CountryMatchField(required=False)
    time_zone = TimeZoneField(
        required=False,
        allow_null=True,
        help_text="Where they are, such as `Europe/Paris`, for your quiet hours. Left out: where their number is from.",
    )


class NumberChoiceSerializer(StrictSerializer):
    """Which virtual numbers a chat gets; without it, those of the two people's last chat, or any that suits."""

    named = LineField(
        required=False,
        allow_null=True,
        max_length=40,
        help_text="This one, by its `id` or number, for both people. A reserved one is only given when it is named.",
    )
    fresh = serializers.BooleanField(
        required=False, help_text="None that the two people had before. Not together with `named`."
    )

    def validate(self, attrs: dict[str, Any]) -> NumberChoice:
        choice = NumberChoice(named=attrs.get("named"), fresh=attrs.get("fresh") or False)
        if choice.named and choice.fresh:
            raise serializers.ValidationError(
                {"fresh": ["A number that is named is named, fresh or not: give only one of the two."]},
                code="fresh_and_named",
            )
        return choice


class TimesSerializer(StrictSerializer):
    """When a chat ends by itself."""

    expires_at = ZonedDateTimeField(required=False, allow_null=True, help_text="When the chat ends by itself.")
    idle_timeout_seconds = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=IDLE_TIMEOUT_SECONDS[0],
        max_value=IDLE_TIMEOUT_SECONDS[1],
        help_text="The chat ends when no text was passed on for so long. It never ends earlier, and at most a "
        "twentieth of it (and never more than a minute) later.",
    )


class StartChatSerializer(TimesSerializer):
    """A chat that is to be started."""

    participants = PersonSerializer(
        many=True,
        min_length=2,
        max_length=2,
        help_text="Exactly two people.",  # type: ignore[call-arg]
    )
    reference = LineField(
        required=False,
        allow_null=True,
        max_length=100,
        help_text="Your own id of the chat. The same reference again returns the same chat. It is kept in clear "
        "and for good: name nobody in it. Names belong into `metadata`, which is encrypted, and erased with the chat.",
    )
    starts_at = ZonedDateTimeField(
        required=False,
        allow_null=True,
        help_text="When people are introduced and can text. Until then the chat is `scheduled`.",
    )
    virtual_number = NumberChoiceSerializer(required=False, allow_null=True)
    metadata = MetadataField(
        required=False,
        allow_null=True,
        help_text=f"Anything of yours: an object of at most {METADATA_KEYS} keys and {METADATA_BYTES} bytes.",
    )
    disclosures = DisclosuresSerializer(required=False, help_text=RULES)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        reference = attrs.get("reference") or ""
        for person in attrs["participants"]:
            if cut_out(reference, phone_number=person.phone_number.e164, name="") != reference:
                message = "Must not contain the phone number of a participant: it is kept in clear."
                raise serializers.ValidationError({"reference": [message]}, code="phone_number")
        return attrs

    def validate_participants(self, value: list[dict[str, Any]]) -> list[Person]:
        return [
            Person(
                phone_number=person["phone_number"],
                name=person.get("name") or "",
                language=person.get("language") or "",
                country_match=person.get("country_match", CountryMatch.PREFER),
                time_zone=person.get("time_zone") or "",
            )
            for person in value
        ]


class ChangeChatSerializer(TimesSerializer):
    """What is to be changed; what is left out stays, and null takes an end away."""

    starts_at = ZonedDateTimeField(required=False, help_text="Only of a chat that has not started.")
    metadata = MetadataField(required=False, help_text="Replaces what was there.")
    disclosures = DisclosuresSerializer(required=False, help_text=f"{RULES} What is left out stays.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the changes by the chat's fields."""
        rules = attrs.pop("disclosures", {})
        return {**attrs, **rules}


class EndChatSerializer(StrictSerializer):
    """A chat that is to be ended."""

    reason = LineField(
        required=False, allow_null=True, max_length=100, help_text="Kept as the chat's `end_reason`, in clear."
    )
    closing_text = TextField(
        required=False,
        allow_null=True,
        max_length=600,
        help_text="The last text, to both people. Must not contain a phone number. Not sent when the chat has never "
        "started, or has ended already.",
    )


class SendTextSerializer(StrictSerializer):
    """A text to one or both people of a chat."""

    text = TextField(
        required=False,
        allow_blank=True,
        max_length=MAX_TEXT_LENGTH,
        help_text=f"At most {MAX_SEGMENTS} segments: about {153 * MAX_SEGMENTS} characters, or {67 * MAX_SEGMENTS} "
        "with any that GSM-7 has not. Must not contain a phone number. May be left out with `media`.",
    )
    to = serializers.UUIDField(
        required=False, allow_null=True, help_text="The `id` of a participant. Left out: both people."
    )
    media = serializers.ListField(
        child=MediaUrlField(max_length=2000),
        required=False,
        max_length=10,
        help_text="URLs of pictures, recordings, videos or files, on the public internet. The service fetches them "
        "when the text is due, and passes them on as MMS or as links of its own.",
    )
    send_at = ZonedDateTimeField(required=False, allow_null=True, help_text="When to send it. Left out: at once.")

    def validate_text(self, value: str) -> str:
        if count_segments(value) > MAX_SEGMENTS:
            message = f"Takes {count_segments(value)} segments; at most {MAX_SEGMENTS} are sent as one text."
            raise serializers.ValidationError(message, code="too_many_segments")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.get("text", "").strip() and not attrs.get("media"):
            raise serializers.ValidationError({"text": ["There must be a text, or media."]}, code="nothing_to_send")
        return attrs


class ReopenChatSerializer(TimesSerializer):
    """A chat that is to be opened again; what is left out is as it was."""


class ReplaceParticipantSerializer(PersonSerializer):
    """Who takes the place of a participant."""

    name = NameField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=40,
        help_text="What the other person is told. Left out, it stays: the same person with a new phone.",
    )
    virtual_number = NumberChoiceSerializer(required=False, allow_null=True)
