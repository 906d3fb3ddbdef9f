"""A chat as a conversation: its texts, what happened between them, its days, and how its people stand now."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.dateformat import format as format_date
from django.utils.functional import Promise
from django.utils.timezone import localdate, localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.models import Action, AuditEntry
from chats.models import Chat, Participant, Report
from chats.services import EXPIRED, SILENT
from chats.transcript import Bubble, hide_numbers, name_of, read_transcript, show_number
from messaging.models import Message, OptOut
from messaging.resending import KINDS as RESENDABLE
from platforms.event_types import EventType
from platforms.models import Event, Platform

# Texts that an operator has written begin their `once_key` with it.
BY_OPERATOR = "operator:"
# What two sources tell of the same within so long is one thing.
_SAME = timedelta(seconds=10)

_Status = Message.Status
_Kind = Message.Kind

# An icon for what became of a text; the words beside it say the same.
_TICKS = {
    _Status.SCHEDULED: "event",
    _Status.PREPARING: "pending",
    _Status.QUEUED: "schedule",
    _Status.HELD: "bedtime",
    _Status.SENDING: "arrow_upward",
    _Status.UNCONFIRMED: "help",
    _Status.SENT: "check",
    _Status.DELIVERED: "done_all",
    _Status.FAILED: "error",
    _Status.RELAYED: "check",
    _Status.KEYWORD: "smart_toy",
    _Status.LATE: "block",
    _Status.UNMATCHED: "block",
    _Status.BLOCKED: "block",
}
_KINDS: dict[str, tuple[str, str | Promise]] = {
    _Kind.INTRODUCTION: ("waving_hand", gettext_lazy("Introduction")),
    _Kind.AUTO_REPLY: ("smart_toy", gettext_lazy("Automatic reply")),
    _Kind.ANNOUNCEMENT: ("campaign", gettext_lazy("Announcement")),
    _Kind.CLOSING: ("flag", gettext_lazy("Closing text")),
    _Kind.PLATFORM: ("storefront", gettext_lazy("Text by the platform")),
    _Kind.CONSENT: ("how_to_reg", gettext_lazy("Answer to STOP, START or HELP")),
}
_OPERATORS_TEXT: tuple[str, str | Promise] = ("support_agent", gettext_lazy("Text by an operator"))

Tone = Literal["plain", "good", "warning", "danger"]


@dataclass(frozen=True, kw_only=True)
class _Happening:
    """How something that can happen in a chat is told; without anybody's doing it is `words`, else `by`."""

    icon: str
    tone: Tone
    words: str | Promise
    # It follows from a text of the same transaction, so it is told after it.
    is_answer: bool = False


_HAPPENINGS = {
    "started": _Happening(icon="forum", tone="good", words=gettext_lazy("Chat started")),
    "ended": _Happening(icon="block", tone="danger", words=gettext_lazy("Chat ended")),
    "expired": _Happening(icon="timer_off", tone="danger", words=gettext_lazy("Chat expired: its time was over")),
    "silent": _Happening(icon="timer_off", tone="danger", words=gettext_lazy("Chat ended after silence")),
    "reopened": _Happening(icon="refresh", tone="good", words=gettext_lazy("Chat reopened")),
    "extended": _Happening(icon="update", tone="plain", words=gettext_lazy("End of the chat moved")),
    "replaced": _Happening(icon="swap_horiz", tone="warning", words=gettext_lazy("%(who)s replaced by %(other)s")),
    "muted": _Happening(icon="volume_off", tone="warning", words=gettext_lazy("%(who)s muted")),
    "unmuted": _Happening(icon="volume_up", tone="plain", words=gettext_lazy("%(who)s unmuted")),
    "blocked": _Happening(icon="person_off", tone="danger", words=gettext_lazy("%(who)s blocked")),
    "unblocked": _Happening(icon="person", tone="plain", words=gettext_lazy("%(who)s unblocked")),
    "reported": _Happening(
        icon="report", tone="danger", words=gettext_lazy("%(who)s reported %(other)s"), is_answer=True
    ),
    "opted_out": _Happening(
        icon="do_not_disturb_on", tone="danger", words=gettext_lazy("%(who)s opted out"), is_answer=True
    ),
    "opted_in": _Happening(
        icon="do_not_disturb_off", tone="good", words=gettext_lazy("%(who)s opted in again"), is_answer=True
    ),
    "agreed": _Happening(
        icon="how_to_reg", tone="good", words=gettext_lazy("%(who)s agreed to be texted"), is_answer=True
    ),
    "revealed": _Happening(icon="visibility", tone="warning", words=gettext_lazy("Number of %(who)s shown")),
}
_OF_AUDIT = {
    Action.ENDED_CHAT: "ended",
    Action.REOPENED_CHAT: "reopened",
    Action.EXTENDED_CHAT: "extended",
    Action.REPLACED_PARTICIPANT: "replaced",
    Action.MUTED_PARTICIPANT: "muted",
    Action.UNMUTED_PARTICIPANT: "unmuted",
    Action.BLOCKED_PARTICIPANT: "blocked",
    Action.UNBLOCKED_PARTICIPANT: "unblocked",
    Action.REVEALED_NUMBER: "revealed",
}
_OF_EVENTS = {EventType.CHAT_ENDED: "ended", EventType.CHAT_REOPENED: "reopened"}
_OF_STATUS: dict[str, tuple[str | Promise, Tone]] = {
    Chat.Status.SCHEDULED: (gettext_lazy("Scheduled"), "plain"),
    Chat.Status.OPEN: (gettext_lazy("Open"), "good"),
    Chat.Status.ENDED: (gettext_lazy("Ended"), "danger"),
}


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that happened, in words, between the texts."""

    key: str
    at: datetime
    icon: str
    tone: Tone
    words: str
    kind: Literal["note"] = "note"


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text; `label` and `icon` say of what kind it is when no person wrote it, `tick` what became of it."""

    key: str
    at: datetime
    bubble: Bubble
    icon: str
    label: str
    tick: str
    can_be_resent: bool
    was_resent: bool
    kind: Literal["text"] = "text"


