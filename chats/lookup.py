"""Find out whose text it is, from the only two facts it carries: who sent it, and to which number."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from chats.opted_out import is_opted_out
from proxy_project.encryption import digest_number
from proxy_project.sql import execute_prepared


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a chat: what is needed to text the participant there."""

    id: UUID
    chat_id: UUID
    virtual_number_id: UUID


class Recent(NamedTuple):
    """How the sender has texted lately, as in chats.models.Pace, and when the counterpart last did; None for never."""

    minute_whole_at: datetime | None = None
    day_whole_at: datetime | None = None
    last_at: datetime | None = None
    last_text: bytes | None = None
    same_texts: int | None = None
    same_since: datetime | None = None
    quick_answers: int | None = None
    counterpart_at: datetime | None = None


_NOTHING_RECENT = Recent()


# Who in a chat is muted or blocked.
SENDER_MUTED = "muted"
SENDER_BLOCKED = "blocked"
RECIPIENT_BLOCKED = "recipient_blocked"


@dataclass(frozen=True, slots=True)
class Match:
    """What is known about an inbound text.

    `sender` is the person's side of the chat that goes with the number, else of the one that ended last.
    `counterpart` is there only while the chat is open. `ended_at` is when the chat ended or its time was over, for
    the sender: who `was_replaced` left it before. `cool_down` is that of the ended chat's platform, if it has its own.
    A relay stands only as long as the chat has this `revision`; with `moves_idle_end` it puts off the chat's end.
    """

    virtual_number_id: UUID | None
    sender: Side | None
    counterpart: Side | None
    ended_at: datetime | None
    is_scheduled: bool = False
    was_replaced: bool = False
    cool_down: timedelta | None = None
    revision: int = 0
    moves_idle_end: bool = False
    counterpart_opted_out: bool = False
    # Whose chat it is, or whose number; and whether END and CANCEL mean STOP there.
    platform_id: UUID | None = None
    cancel_words_stop: bool = True
    # What platforms are told needs these: the sender's chat, its platform, and the platform that alone uses the
    # number; each platform only if it records events.
    reference: str | None = None
    platform_told: UUID | None = None
    owner_told: UUID | None = None
    # Whether the platform wants to be asked before a text is passed on.
    is_asked: bool = False
    # Why nothing is passed on between the two people: one of the three above.
    restriction: str = ""
    # What becomes of phone numbers, e-mail addresses, links and messenger names, in this order; None: all of them pass.
    disclosure_rules: str | None = None
    # The platform's own limits, if it has any.
    texts_per_minute: int | None = None
    texts_per_day: int | None = None
    recent: Recent = _NOTHING_RECENT


