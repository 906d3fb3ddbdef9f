"""Claim the questions to platforms that are due, and do what they answered: conditional updates, as of the sender.

Any number of workers do this at once. All times are the database's, so that the workers' clocks need not agree.
docs/decisions/0021-approval-hook.md
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from messaging.events import record_blocked
from messaging.media.release import release_text
from messaging.models import Approval, Message
from messaging.screening import DISCLOSURE, screen_replacement
from messaging.writing import queue_automatic_text
from platforms.models import LONGEST_APPROVAL_SECONDS, ApprovalHook
from platforms.templates import TemplateKind
from proxy_project.encryption import encrypt
from proxy_project.sql import execute_planned, execute_prepared

log = structlog.get_logger(__name__)

# The task of the worker that asks, and its queueing lock.
ASK = "ask_for_approval"
BLOCKED_BY_PLATFORM = "blocked_by_platform"
# Questions to one platform at a time, of all workers together.
PER_PLATFORM = 20
# A hook that has failed so often in a row is not asked for so long; then one text at a time, until it answers.
SKIP_AFTER_FAILURES = 5
SKIP_FOR = timedelta(seconds=30)
# Longer than a request may take, with what else a busy worker does.
LEASE_SECONDS = LONGEST_APPROVAL_SECONDS + 20
# What cannot be read, because a key is missing, is looked at again after so long.
_PUT_OFF = timedelta(minutes=1)

Status = Approval.Status


@dataclass(frozen=True, slots=True)
class Question:
    """A text about which a platform is ours to ask, until the lease ends; without a `url`, the hook was removed."""

    message_id: UUID
    attempt: int
    platform_id: UUID
    is_awaited: bool
    chat_id: UUID
    reference: str | None
    participant_id: UUID
    encrypted_body: str = field(repr=False)
    attachments: list[str]
    created_at: datetime
    url: str | None
    encrypted_secrets: list[str] = field(repr=False)
    timeout_seconds: int
    default: str
    is_skipped: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done with a text: `status` says it; WAITING puts the question off.

    An `error` says why there was no answer, and the default counts; `was_asked` whether the hook is to blame.
    """

    question: Question
    status: Approval.Status
    text: str = field(default="", repr=False)
    reason: str = field(default="", repr=False)
    error: str = ""
    was_asked: bool = False


# Each platform has its own share, so that a slow one delays nobody else. The rows are locked until they are claimed:
# another worker passes over them, and then finds them claimed. OFFSET 0 makes the question for an earlier text a
# probe for each, whatever PostgreSQL believes of the size of the queue.
_CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT waiting.message_id
          FROM platforms_platform AS platform
          LEFT JOIN platforms_approvalhook AS hook ON hook.platform_id = platform.id
         CROSS JOIN LATERAL (
               SELECT message_id FROM messaging_approval AS candidate
                WHERE candidate.platform_id = platform.id AND status IN ('waiting', 'asking') AND due_at <= now()
                  AND NOT EXISTS (
                          SELECT FROM messaging_approval AS earlier
                           WHERE earlier.recipient_id = candidate.recipient_id
                             AND earlier.position < candidate.position AND earlier.status IN ('waiting', 'asking')
                          OFFSET 0
                      )
                ORDER BY due_at, position
                LIMIT GREATEST(0, (
                          SELECT CASE WHEN hook.consecutive_failures >= %(skip_after)s AND hook.skipped_until <= now()
                                      THEN 1 ELSE %(per_platform)s END - count(*)
                            FROM messaging_approval AS under_way
                           WHERE under_way.platform_id = platform.id AND status = 'asking' AND due_at > now()
                      ))
                  FOR NO KEY UPDATE SKIP LOCKED
               ) AS waiting
         LIMIT %(limit)s
    )
    UPDATE messaging_approval AS approval
       SET status = 'asking', attempts = approval.attempts + 1, due_at = now() + %(lease)s * interval '1 second'
      FROM due
      JOIN messaging_message AS inbound ON inbound.id = due.message_id
      JOIN chats_chat AS chat ON chat.id = inbound.chat_id
      LEFT JOIN platforms_approvalhook AS hook ON hook.platform_id = chat.platform_id
     WHERE approval.message_id = due.message_id
    RETURNING approval.message_id, approval.attempts, approval.platform_id,
              EXISTS (SELECT FROM messaging_message WHERE relays_id = inbound.id AND status = 'preparing'),
              chat.id, chat.reference, inbound.participant_id, inbound.body,
              ARRAY(SELECT kind FROM messaging_attachment WHERE message_id = inbound.id ORDER BY position),
              inbound.created_at, hook.url,
              CASE WHEN hook.previous_secret_until > now() THEN ARRAY[hook.secret, hook.previous_secret]
                   ELSE ARRAY[hook.secret] END,
              hook.timeout_seconds, hook.default, COALESCE(hook.skipped_until > now(), FALSE)
