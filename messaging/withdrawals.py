"""Hold back texts whose recipient was replaced or erased: the phone they were for is no part of the chat any more."""

from uuid import UUID

from messaging.failures import tell_sender
from proxy_project.sql import execute_prepared

REPLACED = "recipient_replaced"
WHY_REPLACED = "Its recipient was replaced by somebody else before it was sent."
ERASED = "erased"
WHY_ERASED = "Somebody in the chat was erased before it was sent."

# By the index message_pending_by_person. What is on the wire stays SENDING; its sender knows (Claim.decrypt_text).
_WITHDRAW = """
    UPDATE messaging_message
       SET status = 'failed', due_at = NULL, failed_at = now(), error_code = %(code)s, error_detail = %(detail)s,
           error_kind = 'recipient'
     WHERE participant_id = %(participant_id)s AND direction = 'out'
       AND status IN ('preparing', 'queued', 'unconfirmed')
    RETURNING id
"""


def withdraw_texts(*, participant_id: UUID) -> None:
    """Fail every text that still waits to be sent to a participant, and tell its writer."""
    params = {"participant_id": participant_id, "code": REPLACED, "detail": WHY_REPLACED}
    for (message_id,) in execute_prepared(_WITHDRAW, params):
        tell_sender(message_id)
