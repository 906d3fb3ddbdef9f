"""Webhooks of the Messages API as older or other versions of it write them."""

import json
from collections.abc import Callable
from typing import Any

Strike = Callable[[str], dict[str, Any] | None]
# What an inbound text of an unsupported type still says.
_KEPT_OF_UNSUPPORTED = ("channel", "message_uuid", "to", "from", "timestamp", "context_status", "origin")


def bend_inbound(raw: bytes, strike: Strike) -> bytes:
    """Write an inbound text as the faults want it; `strike` says which of them strike."""
    body = json.loads(raw)
    if strike("unsupported_message_type") is not None:
        body = {name: body[name] for name in _KEPT_OF_UNSUPPORTED if name in body} | {"message_type": "unsupported"}
    if strike("no_message_type") is not None:
        body.pop("message_type", None)
    # A test may have put anything in the place of what is bent.
    if isinstance(body.get("sms"), dict) and strike("total_count") is not None:
        body["sms"].pop("num_messages", None)
        _spell_total_count(body["sms"])
    if strike("millisecond_timestamps") is not None:
        _add_milliseconds(body)
    return json.dumps(body).encode()


def bend_receipt(raw: bytes, strike: Strike) -> bytes:
    """Write a receipt as the faults want it."""
    body = json.loads(raw)
    if "error" in body and strike("integer_error_title") is not None:
        body["error"]["title"] = int(body["error"]["title"])
    if "sms" in body and strike("total_count") is not None:
        _spell_total_count(body["sms"])
    if strike("millisecond_timestamps") is not None:
        _add_milliseconds(body)
        for segment in body.get("sms", {}).get("segments", ()):
            _add_milliseconds(segment)
    return json.dumps(body).encode()


def _spell_total_count(sms: dict[str, Any]) -> None:
    if "count_total" in sms:
        sms["total_count"] = sms.pop("count_total")


def _add_milliseconds(body: dict[str, Any]) -> None:
    if isinstance(body.get("timestamp"), str):
        body["timestamp"] = body["timestamp"].removesuffix("Z") + ".000Z"
