"""Hold back texts that must not be sent any more: their recipient was replaced, erased or blocked, or has opted out,
or their writer is muted."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from messaging.events import record_ends
from messaging.failures import tell_of_failures
from messaging.models import Message
from proxy_project.sql import execute_prepared


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Why a text is not sent, as the log has it; `kind` is an ErrorKind."""

    code: str
    detail: str
    kind: str = Message.ErrorKind.RECIPIENT.value


REPLACED = Withdrawal("recipient_replaced", "Its recipient was replaced by somebody else before it was sent.")
ERASED = Withdrawal("erased", "Somebody in the chat was erased before it was sent.")
OPTED_OUT = Withdrawal("recipient_opted_out", "Its recipient has opted out.", Message.ErrorKind.OPT_OUT.value)
BLOCKED = Withdrawal("recipient_blocked", "Its recipient was blocked before it was sent.")
RESTRICTED = Withdrawal("writer_restricted", "Its writer was muted or blocked before it was sent.")

# By the indexes message_pending_by_person, message_held_by_person and, for what is scheduled, that of the chat's
# transcript. What is on the wire stays SENDING; when it comes back to the queue, messaging.obstacles finds it.
_WITHDRAW = """
    UPDATE messaging_message
       SET status = 'failed', due_at = NULL, failed_at = now(), error_code = %(code)s, error_detail = %(detail)s,
           error_kind = %(kind)s
     WHERE id IN (
               SELECT id FROM messaging_message
                WHERE participant_id = ANY(%(participant_ids)s) AND direction = 'out' AND kind <> 'consent'
                  AND status IN ('preparing', 'queued', 'unconfirmed')
                UNION ALL
               SELECT id FROM messaging_message
                WHERE participant_id = ANY(%(participant_ids)s) AND direction = 'out' AND status = 'held'
                UNION ALL
               SELECT id FROM messaging_message
                WHERE participant_id = ANY(%(participant_ids)s) AND direction = 'out' AND status = 'scheduled'
                  AND chat_id IN (SELECT chat_id FROM chats_participant WHERE id = ANY(%(participant_ids)s)))
       AND status IN ('scheduled', 'preparing', 'queued', 'unconfirmed', 'held')
    RETURNING id
"""


# What a muted or blocked person has texted. By the same indexes: of the counterpart's texts that wait, there are few.
_WITHDRAW_RELAYS = """
    WITH counterpart AS (
        SELECT other.id FROM chats_participant AS writer
          JOIN chats_participant AS other ON other.chat_id = writer.chat_id AND other.id <> writer.id
         WHERE writer.id = %(participant_id)s
    )
    UPDATE messaging_message AS relay
       SET status = 'failed', due_at = NULL, failed_at = now(), error_code = %(code)s, error_detail = %(detail)s,
           error_kind = %(kind)s
     WHERE id IN (
               SELECT id FROM messaging_message
                WHERE participant_id IN (SELECT id FROM counterpart) AND direction = 'out'
                  AND status IN ('preparing', 'queued', 'unconfirmed')
                UNION ALL
               SELECT id FROM messaging_message
                WHERE participant_id IN (SELECT id FROM counterpart) AND direction = 'out' AND status = 'held')
       AND status IN ('preparing', 'queued', 'unconfirmed', 'held')
       AND EXISTS (SELECT FROM messaging_message AS inbound
                    WHERE inbound.id = relay.relays_id AND inbound.participant_id = %(participant_id)s)
    RETURNING relay.id
"""


def withdraw_relays_of(*, participant_id: UUID) -> None:
    """Fail what a participant has texted and what still waits to be passed on; tell the platform, and nobody else."""
    why = RESTRICTED
    params = {"participant_id": participant_id, "code": why.code, "detail": why.detail, "kind": why.kind}
    if withdrawn := [message_id for (message_id,) in execute_prepared(_WITHDRAW_RELAYS, params)]:
        record_ends(message_ids=withdrawn)


def withdraw_texts(*, participant_ids: Sequence[UUID], why: Withdrawal) -> None:
    """Fail every text that still waits to be sent to participants; tell the writers, and the platforms."""
    params = {"participant_ids": list(participant_ids), "code": why.code, "detail": why.detail, "kind": why.kind}
    tell_of_failures([message_id for (message_id,) in execute_prepared(_WITHDRAW, params)])
