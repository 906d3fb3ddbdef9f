"""Find out whose text it is, from the only two facts it carries: who sent it, and to which number."""

from dataclasses import dataclass
from datetime import datetime
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

    `sender` is the person's side of the open chat that goes with the number, else of the one that ended last.
    `counterpart` is there only while the chat is open. `ended_at` is when the sender's chat ended or expired.
    """

    virtual_number_id: UUID | None
    sender: Side | None
    counterpart: Side | None
    ended_at: datetime | None


# At most one open chat goes with a number and a digest: the constraint `open_chat_is_named_by_both_numbers`.
_FIND = """
    SELECT number.id, sender.id, sender.chat_id, counterpart.id, counterpart.virtual_number_id,
           COALESCE(sender.ended_at, CASE WHEN chat.expires_at <= now() THEN chat.expires_at END)
      FROM chats_virtualnumber number
      LEFT JOIN LATERAL (
               SELECT id, chat_id, ended_at
                 FROM chats_participant
                WHERE phone_digest = %(digest)s AND virtual_number_id = number.id
                ORDER BY ended_at DESC NULLS FIRST
                LIMIT 1
           ) sender ON TRUE
      LEFT JOIN chats_chat chat ON chat.id = sender.chat_id
      LEFT JOIN chats_participant counterpart
        ON counterpart.chat_id = sender.chat_id AND counterpart.id <> sender.id AND counterpart.ended_at IS NULL
     WHERE number.number = %(to_number)s
"""


def find_match(*, from_number: str, to_number: str) -> Match:
    """Return whose text it is; of a number that is not ours, a match without anything."""
    rows = execute_prepared(_FIND, {"digest": digest_number(from_number), "to_number": to_number})
    if not rows:
        return Match(None, None, None, None)
    number_id, sender_id, chat_id, counterpart_id, counterpart_number_id, ended_at = rows[0]
    return Match(
        virtual_number_id=number_id,
        sender=Side(sender_id, chat_id, number_id) if sender_id else None,
        counterpart=Side(counterpart_id, chat_id, counterpart_number_id) if counterpart_id and not ended_at else None,
        ended_at=ended_at,
    )
