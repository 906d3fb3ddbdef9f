"""What people are told about whom they text with: the first text of each, and that somebody took another's place."""

from collections.abc import Iterable
from uuid import UUID

from chats.models import Participant
from messaging.models import Message
from messaging.outbox import queue_text
from platforms.models import Platform

_NO_NAME = "there"
_NO_COUNTERPART = "the other person"


def write_introduction(*, platform: Platform, name: str, counterpart: str) -> str:
    """Return what the person called `name` is told: the platform's own wording, or ours, in GSM-7 characters.

    Either name may be empty. Our wording with two short names fits one segment of 160 characters.
    """
    counterpart = counterpart or _NO_COUNTERPART
    if platform.introduction:
        return platform.introduction.format(name=name or _NO_NAME, counterpart=counterpart, platform=platform.name)
    greeting = f"Hi {name}, you" if name else "You"
    return (
        f"{greeting} can now text with {counterpart} here: reply to this message and it is passed on. "
        "Your phone number stays private. Reply STOP to opt out."
    )


def queue_introduction(*, platform: Platform, participant: Participant, counterpart: Participant) -> None:
    """Queue the introduction of `participant`, once however often this is called."""
    queue_text(
        kind=Message.Kind.INTRODUCTION,
        recipient=participant,
        body=write_introduction(platform=platform, name=participant.name, counterpart=counterpart.name),
        once_key=_once_key(participant.pk),
    )


def announce_replacement(*, counterpart: Participant, leaving: Participant, joining: Participant) -> None:
    """Queue a text that tells `counterpart` who reads their texts from now on."""
    queue_text(
        kind=Message.Kind.ANNOUNCEMENT,
        recipient=counterpart,
        body=write_announcement(leaving=leaving.name, joining=joining.name),
    )


def write_announcement(*, leaving: str, joining: str) -> str:
    """Return what a person is told when `joining` takes the place of `leaving`; either name may be empty.

    The same name is the same person with another phone.
    """
    if joining and joining == leaving:
        return f"{joining} has changed phones. You can go on texting here."
    instead = f" instead of {leaving}" if leaving else ""
    return f"You are now texting with {joining or 'somebody else'}{instead}. Texts you send here go to them."


def read_introductions(*, participants: Iterable[Participant]) -> dict[UUID, Message]:
    """Return the introduction of each participant that has one, by the participant's id, in one query."""
    messages = Message.objects.filter(
        # The log has no index on participants; this finds each row by its unique key.
        once_key__in=[_once_key(participant.pk) for participant in participants]
    ).only("id", "participant_id", "status", "error_code", "error_detail")
    return {message.participant_id: message for message in messages if message.participant_id}


def _once_key(participant_id: UUID) -> str:
    return f"introduction:{participant_id}"
