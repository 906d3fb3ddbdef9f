"""A chat as a person reads it: who wrote what, when, and what became of it; phone numbers stay masked."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import phonenumbers
from django.db.models import QuerySet
from django.template.defaultfilters import filesizeformat
from django.utils.dateformat import format as format_date
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chats.models import Chat, Participant, mask
from messaging.media.links import make_link
from messaging.models import Approval, Attachment, Message
from operators.masking import reads_texts, sees_masked_numbers
from proxy_project.encryption import UNREADABLE, show_unreadable

# How many texts are read at once when all of them are.
_AT_ONCE = 500
_CUT = "•••"

Level = Literal["done", "waiting", "failed"]

# What became of an outbound text, in the language of whoever reads it.
_DELIVERY: dict[str, tuple[Any, Level]] = {
    Message.Status.SCHEDULED: (_("waiting for its time, to be sent to %(person)s"), "waiting"),
    Message.Status.PREPARING: (_("being prepared, to be sent to %(person)s"), "waiting"),
    Message.Status.QUEUED: (_("waiting to be sent to %(person)s"), "waiting"),
    Message.Status.HELD: (_("held back, to be sent to %(person)s"), "waiting"),
    Message.Status.SENDING: (_("being sent to %(person)s"), "waiting"),
    Message.Status.UNCONFIRMED: (_("perhaps sent, the carrier's answer was lost, to %(person)s"), "waiting"),
    Message.Status.SENT: (_("sent to %(person)s"), "waiting"),
    Message.Status.DELIVERED: (_("delivered to %(person)s"), "done"),
    Message.Status.FAILED: (_("could not be delivered to %(person)s"), "failed"),
}
# What became of an inbound text that was not passed on.
_NOT_PASSED_ON = {
    Message.Status.LATE: _("not passed on: the chat had ended"),
    Message.Status.UNMATCHED: _("not passed on: no chat goes with it"),
    Message.Status.BLOCKED: _("not passed on"),
}
_DISCLOSURES = {
    "phone": "phone number",
    "email": "e-mail address",
    "link": "link",
    "handle": "messenger account",
}
_BLOCKED = {
    "media": _("a kind of message that cannot be passed on"),
    "empty": _("an empty text"),
    "binary": _("binary data, and no text"),
    "too_long": _("too long"),
    "not_started": _("the chat had not started"),
    "counterpart_opted_out": _("the other person has opted out"),
    "blocked_by_platform": _("its platform did not approve of it"),
    "disclosure": _("it would have given its writer away"),
    "too_many": _("too many texts in a minute"),
    "too_many_a_day": _("too many texts in a day"),
    "repeated": _("the same text again and again"),
    "loop": _("machines were answering each other"),
    "muted": _("its writer is muted"),
    "blocked": _("its writer is blocked"),
    "recipient_blocked": _("the other person is blocked"),
}
# What the platform answered about it.
_APPROVAL = {
    Approval.Status.WAITING: _("being asked"),
    Approval.Status.ASKING: _("being asked"),
    Approval.Status.APPROVED: _("passed on"),
    Approval.Status.CHANGED: _("changed by the platform"),
    Approval.Status.BLOCKED: _("blocked"),
    Approval.Status.MOOT: _("not needed any more"),
}


@dataclass(frozen=True, kw_only=True)
class ShownAttachment:
    """An attachment: what it is and what became of it in words, and a link while it is kept."""

    id: UUID
    kind: str
    words: str
    link: str


@dataclass(frozen=True, kw_only=True)
class Bubble:
    """One text of a transcript; `outcome` says in words what became of it, `error` why it failed.

    `approval` says what its platform answered, if it was asked; `changed_body` which other words were passed on, its
    platform's or what was left when something had been removed. `sent` is the row of what went out, if any.
    """

    message: Message
    side: Literal["left", "right"]
    is_service: bool
    who: str
    writer: Participant | None
    recipient: Participant | None
    body: str
    attachments: Sequence[ShownAttachment]
    outcome: str
    level: Level
    error: str
    disclosures: str
    approval: str = ""
    changed_body: str = ""
    sent: Message | None = None


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """Texts of a chat, oldest first; `limit` is how many at most, when there are earlier ones."""

    bubbles: Sequence[Bubble]
    limit: int | None


def read_transcript(*, chat: Chat, limit: int, before: int | None = None) -> Transcript:
    """Return the latest `limit` texts of `chat`, or those before a position, in a few queries.

    An inbound text and its relay are one.
    """
    texts = _texts_of(chat) if before is None else _texts_of(chat).filter(position__lt=before)
    latest = list(texts.order_by("-position")[: limit + 1])
    return Transcript(bubbles=_show(latest[limit - 1 :: -1], chat), limit=limit if len(latest) > limit else None)


def iterate_transcript(*, chat: Chat) -> Iterator[Bubble]:
    """Yield every text of `chat`, oldest first, with some hundred of them in memory.

    One whose key is missing says so: an error would be the end of a file that nobody misses the rest of.
    """
    after = -1
    while True:
        with show_unreadable():
            texts = list(_texts_of(chat).filter(position__gt=after).order_by("position")[:_AT_ONCE])
            bubbles = _show(texts, chat)
        if not texts:
            return
        yield from bubbles
        after = texts[-1].position


def _texts_of(chat: Chat) -> QuerySet[Message]:
    return Message.objects.filter(chat=chat, relays__isnull=True)


def _show(texts: Sequence[Message], chat: Chat) -> list[Bubble]:
    people = {participant.pk: participant for participant in chat.participants.all()}
    numbers = [participant.phone_number for participant in people.values()]
    relays = {
        relay.relays_id: relay
        for relay in Message.objects.filter(relays__in=[message.pk for message in texts]).defer("body")
    }
    attachments: dict[UUID, list[Attachment]] = {}
    for attachment in Attachment.objects.filter(message__in=[message.pk for message in texts if message.media_count]):
        attachments.setdefault(attachment.message_id, []).append(attachment)

    approvals = {
        approval.pk: approval for approval in Approval.objects.filter(message__in=[message.pk for message in texts])
    }
    changed = [pk for pk, approval in approvals.items() if approval.status == Approval.Status.CHANGED]
    changed += [message.pk for message in texts if message.disclosures and message.pk in relays]
    changed_bodies = {relay.relays_id: relay.body for relay in Message.objects.filter(relays__in=changed)}

    def show(message: Message) -> Bubble:
        person = people.get(message.participant_id) if message.participant_id else None
        is_service = message.direction == Message.Direction.OUTBOUND
        sent = message if is_service else relays.get(message.pk)
        to = people.get(sent.participant_id) if sent and sent.participant_id else None
        outcome, level = describe_outcome(sent or message, to=name_of(to))
        return Bubble(
            message=message,
            side="right" if person and person.position == 2 else "left",
            is_service=is_service,
            who=gettext("Service") if is_service else name_of(person),
            writer=None if is_service else person,
            recipient=to,
            body=gettext("(erased)") if message.erased_at else show_body(message.body, numbers),
            attachments=[show_attachment(attachment) for attachment in attachments.get(message.pk, ())],
            outcome=outcome,
            level=level,
            error=hide_numbers(describe_error(sent), numbers) if sent and level != "done" else "",
            disclosures=describe_disclosures(message),
            approval=hide_numbers(describe_approval(approvals.get(message.pk)), numbers),
            changed_body=show_body(changed_bodies.get(message.pk, ""), numbers),
            sent=sent,
        )

    return [show(message) for message in texts]


def show_attachment(attachment: Attachment) -> ShownAttachment:
    is_shown = attachment.status == Attachment.Status.STORED and reads_texts()
    return ShownAttachment(
        id=attachment.pk,
        kind=attachment.kind,
        words=describe_attachment(attachment),
        link=make_link(attachment_id=attachment.pk, content_type=attachment.content_type) if is_shown else "",
    )


def describe_attachment(attachment: Attachment) -> str:
    """Return what it is and what became of it, such as `Picture, 120 kB: passed on`."""
    size = f", {filesizeformat(attachment.size)}" if attachment.size else ""
    code = f"({attachment.error_code})" if attachment.error_code else ""
    why = " ".join(filter(None, [translate_detail(attachment.error_detail), code]))
    words = capfirst(f"{attachment.get_kind_display()}{size}: {attachment.get_status_display()}")
    return f"{words}. {why}" if why else words


def describe_outcome(message: Message, *, to: str) -> tuple[str, Level]:
    """Return in words what became of a message, and how good that is; `to` is whom an outbound one is for."""
    if message.status in _DELIVERY:
        words, level = _DELIVERY[message.status]
        return words % {"person": to}, level
    if message.status == Message.Status.RELAYED:
        return gettext("passed on"), "done"
    if message.status == Message.Status.KEYWORD:
        return gettext("answered by the service: not passed on"), "done"
    words = str(_NOT_PASSED_ON.get(Message.Status(message.status), message.get_status_display()))
    why = _BLOCKED.get(message.error_code, "")
    return f"{words}: {why}" if why else words, "failed"


def describe_approval(approval: Approval | None) -> str:
    """Return what the platform answered about a text in words; empty when it was not asked."""
    if approval is None:
        return ""
    words = str(_APPROVAL[Approval.Status(approval.status)])
    if approval.error:
        words = gettext("no answer, so %(outcome)s as it wants then: %(error)s") % {
            "outcome": words,
            "error": approval.error,
        }
    return f"{words}: {approval.reason}" if approval.reason else words


def describe_disclosures(message: Message) -> str:
    """Return in words what a rule did not let pass, such as `phone number, link`; empty when there was nothing."""
    return ", ".join(_DISCLOSURES.get(kind, kind) for kind in message.disclosures or ())


def describe_error(message: Message) -> str:
    """Return why a text failed or is late, with the carrier's code; empty when there is nothing to say."""
    code = f"({message.error_code})" if message.error_code else ""
    return " ".join(part for part in (translate_detail(message.error_detail), code) if part)


