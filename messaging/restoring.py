"""Texts that were on their way when a backup was taken: nobody knows whether they went out since.

They wait, HELD, for an operator's word: to be sent twice is worse than to be late. docs/decisions/0029-operation.md
"""

from collections import Counter
from uuid import UUID

from django.db import transaction

from messaging.events import record_ends
from messaging.models import Message
from messaging.outbox import wake_senders
from platforms.polling import SHOW_RESTORED
from proxy_project.sql import execute_prepared

RESTORED = "restored"
RESTORED_UNPREPARED = "restored_unprepared"

# Run in the transaction that restores the rows, before any process sees them: scripts/restore.
# A text that was to go at a time yet to come has not gone. `once_key` stays, so that nothing is said again.
HOLD_RESTORED = f"""
    UPDATE messaging_message
       SET error_code = CASE WHEN status = 'preparing' THEN '{RESTORED_UNPREPARED}' ELSE '{RESTORED}' END,
           status = 'held', due_at = now() + interval '100 years', error_kind = 'unknown',
           error_detail = 'It was on its way when the backup was taken, and may have gone out since.'
     WHERE direction = 'out'
       AND (status IN ('preparing', 'queued', 'sending', 'unconfirmed')
            OR status IN ('scheduled', 'held') AND due_at <= now())
"""

# What scripts/restore runs.
SETTLE_RESTORED = (HOLD_RESTORED, SHOW_RESTORED)

# A receipt has come since the database was restored: it did go out.
_KNOWN_SENT = f"""
    UPDATE messaging_message SET status = 'sent', due_at = NULL, error_code = '', error_detail = '', error_kind = ''
     WHERE direction = 'out' AND status = 'held' AND error_code IN ('{RESTORED}', '{RESTORED_UNPREPARED}')
       AND sent_at IS NOT NULL
    RETURNING id
"""
_SEND = f"""
    UPDATE messaging_message
       SET status = 'queued', due_at = now(), attempts = 0, error_code = '', error_detail = '', error_kind = '',
           expires_at = now() + GREATEST(expires_at - created_at, interval '1 hour')
     WHERE direction = 'out' AND status = 'held' AND error_code = '{RESTORED}'
    RETURNING id
"""
_FAIL = f"""
    UPDATE messaging_message SET status = 'failed', due_at = NULL, failed_at = now()
     WHERE direction = 'out' AND status = 'held' AND error_code IN ('{RESTORED}', '{RESTORED_UNPREPARED}')
    RETURNING id
"""


def hold_restored() -> None:
    """Make what was on its way wait, and what was recorded be polled; only before a sender has seen the database."""
    with transaction.atomic():
        for statement in SETTLE_RESTORED:
            execute_prepared(statement, {})


def count_restored() -> Counter[str]:
    """Return how many texts wait for a word since the database was restored: by their kind."""
    waiting = Message.objects.filter(
        direction=Message.Direction.OUTBOUND, status=Message.Status.HELD, error_code__startswith=RESTORED
    )
    return Counter(waiting.order_by("kind").values_list("kind", flat=True))


def send_restored() -> Counter[str]:
    """Queue what waits, but for what a receipt has told of; what was not prepared yet fails. Returns what became."""
    with transaction.atomic():
        known = execute_prepared(_KNOWN_SENT, {})
        sent = execute_prepared(_SEND, {})
        failed = _fail()
        wake_senders()
    return Counter(sent=len(known), queued=len(sent), failed=len(failed))


def fail_restored() -> Counter[str]:
    """Let what waits fail, but for what a receipt has told of; platforms are told, people are not."""
    with transaction.atomic():
        known = execute_prepared(_KNOWN_SENT, {})
        failed = _fail()
    return Counter(sent=len(known), failed=len(failed))


def _fail() -> list[UUID]:
    failed = [message_id for (message_id,) in execute_prepared(_FAIL, {})]
    record_ends(message_ids=failed)
    return failed
