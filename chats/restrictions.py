"""Mute, block and report people in a chat: the only code that does. docs/decisions/0024-abuse.md"""

from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, QuerySet

from chats.events import record_report
from chats.models import Chat, Participant, Report
from messaging.withdrawals import BLOCKED, withdraw_relays_of, withdraw_texts

log = structlog.get_logger(__name__)

REPORTED = "reported by the other person"


def mute_participant(*, chat_id: UUID, participant_id: UUID, reason: str, now: datetime) -> Chat:
    """Pass on nothing more of what a person texts in their chat, and return the chat; they are not told.

    Texts of theirs that still wait to be sent are not sent. Who is muted stays as they are. Raises Chat.DoesNotExist
    and Participant.DoesNotExist.
    """
    with transaction.atomic():
        chat, participant = _hold(chat_id, participant_id)
        _mute(participant, reason, now)
    return chat


def unmute_participant(*, chat_id: UUID, participant_id: UUID, reason: str, now: datetime) -> Chat:
    """Pass on again what a person texts; open reports of them are handled by that. Raises as mute_participant does."""
    with transaction.atomic():
        chat, participant = _hold(chat_id, participant_id)
        Participant.objects.filter(pk=participant.pk).update(muted_at=None, mute_reason=reason)
        Report.objects.filter(reported=participant, handled_at=None).update(handled_at=now)
    return chat


def block_participant(*, chat_id: UUID, participant_id: UUID, reason: str, now: datetime) -> Chat:
    """Pass on nothing between a person and their chat, in either direction, and return the chat; they are not told.

    Nothing that waits is sent to them; whoever wrote it is told that it did not arrive. Who is blocked stays as they
    are. Raises as mute_participant does.
    """
    with transaction.atomic():
        chat, participant = _hold(chat_id, participant_id)
        free = Participant.objects.filter(pk=participant.pk, blocked_at=None)
        if free.update(blocked_at=now, block_reason=reason):
            withdraw_relays_of(participant_id=participant.pk)
            withdraw_texts(participant_ids=[participant.pk], why=BLOCKED)
    return chat


def unblock_participant(*, chat_id: UUID, participant_id: UUID, reason: str, now: datetime) -> Chat:
    """Let a person take part again who was blocked; one who is muted as well stays so. Raises as above."""
    with transaction.atomic():
        chat, participant = _hold(chat_id, participant_id)
        Participant.objects.filter(pk=participant.pk).update(blocked_at=None, block_reason=reason)
    return chat


def report_counterpart(*, chat_id: UUID, reporter_id: UUID, now: datetime) -> None:
    """Mute the other person for the one who reports them, and let the operator and the platform know.

    Belongs into the transaction that logs the text that said so. While a report is open, another changes nothing but
    that a person who was unmuted is muted again.
    """
    chat, reporter = _hold(chat_id, reporter_id)
    reported = Participant.objects.exclude(position=reporter.position).get(chat=chat, replaced_at=None)
    _mute(reported, REPORTED, now)
    opened = Report.objects.bulk_create(
        [Report(chat=chat, reporter=reporter, reported=reported, created_at=now)], ignore_conflicts=True
    )
    record_report(chat=chat, reporter=reporter, reported=reported, now=now)
    log.warning("participant reported", chat=str(chat.pk), reported=str(reported.pk), reports=len(opened))


def handle_reports(*, reports: QuerySet[Report], now: datetime) -> int:
    """Say that somebody has looked at reports; return how many were open. Whoever is muted stays muted."""
    return reports.filter(handled_at=None).update(handled_at=now)


def _hold(chat_id: UUID, participant_id: UUID) -> tuple[Chat, Participant]:
    """Return both, and let nobody else move the chat; texts that are being relayed are decided anew after that."""
    # Waits for relays that hold the row (messaging.inbox), as chats.services.lock_chat does.
    if not Chat.objects.filter(pk=chat_id).update(revision=F("revision") + 1):
        raise Chat.DoesNotExist
    chat = Chat.objects.select_related("platform").get(pk=chat_id)
    return chat, Participant.objects.select_related("virtual_number").get(pk=participant_id, chat=chat)


def _mute(participant: Participant, reason: str, now: datetime) -> None:
    free = Participant.objects.filter(pk=participant.pk, muted_at=None)
    if free.update(muted_at=now, mute_reason=reason):
        participant.muted_at = now
        withdraw_relays_of(participant_id=participant.pk)
