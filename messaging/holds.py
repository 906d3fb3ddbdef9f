"""Put texts aside until their recipients wake up or say YES, and let them go then; nothing waits for them meanwhile."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from messaging.failures import tell_waiting
from messaging.obstacles import Hold
from messaging.outbox import wake_senders
from proxy_project.sql import execute_prepared

# Who says YES at this moment waits for this, and then finds what is HELD; or was first, and nothing has to wait.
_STILL_ASKED = """
    SELECT id FROM chats_participant
     WHERE id IN (SELECT participant_id FROM messaging_message WHERE id = ANY(%(ids)s)) AND awaits_consent
     ORDER BY id FOR SHARE
"""
# It was never on the wire, so the attempt does not count; nor does a night count as waiting to be handed over.
_HOLD = """
    UPDATE messaging_message AS message
       SET status = CASE WHEN until IS NULL AND NOT participant_id = ANY(%(asked)s::uuid[]) THEN 'queued'
                         ELSE 'held' END,
           attempts = attempts - 1, due_at = COALESCE(until, expires_at, now() + interval '1 day'),
           expires_at = expires_at + COALESCE(until - now(), interval '0'),
           error_code = hold.code, error_detail = hold.detail, error_kind = hold.kind
      FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(leases)s::timestamptz[], %(untils)s::timestamptz[],
                  %(codes)s::text[], %(details)s::text[], %(kinds)s::text[])
           AS hold (id, attempt, leased_until, until, code, detail, kind)
     WHERE message.id = hold.id AND message.status = 'sending' AND message.attempts = hold.attempt
       AND message.due_at = hold.leased_until
    RETURNING message.id, message.status = 'held' AND until IS NULL
"""
# Nobody is introduced in the morning to a chat that has ended in the night; should it be reopened, they are then. Nor
# does its platform text them, as at any other time after the end.
_FORGET = """
    UPDATE messaging_message AS message
       SET status = 'failed', due_at = NULL, failed_at = now(), once_key = NULL, error_code = 'chat_ended',
           error_detail = 'The chat ended before it was sent.', error_kind = 'recipient'
      FROM chats_chat AS chat
     WHERE message.direction = 'out' AND message.status = 'held' AND message.due_at <= now()
       AND message.kind IN ('introduction', 'platform') AND chat.id = message.chat_id AND chat.status = 'ended'
    RETURNING message.id
"""
_RELEASE = """
    UPDATE messaging_message SET status = 'queued' WHERE direction = 'out' AND status = 'held' AND due_at <= now()
"""
_RELEASE_CONFIRMED = """
    UPDATE messaging_message SET status = 'queued', due_at = now()
     WHERE participant_id = %(participant_id)s AND direction = 'out' AND status = 'held'
       AND error_code = 'not_confirmed'
"""


class Held(NamedTuple):
    """A claim that must wait: the message, its attempt and lease, and for what."""

    id: UUID
    attempt: int
    leased_until: datetime
    hold: Hold


def hold_texts(held: Sequence[Held]) -> None:
    """Put claimed texts aside; the writer of one that waits for a YES is told."""
    if not held:
        return
    ids = [each.id for each in held]
    with transaction.atomic():
        asked = [participant_id for (participant_id,) in execute_prepared(_STILL_ASKED, {"ids": ids})]
        rows = execute_prepared(
            _HOLD,
            {
                "ids": ids,
                "asked": asked,
                "attempts": [each.attempt for each in held],
                "leases": [each.leased_until for each in held],
                "untils": [each.hold.until for each in held],
                "codes": [each.hold.error.code for each in held],
                "details": [each.hold.error.detail for each in held],
                "kinds": [each.hold.error.kind for each in held],
            },
        )
        for message_id, waits_for_yes in rows:
            if waits_for_yes:
                tell_waiting(message_id)


def release_texts() -> list[UUID]:
    """Queue what has waited until now; return the texts that have failed, since their chats have ended."""
    forgotten = [message_id for (message_id,) in execute_prepared(_FORGET, {})]
    execute_prepared(_RELEASE, {})
    return forgotten


def release_confirmed(participant_id: UUID) -> None:
    """Queue what has waited for the YES of a participant, whose row the caller has changed."""
    execute_prepared(_RELEASE_CONFIRMED, {"participant_id": participant_id})
    wake_senders()
