"""Read what a platform is shown of the people of its chats."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from chats.introductions import ONCE_KEY_PREFIX
from chats.opted_out import is_opted_out
from proxy_project.encryption import decrypt
from proxy_project.sql import execute_prepared

_OPTED_OUT = is_opted_out(
    digest="participant.phone_digest", number_id="participant.virtual_number_id", platform_id="chat.platform_id"
)
# OFFSET 0 makes the question for an introduction a probe of the index said_at_most_once for each person, also where
# PostgreSQL believes that the log is short. In a subquery an array is not counted, and the plan kept: decision 1.
_READ = f"""
    SELECT participant.chat_id, participant.id, participant.name, participant.phone_number,
           introduction.id, introduction.status, introduction.error_code, introduction.error_detail,
           participant.language, number.number, participant.awaits_consent, participant.muted_at,
           participant.blocked_at, participant.replaced_at, {_OPTED_OUT}
      FROM chats_participant AS participant
      JOIN chats_chat AS chat ON chat.id = participant.chat_id
      JOIN chats_virtualnumber AS number ON number.id = participant.virtual_number_id
      LEFT JOIN LATERAL (
               SELECT id, status, error_code, error_detail FROM messaging_message
                WHERE once_key = '{ONCE_KEY_PREFIX}' || participant.id
               OFFSET 0
           ) AS introduction ON true
     WHERE participant.chat_id = ANY((SELECT %(chats)s::uuid[])::uuid[])
     ORDER BY participant.position, participant.id
"""


@dataclass(frozen=True, slots=True)
class ShownIntroduction:
    """What became of the text that introduced somebody."""

    id: UUID
    status: str
    error_code: str
    error_detail: str


@dataclass(frozen=True, slots=True)
class ShownPerson:
    """Somebody who is in a chat, or was until `replaced_at`; who was erased has no name and no number."""

    id: UUID
    name: str = field(repr=False)
    phone_number: str = field(repr=False)
    introduction: ShownIntroduction | None
    language: str
    virtual_number: str
    awaits_consent: bool
    muted_at: datetime | None
    blocked_at: datetime | None
    replaced_at: datetime | None
    opted_out: bool


def read_people(chat_ids: Collection[UUID]) -> dict[UUID, list[ShownPerson]]:
    """Return the people of each of these chats, by its id, in one query: those on its first side first.

    Raises InvalidToken when the key that somebody was encrypted with is missing.
    """
    people: dict[UUID, list[ShownPerson]] = {chat_id: [] for chat_id in chat_ids}
    if not people:
        return people
    for chat_id, person_id, name, phone_number, message_id, status, code, detail, *facts in execute_prepared(
        _READ, {"chats": list(chat_ids)}
    ):
        introduction = ShownIntroduction(message_id, status, code, detail) if message_id else None
        people[chat_id].append(ShownPerson(person_id, decrypt(name), decrypt(phone_number), introduction, *facts))
    return people