# At most one open or scheduled chat goes with a number and a digest: `open_chat_is_named_by_both_numbers`.
# A row for each that was asked for, in their order. The arrays are subqueries, so that PostgreSQL does not count what
# is in them, and plans the statement once: to plan it takes ten times as long as to run it.
_FIND = f"""
    SELECT number.id, sender.id, sender.chat_id, counterpart.id, counterpart.virtual_number_id, over.at,
           chat.status = 'scheduled', sender.replaced_at IS NOT NULL,
           CASE WHEN over.at IS NOT NULL THEN platform.cool_down_hours END,
           chat.revision, chat.idle_ends_at < now() + chat.idle_timeout_seconds * interval '1 second',
           counterpart.id IS NOT NULL AND {
    is_opted_out(
        digest="counterpart.phone_digest",
        number_id="counterpart.virtual_number_id",
        platform_id="platform.id",
    )
},
           COALESCE(platform.id, number.platform_id), platform.cancel_words_stop,
           chat.reference, CASE WHEN platform.records_events THEN platform.id END, owner.id,
           COALESCE(platform.asks_for_approval, FALSE),
           CASE WHEN sender.blocked_at IS NOT NULL THEN '{SENDER_BLOCKED}'
                WHEN sender.muted_at IS NOT NULL THEN '{SENDER_MUTED}'
                WHEN counterpart.blocked_at IS NOT NULL THEN '{RECIPIENT_BLOCKED}' ELSE '' END,
           NULLIF(concat_ws(' ', COALESCE(chat.phone_numbers_in_texts, platform.phone_numbers_in_texts),
                                 COALESCE(chat.emails_in_texts, platform.emails_in_texts),
                                 COALESCE(chat.links_in_texts, platform.links_in_texts),
                                 COALESCE(chat.handles_in_texts, platform.handles_in_texts)),
                  'pass pass pass pass'),
           platform.texts_per_minute, platform.texts_per_day,
           pace.minute_whole_at, pace.day_whole_at, pace.last_at, pace.last_text, pace.same_texts, pace.same_since,
           pace.quick_answers, counterpart_pace.last_at
      FROM unnest((SELECT %(digests)s::bytea[]), (SELECT %(to_numbers)s::text[]))
           WITH ORDINALITY AS asked (digest, to_number, place)
      LEFT JOIN chats_virtualnumber number ON number.number = asked.to_number
      LEFT JOIN LATERAL (
               SELECT id, chat_id, ended_at, replaced_at, muted_at, blocked_at
                 FROM chats_participant
                WHERE phone_digest = asked.digest AND virtual_number_id = number.id
                ORDER BY ended_at DESC NULLS FIRST
                LIMIT 1
           ) sender ON TRUE
      LEFT JOIN chats_chat chat ON chat.id = sender.chat_id
      LEFT JOIN LATERAL (
               SELECT COALESCE(sender.ended_at, CASE WHEN ends_at <= now() THEN ends_at END) AS at
                 FROM (SELECT LEAST(chat.expires_at, chat.idle_ends_at) AS ends_at) AS planned
           ) over ON TRUE
      LEFT JOIN chats_participant counterpart
        ON counterpart.chat_id = sender.chat_id AND counterpart.id <> sender.id AND counterpart.ended_at IS NULL
       AND chat.status = 'open' AND sender.ended_at IS NULL
      LEFT JOIN platforms_platform platform ON platform.id = chat.platform_id
      LEFT JOIN chats_pace pace ON pace.participant_id = sender.id
      LEFT JOIN chats_pace counterpart_pace ON counterpart_pace.participant_id = counterpart.id
      LEFT JOIN platforms_platform owner ON owner.id = number.platform_id AND owner.records_events
     ORDER BY asked.place
"""


def find_match(*, from_number: str, to_number: str) -> Match:
    """Return whose text it is; of a number that is not ours, a match without anything."""
    [match] = find_matches([(from_number, to_number)])
    return match


def find_matches(texts: Sequence[tuple[str, str]]) -> list[Match]:
    """Return for each text, of which who sent it and to which number is given, what `find_match` does, in one look."""
    rows = execute_prepared(
        _FIND,
        {
            "digests": [digest_number(from_number) for from_number, _ in texts],
            "to_numbers": [to_number for _, to_number in texts],
        },
    )
    return [_read_match(row) for row in rows]


def _read_match(row: Sequence[Any]) -> Match:
    number_id, sender_id, chat_id, counterpart_id, counterpart_number_id, ended_at, *others = row
    is_scheduled, was_replaced, cool_down_hours, revision, moves_idle_end, *consent = others
    counterpart_opted_out, platform_id, cancel_words_stop, *told = consent
    reference, platform_told, owner_told, is_asked, *screened = told
    restriction, disclosure_rules, per_minute, per_day, *recent = screened
    if not sender_id:
        return Match(number_id, None, None, None, platform_id=platform_id, owner_told=owner_told)
    return Match(
        virtual_number_id=number_id,
        sender=Side(sender_id, chat_id, number_id),
        counterpart=Side(counterpart_id, chat_id, counterpart_number_id) if counterpart_id and not ended_at else None,
        ended_at=ended_at,
        is_scheduled=is_scheduled,
        was_replaced=was_replaced,
        cool_down=None if cool_down_hours is None else timedelta(hours=cool_down_hours),
        revision=revision,
        moves_idle_end=bool(moves_idle_end),
        counterpart_opted_out=counterpart_opted_out,
        platform_id=platform_id,
        cancel_words_stop=cancel_words_stop,
        reference=reference,
        platform_told=platform_told,
        owner_told=owner_told,
        is_asked=is_asked,
        restriction=restriction,
        disclosure_rules=disclosure_rules,
        texts_per_minute=per_minute,
        texts_per_day=per_day,
        recent=Recent(*recent),
    )
