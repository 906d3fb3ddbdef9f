"""What people are told about whom they text with: the first text of each, and that somebody took another's place."""

from collections.abc import Sequence
from uuid import UUID

from chats.models import Chat, Participant
from messaging.models import Message
from messaging.outbox import queue_text
from messaging.writing import describe_reader, read_templates, write, write_introduction
from platforms.templates import TemplateKind

# The `once_key` of somebody's introduction is this and their id.
ONCE_KEY_PREFIX = "introduction:"


def queue_introductions(introduced: Sequence[tuple[Chat, Participant, Participant]]) -> None:
    """Queue what each first participant is told of the second, in their chat; once, however often this is called.

    Who `awaits_consent` is asked for YES here.
    """
    kinds = [TemplateKind.INTRODUCTION, TemplateKind.CONSENT_REQUEST]
    templates = read_templates(platform_ids={chat.platform_id for chat, *_ in introduced}, kinds=kinds)
    for chat, participant, counterpart in introduced:
        body = write_introduction(
            reader=describe_reader(chat=chat, participant=participant, counterpart=counterpart.name),
            platform=chat.platform,
            templates=templates.get(chat.platform_id, ()),
            asks=participant.awaits_consent,
        )
        queue_text(kind=Message.Kind.INTRODUCTION, recipient=participant, body=body, once_key=_once_key(participant.pk))


def announce_replacement(*, chat: Chat, counterpart: Participant, leaving: Participant, joining: Participant) -> None:
    """Queue a text that tells `counterpart` who reads their texts from now on.

    The same name is the same person with another phone.
    """
    is_same = bool(joining.name) and joining.name == leaving.name
    kind = TemplateKind.NEW_PHONE if is_same else TemplateKind.REPLACEMENT
    reader = describe_reader(chat=chat, participant=counterpart, counterpart=joining.name, former=leaving.name)
    templates = read_templates(platform_ids=[chat.platform_id], kinds=[kind]).get(chat.platform_id, ())
    queue_text(
        kind=Message.Kind.ANNOUNCEMENT,
        recipient=counterpart,
        body=write(kind=kind, reader=reader, platform=chat.platform, templates=templates),
    )


def _once_key(participant_id: UUID) -> str:
    return f"{ONCE_KEY_PREFIX}{participant_id}"
