"""Deliver webhooks as Vonage does: each on its own, tried again for 24 hours on a clock that can be scaled."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
from yarl import URL

from simulator.faults import FaultSet
from simulator.legacy import address
from simulator.records import Text
from simulator.state import KEPT_BODY, State
from simulator.tokens import WebhookSigner

FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 15 * 60.0
GIVE_UP_AFTER_S = 24 * 3600.0
CONNECT_TIMEOUT_S = 3.0
MOST_PENDING = 200_000

_log = logging.getLogger("simulator.webhooks")


@dataclass(slots=True, eq=False)
class Webhook:
    """One delivery of one event; the body is made when it is first due, so that its timestamp is right."""

    kind: str  # inbound or status
    url: str
    make_body: Callable[[], bytes]
    text: Text
    sign: str = "good"
    status: str | None = None  # what a receipt says
    body: bytes | None = None
    attempts: int = 0
    first_at: float = 0.0
    timer: asyncio.TimerHandle | None = None
    attempted: asyncio.Future[None] | None = None
    then: "Webhook | None" = None  # scheduled once this one was tried
    wire: str = ""  # one of legacy.FORMATS, in place of the Messages API's


class Deliverer:
    """Delivers webhooks over a limited number of connections until each is taken, lost or forgotten."""

    def __init__(
        self,
        *,
        state: State,
        faults: FaultSet,
        signer: WebhookSigner,
        clock_scale: float,
        connections: int,
        timeout_s: float,
    ) -> None:
        self._state = state
        self._faults = faults
        self._signer = signer
        self._clock_scale = clock_scale
        self._connections = connections
        self._timeout_s = timeout_s
        self._due: deque[Webhook] = deque()
        self._waiting: set[Webhook] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            # Shorter than the 2 s after which common servers close idle connections: a webhook sent into
            # a closing connection would be lost until its retry.
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=1.0),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json"},
        )

    async def stop(self) -> None:
        await self.forget_all()
        if self._session is not None:
            await self._session.close()

    def schedule(self, webhook: Webhook, delay_s: float = 0.0) -> None:
        """Deliver a new webhook after a delay in real seconds."""
        counts = self._state.webhooks[webhook.kind]
        if counts.pending >= MOST_PENDING:
            counts.lost += 1
            self._settle_text(webhook, delivered=False)
            return
        counts.pending += 1
        self._wait(webhook, delay_s)

    def forget_all(self) -> Awaitable[object]:
        """Drop every pending webhook at once; wait for what is returned until those under way are dropped too."""
        for webhook in self._waiting:
            if webhook.timer is not None:
                webhook.timer.cancel()
        self._waiting.clear()
        self._due.clear()
        running = list(self._running)
        for task in running:
            task.cancel()
        return asyncio.gather(*running, return_exceptions=True)

    def _wait(self, webhook: Webhook, delay_s: float) -> None:
        if delay_s <= 0:
            self._make_due(webhook)
            return
        self._waiting.add(webhook)
        webhook.timer = asyncio.get_running_loop().call_later(delay_s, self._make_due, webhook)

    def _make_due(self, webhook: Webhook) -> None:
        webhook.timer = None
        self._waiting.discard(webhook)
        self._due.append(webhook)
        self._start_due()

    def _start_due(self) -> None:
        while self._due and len(self._running) < self._connections:
            task = asyncio.create_task(self._attempt(self._due.popleft()))
            self._running.add(task)
            task.add_done_callback(self._finish_task)

    def _finish_task(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a webhook failed inside the simulator", exc_info=error)
        self._start_due()

    async def _attempt(self, webhook: Webhook) -> None:
        """Post a webhook once, then settle it or put it off."""
        if webhook.body is None:
            webhook.body = webhook.make_body()
            webhook.first_at = time.monotonic()
            if webhook.status is not None:
                self._state.move_status(webhook.text, webhook.status)
        webhook.attempts += 1
        started = time.perf_counter()
        status, answer, error = await self._post(webhook, webhook.body)
        self._state.add_exchange(
            direction="webhook",
            kind=webhook.kind,
            method="GET" if webhook.wire == "legacy-get" else "POST",
            url=webhook.url,
            status=status,
            ms=(time.perf_counter() - started) * 1000,
            body=webhook.body,
            answer=answer,
            attempt=webhook.attempts,
            error=error,
        )
        self._record(webhook, status)
        if webhook.attempted is not None and not webhook.attempted.done():
            webhook.attempted.set_result(None)
        if webhook.then is not None:
            following, webhook.then = webhook.then, None
            self.schedule(following)

    async def _post(self, webhook: Webhook, body: bytes) -> tuple[int | None, bytes, str | None]:
        if webhook.wire:
            return await self._request(*address(webhook.wire, webhook.url, body))
        authorization = self._sign(webhook, body)
        headers = {"Authorization": authorization} if authorization else None
        return await self._request("POST", _parse_url(webhook.url), headers, body)

    def _sign(self, webhook: Webhook, body: bytes) -> str | None:
        """Sign each attempt anew, as badly as the faults want it."""
        if not self._faults.active:
            return self._signer.sign(body, sign=webhook.sign)
        sign = webhook.sign
        if self._strike("wrong_signature", webhook) is not None:
            sign = "wrong"
        if self._strike("unsigned_webhooks", webhook) is not None:
            sign = "none"
        return self._signer.sign(
            body,
            sign=sign,
            wrong_hash=self._strike("wrong_payload_hash", webhook) is not None,
            iat_skew_s=(self._strike("iat_skew_s", webhook) or {"value": 0})["value"],
        )

    def _strike(self, name: str, webhook: Webhook) -> dict[str, Any] | None:
        """Strike with a fault that may be for one kind of webhook only."""
        numbers = (webhook.text.virtual_number, webhook.text.handset)
        options = self._faults.look_up(name, *numbers)
        if options is None or options.get("kind", webhook.kind) != webhook.kind:
            return None
        return self._faults.strike(name, *numbers)

    async def _request(
        self, method: str, url: URL | str, headers: dict[str, str] | None, body: bytes | None
    ) -> tuple[int | None, bytes, str | None]:
        assert self._session is not None
        if isinstance(url, str):
            url = URL(url, encoded=True)
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return response.status, (await response.content.read(KEPT_BODY)), None
        except TimeoutError:
            return None, b"", "no answer in time"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return None, b"", type(error).__name__

    def _record(self, webhook: Webhook, status: int | None) -> None:
        counts = self._state.webhooks[webhook.kind]
        counts.attempts += 1
        if webhook.kind == "inbound":
            webhook.text.webhook_attempts += 1
            webhook.text.webhook_status = status
        if status is not None and 200 <= status < 300:
            counts.pending -= 1
            counts.delivered += 1
            self._settle_text(webhook, delivered=True)
            return
        delay_s = min(FIRST_RETRY_S * 2.0 ** min(webhook.attempts - 1, 20), LONGEST_RETRY_S) * self._clock_scale
        age_s = time.monotonic() - webhook.first_at
        worth_retrying = status is None or status == 429 or status >= 500
        if not worth_retrying or age_s + delay_s > GIVE_UP_AFTER_S * self._clock_scale:
            counts.pending -= 1
            counts.lost += 1
            self._settle_text(webhook, delivered=False)
            return
        counts.retried += 1
        if webhook.kind == "inbound":
            self._state.touch_text(webhook.text)
        self._wait(webhook, delay_s)

    def _settle_text(self, webhook: Webhook, *, delivered: bool) -> None:
        if webhook.kind == "inbound":
            webhook.text.webhook_done += delivered
            webhook.text.webhook_lost += not delivered
            self._state.touch_text(webhook.text)


@lru_cache(maxsize=1_000)
def _parse_url(url: str) -> URL:
    return URL(url)
