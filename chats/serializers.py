"""What the API takes and shows: chats, participants and messages as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chats.allocation import CountryMatch
from chats.fields import LineField, StrictSerializer, TextField, refuse_phone_numbers
from chats.models import Chat, VirtualNumber, mask
from chats.people import ShownIntroduction, ShownPerson
from chats.phone_numbers import InvalidPhoneNumber, PhoneNumber, parse_phone_number
from chats.pool import NumberUsage
from chats.restriction_serializers import RULES, DisclosuresSerializer
from chats.services import NumberChoice, Person
from chats.transcript import cut_out
from messaging.disclosure import Kind
from messaging.gateways.fields import MAX_TEXT_LENGTH
from messaging.media.links import make_link
from messaging.models import Attachment, Message
from messaging.segments import count_segments
from platforms.templates import LONGEST_TAG, normalize_language, validate_language
from proxy_project.public_http import NotPublic, check_form

# What carriers pass on as one text, and many phones show as one.
MAX_SEGMENTS = 10
METADATA_KEYS = 50
METADATA_BYTES = 4096
METADATA_DEPTH = 10
# A minute, so that people have time to answer; and a year.
IDLE_TIMEOUT_SECONDS = (60, 366 * 24 * 3600)

_OUTBOUND_STATUSES = [status for status in Message.Status if status not in Message.INBOUND_STATUSES]
# They would turn around the text that follows a name.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


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


_TIME_ZONES = frozenset(available_timezones())


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


class MediaUrlField(serializers.CharField):
    """Where an attachment can be fetched: https, and a host, without a user name; whether it is public shows then."""

    def to_internal_value(self, data: Any) -> str:
        url: str = super().to_internal_value(data)
        try:
            check_form(url)
        except NotPublic as error:
            raise serializers.ValidationError(str(error), code="bad_url") from None
        return url


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


class MessageErrorSerializer(serializers.Serializer[Any]):
    """Why a text could not be delivered."""

    code = serializers.CharField()
    detail = serializers.CharField()


class IntroductionSerializer(serializers.Serializer[ShownIntroduction]):
    """What became of a person's introduction."""

    message_id = serializers.UUIDField(source="id")
    status = serializers.ChoiceField(choices=_OUTBOUND_STATUSES)
    error = serializers.SerializerMethodField()

    @extend_schema_field(MessageErrorSerializer(allow_null=True))
    def get_error(self, introduction: ShownIntroduction) -> dict[str, str] | None:
        return _describe_error(introduction)


class ParticipantSerializer(serializers.Serializer[ShownPerson]):
    """One person in a chat."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    language = serializers.SerializerMethodField(help_text="Null: your platform's.")
    phone_number = serializers.SerializerMethodField(help_text="Hidden but for its ends.")
    virtual_number = serializers.CharField()
    opted_out = serializers.BooleanField(
        help_text="They have texted STOP: nothing is sent to them, until they text START."
    )
    awaits_consent = serializers.BooleanField(
        help_text="They are asked for YES, which all texts to them wait for; only where your platform asks people."
    )
    introduction = serializers.SerializerMethodField()
    muted_at = serializers.DateTimeField(
        allow_null=True, help_text="Since when nothing that they text is passed on, if it is not."
    )
    blocked_at = serializers.DateTimeField(
        allow_null=True, help_text="Since when nothing is sent to them either, if it is not."
    )

    def get_language(self, person: ShownPerson) -> str | None:
        return person.language or None

    def get_phone_number(self, person: ShownPerson) -> str:
        return mask(person.phone_number)

    @extend_schema_field(IntroductionSerializer(allow_null=True))
    def get_introduction(self, person: ShownPerson) -> dict[str, Any] | None:
        return self._introduction.to_representation(person.introduction) if person.introduction else None

    @cached_property
    def _introduction(self) -> IntroductionSerializer:
        # One for all: making a serializer takes longer than showing something with it.
        return IntroductionSerializer()


class FormerParticipantSerializer(serializers.Serializer[ShownPerson]):
    """Somebody whose place in a chat another took."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    phone_number = serializers.SerializerMethodField(help_text="Hidden but for its ends.")
    replaced_at = serializers.DateTimeField()

    def get_phone_number(self, person: ShownPerson) -> str:
        return mask(person.phone_number)


class ChatSerializer(serializers.Serializer[Chat]):
    """Two people texting through virtual numbers."""

    # Its context must hold `people`: those of each chat, by its id.
    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Chat.Status.choices)
    reference = serializers.CharField(allow_null=True)
    end_reason = serializers.SerializerMethodField()
    virtual_numbers = serializers.SerializerMethodField(help_text="One, or two when each person has their own.")
    participants = serializers.SerializerMethodField(help_text="The two people whose chat it is now.")
    former_participants = serializers.SerializerMethodField(help_text="Who was replaced, the last one last.")
    metadata = MetadataField()
    disclosures = DisclosuresSerializer(source="*", help_text=RULES)
    starts_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    idle_timeout_seconds = serializers.IntegerField(allow_null=True)
    idle_ends_at = serializers.DateTimeField(allow_null=True, help_text="When it ends if nobody texts until then.")
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)

    def get_end_reason(self, chat: Chat) -> str | None:
        return chat.end_reason or None

    def get_virtual_numbers(self, chat: Chat) -> list[str]:
        return list(dict.fromkeys(person.virtual_number for person in self._people(chat)))

    @extend_schema_field(ParticipantSerializer(many=True))
    def get_participants(self, chat: Chat) -> list[dict[str, Any]]:
        return [self._participant.to_representation(person) for person in self._people(chat)]

    @cached_property
    def _participant(self) -> ParticipantSerializer:
        return ParticipantSerializer()

    @extend_schema_field(FormerParticipantSerializer(many=True))
    def get_former_participants(self, chat: Chat) -> list[dict[str, Any]]:
        former = sorted((each for each in self._everybody(chat) if each.replaced_at), key=attrgetter("replaced_at"))
        return [dict(FormerParticipantSerializer(person).data) for person in former]

    def _people(self, chat: Chat) -> list[ShownPerson]:
        return [person for person in self._everybody(chat) if person.replaced_at is None]

    def _everybody(self, chat: Chat) -> Sequence[ShownPerson]:
        people: Mapping[UUID, Sequence[ShownPerson]] = self.context["people"]
        return people[chat.pk]


