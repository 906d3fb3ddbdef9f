"""The simulator, as the gateway that texts are sent to: its faults, and what reached it."""

import json
import time
from collections import Counter
from datetime import datetime
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import jwt
from django.conf import settings

from bench.load import Address, post
from bench.table import BenchError

PATH = "/v1/messages"
# The simulator cuts its times to whole milliseconds.
_CUT_SECONDS = 0.0005
_open = build_opener(ProxyHandler({})).open


class Gateway:
    def __init__(self, address: Address) -> None:
        self.url = f"http://{address[0]}:{address[1]}"

    def start_afresh(self, **faults: Any) -> None:
        """Forget all texts and pending receipts, and put these faults in the place of all others."""
        self._call("DELETE", "/api/state")
        self._call("PUT", "/api/faults", faults)

    def wait_for_texts(self, count: int, *, seconds: float) -> None:
        """Return when `count` texts were accepted; raises BenchError after `seconds`."""
        deadline = time.monotonic() + seconds
        while (accepted := self._call("GET", "/api/stats")["accepted"]) < count:
            if time.monotonic() > deadline:
                raise BenchError(f"Of {count} texts only {accepted} reached the gateway.")
            time.sleep(0.05)

    def wait_for_receipts(self, count: int, *, seconds: float) -> None:
        """Return when the service has taken `count` receipts; raises BenchError after `seconds`."""
        deadline = time.monotonic() + seconds
        while (taken := self._call("GET", "/api/stats")["webhooks"]["delivered"]) < count:
            if time.monotonic() > deadline:
                raise BenchError(f"Of {count} receipts only {taken} were taken.")
            time.sleep(0.05)

    def arrivals(self) -> list[tuple[str, str, float]]:
        """Return the reference and the words of each text that was accepted, and when, in seconds since 1970."""
        return [
            (text["client_ref"], text["text"], datetime.fromisoformat(text["at"]).timestamp() + _CUT_SECONDS)
            for text in self._call("GET", "/api/texts")["texts"]
            if text["direction"] == "to_handset"
        ]

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data=data, method=method, headers={"Content-Type": "application/json"})
        with _open(request, timeout=60) as response:
            answer = response.read()
        return json.loads(answer) if answer else None


def require_each_once(wanted: list[str], arrived: list[str]) -> None:
    """Raise BenchError unless exactly the texts that were wanted arrived, each once."""
    if missing := set(wanted) - set(arrived):
        raise BenchError(f"{len(missing)} of {len(wanted)} texts did not reach the gateway.")
    if len(arrived) > len(wanted):
        doubled = sum(count - 1 for count in Counter(arrived).values())
        raise BenchError(f"{len(arrived) - len(wanted)} texts too many reached the gateway, {doubled} of them doubled.")


def make_token() -> str:
    """Return the Authorization header of a sender."""
    claims = {"application_id": settings.VONAGE_APPLICATION_ID, "iat": int(time.time()), "jti": "bench"}
    return f"Bearer {jwt.encode(claims, settings.VONAGE_PRIVATE_KEY, algorithm='RS256')}"


def make_body(*, to_number: str, from_number: str, text: str, reference: str) -> bytes:
    """Return the body of a POST to PATH, as the sender makes it."""
    return json.dumps(
        {
            "to": to_number.removeprefix("+"),
            "client_ref": reference,
            "text": text,
            "from": from_number.removeprefix("+"),
            "channel": "sms",
            "message_type": "text",
        }
    ).encode()


def make_request(token: str, body: bytes) -> bytes:
    return post(path=PATH, body=body, authorization=token)