def translate_detail(detail: str) -> str:
    """Return what went wrong, which the log keeps in English, in the operator's language where the catalog has it."""
    return gettext(detail) if detail else ""


def show_time(moment: datetime | None) -> str | None:
    """Return a time to the second with its zone, in one piece that does not wrap in a narrow column."""
    return format_date(localtime(moment), "j M Y, H:i:s T").replace(" ", "\N{NO-BREAK SPACE}") if moment else None


def short_id(chat_id: UUID) -> str:
    """Return the end of an id, which is random; those of chats of the same minute begin alike."""
    return f"…{str(chat_id)[-8:]}"


def name_of(participant: Participant | None) -> str:
    """Return what to call a participant: the name, else which of the two it is."""
    if participant is None:
        return gettext("somebody")
    return hide_numbers(participant.name, [participant.phone_number]) or gettext("participant %(position)s") % {
        "position": participant.position
    }


def show_number(phone_number: str) -> str:
    """Return a phone number as the operator may see it: masked, or not a digit of it."""
    return mask(phone_number) if sees_masked_numbers() else gettext("(hidden)")


def show_body(body: str, phone_numbers: Iterable[str]) -> str:
    """Return what somebody wrote as the operator may read it: with `phone_numbers` masked, or not at all."""
    if body and not reads_texts():
        return gettext("(what was written is hidden)")
    return hide_numbers(body, phone_numbers)


