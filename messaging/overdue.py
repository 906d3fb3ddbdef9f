"""Move the texts that nobody else will: every sender looks after them from time to time."""

from django.conf import settings
from django.db import transaction

from messaging.failures import tell_of_failures
from messaging.holds import release_texts
from messaging.pauses import ACCOUNT
from proxy_project.sql import execute_planned, execute_prepared

# What somebody else has locked is left for the next time: nobody waits here with other rows in hand.
_LEASES_ENDED = """
    UPDATE messaging_message SET status = 'unconfirmed', due_at = now() + %(wait)s * interval '1 second',
           error_code = 'answer_lost', error_detail = 'The sender stopped before it had an answer.',
           error_kind = 'unknown', may_have_arrived = true
     WHERE id = ANY (ARRAY(
               SELECT id FROM messaging_message WHERE status = 'sending' AND due_at <= now()
                  FOR NO KEY UPDATE SKIP LOCKED))
"""
_SEND_AGAIN = """
    UPDATE messaging_message SET status = 'queued'
     WHERE id = ANY (ARRAY(
               SELECT id FROM messaging_message WHERE status = 'unconfirmed' AND due_at <= now()
                  FOR NO KEY UPDATE SKIP LOCKED))
"""
# What an older version queued, and what was queued without a word about it.
_SAY_WHEN = """
    UPDATE messaging_message SET expires_at = created_at + %(hours)s * interval '1 hour'
     WHERE direction = 'out' AND status = 'queued' AND expires_at IS NULL
"""
# As an array, since PostgreSQL may ask a subquery of IN more than once, each time for another thousand.
_EXPIRE = f"""
    UPDATE messaging_message
       SET status = 'failed', due_at = NULL, failed_at = now(), error_code = 'expired',
           error_detail = left('It could not be handed over for too long; the last reason: ' || COALESCE(
               NULLIF(error_detail, ''), (SELECT pause_detail FROM messaging_gatewayaccount
                                           WHERE name = '{ACCOUNT}' AND paused_at IS NOT NULL),
               'it waited for its turn.'), 200)
     WHERE id = ANY (ARRAY(
               SELECT id FROM messaging_message
                WHERE direction = 'out' AND status = 'queued' AND expires_at <= now()
                LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED))
    RETURNING id
"""


def settle_overdue() -> None:
    """Move what nobody else will: ended leases, texts without a receipt for too long, texts queued for too long."""
    execute_prepared(_LEASES_ENDED, {"wait": settings.UNCONFIRMED_WAIT_SECONDS})
    execute_prepared(_SEND_AGAIN, {})
    with transaction.atomic():
        tell_of_failures(release_texts())
    execute_planned(_SAY_WHEN, {"hours": settings.SEND_FOR_HOURS})
    with transaction.atomic():
        tell_of_failures([message_id for (message_id,) in execute_prepared(_EXPIRE, {})])