@dataclass(frozen=True, kw_only=True)
class Day:
    """The first item of a day comes after it."""

    key: str
    day: date
    words: str
    kind: Literal["day"] = "day"


@dataclass(frozen=True, kw_only=True)
class Person:
    """How somebody in the chat stands: their name, their number as it may be seen, and what is special about them."""

    side: Literal["left", "right"]
    name: str
    number: str
    virtual_number: str
    states: Sequence[tuple[str, Tone]]


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Part of a chat, oldest first; `earlier` is the position before which there is more."""

    items: Sequence[Text | Note | Day]
    people: Sequence[Person]
    status: str
    tone: Tone
    ends: datetime | None
    earlier: int | None

    @property
    def has_texts(self) -> bool:
        return any(item.kind == "text" for item in self.items)


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What a source tells: that something of a kind happened at a time, to whom, by whose hand and why."""

    kind: str
    at: datetime
    about: UUID | None = None
    other: Participant | None = None
    by: str = ""
    reason: str = ""


def read_conversation(*, chat: Chat, limit: int, before: int | None = None) -> Conversation:
    """Return the latest `limit` texts of `chat`, or those before a position, with what happened between them.

    In a few queries, however long it is. `chat` comes with its platform, its participants and their virtual numbers.
    """
    transcript = read_transcript(chat=chat, limit=limit, before=before)
    bubbles = transcript.bubbles
    people = list(chat.participants.all())
    has_earlier = transcript.limit is not None
    since = bubbles[0].message.created_at if bubbles and has_earlier else None
    until = None
    if before is not None:
        latest = Message.objects.filter(chat=chat, position=before)
        until = latest.values_list("created_at", flat=True).first()
    opt_outs = list(_find_opt_outs(chat, people))
    told = _unite([*_tell_of_rows(chat, people), *_tell_of_opt_outs(opt_outs, people), *_tell_of_log(chat, people)])
    shown = [each for each in told if (since is None or each.at >= since) and (until is None or each.at < until)]
    ends = min((end for end in (chat.expires_at, chat.idle_ends_at) if end), default=None)
    words, tone = _OF_STATUS[chat.status]
    return Conversation(
        items=list(_with_days(_merge([_show_text(each) for each in bubbles], [_show(each, people) for each in shown]))),
        people=[_show_person(one, opt_outs, chat) for one in people if not one.replaced_at],
        status=str(words),
        tone=tone,
        ends=ends if chat.status == Chat.Status.OPEN else None,
        earlier=bubbles[0].message.position if has_earlier else None,
    )


