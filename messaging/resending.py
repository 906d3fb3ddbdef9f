"""See to texts that have failed: send them again, tell who wrote them, or tick them off. An operator does that.

A text that is sent again is the same row, QUEUED anew: the sender claims it like any other, with all that may stand in
its way then. What the gateway still says of the attempts before is known by `earlier_gateway_ids` (messaging.receipts).
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

import structlog
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.log import Actor, record_all
from audit.models import Action, AuditEntry
from chats.models import Participant
from chats.opted_out import is_opted_out
from messaging.failures import tell_not_delivered
from messaging.gateways.vonage_codes import MAY_HAVE_ARRIVED
from messaging.models import Message
from messaging.outbox import EXPIRES_AT, wake_senders
from proxy_project.sql import execute_planned

log = structlog.get_logger(__name__)

# Nothing that answers something said long ago.
KINDS = (Message.Kind.RELAY, Message.Kind.INTRODUCTION, Message.Kind.PLATFORM)


class Refusal(StrEnum):
    """Why a text is not sent again, or its sender not told."""

    NOT_FAILED = "not_failed"
    AUTOMATIC = "automatic"
    CHAT_ENDED = "chat_ended"
    REPLACED = "replaced"
    OPTED_OUT = "opted_out"
    MAY_HAVE_ARRIVED = "may_have_arrived"
    TOO_SOON = "too_soon"
    FORGOTTEN = "forgotten"
    NO_SENDER = "no_sender"
    TOLD = "told"


REFUSALS: dict[Refusal, str | Promise] = {
    Refusal.NOT_FAILED: _("It is not among the texts that have failed any more."),
    Refusal.AUTOMATIC: _("It is an automatic text, which would come too late."),
    Refusal.CHAT_ENDED: _("Its chat is not open."),
    Refusal.REPLACED: _("Whom it is for was replaced by somebody else."),
    Refusal.OPTED_OUT: _("Whom it is for has opted out."),
    Refusal.MAY_HAVE_ARRIVED: _("It may have arrived: an answer of the carrier was lost. It is not sent twice."),
    Refusal.TOO_SOON: _("It has failed just now, and may still be on the wire. Try again in a minute."),
    Refusal.FORGOTTEN: _("What was in it has been erased."),
    Refusal.NO_SENDER: _("No person wrote it."),
    Refusal.TOLD: _("They were told that a text of theirs was not delivered, when it failed or in this hour."),
}


class CannotResend(Exception):
    """A text cannot be sent again; the message says why in one sentence, and `refusal` in one word."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(REFUSALS[refusal]))
        self.refusal = refusal


