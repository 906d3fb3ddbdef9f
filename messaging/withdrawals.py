"""Hold back texts whose recipient was replaced or erased: the phone they were for is no part of the chat any more."""

from uuid import UUID

from messaging.events import record_ends
from messaging.failures import tell_sender
from proxy_project.sql import execute_prepared

REPLACED = "recipient_replaced"
WHY_REPLACED = "Its recipient was replaced by somebody else before it was sent."
ERASED = "erased"
WHY_ERASED = "Somebody in the chat was erased before it was sent."

_FAIL = """
    UPDATE messaging_message
       SET status = 'failed', due_at = NULL, failed_at = now(), error_code = %(code)s, error_detail = %(detail)s,
           error_kind = 'recipient'
     WHERE participant_id = %(participant_id)s AND direction = 'out' AND {which}
    RETURNING id
"""
# By the index message_pending_by_person. What is on the wire stays SENDING; its sender knows (Claim.decrypt_text).
_WITHDRAW = _FAIL.format(which="status IN ('preparing', 'queued', 'unconfirmed')")
# By the index of the chat's transcript.
_WITHDRAW_SCHEDULED = _FAIL.format(
    which="status = 'scheduled' AND chat_id = (SELECT chat_id FROM chats_participant WHERE id = %(participant_id)s)"
)


def withdraw_texts(*, participant_id: UUID) -> None:
    """Fail every text that still waits to be sent to a participant, and tell its writer and the platform."""
    params = {"participant_id": participant_id, "code": REPLACED, "detail": WHY_REPLACED}
    rows = execute_prepared(_WITHDRAW, params) + execute_prepared(_WITHDRAW_SCHEDULED, params)
    withdrawn = [message_id for (message_id,) in rows]
    if withdrawn:
        record_ends(message_ids=withdrawn)
    for message_id in withdrawn:
        tell_sender(message_id)
