"""Hold back texts whose recipient was replaced: the phone they were for is no part of the chat any more."""

from uuid import UUID

from messaging.failures import tell_sender
from proxy_project.sql import execute_prepared

REPLACED = "recipient_replaced"
WHY_REPLACED = "Its recipient was replaced by somebody else before it was sent."
RESTRICTED = "writer_restricted"
WHY_RESTRICTED = "Its writer was muted or blocked before it was sent."
BLOCKED = "recipient_blocked"
WHY_BLOCKED = "Its recipient was blocked before it was sent."

# By the index message_pending_by_person. What is on the wire stays SENDING; its sender knows (Claim.decrypt_text).
_WITHDRAW = """
    UPDATE messaging_message
       SET status = 'failed', due_at = NULL, failed_at = now(), error_code = %(code)s, error_detail = %(detail)s,
           error_kind = 'recipient'
     WHERE participant_id = %(participant_id)s AND direction = 'out'
       AND status IN ('preparing', 'queued', 'unconfirmed')
    RETURNING id
"""


# A muted or blocked person's. By the index message_pending_by_person: the counterpart's are few.
_WITHDRAW_RELAYS = """
    UPDATE messaging_message AS relay
       SET status = 'failed', due_at = NULL, failed_at = now(), error_code = %(code)s, error_detail = %(detail)s,
           error_kind = 'recipient'
      FROM chats_participant AS writer
      JOIN chats_participant AS counterpart ON counterpart.chat_id = writer.chat_id AND counterpart.id <> writer.id
     WHERE writer.id = %(participant_id)s AND relay.participant_id = counterpart.id
       AND relay.direction = 'out' AND relay.kind = 'relay' AND relay.status IN ('preparing', 'queued', 'unconfirmed')
"""


def withdraw_relays_of(*, participant_id: UUID) -> None:
    """Fail what a participant has texted and what still waits to be passed on, and tell nobody."""
    params = {"participant_id": participant_id, "code": RESTRICTED, "detail": WHY_RESTRICTED}
    execute_prepared(_WITHDRAW_RELAYS, params)


def withdraw_texts(*, participant_id: UUID, code: str = REPLACED, detail: str = WHY_REPLACED) -> None:
    """Fail every text that still waits to be sent to a participant, and tell its writer."""
    params = {"participant_id": participant_id, "code": code, "detail": detail}
    for (message_id,) in execute_prepared(_WITHDRAW, params):
        tell_sender(message_id)