"""


def claim_questions(*, limit: int) -> list[Question]:
    """Claim up to `limit` texts to ask about, the first of each recipient only, fairly among platforms."""
    params = {
        "limit": limit,
        "per_platform": PER_PLATFORM,
        "skip_after": SKIP_AFTER_FAILURES,
        "lease": LEASE_SECONDS,
    }
    return [Question(*row) for row in execute_planned(_CLAIM, params)]


# Only of the attempt that this verdict is of: somebody else may have asked since.
_SETTLE = """
    UPDATE messaging_approval
       SET status = %(status)s, due_at = NULL, settled_at = now(), error = %(error)s, reason = %(reason)s
     WHERE message_id = %(id)s AND status = 'asking' AND attempts = %(attempt)s
    RETURNING message_id
"""
_PUT_OFF_QUESTION = """
    UPDATE messaging_approval SET status = 'waiting', attempts = attempts - 1, due_at = now() + %(wait)s::interval
     WHERE message_id = %(id)s AND status = 'asking' AND attempts = %(attempt)s
"""
_HOOK_WORKS = """
    UPDATE platforms_approvalhook SET consecutive_failures = 0, skipped_until = NULL, last_success_at = now()
     WHERE platform_id = %(id)s AND (consecutive_failures > 0 OR last_success_at IS NULL
                                     OR last_success_at < now() - interval '1 second')
"""
_HOOK_FAILS = """
    UPDATE platforms_approvalhook
       SET consecutive_failures = consecutive_failures + 1, last_failure_at = now(), last_failure = %(error)s,
           skipped_until = CASE WHEN consecutive_failures + 1 >= %(skip_after)s THEN now() + %(skip_for)s::interval END
     WHERE platform_id = %(id)s
