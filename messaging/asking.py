"""Ask platforms about texts: post each question signed, and read the answer; anything but a clear one is none."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
import structlog
from cryptography.fernet import InvalidToken
from django.utils import timezone

from messaging.approvals import Question, Status, Verdict, carry_out, claim_questions, default_of
from messaging.gateways.fields import find_obstacle
from platforms.events import show_time
from platforms.signing import sign_webhook
from proxy_project import public_http
from proxy_project.encryption import decrypt
from proxy_project.errands import RUN_SECONDS, Errands

log = structlog.get_logger(__name__)

MAX_ANSWER_BYTES = 64 * 1024
MAX_REASON_LENGTH = 500
# After so many workers that did not live to write down an answer, there is none.
_MAX_ATTEMPTS = 3
# By its action: the other keys that an answer may have, each a text.
_ACTIONS = {"relay": {"text"}, "block": {"reason"}}


class BadAnswer(Exception):
    """The answer is none of those that are documented; the message says why not."""


def ask_platforms(*, run_seconds: float = RUN_SECONDS) -> bool:
    """Ask about every text that is due, and do what was answered; return whether some may be left."""
    return _errands.run(run_seconds=run_seconds)


def read_answer(body: bytes) -> dict[str, str]:
    """Return an answer: its `action`, and `text` or `reason` where it has one. Raises BadAnswer."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise BadAnswer("Its answer is not JSON.") from None
    action = answer.get("action") if isinstance(answer, dict) else None
    if not isinstance(action, str) or action not in _ACTIONS:
        raise BadAnswer('Its answer has no "action" that is "relay" or "block".')
    if not answer.keys() <= {"action"} | _ACTIONS[action]:
        raise BadAnswer("Its answer has a key that is not documented for its action.")
    if not all(isinstance(value, str) and "\0" not in value for value in answer.values()):
        raise BadAnswer("Its answer has a value that is not a text.")
    if "text" in answer and (obstacle := find_obstacle(answer["text"])):
        raise BadAnswer(f"The text of its answer is {obstacle.replace('_', ' ')}.")
    return answer


async def _ask(session: aiohttp.ClientSession, question: Question) -> Verdict:
    if not question.is_awaited:
        return Verdict(question, Status.MOOT)
    if question.url is None:
        # The hook was removed since the text came.
        return Verdict(question, Status.APPROVED)
    if question.is_skipped:
        error = "It was not asked, because it has failed too often in a row."
        return Verdict(question, default_of(question), error=error)
    if question.attempt > _MAX_ATTEMPTS:
        error = "The service was interrupted each time it asked."
        return Verdict(question, default_of(question), error=error)
    try:
        body, headers = _write(question, now=datetime.now(UTC))
    except InvalidToken:
        log.error("a key is missing among ENCRYPTION_KEYS", message=str(question.message_id))
        return Verdict(question, Status.WAITING)
    try:
        answer = await _post(session, question, body, headers)
    except (public_http.PublicHttpError, BadAnswer) as error:
        return Verdict(question, default_of(question), error=str(error), was_asked=True)
    except Exception as error:  # whatever it is, the others go on and this text is not forgotten
        log.error("asking broke", message=str(question.message_id), error=type(error).__name__)
        words = f"Asking ended in an unexpected error ({type(error).__name__})."
        return Verdict(question, default_of(question), error=words, was_asked=True)
    if answer["action"] == "block":
        reason = answer.get("reason", "")[:MAX_REASON_LENGTH]
        return Verdict(question, Status.BLOCKED, reason=reason, was_asked=True)
    if "text" in answer:
        return Verdict(question, Status.CHANGED, text=answer["text"], was_asked=True)
    return Verdict(question, Status.APPROVED, was_asked=True)


def _write(question: Question, *, now: datetime) -> tuple[str, dict[str, str]]:
    """Return the body of a question and its headers. Raises cryptography's InvalidToken."""
    asked: dict[str, Any] = {
        "type": "message.approval",
        "timestamp": show_time(question.created_at),
        "data": {
            "chat": {"id": str(question.chat_id), "reference": question.reference},
            "message": {
                "id": str(question.message_id),
                "participant": str(question.participant_id),
                "text": decrypt(question.encrypted_body),
                "attachments": [{"kind": kind} for kind in question.attachments],
                "created_at": show_time(question.created_at),
            },
        },
    }
    body = json.dumps(asked, ensure_ascii=False, separators=(",", ":"))
    secrets = [decrypt(secret) for secret in question.encrypted_secrets]
    return body, sign_webhook(id=str(question.message_id), body=body, secrets=secrets, now=now)


async def _post(
    session: aiohttp.ClientSession, question: Question, body: str, headers: dict[str, str]
) -> dict[str, str]:
    assert question.url  # there is a hook
    answer = await public_http.request(
        session,
        "POST",
        question.url,
        timeout_seconds=question.timeout_seconds,
        max_bytes=MAX_ANSWER_BYTES,
        # A lone surrogate, which a text can carry, is none of UTF-8.
        body=body.encode("utf-8", "replace"),
        headers=headers,
    )
    if not 200 <= answer.status < 300:
        raise BadAnswer(f"It answered {answer.status}.")
    return read_answer(answer.body)


def _record(verdicts: Sequence[Verdict]) -> None:
    carry_out(verdicts, now=timezone.now())


_errands = Errands(claim=lambda limit: claim_questions(limit=limit), attempt=_ask, record=_record)
