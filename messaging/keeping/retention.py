"""Erase what has been kept for long enough: chats that ended long ago, and what strangers wrote.

Files are not its concern: they go when their links expire (messaging.media.forgetting).
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from chats.models import Chat, Participant
from messaging.keeping.scrubbing import (
    AT_ONCE,
    empty_some_texts,
    find_opt_outs_in,
    forget_metadata,
    forget_opt_outs,
    forget_people,
    forget_reasons,
    forget_what_is_fetched,
    scrub_events,
    withdraw_scheduled,
)
from messaging.models import Message, OptOut
from proxy_project.sql import execute_planned, execute_prepared

# Of each platform the oldest, by the index chat_to_erase. Digests are needed for the cool-down, and a chat with a text
# that still waits is not over yet; one that waits for its time will never be sent.
DUE_CHATS = """
    SELECT due.id
      FROM platforms_platform AS platform
     CROSS JOIN LATERAL (SELECT COALESCE(platform.keep_for_days, %(days)s) AS days) AS kept
     CROSS JOIN LATERAL (
           SELECT id FROM chats_chat AS chat
            WHERE platform_id = platform.id AND status = 'ended' AND erased_at IS NULL
              AND ended_at < %(now)s - GREATEST(
                      kept.days * interval '1 day',
                      COALESCE(platform.cool_down_hours, %(cool_down_hours)s) * interval '1 hour',
                      %(answer_hours)s * interval '1 hour')
              AND NOT EXISTS (
                  SELECT FROM chats_participant AS participant JOIN messaging_message AS message
                              ON message.participant_id = participant.id AND message.direction = 'out'
                             AND message.status IN ('preparing', 'queued', 'sending', 'unconfirmed')
                   WHERE participant.chat_id = chat.id)
              AND NOT EXISTS (
                  SELECT FROM chats_participant AS participant JOIN messaging_message AS message
                              ON message.participant_id = participant.id AND message.direction = 'out'
                             AND message.status = 'held'
                   WHERE participant.chat_id = chat.id)
            ORDER BY ended_at LIMIT %(limit)s
           ) AS due
     WHERE kept.days > 0
     LIMIT %(limit)s
"""
# By the index message_of_stranger.
EMPTY_OF_STRANGERS = """
    UPDATE messaging_message
       SET body = '', stranger_number = '', stranger_digest = NULL, error_detail = '', erased_at = %(now)s,
           once_key = NULL
     WHERE id = ANY(ARRAY(
           SELECT id FROM messaging_message
            WHERE participant_id IS NULL AND erased_at IS NULL AND created_at < %(before)s
              AND status NOT IN ('preparing', 'queued', 'held', 'sending', 'unconfirmed')
            ORDER BY created_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED))
    RETURNING id
"""


def erase_old_chats(*, now: datetime, limit: int = 100) -> int:
    """Erase the people and texts of up to `limit` chats that have been kept for long enough; return how many were due.

    Call it until it returns 0, or nothing was erased that was due: what somebody else holds is left for the next time.
    """
    due = execute_planned(
        DUE_CHATS,
        {
            "now": now,
            "days": int(settings.KEEP_FOR_DAYS),
            "cool_down_hours": float(settings.COOL_DOWN_HOURS),
            "answer_hours": float(settings.IDEMPOTENCY_KEEP_HOURS),
            "limit": limit,
        },
    )
    return sum(_erase_chat(chat_id, now) for (chat_id,) in due)


def erase_strangers(*, now: datetime, limit: int = AT_ONCE) -> int:
    """Erase up to `limit` texts from and to people in no chat older than KEEP_STRANGERS_FOR_DAYS; return how many."""
    days = settings.KEEP_STRANGERS_FOR_DAYS
    if not days:
        return 0
    params = {"now": now, "before": now - timedelta(days=days), "limit": limit}
    return len(execute_prepared(EMPTY_OF_STRANGERS, params))


def erase_opt_outs_of_strangers(*, now: datetime, limit: int = AT_ONCE) -> int:
    """Take the numbers and words from up to `limit` opt-outs of people in no chat that are as old; return how many.

    The digests stay, and with them the opt-outs.
    """
    days = settings.KEEP_STRANGERS_FOR_DAYS
    if not days:
        return 0
    before = now - timedelta(days=days)
    is_past = Q(created_at__lt=before) & (Q(ended_at=None) | Q(ended_at__lt=before))
    with transaction.atomic():
        # Who says STOP or START at this moment holds theirs.
        found = OptOut.objects.filter(is_past, participant=None, erased_at=None).order_by("created_at")
        held = [each.pk for each in found.select_for_update(skip_locked=True, no_key=True).only("pk")[:limit]]
        forget_opt_outs(opt_outs=held, now=now)
    return len(held)


def _erase_chat(chat_id: UUID, now: datetime) -> bool:
    """Erase a chat, in steps that each can be repeated; it counts as erased with the last."""
    with transaction.atomic():
        ended = Q(pk=chat_id, status=Chat.Status.ENDED, erased_at=None)
        if not Chat.objects.filter(ended).select_for_update(skip_locked=True, no_key=True).only("pk").first():
            return False
        # From here on nobody can reopen it, and no late text finds it.
        people = Participant.objects.filter(chat=chat_id).only("pk")
        said = find_opt_outs_in(chat_id=chat_id, people=[person.pk for person in people])
        forget_opt_outs(opt_outs=said, now=now)
        forget_people(people=people)
        forget_metadata(chat_id=chat_id)
        withdraw_scheduled(chat_id=chat_id, now=now)
    while forget_reasons(chat_id=chat_id, now=now, limit=AT_ONCE):
        pass
    while empty_some_texts(chat_id=chat_id, now=now):
        pass
    if Message.objects.filter(chat=chat_id, erased_at=None).exists():
        return False
    forget_what_is_fetched(chat_id=chat_id)
    with transaction.atomic():
        scrub_events(chat_id=chat_id)
    return bool(Chat.objects.filter(pk=chat_id, erased_at=None).update(erased_at=now))