"""


def carry_out(verdicts: Sequence[Verdict], *, now: datetime) -> None:
    """Do with each text what was decided. One that breaks is asked about again when its lease ends."""
    # Always in one order, so that two workers do not wait for each other.
    for verdict in sorted(verdicts, key=lambda verdict: verdict.question.message_id):
        try:
            with transaction.atomic():
                _carry_out(verdict, now)
        except Exception as error:  # whatever it is, the others are carried out
            # What it says could quote the text.
            log.error("approval broke", message=str(verdict.question.message_id), error=type(error).__name__)
        else:
            _log(verdict)


def _carry_out(verdict: Verdict, now: datetime) -> None:
    question = verdict.question
    ours = {"id": question.message_id, "attempt": question.attempt}
    if verdict.status is Status.WAITING:
        execute_prepared(_PUT_OFF_QUESTION, {**ours, "wait": _PUT_OFF})
        return
    settled = {
        "status": verdict.status.value,
        "error": verdict.error[:200],
        "reason": encrypt(verdict.reason) if verdict.reason else "",
    }
    if not execute_prepared(_SETTLE, {**ours, **settled}):
        return
    if verdict.status is Status.BLOCKED:
        why = _NO_ANSWER if verdict.error else _NOT_APPROVED
        _block(verdict, why, now)
    elif verdict.status is Status.CHANGED:
        _change(verdict, now)
    elif verdict.status is not Status.MOOT:
        release_text(question.message_id)
    if verdict.was_asked:
        _note_health(verdict)


# No text of it was ever on its way to anybody, as of every other text that is BLOCKED.
_REMOVE_RELAY = "DELETE FROM messaging_message WHERE relays_id = %(id)s AND status = 'preparing' RETURNING id"


@dataclass(frozen=True, slots=True)
class _Why:
    """Why a text is not passed on: as the log has it, and what its writer is told; `about` is how often."""

    code: str
    detail: str
    told: TemplateKind
    about: str


_NOT_APPROVED = _Why(
    BLOCKED_BY_PLATFORM, "The platform's approval hook blocked it.", TemplateKind.NOT_APPROVED, about="blocked"
)
_NO_ANSWER = _Why(
    BLOCKED_BY_PLATFORM,
    "The platform's approval hook gave no answer, and then texts are blocked.",
    TemplateKind.NOT_CHECKED,
    about="unchecked",
)
# Its writer has not written that, and so is not told what to leave out.
_CHANGED_TO_DISCLOSURE = _Why(
    DISCLOSURE,
    "What the platform's approval hook has put in its place gives somebody away.",
    TemplateKind.NOT_APPROVED,
    about="blocked",
)


def _change(verdict: Verdict, now: datetime) -> None:
    """Put the platform's words in the place of those that were written, as far as the chat's rules let them pass."""
    message_id = verdict.question.message_id
    screened = screen_replacement(message_id=message_id, body=verdict.text)
    if screened.disclosures:
        inbound = Message.objects.filter(pk=message_id)
        known = inbound.values_list("disclosures", flat=True).get() or []
        inbound.update(disclosures=sorted({*known, *screened.disclosures}))
    if screened.obstacle:
        _block(verdict, _CHANGED_TO_DISCLOSURE, now)
        return
    relay = Message.objects.filter(relays=message_id, status=Message.Status.PREPARING)
    relay.update(body=verdict.text if screened.body is None else screened.body)
    release_text(message_id)


def _block(verdict: Verdict, why: _Why, now: datetime) -> None:
    """Take the relay back, and tell the writer and the platform; too late for one that waits no more."""
    message_id = verdict.question.message_id
    if not execute_prepared(_REMOVE_RELAY, {"id": message_id}):
        Approval.objects.filter(pk=message_id).update(status=Status.MOOT)
        return
    Message.objects.filter(pk=message_id).update(
        status=Message.Status.BLOCKED, error_code=why.code, error_detail=why.detail
    )
    inbound = Message.objects.select_related("chat__platform", "participant").defer("body").get(pk=message_id)
    assert inbound.participant  # a relayed text is a participant's
    queue_automatic_text(
        kind=why.told,
        recipient=inbound.participant,
        once_key=f"{why.about}:{inbound.participant_id}:{now:%Y-%m-%dT%H:%M}",
    )
    record_blocked(message=inbound, now=now)


def _note_health(verdict: Verdict) -> None:
    hook = {"id": verdict.question.platform_id}
    if not verdict.error:
        execute_prepared(_HOOK_WORKS, hook)
        return
    failure = {"error": verdict.error[:200], "skip_after": SKIP_AFTER_FAILURES, "skip_for": SKIP_FOR}
    execute_prepared(_HOOK_FAILS, {**hook, **failure})


def _log(verdict: Verdict) -> None:
    ids = {"message": str(verdict.question.message_id), "platform": str(verdict.question.platform_id)}
    if verdict.error:
        log.warning("platform gave no answer", **ids, settled=verdict.status.value, reason=verdict.error)
    else:
        log.info("platform asked", **ids, settled=verdict.status.value)


def default_of(question: Question) -> Approval.Status:
    """Return what becomes of a text about which there is no answer."""
    return Status.BLOCKED if question.default == ApprovalHook.Default.BLOCK else Status.APPROVED
