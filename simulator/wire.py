"""What goes over the wire in the Messages API: checked requests, problem answers, webhook bodies."""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from yarl import URL

from simulator.segments import count_segments
from simulator.state import Text

LONGEST_TEXT = 3200
LONGEST_CLIENT_REF = 100
_DIGITS = re.compile(r"[1-9][0-9]{6,14}")
_ALPHANUMERIC_SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", re.ASCII)
_URL = re.compile(r"https?://[^\s/?#]+")
_SHORT_CODE = re.compile(r"[0-9]{5,6}")
_MEDIA_TYPES = ("image", "audio", "video", "vcard", "file")
_MESSAGE_TYPES = {"sms": ("text",), "mms": ("text", *_MEDIA_TYPES, "content")}
_TTL_S = {"sms": (20, 604_800), "mms": (300, 259_200)}
_PRICE_OUT, _PRICE_IN = 0.0072, 0.0057
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
    "1490": "Segment timeout - Not every segment was confirmed in time",
}


@dataclass(slots=True)
class SendRequest:
    """A request to send that passed every check; numbers as on the wire, without +."""

    to: str
    sender: str
    text: str
    segments: int
    client_ref: str | None = None
    webhook_url: str | None = None
    media: list[dict[str, str]] = field(default_factory=list)


class Refused(Exception):
    """A request is answered 422; holds the body of the answer."""

    def __init__(self, body: bytes) -> None:
        super().__init__("invalid request")
        self.body = body


def read_send_request(raw: bytes) -> SendRequest:
    """Check the body of a send; raises Refused with everything that is wrong with it."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(_dump_problem("#invalid-json", "Bad JSON", "The request body did not contain valid JSON."))
    invalid: list[dict[str, str]] = []

    def require(name: str, passes: Callable[[Any], object], reason: str, *, optional: bool = False) -> None:
        if name not in body:
            if not optional:
                invalid.append({"name": name, "reason": "is required"})
        elif not passes(body[name]):
            invalid.append({"name": name, "reason": reason})

    channel = body.get("channel")
    if not isinstance(channel, str) or channel not in _MESSAGE_TYPES:
        raise Refused(_dump_invalid([{"name": "channel", "reason": "must be one of sms, mms"}]))
    message_type = body.get("message_type")
    if message_type not in _MESSAGE_TYPES[channel]:
        reason = f"must be one of {', '.join(_MESSAGE_TYPES[channel])}"
        raise Refused(_dump_invalid([{"name": "message_type", "reason": reason}]))
    least, most = _TTL_S[channel]
    require("to", _is_phone_number, "must be between 7 and 15 characters, digits only")
    require("from", _is_sender, "must be a number of 7 to 15 digits, a short code or an alphanumeric sender")
    require("client_ref", _is_client_ref, f"must be a string of at most {LONGEST_CLIENT_REF}", optional=True)
    require("ttl", lambda v: type(v) is int and least <= v <= most, f"must be {least} to {most}", optional=True)
    require("webhook_url", _is_url, "must be a URL", optional=True)
    sms = body.get("sms", {})
    encoding = sms.get("encoding_type", "auto") if isinstance(sms, dict) else ""
    if encoding not in ("auto", "text", "unicode"):
        invalid.append({"name": "sms.encoding_type", "reason": "must be one of text, unicode, auto"})
    media: list[dict[str, str]] = []
    if message_type == "text":
        require("text", _is_text, f"must be a string of at most {LONGEST_TEXT} characters")
    else:
        require(message_type, lambda v: _read_media(message_type, v, media), "must hold the url of each attachment")
    if invalid:
        raise Refused(_dump_invalid(invalid))
    text = body["text"] if message_type == "text" else " ".join(filter(None, (m.get("caption") for m in media)))
    return SendRequest(
        to=body["to"],
        sender=body["from"],
        text=text,
        segments=count_segments(text, encoding) if channel == "sms" else 1,
        client_ref=body.get("client_ref"),
        webhook_url=body.get("webhook_url"),
        media=media,
    )


def make_problem(status: int) -> bytes:
    """Make the body Vonage answers with this HTTP status."""
    kind, title, detail = _PROBLEMS.get(status, ("/messages#1000", "Error", "The request could not be handled."))
    return _dump_problem(kind, title, detail)


def make_inbound_body(text: Text, override: dict[str, Any]) -> bytes:
    """Make the webhook for a text typed on a handset; `override` replaces keys, and None removes them."""
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
    merged = body | override
    return json.dumps({name: value for name, value in merged.items() if value is not None}).encode()


def make_status_body(text: Text, status: str, error_code: str | None, now: float) -> bytes:
    """Make the delivery receipt that says `status` of a text to a handset."""
    body: dict[str, Any] = {
        "message_uuid": text.message_uuid,
        "to": drop_plus(text.handset),
        "from": drop_plus(text.virtual_number),
        "timestamp": _format_time(now),
        "status": status,
        "channel": "mms" if text.media else "sms",
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
    else:
        body["usage"] = {"currency": "EUR", "price": f"{_PRICE_OUT * text.segments:.4f}"}
        body["destination"] = {"network_code": _NETWORK_CODE}
        if not text.media:
            body["sms"] = {"count_total": str(text.segments)}
            if status == "delivered" and text.segments > 1:
                segment = {"timestamp": body["timestamp"], "status": "delivered"}
                body["sms"]["segments"] = [segment] * text.segments
    return json.dumps(body).encode()


def add_plus(number: str) -> str:
    """Put + before a number from the wire; short codes and names stay as they are."""
    return f"+{number}" if _DIGITS.fullmatch(number) else number


def drop_plus(number: str) -> str:
    return number.removeprefix("+")


def _dump_invalid(invalid: list[dict[str, str]]) -> bytes:
    only = invalid[0]["name"] if len(invalid) == 1 else ""
    code, title, detail = _TYPE_OF_PARAMETER.get(only, _INVALID_PARAMETERS)
    return _dump_problem(f"/messages#{code}", title, detail, invalid_parameters=invalid)


def _dump_problem(kind: str, title: str, detail: str, **more: Any) -> bytes:
    problem = {"type": _ERRORS + kind, "title": title, "detail": detail, "instance": uuid.uuid4().hex}
    return json.dumps(problem | more).encode()


def _format_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_phone_number(value: Any) -> bool:
    return isinstance(value, str) and _DIGITS.fullmatch(value) is not None


def _is_sender(value: Any) -> bool:
    return isinstance(value, str) and any(
        shape.fullmatch(value) for shape in (_DIGITS, _SHORT_CODE, _ALPHANUMERIC_SENDER)
    )


def _is_client_ref(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_CLIENT_REF


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def _is_url(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > 2000 or not _URL.match(value):
        return False
    try:
        URL(value)
    except ValueError:
        return False
    return True


def _read_media(message_type: str, value: Any, media: list[dict[str, str]]) -> bool:
    """Add the attachments of an MMS to `media`; False when one of them has no usable URL."""
    items = value if message_type == "content" else [value]
    if not isinstance(items, list) or not items:
        return False
    for item in items:
        kind = item.get("type") if message_type == "content" and isinstance(item, dict) else message_type
        caption = item.get("caption", "") if isinstance(item, dict) else None
        if not isinstance(caption, str) or len(caption) > 3000 or kind not in _MEDIA_TYPES:
            return False
        if not _is_url(item.get("url")):
            return False
        media.append({"type": kind, "url": item["url"]} | ({"caption": caption} if caption else {}))
    return True
