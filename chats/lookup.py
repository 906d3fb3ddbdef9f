"""Find out whose text it is, from the only two facts it carries: who sent it, and to which number."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from proxy_project.encryption import digest_number
from proxy_project.sql import execute_prepared


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a chat: what is needed to text the participant there."""

    id: UUID
    chat_id: UUID
    virtual_number_id: UUID


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
    # What platforms are told needs these: the sender's chat, its platform, and the platform that alone uses the
    # number; each platform only if it records events.
    reference: str | None = None
    platform_told: UUID | None = None
    owner_told: UUID | None = None
    # Whether the platform wants to be asked before a text is passed on.
    is_asked: bool = False


# At most one open or scheduled chat goes with a number and a digest: `open_chat_is_named_by_both_numbers`.
_FIND = """
    SELECT number.id, sender.id, sender.chat_id, counterpart.id, counterpart.virtual_number_id, over.at,
           chat.status = 'scheduled', sender.replaced_at IS NOT NULL,
           CASE WHEN over.at IS NOT NULL
                THEN (SELECT cool_down_hours FROM platforms_platform WHERE id = chat.platform_id) END,
           chat.revision, chat.idle_ends_at < now() + chat.idle_timeout_seconds * interval '1 second',
           chat.reference, CASE WHEN platform.records_events THEN platform.id END, owner.id,
           COALESCE(platform.asks_for_approval, FALSE)
      FROM chats_virtualnumber number
      LEFT JOIN LATERAL (
               SELECT id, chat_id, ended_at, replaced_at
                 FROM chats_participant
                WHERE phone_digest = %(digest)s AND virtual_number_id = number.id
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
       AND chat.status = 'open'
      LEFT JOIN platforms_platform platform ON platform.id = chat.platform_id
      LEFT JOIN platforms_platform owner ON owner.id = number.platform_id AND owner.records_events
     WHERE number.number = %(to_number)s
"""


def find_match(*, from_number: str, to_number: str) -> Match:
    """Return whose text it is; of a number that is not ours, a match without anything."""
    rows = execute_prepared(_FIND, {"digest": digest_number(from_number), "to_number": to_number})
    if not rows:
        return Match(None, None, None, None)
    number_id, sender_id, chat_id, counterpart_id, counterpart_number_id, ended_at, *others = rows[0]
    is_scheduled, was_replaced, cool_down_hours, revision, moves_idle_end, *told = others
    reference, platform_told, owner_told, is_asked = told
    if not sender_id:
        return Match(number_id, None, None, None, owner_told=owner_told)
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
        reference=reference,
        platform_told=platform_told,
        owner_told=owner_told,
        is_asked=is_asked,
    )
