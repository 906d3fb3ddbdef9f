"""Take plain webhooks that come at the same time together: a few statements for all of them, not for each.

Plain are signed texts that are simply passed on, and receipts that say that a text is on its way or has arrived: nearly
all there are. Whatever is not, or cannot be taken, goes on to Django as if nothing had been, to messaging.webhooks.
docs/decisions/0033-webhooks-together.md
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.db import close_old_connections
from django.http.request import split_domain_port, validate_host
from django.utils import timezone

from messaging.gateways import InboundText, Progress, Receipt, WebhookError, vonage_webhooks
from messaging.receipts import record_plain_receipts
from messaging.relay import relay_plain_texts
from messaging.signatures import note_signature
from proxy_project.bodies import Application, Receive, Scope, Send, read_body
from proxy_project.ids import make_id
from proxy_project.request_ids import HEADER
from proxy_project.together import Together
from proxy_project.tracing import trace
from proxy_project.webhook_path import PATHS, make_answer

log = structlog.get_logger(__name__)

_EXPECTED: dict[str, type[InboundText] | type[Receipt]] = dict(zip(PATHS, (InboundText, Receipt), strict=True))
# Vonage's are some hundred bytes; larger ones have attachments, or are nothing that is plain.
_MOST_BYTES = 16 * 1024
# Batches of texts, and as many of receipts, that a process has at work at most: each has a connection to the database.
BATCHES_AT_ONCE = 2


class _News(NamedTuple):
    """What a webhook says, and the id of its request, for the log."""

    says: InboundText | Receipt
    request: str


class WebhooksTogether:
    """The ASGI application in front of another one, which gets whatever is no plain webhook."""

    def __init__(self, otherwise: Application) -> None:
        self._otherwise = otherwise
        self._pool = ThreadPoolExecutor(2 * BATCHES_AT_ONCE, thread_name_prefix="webhooks")
        self._texts = Together(_relay_texts, pool=self._pool, at_once=BATCHES_AT_ONCE)
        self._receipts = Together(_record_receipts, pool=self._pool, at_once=BATCHES_AT_ONCE)
        self._headers = [(name.lower().encode(), value.encode()) for name, value in make_answer().items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in _EXPECTED:
            await self._answer(scope, receive, send)
        else:
            await self._otherwise(scope, receive, send)

    def close(self) -> None:
        """Return when nothing is at work any more."""
        self._pool.shutdown()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, receive = await read_body(receive, most_bytes=_MOST_BYTES)
        says = None if body is None else _read_plain(scope, body)
        if says is None:
            await self._otherwise(scope, receive, send)
            return
        news = _News(says, str(make_id()))
        taking = (
            self._texts.take(news, key=says.from_number)
            if isinstance(says, InboundText)
            else self._receipts.take(news, key=says.reference)
        )
        with trace(f"POST {scope['path']}", request=news.request, method="POST") as span:
            async with taking as is_taken:
                if not is_taken:
                    await self._otherwise(scope, receive, send)
                    return
            if span:
                span.set_attribute("http.response.status_code", 200)
        headers = [*self._headers, (HEADER.lower().encode(), news.request.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _read_plain(scope: Scope, body: bytes) -> InboundText | Receipt | None:
    """Return what a webhook says when it is well signed, at its own URL, and plain; Django answers all others."""
    headers = dict(scope["headers"])
    domain, _ = split_domain_port(headers.get(b"host", b"").decode("latin-1"))
    if not validate_host(domain, settings.ALLOWED_HOSTS):
        return None
    expected = _EXPECTED[scope["path"]]
    try:
        says = vonage_webhooks.read_webhook(
            authorization=headers.get(b"authorization", b"").decode("latin-1"), body=body, expected=expected
        )
    except WebhookError:
        return None
    match says:
        case InboundText(media=()) if expected is InboundText:
            return says
        case Receipt(reference=UUID(), progress=Progress.SENT | Progress.DELIVERED) if expected is Receipt:
            return says
    return None


def _relay_texts(news: Sequence[_News]) -> Sequence[bool]:
    texts = [each.says for each in news if isinstance(each.says, InboundText)]
    requests = [each.request for each in news]
    return _or_none_of_them(len(news), lambda: relay_plain_texts(texts, now=timezone.now(), requests=requests))


def _record_receipts(news: Sequence[_News]) -> Sequence[bool]:
    receipts = [each.says for each in news if isinstance(each.says, Receipt)]
    requests = [each.request for each in news]
    return _or_none_of_them(len(news), lambda: record_plain_receipts(receipts, requests=requests))


def _or_none_of_them(count: int, take: Callable[[], Sequence[bool]]) -> Sequence[bool]:
    """Return what `take` does, or when it fails, that nothing was taken: then each goes on alone, and fails alone."""
    # What Django does at the beginning of a request: replace a connection that is dead or was left in an error.
    close_old_connections()
    try:
        note_signature()
        return take()
    except Exception as error:
        log.warning("webhooks not taken together", webhooks=count, error=type(error).__name__)
        return [False] * count
