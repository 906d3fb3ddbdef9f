"""What the simulator writes in the Messages API: problem answers and the bodies of webhooks."""

import json
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from simulator.records import Text

DIGITS = re.compile(r"[1-9][0-9]{6,14}")
SHORT_CODE = re.compile(r"[0-9]{5,6}")
_PRICE_OUT, _PRICE_IN, _PRICE_MMS = 0.0072, 0.0057, 0.0195
_NETWORK_CODE = "310260"

_ERRORS = "https://developer.vonage.com/api-errors"
# The types of a 422 whose only fault is this parameter; every other 422 is "Invalid params".
_TYPE_OF_PARAMETER = {
    "channel": ("1100", "Unsupported channel", "The given channel is not supported."),
    "from": ("1120", "Invalid sender", "The `from` parameter is invalid for the given channel."),
    "message_type": ("1140", "Invalid message type", "The given message type is invalid for the channel."),
    "client_ref": ("1060", "Invalid client reference", "The `client_ref` parameter is invalid."),
}
_INVALID_PARAMETERS = ("1150", "Invalid params", "The value of one or more parameters is invalid.")
_PROBLEMS: dict[int, tuple[str, str, str]] = {
    401: (
        "/#unathorized",  # spelled so by Vonage
        "You did not provide correct credentials.",
        "Check that you're using the correct credentials, and that your account has this feature enabled",
    ),
    402: ("/#low-balance", "Low balance",
          "This request could not be performed due to your account balance being low."),
    403: ("/#forbidden", "Forbidden", "Your account does not have permission to perform this action."),
    404: ("#not-found", "Resource not found", "The requested resource does not exist."),
    422: ("/messages#1150", _INVALID_PARAMETERS[1], _INVALID_PARAMETERS[2]),
    429: ("/messages#1000", "Rate Limit Hit", "Please wait, then retry your request"),
    500: ("/messages#1000", "Internal error", "There was an error processing your request in the Platform."),
}  # fmt: skip
_ASYNC_ERRORS = {
    "1240": "Illegal Number - You tried to send a message to a blacklisted phone number",
    "1331": "Provider error - The provider is not responding",
    "1380": "Resource unreachable - The media could not be fetched",
    "1381": "Resource too large - The media is larger than 2 MB",
    "1382": "Resource type invalid - The media is not of a type that the channel takes",
    "1420": "Invalid sender - The sender cannot send on this channel",
    "1430": "Invalid recipient - The recipient cannot be reached on this channel",
    "1490": "Segment timeout - Not every segment was confirmed in time",
}


def make_problem(status: int) -> bytes:
    """Make the body Vonage answers with this HTTP status."""
    kind, title, detail = _PROBLEMS.get(status, ("/messages#1000", "Error", "The request could not be handled."))
    return _dump_problem(kind, title, detail)


def make_invalid(invalid: list[dict[str, str]]) -> bytes:
    """Make the 422 that names these parameters."""
    only = invalid[0]["name"] if len(invalid) == 1 else ""
    code, title, detail = _TYPE_OF_PARAMETER.get(only, _INVALID_PARAMETERS)
    return _dump_problem(f"/messages#{code}", title, detail, invalid_parameters=invalid)


def make_invalid_json() -> bytes:
    """Make the 422 for a body that is no JSON object."""
    return _dump_problem("#invalid-json", "Bad JSON", "The request body did not contain valid JSON.")


def make_inbound_body(text: Text, override: dict[str, Any]) -> bytes:
    """Make the webhook for a text typed on a handset; `override` replaces keys, and None removes them."""
    if text.channel == "mms":
        return _dump(_describe_mms(text) | override)
    first_word = text.text.split(maxsplit=1)[:1]
    body: dict[str, Any] = {
        "channel": "sms",
        "message_uuid": text.message_uuid,
        "to": drop_plus(text.virtual_number),
        "from": drop_plus(text.handset),
        "timestamp": _format_time(text.at),
        "message_type": "text",
        "text": text.text,
        "context_status": "none",
        "sms": {"num_messages": str(text.segments), "count_total": str(text.segments)},
        "usage": {"currency": "EUR", "price": f"{_PRICE_IN * text.segments:.4f}"},
        "origin": {"network_code": _NETWORK_CODE},
    }
    if first_word:
        body["sms"]["keyword"] = first_word[0].upper()
    return _dump(body | override)


def make_status_body(
    text: Text, status: str, error_code: str | None, now: float, *, confirmed: int | None = None
) -> bytes:
    """Make the delivery receipt that says `status` of a text to a handset, of which some segments are confirmed.

    Of the others nothing is known with 1490; with another error they were rejected for it.
    """
    body: dict[str, Any] = {
        "message_uuid": text.message_uuid,
        "to": drop_plus(text.handset),
        "from": drop_plus(text.virtual_number),
        "timestamp": _format_time(now),
        "status": status,
        "channel": text.channel,
    }
    if text.client_ref is not None:
        body["client_ref"] = text.client_ref
    if error_code is not None:
        body["error"] = {
            "type": f"{_ERRORS}/messages#{error_code}",
            "title": error_code,
            "detail": _ASYNC_ERRORS.get(error_code, f"Error {error_code}"),
            "instance": uuid.uuid4().hex,
        }
        if confirmed is not None:
            body["sms"] = _describe_segments(text, body["timestamp"], confirmed)
            if error_code != "1490":
                rejected = {"timestamp": body["timestamp"], "status": "rejected", "error_code": error_code}
                body["sms"]["segments"] += [rejected] * (text.segments - confirmed)
    else:
        price = _PRICE_MMS if text.channel == "mms" else _PRICE_OUT * text.segments
        body["usage"] = {"currency": "EUR", "price": f"{price:.4f}"}
        body["destination"] = {"network_code": _NETWORK_CODE}
        if text.channel == "sms":
            several = status == "delivered" and text.segments > 1
            body["sms"] = _describe_segments(text, body["timestamp"], text.segments if several else None)
    return json.dumps(body).encode()


def add_plus(number: str) -> str:
    """Put + before a number from the wire; short codes and names stay as they are."""
    return f"+{number}" if DIGITS.fullmatch(number) else number


def drop_plus(number: str) -> str:
    return number.removeprefix("+")


def _describe_mms(text: Text) -> dict[str, Any]:
    """Describe an MMS from a handset: its first attachment on its own, and all of them when there are several."""
    body: dict[str, Any] = {
        "channel": "mms",
        "message_uuid": text.message_uuid,
        "to": drop_plus(text.virtual_number),
        "from": drop_plus(text.handset),
        "timestamp": _format_time(text.at),
        "message_type": text.media[0].type if text.media else "text",
        "origin": {"network_code": _NETWORK_CODE},
    }
    if not text.media:
        return body | {"text": text.text}
    first = text.media[0]
    shown = {"url": first.url, "name": first.name, "caption": first.caption}
    body[first.type] = {name: value for name, value in shown.items() if value}
    if len(text.media) > 1:
        body["content"] = [{"type": each.type, "url": each.url} for each in text.media]
    return body


def _describe_segments(text: Text, at: str, confirmed: int | None) -> dict[str, Any]:
    described: dict[str, Any] = {"count_total": str(text.segments)}
    if confirmed is not None:
        described["segments"] = [{"timestamp": at, "status": "delivered"}] * confirmed
    return described


def _dump(body: dict[str, Any]) -> bytes:
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


def _dump_problem(kind: str, title: str, detail: str, **more: Any) -> bytes:
    problem = {"type": _ERRORS + kind, "title": title, "detail": detail, "instance": uuid.uuid4().hex}
    return json.dumps(problem | more).encode()


def _format_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
