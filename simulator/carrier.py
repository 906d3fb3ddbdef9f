"""The carrier's side of the wire: take texts and MMS at POST /v1/messages."""

import asyncio
import logging
import math
import random
import time
import uuid
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from simulator.connections import hang_up
from simulator.faults import FaultSet
from simulator.fetching import Fetcher, find_route_error
from simulator.opt_outs import OptOuts
from simulator.pacing import Arrivals, RateLimiter
from simulator.receipts import Receipts
from simulator.records import Text
from simulator.sends import Refused, SendRequest, read_send_request
from simulator.state import State
from simulator.tokens import TokenChecker
from simulator.wire import add_plus, make_problem

PATH = "/v1/messages"
_JSON = "application/json"
_PROBLEM = "application/problem+json"
_BAD_GATEWAY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


_log = logging.getLogger("simulator.carrier")


@dataclass(slots=True)
class _Call:
    """One request to send, while it is answered."""

    arrived_at: float
    started: float
    raw: bytes = b""
    sent: SendRequest | None = None


class Carrier:
    """Accepts texts for handsets, at the rates it is told, and has receipts sent of what it accepted."""

    def __init__(
        self,
        *,
        state: State,
        faults: FaultSet,
        tokens: TokenChecker,
        receipts: Receipts,
        fetcher: Fetcher,
        opt_outs: OptOuts,
    ) -> None:
        self._state = state
        self._faults = faults
        self._tokens = tokens
        self._receipts = receipts
        self._fetcher = fetcher
        self._opt_outs = opt_outs
        self._limiter = RateLimiter()
        self._under_way: set[asyncio.Task[None]] = set()
        self.arrivals = Arrivals()

    def forget_all(self) -> Awaitable[object]:
        """Forget what arrived and stop fetching at once; wait for what is returned until that has stopped."""
        self.arrivals.clear()
        self._limiter.clear()
        under_way = list(self._under_way)
        for task in under_way:
            task.cancel()
        return asyncio.gather(*under_way, return_exceptions=True)

    async def answer_send(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /v1/messages and note the exchange."""
        call = _Call(arrived_at=time.time(), started=time.perf_counter())
        faults = self._faults
        if faults.active and (options := faults.strike("refuse")) is not None:
            self._note(call, None, error="refused before reading")
            return hang_up(request, reset=options["reset"])
        call.raw = await request.read()
        problem: bytes | None = None
        try:
            call.sent = sent = read_send_request(call.raw)
            numbers = (add_plus(sent.sender), add_plus(sent.to))
        except Refused as refused:
            problem, numbers = refused.body, ("", "")
        if faults.active:
            await self._delay(numbers)
            if (options := faults.strike("respond_with", *numbers)) is not None:
                return self._answer(call, options["status"], retry_after=options.get("retry_after"))
        if not self._tokens.check(request.headers.get("Authorization"), time.time()):
            return self._answer(call, 401)
        if call.sent is None:
            return self._answer(call, 422, problem)
        if faults.active and (wait_s := self._pace(call.sent.segments, numbers)):
            return self._answer(call, 429, retry_after=math.ceil(wait_s))
        text = self._accept(call.sent, *numbers)
        if faults.active and self._is_blocked(text):
            self._receipts.reject(text, "1240")
        elif text.channel == "mms":
            self._go_on(self._transport(text))
        else:
            await self._receipts.send(text)
        if faults.active:
            if (options := faults.strike("drop_after_accept", *numbers)) is not None:
                self._note(call, None, error="dropped after accepting", accepted=True)
                return hang_up(request, reset=options["reset"])
            if faults.strike("empty_202", *numbers) is not None:
                return self._answer(call, 202, b"")
        return self._answer(call, 202, f'{{"message_uuid":"{text.message_uuid}"}}'.encode())

    def _pace(self, segments: int, numbers: tuple[str, str]) -> float:
        """Return for how many seconds a text comes too early for its number or the account; 0 when it may pass."""
        now = time.monotonic()
        rates = {}
        if (options := self._faults.look_up("number_rate", *numbers)) is not None:
            rates["number_rate"] = (numbers[0], options.get("numbers", {}).get(numbers[0], options["value"]), segments)
        if (options := self._faults.look_up("account_rate", *numbers)) is not None:
            rates["account_rate"] = ("account", options["value"], 1)
        for name, (key, rate, _) in rates.items():
            wait_s = self._limiter.wait(key, per_second=rate, now=now)
            if wait_s and self._faults.strike(name, *numbers) is not None:
                return wait_s
        for key, rate, amount in rates.values():
            self._limiter.take(key, per_second=rate, amount=amount, now=now)
        return 0

    def _is_blocked(self, text: Text) -> bool:
        numbers = (text.virtual_number, text.handset)
        return self._opt_outs.is_blocked(*numbers) and self._faults.strike("opt_out_assist", *numbers) is not None

    async def _transport(self, text: Text) -> None:
        """Fetch the media of an MMS and tell what became of it."""
        error_code = find_route_error(text) or await self._fetcher.fetch_all(text)
        if error_code is not None:
            self._receipts.reject(text, error_code)
        else:
            await self._receipts.send(text)

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something after the answer; the texts it is done for count as under way."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        self._state.mms_under_way = len(self._under_way)
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._state.mms_under_way = len(self._under_way)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("an MMS failed inside the simulator", exc_info=error)

    async def _delay(self, numbers: tuple[str, str]) -> None:
        delay_ms = 0.0
        if (options := self._faults.strike("latency_ms", *numbers)) is not None:
            delay_ms += options["value"]
        if (options := self._faults.strike("jitter_ms", *numbers)) is not None:
            delay_ms += random.uniform(0, options["value"])
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)

    def _accept(self, sent: SendRequest, virtual_number: str, handset: str) -> Text:
        now = time.time()
        self._state.count_accepted(virtual_number, int(now))
        return self._state.add_text(
            direction="to_handset",
            handset=handset,
            virtual_number=virtual_number,
            text=sent.text,
            message_uuid=str(uuid.uuid4()),
            at=now,
            segments=sent.segments,
            status="accepted",
            channel=sent.channel,
            client_ref=sent.client_ref,
            webhook_url=sent.webhook_url,
            media=sent.media,
        )

    def _answer(
        self, call: _Call, status: int, body: bytes | None = None, *, retry_after: int | None = None
    ) -> web.Response:
        headers = {"X-Request-Id": str(uuid.uuid4())}
        if body is None:
            body = _BAD_GATEWAY_PAGE if status == 502 else make_problem(status)
        if status == 429:
            headers |= {"X-RateLimit-Limit": "30", "X-RateLimit-Remaining": "0"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        content_type = "text/html" if status == 502 else _JSON if status in (202, 422) else _PROBLEM
        self._note(call, status, body, accepted=status == 202)
        return web.Response(status=status, body=body, headers=headers, content_type=content_type)

    def _note(
        self, call: _Call, status: int | None, answer: bytes = b"", *, error: str | None = None, accepted: bool = False
    ) -> None:
        if call.sent is not None:
            self.arrivals.note(call.arrived_at, call.sent, status, accepted=accepted)
        self._state.count_request(status, accepted=accepted)
        self._state.add_exchange(
            direction="request",
            kind="send",
            url=PATH,
            status=status,
            ms=(time.perf_counter() - call.started) * 1000,
            body=call.raw,
            answer=answer,
            error=error,
        )
