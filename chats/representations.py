"""What the API shows of chats, participants, messages and virtual numbers; serializers.py is what it takes."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chats.fields import MetadataField
from chats.models import Chat, VirtualNumber, mask
from chats.people import ShownIntroduction, ShownPerson
from chats.pool import NumberUsage
from chats.restriction_serializers import RULES, DisclosuresSerializer
from messaging.disclosure import Kind
from messaging.media.links import make_link
from messaging.models import Attachment, Message

_OUTBOUND_STATUSES = [status for status in Message.Status if status not in Message.INBOUND_STATUSES]


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
