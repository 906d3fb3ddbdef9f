"""The receipts of a text that was accepted: which come, when, in what order, and what the last one says."""

import asyncio
import time
from functools import partial
from itertools import pairwise
from typing import Any

from simulator.dialects import bend_receipt
from simulator.faults import FaultSet
from simulator.legacy import LEGACY_STATUSES, LegacyFormat, make_receipt_body
from simulator.records import Text
from simulator.settings import Settings
from simulator.webhooks import Deliverer, Webhook
from simulator.wire import make_status_body

SUBMITTED_AFTER_S = 0.3
DELIVERED_AFTER_S = 1.2


class Receipts:
    """Sends `submitted` and then the last receipt of each text, or whatever the faults make of them."""

    def __init__(self, *, settings: Settings, faults: FaultSet, deliverer: Deliverer) -> None:
        self._settings = settings
        self._faults = faults
        self._deliverer = deliverer

    def reject(self, text: Text, error_code: str) -> None:
        """Tell that a text was never handed to a provider, and why."""
        left_out = self._faults.strike("no_receipts", text.virtual_number, text.handset)
        if left_out is not None and left_out.get("which") != "submitted":
            return
        for rejected in self._make(text, "rejected", error_code):
            self._deliverer.schedule(rejected, SUBMITTED_AFTER_S * self._settings.clock_scale)

    async def send(self, text: Text) -> None:
        """Send both receipts of a text; returns at once unless a fault says that they come before the answer."""
        if not self._faults.active:
            self._send_each(text, {})
            return
        strike = partial(self._faults.strike, virtual_number=text.virtual_number, handset=text.handset)
        left_out = strike("no_receipts")
        if left_out is not None and "which" not in left_out:
            return
        final = strike("final_status") or {}
        if text.channel == "sms" and (partially := strike("partial_segments")) is not None:
            confirmed = min(partially.get("delivered", text.segments // 2), text.segments)
            final = {
                "status": "rejected",
                "error_code": str(partially.get("error_code") or "1490"),
                "confirmed": confirmed,
            }
        delay_s = (strike("receipt_delay_ms") or {"value": 0})["value"] / 1000
        copies = 2 if strike("double_receipts") is not None else 1
        if strike("double_webhooks") is not None:
            copies = 2
        if left_out is not None:
            self._send_each(text, final, delay_s=delay_s, copies=copies, without=left_out["which"])
            return
        reorder = strike("reorder_receipts") is not None
        wait = strike("receipts_before_answer") is not None
        if not reorder and not wait:
            self._send_each(text, final, delay_s=delay_s, copies=copies)
            return
        # The second waits for the answer to the first: with timers alone their order would be left to chance.
        attempted = [
            self._send_in_order(text, final, delay_s=delay_s, reorder=reorder, at_once=wait) for _ in range(copies)
        ]
        if wait:
            await asyncio.wait(attempted, timeout=10)

    def _send_each(
        self, text: Text, final: dict[str, Any], *, delay_s: float = 0, copies: int = 1, without: str = ""
    ) -> None:
        scale = self._settings.clock_scale
        for _ in range(copies):
            if without != "submitted":
                for submitted in self._make(text, "submitted"):
                    self._deliverer.schedule(submitted, delay_s + SUBMITTED_AFTER_S * scale)
            if without != "last":
                for ended in self._make_last(text, final):
                    self._deliverer.schedule(ended, delay_s + DELIVERED_AFTER_S * scale)

    def _send_in_order(
        self, text: Text, final: dict[str, Any], *, delay_s: float, reorder: bool, at_once: bool
    ) -> asyncio.Future[None]:
        """Send one receipt after the other; the future is done when all were tried once."""
        submitted, ended = self._make(text, "submitted"), self._make_last(text, final)
        receipts = [*ended, *submitted] if reorder else [*submitted, *ended]
        for receipt, following in pairwise(receipts):
            receipt.then = following
        last = receipts[-1]
        last.attempted = asyncio.get_running_loop().create_future()
        self._deliverer.schedule(
            receipts[0], delay_s if at_once else delay_s + SUBMITTED_AFTER_S * self._settings.clock_scale
        )
        return last.attempted

    def _make_last(self, text: Text, final: dict[str, Any]) -> list[Webhook]:
        status = final.get("status", "delivered")
        return self._make(text, status, final.get("error_code"), final.get("confirmed"))

    def _make(
        self, text: Text, status: str, error_code: str | None = None, confirmed: int | None = None
    ) -> list[Webhook]:
        """Make the receipt that says `status`; the SMS API has one for each part."""
        legacy = self._choose_format(text)
        as_message = LEGACY_STATUSES.get(status, status)
        bodies = (
            [partial(self._make_legacy_body, text, status, error_code, legacy, part) for part in range(text.segments)]
            if legacy
            else [partial(self._make_body, text, as_message, error_code, confirmed)]
        )
        return [
            Webhook(
                kind="status",
                url=text.webhook_url or self._settings.status_url,
                make_body=make_body,
                text=text,
                status=as_message,
                wire=legacy.wire if legacy else "",
            )
            for make_body in bodies
        ]

    def _choose_format(self, text: Text) -> LegacyFormat | None:
        if self._faults.active:
            options = self._faults.strike("receipt_format", text.virtual_number, text.handset)
            if options is not None:
                return LegacyFormat(wire=options["format"], signature=options["signature"])
        return self._settings.receipts

    def _make_legacy_body(
        self, text: Text, status: str, error_code: str | None, legacy: LegacyFormat, part: int
    ) -> bytes:
        credentials = {"api_key": self._settings.api_key, "secret": self._settings.signature_secret}
        return make_receipt_body(text, status, error_code, legacy, part=part, **credentials)

    def _make_body(self, text: Text, status: str, error_code: str | None, confirmed: int | None) -> bytes:
        made = make_status_body(text, status, error_code, time.time(), confirmed=confirmed)
        if not self._faults.active:
            return made
        return bend_receipt(
            made, partial(self._faults.strike, virtual_number=text.virtual_number, handset=text.handset)
        )