# Whoever ends a chat or replaces somebody holds its row (chats.services.locking): what is judged here stands until it
# is committed. In order, so that two operators wait for each other and not for ever.
_HOLD_CHATS = """
    SELECT id FROM chats_chat
     WHERE id IN (SELECT chat_id FROM messaging_message WHERE id = ANY(%(ids)s)) ORDER BY id FOR SHARE
"""
# A receipt may set sent_at while the sender still waits for its answer: for as long as a lease.
_JUDGE_RESENDING = f"""
    SELECT message.id,
           CASE WHEN message.direction <> 'out' OR message.status <> 'failed' THEN '{Refusal.NOT_FAILED}'
                WHEN message.participant_id IS NULL OR message.chat_id IS NULL OR message.kind <> ALL (%(kinds)s)
                THEN '{Refusal.AUTOMATIC}'
                WHEN chat.status <> 'open' OR LEAST(chat.expires_at, chat.idle_ends_at) <= now()
                THEN '{Refusal.CHAT_ENDED}'
                WHEN participant.replaced_at IS NOT NULL THEN '{Refusal.REPLACED}'
                WHEN {
    is_opted_out(
        digest="participant.phone_digest", number_id="message.virtual_number_id", platform_id="chat.platform_id"
    )
} THEN '{Refusal.OPTED_OUT}'
                WHEN message.may_have_arrived OR message.error_code = ANY (%(unknown)s)
                THEN '{Refusal.MAY_HAVE_ARRIVED}'
                WHEN message.sent_at > now() - %(lease)s * interval '1 second' THEN '{Refusal.TOO_SOON}'
                WHEN message.media_count > 0 AND EXISTS (
                         SELECT FROM messaging_attachment AS attachment
                          WHERE attachment.message_id = COALESCE(message.relays_id, message.id)
                            AND attachment.status = 'forgotten')
                  OR message.body = '' AND NOT EXISTS (
                         SELECT FROM messaging_attachment AS attachment
                          WHERE attachment.message_id = COALESCE(message.relays_id, message.id)
                            AND attachment.status = 'stored')
                THEN '{Refusal.FORGOTTEN}'
           END
      FROM messaging_message AS message
      LEFT JOIN chats_chat AS chat ON chat.id = message.chat_id
      LEFT JOIN chats_participant AS participant ON participant.id = message.participant_id
     WHERE message.id = ANY (%(ids)s)
     ORDER BY message.id
"""
_LOCK = " FOR NO KEY UPDATE OF message"
_RESEND = f"""
    UPDATE messaging_message AS message
       SET status = 'queued', due_at = now(), expires_at = {EXPIRES_AT}, attempts = 0,
           earlier_gateway_ids = COALESCE(earlier_gateway_ids, '{{}}') || array_remove(ARRAY[gateway_id], NULL),
           gateway_id = NULL, sent_at = NULL, failed_at = NULL, error_code = '', error_detail = '', error_kind = '',
           handled_at = NULL, handled_by = ''
      FROM chats_chat AS chat JOIN platforms_platform AS platform ON platform.id = chat.platform_id
     WHERE message.id = ANY (%(ids)s) AND message.status = 'failed' AND chat.id = message.chat_id
    RETURNING message.id
"""
# The automatic text is committed with the failure that it tells of. By said_at_most_once.
_JUDGE_TELLING = f"""
    SELECT message.id, writer.id,
           CASE WHEN message.direction <> 'out' OR message.status <> 'failed' THEN '{Refusal.NOT_FAILED}'
                WHEN message.kind <> 'relay' OR writer.id IS NULL THEN '{Refusal.NO_SENDER}'
                WHEN EXISTS (
                         SELECT FROM messaging_message AS told
                          WHERE told.once_key = 'not-delivered:' || writer.id || ':'
                                || to_char(message.failed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')
                            AND told.created_at >= message.failed_at) THEN '{Refusal.TOLD}'
                WHEN chat.status <> 'open' OR LEAST(chat.expires_at, chat.idle_ends_at) <= now()
                THEN '{Refusal.CHAT_ENDED}'
                WHEN writer.replaced_at IS NOT NULL THEN '{Refusal.REPLACED}'
                WHEN {
    is_opted_out(digest="writer.phone_digest", number_id="writer.virtual_number_id", platform_id="chat.platform_id")
} THEN '{Refusal.OPTED_OUT}'
           END
      FROM messaging_message AS message
      LEFT JOIN chats_chat AS chat ON chat.id = message.chat_id
      LEFT JOIN messaging_message AS inbound ON inbound.id = message.relays_id
      LEFT JOIN chats_participant AS writer ON writer.id = inbound.participant_id
     WHERE message.id = ANY (%(ids)s)
     ORDER BY message.id
"""
_HANDLE = """
    UPDATE messaging_message SET handled_at = now(), handled_by = %(by)s
     WHERE id = ANY (%(ids)s) AND direction = 'out' AND status = 'failed' AND handled_at IS NULL
    RETURNING id
"""


def resend_text(message_id: UUID, by: Actor) -> None:
    """Queue a text that has failed once more, to be claimed like any other. Raises CannotResend.

    It goes to whom it was for, from the same virtual number, and its writer is not told again should it fail again.
    """
    refusal = resend_texts([message_id], by)[message_id]
    if refusal:
        raise CannotResend(refusal)


def resend_texts(message_ids: Collection[UUID], by: Actor) -> dict[UUID, Refusal | None]:
    """Queue those of the texts once more that may be; return why not, or None, for each of them."""
    with transaction.atomic():
        judged = _judge(_JUDGE_RESENDING, message_ids, locks=True)
        params = {"ids": _allowed(judged), "send_for_hours": settings.SEND_FOR_HOURS}
        resent = [message_id for (message_id,) in execute_planned(_RESEND, params)]
        _record(resent, by, Action.RESENT_TEXT, "Sent the text again")
        if resent:
            wake_senders(*resent)
    return judged