def hide_numbers(text: str, phone_numbers: Iterable[str]) -> str:
    """Return `text` with each of `phone_numbers` (E.164) as the operator may see it, however it is written there."""
    if not any(character.isdigit() for character in text):
        return text
    for number in phone_numbers:
        text = _writings(number).sub(show_number(number), text)
    return text


def cut_out(text: str, *, phone_number: str, name: str) -> str:
    """Return `text` without somebody's phone number (E.164), however it is written there, and without their name."""
    if phone_number.startswith("+") and _may_hold(text, phone_number):
        text = _writings(phone_number).sub(_CUT, text)
    if name and name != UNREADABLE:
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", _CUT, text)
    return text


def _may_hold(text: str, number: str) -> bool:
    """Tell whether a text has the last digits of a number, in their order: if not, no way of writing it is there.

    Making the pattern of a number that nobody has asked for takes half a millisecond.
    """
    return number[-4:] in "".join(filter(str.isdigit, text))


@lru_cache(maxsize=256)
def _writings(number: str) -> re.Pattern[str]:
    """Match a number with or without its country code, separators, brackets and trunk zero."""
    separator = r"[\s().\-/‐-―]*"
    try:
        code = str(phonenumbers.parse(number).country_code)
    except phonenumbers.NumberParseException:
        return re.compile(re.escape(number))
    national = separator.join(number[1 + len(code) :])
    return re.compile(rf"(?:(?:\+|00)?{separator.join(code)}{separator}(?:0{separator})?)?\(?{national}")