class VirtualNumberSerializer(serializers.Serializer[VirtualNumber]):
    """A virtual number that your chats can have."""

    # Its context must hold `usage`: the NumberUsage of each number in use, by its id.
    id = serializers.UUIDField()
    number = serializers.CharField()
    country = serializers.CharField(help_text="ISO 3166 code; empty for a number of no country.")
    state = serializers.ChoiceField(choices=VirtualNumber.State.choices)
    can_sms = serializers.BooleanField()
    can_mms = serializers.BooleanField()
    is_shared = serializers.SerializerMethodField(help_text="Whether other platforms' chats can have it too.")
    open_chats = serializers.SerializerMethodField(help_text="Your chats on it that are open or scheduled.")
    cooling_down = serializers.SerializerMethodField(
        help_text="People of your chats who are not given it for somebody else yet."
    )

    def get_is_shared(self, number: VirtualNumber) -> bool:
        return number.platform_id is None

    def get_open_chats(self, number: VirtualNumber) -> int:
        return self._usage(number).open_chats

    def get_cooling_down(self, number: VirtualNumber) -> int:
        return self._usage(number).cooling_down

    def _usage(self, number: VirtualNumber) -> NumberUsage:
        usage: Mapping[UUID, NumberUsage] = self.context["usage"]
        return usage.get(number.pk, NumberUsage())


class AttachmentSerializer(serializers.Serializer[Attachment]):
    """A picture, recording, film or file of a text."""

    kind = serializers.ChoiceField(choices=Attachment.Kind.choices)
    status = serializers.ChoiceField(
        choices=Attachment.Status.choices, help_text="`stored`: it was passed on; `forgotten`: its link has expired."
    )
    content_type = serializers.SerializerMethodField()
    size = serializers.IntegerField(allow_null=True, help_text="Bytes, as it is passed on.")
    url = serializers.SerializerMethodField(help_text="A signed link that expires, while it is stored.")
    error = serializers.SerializerMethodField(help_text="Why it was not passed on, or not yet.")

    def get_content_type(self, attachment: Attachment) -> str | None:
        return attachment.content_type or None

    @extend_schema_field(MessageErrorSerializer(allow_null=True))
    def get_error(self, attachment: Attachment) -> dict[str, str] | None:
        return _describe_error(attachment)

    def get_url(self, attachment: Attachment) -> str | None:
        if attachment.status != Attachment.Status.STORED:
            return None
        return make_link(attachment_id=attachment.pk, content_type=attachment.content_type)


class MessageSerializer(serializers.Serializer[Message]):
    """One text, in or out."""

    id = serializers.UUIDField()
    direction = serializers.ChoiceField(choices=Message.Direction.choices)
    kind = serializers.ChoiceField(choices=Message.Kind.choices)
    participant = serializers.UUIDField(
        source="participant_id",
        allow_null=True,
        help_text="Who sent it when it came in, who gets it when it goes out.",
    )
    status = serializers.ChoiceField(choices=[status.value for status in Message.Status])
    text = serializers.CharField(source="body")
    attachments = AttachmentSerializer(
        many=True, help_text="What came with it; of a relay, look at the text that it passes on."
    )
    disclosures = serializers.SerializerMethodField(
        help_text="What a rule did not let pass: the counterpart got the text without it, or not at all."
    )
    error = serializers.SerializerMethodField()
    segments = serializers.IntegerField(allow_null=True)
    price = serializers.DecimalField(max_digits=12, decimal_places=6, allow_null=True)
    currency = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    send_at = serializers.DateTimeField(
        allow_null=True, help_text="When you want it sent; null: at once. Until then it is `scheduled`."
    )
    sent_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    failed_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(MessageErrorSerializer(allow_null=True))
    def get_error(self, message: Message) -> dict[str, str] | None:
        return _describe_error(message)

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=[kind.value for kind in Kind])))
    def get_disclosures(self, message: Message) -> list[str]:
        return message.disclosures or []

    def get_currency(self, message: Message) -> str | None:
        return message.currency or None


class SentTextSerializer(serializers.Serializer[Any]):
    """A text by a platform: a message to each of its recipients."""

    messages = MessageSerializer(many=True)


def _describe_error(message: Message | Attachment | ShownIntroduction) -> dict[str, str] | None:
    if not message.error_code:
        return None
    return {"code": message.error_code, "detail": message.error_detail}


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