def tell_senders(message_ids: Collection[UUID], by: Actor) -> dict[UUID, Refusal | None]:
    """Tell who wrote failed texts that they were not delivered, and tick those off; at most once an hour each.

    A sender who knows already is not told again: TOLD, and ticked off all the same.
    """
    with transaction.atomic():
        execute_planned(_HOLD_CHATS, {"ids": list(message_ids)})
        rows = execute_planned(f"{_JUDGE_TELLING} {_LOCK}", {"ids": list(message_ids)})
        judged = _complete(message_ids, ((message_id, refusal) for message_id, _writer, refusal in rows))
        writers = Participant.objects.only("chat_id", "virtual_number_id").in_bulk(
            {writer_id for _message, writer_id, refusal in rows if not refusal}
        )
        now = datetime.now(UTC)
        for message_id, writer_id, refusal in rows:
            if not refusal and not tell_not_delivered(writers[writer_id], now):
                judged[message_id] = Refusal.TOLD
        told = _allowed(judged)
        done = [message_id for message_id, refusal in judged.items() if refusal in (None, Refusal.TOLD)]
        execute_planned(_HANDLE, {"ids": done, "by": by.name})
        _record(told, by, Action.TOLD_SENDER, "Told the sender that it was not delivered")
    return judged


def tick_off(message_ids: Collection[UUID], by: Actor) -> dict[UUID, Refusal | None]:
    """Note that nothing more is to be done about failed texts; nobody is told, and nothing is sent."""
    with transaction.atomic():
        rows = execute_planned(_HANDLE, {"ids": list(message_ids), "by": by.name})
        done = [message_id for (message_id,) in rows]
        _record(done, by, Action.HANDLED_FAILURE, "Ticked off the failure")
    return {message_id: None if message_id in set(done) else Refusal.NOT_FAILED for message_id in message_ids}


def foresee_resending(message_ids: Collection[UUID]) -> dict[UUID, Refusal | None]:
    """Return what `resend_texts` would, without doing anything."""
    return _judge(_JUDGE_RESENDING, message_ids, locks=False)


def foresee_telling(message_ids: Collection[UUID]) -> dict[UUID, Refusal | None]:
    """Return what `tell_senders` would, as far as it can be known before; without doing anything."""
    rows = execute_planned(_JUDGE_TELLING, {"ids": list(message_ids)})
    return _complete(message_ids, ((message_id, refusal) for message_id, _writer, refusal in rows))


def _judge(statement: str, message_ids: Collection[UUID], *, locks: bool) -> dict[UUID, Refusal | None]:
    params = {
        "ids": list(message_ids),
        "kinds": [kind.value for kind in KINDS],
        "unknown": list(MAY_HAVE_ARRIVED),
        "lease": settings.SEND_LEASE_SECONDS,
    }
    if locks:
        execute_planned(_HOLD_CHATS, {"ids": params["ids"]})
    return _complete(message_ids, execute_planned(f"{statement} {_LOCK if locks else ''}", params))


def _complete(
    message_ids: Collection[UUID], rows: Iterable[tuple[UUID, str | None] | tuple[object, ...]]
) -> dict[UUID, Refusal | None]:
    judged: dict[UUID, Refusal | None] = dict.fromkeys(message_ids, Refusal.NOT_FAILED)
    for message_id, refusal in rows:
        judged[message_id] = Refusal(refusal) if refusal else None  # type: ignore[index, arg-type]
    return judged


def _allowed(judged: dict[UUID, Refusal | None]) -> list[UUID]:
    return [message_id for message_id, refusal in judged.items() if refusal is None]


def _record(message_ids: Sequence[UUID], by: Actor, action: Action, words: str) -> None:
    """Record what was done to texts in the audit log, and by an operator in the history of their pages."""
    messages = [Message(pk=message_id) for message_id in message_ids]
    if not messages:
        return
    record_all(action=action, by=by, on=messages)
    if by.kind == AuditEntry.ActorKind.OPERATOR:
        LogEntry.objects.log_actions(user_id=int(by.id), queryset=messages, action_flag=CHANGE, change_message=words)
    log.info("failures seen to", action=action.value, texts=len(messages))
