"""The carrier's side of the wire: take texts at POST /v1/messages, send receipts and inbound texts."""

import asyncio
import random
import socket
import struct
import time
import uuid
from functools import partial
from typing import Any

from aiohttp import web

from simulator.faults import FaultSet
from simulator.legacy import LegacyFormat, make_inbound_bodies, make_receipt_body
from simulator.segments import count_segments
from simulator.settings import Settings
from simulator.state import State, Text
from simulator.tokens import TokenChecker
from simulator.webhooks import Deliverer, Webhook
from simulator.wire import (
    Refused,
    SendRequest,
    add_plus,
    make_inbound_body,
    make_problem,
    make_status_body,
    read_send_request,
)

PATH = "/v1/messages"
SUBMITTED_AFTER_S = 0.3
DELIVERED_AFTER_S = 1.2
_JSON = "application/json"
_PROBLEM = "application/problem+json"
_BAD_GATEWAY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Carrier:
    """Accepts texts for handsets and hands texts from handsets to the service."""

    def __init__(
        self, *, settings: Settings, state: State, faults: FaultSet, tokens: TokenChecker, deliverer: Deliverer
    ) -> None:
        self._settings = settings
        self._state = state
        self._faults = faults
        self._tokens = tokens
        self._deliverer = deliverer

    async def answer_send(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /v1/messages and note the exchange."""
        started = time.perf_counter()
        faults = self._faults
        if faults.active and (options := faults.strike("refuse")) is not None:
            self._note(started, None, b"", error="refused before reading")
            return _hang_up(request, reset=options["reset"])
        raw = await request.read()
        sent: SendRequest | None = None
        problem = b""
        try:
            sent = read_send_request(raw)
        except Refused as refused:
            problem = refused.body
        numbers = (add_plus(sent.sender), add_plus(sent.to)) if sent is not None else ("", "")
        if faults.active:
            await self._delay(numbers)
            if (options := faults.strike("respond_with", *numbers)) is not None:
                return self._answer(started, options["status"], raw, retry_after=options.get("retry_after"))
        if not self._tokens.check(request.headers.get("Authorization"), time.time()):
            return self._answer(started, 401, raw)
        if sent is None:
            return self._answer(started, 422, raw, problem)
        text = self._accept(sent, *numbers)
        if not faults.active:
            self._send_receipts(text, {})
        else:
            await self._send_faulty_receipts(text, numbers)
            if (options := faults.strike("drop_after_accept", *numbers)) is not None:
                self._note(started, None, raw, error="dropped after accepting", accepted=True)
                return _hang_up(request, reset=options["reset"])
            if faults.strike("empty_202", *numbers) is not None:
                return self._answer(started, 202, raw, b"")
        return self._answer(started, 202, raw, f'{{"message_uuid":"{text.message_uuid}"}}'.encode())

    def send_from_handset(
        self,
        *,
        from_number: str,
        to_number: str,
        body: str,
        copies: int,
        message_uuid: str | None,
        payload: dict[str, Any],
        sign: str,
        legacy: LegacyFormat | None = None,
    ) -> Text:
        """Deliver a text typed on a handset to the service, `copies` times at once."""
        if self._faults.active and self._faults.strike("double_webhooks", to_number, from_number) is not None:
            copies *= 2
        text = self._state.add_text(
            direction="from_handset",
            handset=from_number,
            virtual_number=to_number,
            text=body,
            message_uuid=message_uuid or str(uuid.uuid4()),
            at=time.time(),
            segments=count_segments(body),
            webhook_copies=copies * (len(legacy.order) if legacy else 1),
        )
        self._state.texts_from_handsets += 1
        wire = legacy.wire if legacy else ""
        bodies = self._make_legacy_bodies(text, legacy, payload) if legacy else [make_inbound_body(text, payload)]
        for made in bodies * copies:
            self._deliverer.schedule(
                Webhook(
                    kind="inbound",
                    url=self._settings.inbound_url,
                    make_body=partial(bytes, made),
                    text=text,
                    sign=sign,
                    wire=wire,
                )
            )
        return text

    def _make_legacy_bodies(self, text: Text, legacy: LegacyFormat, payload: dict[str, Any]) -> list[bytes]:
        credentials = {"api_key": self._settings.api_key, "secret": self._settings.signature_secret}
        return list(make_inbound_bodies(text, legacy, payload, **credentials))

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
            client_ref=sent.client_ref,
            webhook_url=sent.webhook_url,
            media=sent.media,
        )

    def _make_receipt(self, text: Text, status: str, error_code: str | None = None) -> Webhook:
        return Webhook(
            kind="status",
            url=text.webhook_url or self._settings.status_url,
            make_body=partial(self._make_receipt_body, text, status, error_code),
            text=text,
            status=status,
            wire=self._settings.receipts.wire if self._settings.receipts else "",
        )

    def _make_receipt_body(self, text: Text, status: str, error_code: str | None) -> bytes:
        if (legacy := self._settings.receipts) is not None:
            credentials = {"api_key": self._settings.api_key, "secret": self._settings.signature_secret}
            return make_receipt_body(text, status, error_code, legacy, **credentials)
        return make_status_body(text, status, error_code, time.time())

    def _send_receipts(self, text: Text, final: dict[str, Any], *, delay_s: float = 0, copies: int = 1) -> None:
        scale = self._settings.clock_scale
        status, error_code = final.get("status", "delivered"), final.get("error_code")
        for _ in range(copies):
            submitted = self._make_receipt(text, "submitted")
            self._deliverer.schedule(submitted, delay_s + SUBMITTED_AFTER_S * scale)
            ended = self._make_receipt(text, status, error_code)
            self._deliverer.schedule(ended, delay_s + DELIVERED_AFTER_S * scale)

    async def _send_faulty_receipts(self, text: Text, numbers: tuple[str, str]) -> None:
        strike = self._faults.strike
        if strike("no_receipts", *numbers) is not None:
            return
        final = strike("final_status", *numbers) or {}
        delay_s = (strike("receipt_delay_ms", *numbers) or {"value": 0})["value"] / 1000
        copies = 2 if strike("double_receipts", *numbers) is not None else 1
        if strike("double_webhooks", *numbers) is not None:
            copies = 2
        reorder = strike("reorder_receipts", *numbers) is not None
        wait = strike("receipts_before_answer", *numbers) is not None
        if not reorder and not wait:
            self._send_receipts(text, final, delay_s=delay_s, copies=copies)
            return
        # The second waits for the answer to the first: with timers alone their order would be left to chance.
        attempted = [
            self._send_in_order(text, final, delay_s=delay_s, reorder=reorder, at_once=wait) for _ in range(copies)
        ]
        if wait:
            await asyncio.wait(attempted, timeout=10)

    def _send_in_order(
        self, text: Text, final: dict[str, Any], *, delay_s: float, reorder: bool, at_once: bool
    ) -> asyncio.Future[None]:
        """Send one receipt after the other; the future is done when both were tried once."""
        submitted = self._make_receipt(text, "submitted")
        ended = self._make_receipt(text, final.get("status", "delivered"), final.get("error_code"))
        first, second = (ended, submitted) if reorder else (submitted, ended)
        second.attempted = asyncio.get_running_loop().create_future()
        first.then = second
        self._deliverer.schedule(
            first, delay_s if at_once else delay_s + SUBMITTED_AFTER_S * self._settings.clock_scale
        )
        return second.attempted

    def _answer(
        self, started: float, status: int, raw: bytes, body: bytes | None = None, *, retry_after: int | None = None
    ) -> web.Response:
        headers = {"X-Request-Id": str(uuid.uuid4())}
        if body is None:
            body = _BAD_GATEWAY_PAGE if status == 502 else make_problem(status)
        if status == 429:
            headers |= {"X-RateLimit-Limit": "30", "X-RateLimit-Remaining": "0"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        content_type = "text/html" if status == 502 else _JSON if status in (202, 422) else _PROBLEM
        self._note(started, status, raw, body, accepted=status == 202)
        return web.Response(status=status, body=body, headers=headers, content_type=content_type)

    def _note(
        self,
        started: float,
        status: int | None,
        raw: bytes,
        answer: bytes = b"",
        *,
        error: str | None = None,
        accepted: bool = False,
    ) -> None:
        self._state.count_request(status, accepted=accepted)
        self._state.add_exchange(
            direction="request",
            kind="send",
            url=PATH,
            status=status,
            ms=(time.perf_counter() - started) * 1000,
            body=raw,
            answer=answer,
            error=error,
        )


def _hang_up(request: web.Request, *, reset: bool) -> web.Response:
    """Close the caller's connection without an answer; with `reset` by RST instead of FIN."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if reset and connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
    return web.Response()