def _show_text(bubble: Bubble) -> Text:
    message = bubble.message
    icon, label = _KINDS.get(message.kind, ("", ""))
    if (message.once_key or "").startswith(BY_OPERATOR):
        icon, label = _OPERATORS_TEXT
    sent = bubble.sent or message
    return Text(
        key=f"text-{message.pk}",
        at=message.created_at,
        bubble=bubble,
        icon=icon if bubble.is_service else "",
        label=str(label) if bubble.is_service else "",
        tick=_TICKS[_Status(sent.status)],
        can_be_resent=sent.status == _Status.FAILED and sent.kind in RESENDABLE and bubble.recipient is not None,
        was_resent=sent.earlier_gateway_ids is not None,
    )


def _show_person(one: Participant, opt_outs: Iterable[OptOut], chat: Chat) -> Person:
    states: list[tuple[str, Tone]] = []
    if any(_counts(each, one, chat) for each in opt_outs):
        states.append((_("opted out"), "danger"))
    if one.blocked_at:
        states.append((_("blocked"), "danger"))
    if one.muted_at:
        states.append((_("muted"), "warning"))
    if one.awaits_consent:
        states.append((_("has not said YES yet"), "plain"))
    return Person(
        side="right" if one.position == 2 else "left",
        name=name_of(one),
        number=show_number(one.phone_number) if one.phone_number else _("erased"),
        virtual_number=one.virtual_number.number,
        states=states,
    )


# --- What happened -------------------------------------------------------------------------------------------------


def _tell_of_rows(chat: Chat, people: Sequence[Participant]) -> Iterator[_Told]:
    """Tell what the rows of the chat and its people say; the past that they no longer tell is in the logs."""
    if chat.status != Chat.Status.SCHEDULED and (not chat.ended_at or not chat.starts_at or
                                                 chat.starts_at <= chat.ended_at):  # fmt: skip
        yield _Told(kind="started", at=chat.starts_at or chat.created_at)
    if chat.ended_at:
        kind = {EXPIRED: "expired", SILENT: "silent"}.get(chat.end_reason, "ended")
        yield _Told(kind=kind, at=chat.ended_at, reason=chat.end_reason if kind == "ended" else "")
    for one in people:
        if one.replaced_at:
            later = (each for each in people if each.position == one.position and each.pk > one.pk)
            yield _Told(kind="replaced", at=one.replaced_at, about=one.pk, other=min(later, key=_pk, default=None))
        if one.muted_at:
            yield _Told(kind="muted", at=one.muted_at, about=one.pk, reason=one.mute_reason)
        if one.blocked_at:
            yield _Told(kind="blocked", at=one.blocked_at, about=one.pk, reason=one.block_reason)
        if one.consented_at:
            yield _Told(kind="agreed", at=one.consented_at, about=one.pk)
    # By the index on who is reported.
    for report in Report.objects.filter(reported__in=[one.pk for one in people]).order_by():
        reported = next(one for one in people if one.pk == report.reported_id)
        yield _Told(kind="reported", at=report.created_at, about=report.reporter_id, other=reported)


def _tell_of_log(chat: Chat, people: Sequence[Participant]) -> Iterator[_Told]:
    """Tell what operators and platforms did, and, of a chat that was reopened, when it had ended."""
    ids = [str(chat.pk), *(str(one.pk) for one in people)]
    # In no order, here and below: the latest of all that there are would be looked for among everybody's.
    for entry in AuditEntry.objects.filter(object_id__in=ids, action__in=list(_OF_AUDIT)).order_by():
        about = None if entry.object_id == ids[0] else UUID(entry.object_id)
        by = entry.actor_name if entry.actor_kind == AuditEntry.ActorKind.OPERATOR else ""
        kind = _OF_AUDIT[Action(entry.action)]
        # Why a number was shown is for those who may see the log.
        reason = entry.reason if kind != "revealed" else ""
        yield _Told(kind=kind, at=entry.at, about=about, by=by, reason=reason)
    if chat.platform.records_events:
        events = Event.objects.filter(chat=chat.pk, type__in=list(_OF_EVENTS)).order_by()
        for type_, at in events.values_list("type", "occurred_at"):
            yield _Told(kind=_OF_EVENTS[EventType(type_)], at=at)


