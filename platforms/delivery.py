"""Deliver events to the platforms' endpoints: claim what is due, post it signed, write down what became of it."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import structlog
from cryptography.fernet import InvalidToken
from standardwebhooks import Webhook

from platforms.deliveries import Delivery, Outcome, claim_deliveries, record_outcomes
from platforms.events import decrypt_data, show_time
from proxy_project import public_http
from proxy_project.encryption import decrypt

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 15
# The worker's job comes to its end, so that the worker can be stopped and other jobs have their turn.
RUN_SECONDS = 5.0
_UNDER_WAY = 200
_LOOK_AGAIN_SECONDS = 0.25

Submit = Callable[[Delivery], "Future[Outcome]"]


def deliver_due_events(*, run_seconds: float = RUN_SECONDS) -> bool:
    """Deliver events until none is due, and wait for all answers; return whether some may be left.

    New ones are begun for `run_seconds` at the most. A process that is killed meanwhile loses nothing: what it had
    claimed is delivered by others when its leases end.
    """
    ends_at = time.monotonic() + run_seconds
    with _courier() as submit:
        under_way: set[Future[Outcome]] = set()
        while True:
            may_begin = time.monotonic() < ends_at
            if may_begin and len(under_way) < _UNDER_WAY:
                under_way |= {submit(delivery) for delivery in claim_deliveries(limit=_UNDER_WAY - len(under_way))}
            if not under_way:
                return not may_begin
            done, under_way = wait(under_way, timeout=_LOOK_AGAIN_SECONDS, return_when=FIRST_COMPLETED)
            outcomes = [future.result() for future in done]
            record_outcomes(outcomes)
            _log(outcomes)


@contextmanager
def _courier() -> Iterator[Submit]:
    """Run an event loop in a thread of its own, in which deliveries are posted: this thread talks to the database."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    session = public_http.open_session()
    opened = asyncio.run_coroutine_threadsafe(session.__aenter__(), loop).result()
    try:
        yield lambda delivery: asyncio.run_coroutine_threadsafe(_attempt(opened, delivery), loop)
    finally:
        asyncio.run_coroutine_threadsafe(session.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


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

    Raises cryptography's InvalidToken. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec
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
    event_id = str(delivery.event_id)
    signatures = [Webhook(decrypt(secret)).sign(event_id, now, body) for secret in delivery.encrypted_secrets]
    return body, {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


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


def _log(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        ids = {"event_id": str(outcome.delivery.event_id), "endpoint": str(outcome.delivery.endpoint_id)}
        if outcome.error is None:
            log.info("event delivered", **ids, attempt=outcome.delivery.attempt)
        else:
            log.warning("event not delivered", **ids, attempt=outcome.delivery.attempt, reason=outcome.error)
