"""Deliver events to the platforms' endpoints: claim what is due, post it signed, write down what became of it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import structlog
from cryptography.fernet import InvalidToken

from platforms.deliveries import Delivery, Outcome, claim_deliveries, record_outcomes
from platforms.events import decrypt_data, show_time
from platforms.signing import sign_webhook
from proxy_project import public_http
from proxy_project.encryption import decrypt
from proxy_project.errands import RUN_SECONDS, Errands

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 15


def deliver_due_events(*, run_seconds: float = RUN_SECONDS) -> bool:
    """Deliver events until none is due, and wait for all answers; return whether some may be left."""
    return _errands.run(run_seconds=run_seconds)


async def _attempt(session: aiohttp.ClientSession, delivery: Delivery) -> Outcome:
    try:
        body, headers = sign(delivery, now=datetime.now(UTC))
    except InvalidToken:
        return Outcome(delivery, error="The key that encrypted it is not among ENCRYPTION_KEYS.")
    try:
        answer = await public_http.request(
            session,
            "POST",
            delivery.url,
            timeout_seconds=TIMEOUT_SECONDS,
            max_bytes=None,
            body=body.encode(),
            headers=headers,
        )
    except public_http.PublicHttpError as error:
        return Outcome(delivery, error=str(error))
    except Exception as error:  # whatever it is, the others go on and this one is tried again
        log.exception("delivery broke", event_id=str(delivery.event_id), endpoint=str(delivery.endpoint_id))
        return Outcome(delivery, error=f"Delivering ended in an unexpected error ({type(error).__name__}).")
    return _judge(delivery, answer)


def sign(delivery: Delivery, *, now: datetime) -> tuple[str, dict[str, str]]:
    """Return the body of a webhook and its headers, with a signature by each live secret.

    Raises cryptography's InvalidToken.
    """
    body = json.dumps(
        {
            "type": delivery.event_type,
            "timestamp": show_time(delivery.occurred_at),
            "data": decrypt_data(payload=delivery.encrypted_payload, body=delivery.encrypted_body),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
    secrets = [decrypt(secret) for secret in delivery.encrypted_secrets]
    return body, sign_webhook(id=str(delivery.event_id), body=body, secrets=secrets, now=now)


def _judge(delivery: Delivery, answer: public_http.Answer) -> Outcome:
    if 200 <= answer.status < 300:
        return Outcome(delivery)
    if answer.status == 410:
        return Outcome(delivery, error="It answered 410 (Gone), and was switched off.", is_gone=True)
    if 300 <= answer.status < 400:
        return Outcome(delivery, error=f"It answered {answer.status}; redirects are not followed.")
    return Outcome(
        delivery,
        error=f"It answered {answer.status}.",
        retry_after=_read_retry_after(answer.headers.get("retry-after", ""), datetime.now(UTC)),
    )


def _read_retry_after(value: str, now: datetime) -> timedelta | None:
    """Return how long a host asks to be left alone: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after"""
    if value.isascii() and value.isdecimal():
        return timedelta(seconds=int(value[:9]))
    try:
        return max(parsedate_to_datetime(value) - now, timedelta(0))
    except (ValueError, TypeError, OverflowError):
        return None


def _record(outcomes: Sequence[Outcome]) -> None:
    record_outcomes(outcomes)
    for outcome in outcomes:
        ids = {"event_id": str(outcome.delivery.event_id), "endpoint": str(outcome.delivery.endpoint_id)}
        if outcome.error is None:
            log.info("event delivered", **ids, attempt=outcome.delivery.attempt)
        else:
            log.warning("event not delivered", **ids, attempt=outcome.delivery.attempt, reason=outcome.error)


_errands = Errands(claim=lambda limit: claim_deliveries(limit=limit), attempt=_attempt, record=_record)