def _find_opt_outs(chat: Chat, people: Sequence[Participant]) -> QuerySet[OptOut]:
    """Return the opt-outs of the people that count or counted for this chat; by the index on a person's."""
    here = Q(virtual_number__in=[one.virtual_number_id for one in people])
    everywhere = Q(scope=Platform.OptOutScope.PLATFORM, platform=chat.platform_id)
    found = OptOut.objects.filter(here | everywhere, phone_digest__in=[one.phone_digest for one in people])
    columns = ("phone_digest", "virtual_number_id", "scope", "platform_id", "created_at", "ended_at", "end",
               "recorded_by")  # fmt: skip
    return found.only(*columns).order_by()


def _tell_of_opt_outs(opt_outs: Iterable[OptOut], people: Sequence[Participant]) -> Iterator[_Told]:
    for each in opt_outs:
        who = next((one for one in people if bytes(one.phone_digest) == bytes(each.phone_digest)), None)
        if who is None:
            continue
        yield _Told(kind="opted_out", at=each.created_at, about=who.pk, by=each.recorded_by)
        if each.ended_at and each.end == OptOut.End.START:
            yield _Told(kind="opted_in", at=each.ended_at, about=who.pk)


def _counts(opt_out: OptOut, one: Participant, chat: Chat) -> bool:
    """Tell whether an opt-out is in force for somebody in this chat; as chats.opted_out says it in SQL."""
    if opt_out.ended_at or bytes(opt_out.phone_digest) != bytes(one.phone_digest):
        return False
    is_wide = opt_out.scope == Platform.OptOutScope.PLATFORM and opt_out.platform_id == chat.platform_id
    return is_wide or opt_out.virtual_number_id == one.virtual_number_id


def _unite(told: Iterable[_Told]) -> list[_Told]:
    """Return what was told in order, and once what several sources tell, with all that they know of it."""
    united: list[_Told] = []
    for each in sorted(told, key=lambda each: each.at):
        place = next((i for i, other in enumerate(united) if _is_same(other, each)), None)
        if place is None:
            united.append(each)
            continue
        known = united[place]
        united[place] = replace(
            known,
            kind=each.kind if known.kind == "ended" else known.kind,
            by=known.by or each.by,
            reason=known.reason or each.reason,
            other=known.other or each.other,
            about=known.about or each.about,
        )
    return united


def _is_same(one: _Told, other: _Told) -> bool:
    ends = ("ended", "expired", "silent")
    is_same_kind = one.kind == other.kind or (one.kind in ends and other.kind in ends)
    is_about_same = one.about == other.about
    return is_same_kind and is_about_same and abs(one.at - other.at) < _SAME and one.kind != "revealed"


def _show(told: _Told, people: Sequence[Participant]) -> Note:
    happening = _HAPPENINGS[told.kind]
    numbers = [one.phone_number for one in people]
    who = next((one for one in people if one.pk == told.about), None)
    words = str(happening.words) % {"who": name_of(who), "other": name_of(told.other)}
    if told.by:
        words = _("%(what)s by %(who)s") % {"what": words, "who": told.by}
    if told.reason:
        words = f"{words}: {hide_numbers(told.reason, numbers)}"
    at = told.at + timedelta(seconds=1) if happening.is_answer else told.at
    return Note(
        key=f"note-{told.kind}-{int(told.at.timestamp())}-{told.about or ''}",
        at=at,
        icon=happening.icon,
        tone=happening.tone,
        words=words,
    )


# --- Order ---------------------------------------------------------------------------------------------------------


def _merge(texts: Sequence[Text], notes: Sequence[Note]) -> Iterator[Text | Note]:
    """Yield the texts in the order of the log, each note before the first text that came after it."""
    waiting = sorted(notes, key=lambda note: note.at)
    for text in texts:
        while waiting and waiting[0].at <= text.at:
            yield waiting.pop(0)
        yield text
    yield from waiting


def _with_days(items: Iterable[Text | Note]) -> Iterator[Text | Note | Day]:
    today = localdate()
    shown: date | None = None
    for item in items:
        day = localtime(item.at).date()
        # A text that waited for its time stands among later ones; its day is not announced again.
        if shown is None or day > shown:
            shown = day
            yield Day(key=f"day-{day.isoformat()}", day=day, words=_name_day(day, today))
        yield item


def _name_day(day: date, today: date) -> str:
    if day == today:
        return _("Today")
    if day == today - timedelta(days=1):
        return _("Yesterday")
    return format_date(day, "l, j F" if day.year == today.year else "l, j F Y")


def _pk(one: Participant) -> UUID:
    return one.pk
