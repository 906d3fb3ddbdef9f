"""Texts that a platform wants sent at a time: they join the queue then, or fail because of what happened meanwhile."""

from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from procrastinate.contrib.django import app

from messaging.events import record_ends
from messaging.media.intake import FETCH_TASK
from messaging.models import Message
from messaging.outbox import EXPIRES_AT, HOLD_SECONDS
from messaging.withdrawals import REPLACED
from proxy_project.sql import execute_prepared

log = structlog.get_logger(__name__)

CHAT_ENDED = "chat_ended"
WHY_CHAT_ENDED = "The chat had ended when its time came."
_AT_ONCE = 500

# Whoever ends a chat or replaces somebody holds these rows: what is judged here stands until it is committed, and what
# is being changed at this moment comes next time. The new position is the place among the texts to the same person:
# those that were queued while this one waited go first, and did not wait for it.
_QUEUE = f"""
    WITH due AS (
        SELECT message.id, media_count, platform.texts_expire_after_minutes,
               CASE WHEN participant.replaced_at IS NOT NULL THEN %(replaced)s
                    WHEN chat.status <> 'open' OR LEAST(chat.expires_at, chat.idle_ends_at) <= now() THEN %(ended)s
                    ELSE '' END AS obstacle
          FROM messaging_message AS message
          JOIN chats_chat AS chat ON chat.id = message.chat_id
          JOIN platforms_platform AS platform ON platform.id = chat.platform_id
          JOIN chats_participant AS participant ON participant.id = message.participant_id
         WHERE message.direction = 'out' AND message.status = 'scheduled' AND message.due_at <= now()
         ORDER BY message.due_at, message.position
         LIMIT {_AT_ONCE}
           FOR NO KEY UPDATE OF message SKIP LOCKED
           FOR SHARE OF chat, participant SKIP LOCKED
    ),
    platform AS (SELECT *, nextval('messaging_message_position') AS new_position FROM due)
    UPDATE messaging_message AS message
       SET status = CASE WHEN obstacle <> '' THEN 'failed' WHEN platform.media_count > 0 THEN 'preparing'
                         ELSE 'queued' END,
           due_at = CASE WHEN obstacle <> '' THEN NULL WHEN platform.media_count > 0
                         THEN now() + {HOLD_SECONDS} * interval '1 second' ELSE now() END,
           position = new_position, expires_at = {EXPIRES_AT},
           failed_at = CASE WHEN obstacle <> '' THEN now() END,
           error_code = obstacle, error_kind = CASE WHEN obstacle <> '' THEN 'recipient' ELSE '' END,
           error_detail = CASE obstacle WHEN %(replaced)s THEN %(why_replaced)s WHEN %(ended)s THEN %(why_ended)s
                          ELSE '' END
      FROM platform
     WHERE message.id = platform.id AND message.status = 'scheduled'
    RETURNING message.id, message.status
"""


def queue_scheduled_texts() -> int:
    """Queue the texts whose time has come, each behind what waits for its recipient; return how many were due.

    Of a chat that has ended, or to somebody who was replaced, a text fails, and its platform is told.
    """
    with transaction.atomic():
        rows: list[tuple[UUID, str]] = execute_prepared(
            _QUEUE,
            {
                "replaced": REPLACED.code,
                "why_replaced": REPLACED.detail,
                "ended": CHAT_ENDED,
                "why_ended": WHY_CHAT_ENDED,
                "send_for_hours": settings.SEND_FOR_HOURS,
            },
        )
        if failed := [message_id for message_id, status in rows if status == Message.Status.FAILED]:
            record_ends(message_ids=failed)
        if any(status == Message.Status.PREPARING for _, status in rows):
            app.configure_task(FETCH_TASK).defer()
    for message_id, status in rows:
        log.info("text has come to its time", message=str(message_id), status=status)
    return len(rows)


def cancel_text(*, message_id: UUID) -> bool:
    """Delete a text that waits for its time, with its attachments; False when it waits no more."""
    with transaction.atomic():
        # Whoever queues it holds the row: it is still waiting, or not there to be found.
        waiting = Message.objects.select_for_update().filter(pk=message_id, status=Message.Status.SCHEDULED).first()
        if waiting is None:
            return False
        waiting.delete()
    return True
