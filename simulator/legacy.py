"""Webhooks in the format of Vonage's older SMS API: as GET query, form or JSON, with any signature, in parts."""

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from simulator.records import Text

FORMATS = ("legacy-get", "legacy-form", "legacy-json")
SIGNATURES = ("none", "md5hash", "md5", "sha1", "sha256", "sha512")
MOST_PARTS = 255
# What only receipts of the SMS API say, and what the Messages API says instead.
LEGACY_STATUSES = {
    "expired": "undeliverable",
    "failed": "undeliverable",
    "buffered": "submitted",
    "unknown": "submitted",
}
_CONTENT_TYPES = {"legacy-form": "application/x-www-form-urlencoded", "legacy-json": "application/json"}
# What a code of the Messages API is here, where it is something; others become 1, unknown.
_ERROR_CODES = {"1070": "16", "1240": "9"}
_PRICE = 0.0072
_STATUSES = {"submitted": "accepted", "undeliverable": "failed"}
_PART_KEYS = {"total", "order", "ref"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyFormat:
    """How webhooks are written; `order` names the parts of a text to deliver, in that order, some twice or never."""

    wire: str
    signature: str = "none"
    total: int = 1
    order: tuple[int, ...] = (1,)
    ref: int = 0


def read_format(value: str) -> LegacyFormat | None:
    """Read a setting such as `legacy-form:sha256`; None for `messages`. Raises ValueError."""
    wire, _, signature = value.partition(":")
    if value == "messages":
        return None
    if wire not in FORMATS or (signature or "none") not in SIGNATURES:
        raise ValueError(f"must be messages, or one of {', '.join(FORMATS)} with : and one of {', '.join(SIGNATURES)}")
    return LegacyFormat(wire=wire, signature=signature or "none")


def take_format(wanted: Any) -> LegacyFormat | None:
    """Take `format`, `signature` and `parts` out of a text somebody wants to type; raises ValueError."""
    if not isinstance(wanted, dict) or "format" not in wanted:
        return None
    name, signature, parts = (wanted.pop(key, None) for key in ("format", "signature", "parts"))
    form = read_format(f"{name}:{signature}" if signature else f"{name}")
    if form is None and (signature or parts):
        raise ValueError("signature and parts go with a format of the SMS API")
    if form is None or parts is None:
        return form
    if not isinstance(parts, dict) or parts.keys() - _PART_KEYS:
        raise ValueError(f"parts must be an object with {', '.join(sorted(_PART_KEYS))}")
    total = parts.get("total", 2)
    if type(total) is not int or not 2 <= total <= MOST_PARTS:
        raise ValueError(f"total must be a whole number from 2 to {MOST_PARTS}")
    order, ref = parts.get("order", list(range(1, total + 1))), parts.get("ref", 108)
    if not isinstance(order, list) or not order or not all(type(part) is int and 1 <= part <= total for part in order):
        raise ValueError("order must list parts from 1 to total, in the order of their delivery")
    if type(ref) is not int or not 0 <= ref <= 65535:
        raise ValueError("ref must be a whole number from 0 to 65535")
    return LegacyFormat(wire=form.wire, signature=form.signature, total=total, order=tuple(order), ref=ref)


def make_inbound_bodies(
    text: Text, form: LegacyFormat, override: dict[str, Any], *, api_key: str, secret: str
) -> Iterator[bytes]:
    """Make the webhooks of a text typed on a handset, one for each part that is delivered."""
    size = -(-len(text.text) // form.total)
    first_id = uuid.uuid4().hex[:12].upper()
    for part in form.order:
        body = text.text[(part - 1) * size : part * size]
        params = {
            "api-key": api_key,
            "msisdn": text.handset.removeprefix("+"),
            "to": text.virtual_number.removeprefix("+"),
            "messageId": text.message_uuid if form.total == 1 else f"{first_id}{part:04X}",
            "text": body,
            "type": "text" if body.isascii() else "unicode",
            "keyword": next(iter(body.split(maxsplit=1)), "").upper(),
            "message-timestamp": _format_time(time.time()),
        }
        if form.total > 1:
            params |= {
                "concat": "true",
                "concat-ref": str(form.ref),
                "concat-total": str(form.total),
                "concat-part": str(part),
            }
        yield _write({name: value for name, value in (params | override).items() if value is not None}, form, secret)


def make_receipt_body(
    text: Text, status: str, error_code: str | None, form: LegacyFormat, *, part: int, api_key: str, secret: str
) -> bytes:
    """Make the delivery receipt of one part of a text to a handset, which has an id of its own."""
    code = "0" if error_code is None else _ERROR_CODES.get(error_code, error_code if len(error_code) < 3 else "1")
    now = time.time()
    params = {
        "msisdn": text.handset.removeprefix("+"),
        "to": text.virtual_number.removeprefix("+"),
        "network-code": "310260",
        "messageId": f"{text.message_uuid.replace('-', '')[:14].upper()}{part:02X}",
        "price": f"{_PRICE:.8f}",
        "status": _STATUSES.get(status, status),
        "scts": datetime.fromtimestamp(now, UTC).strftime("%y%m%d%H%M"),
        "err-code": code,
        "api-key": api_key,
        "message-timestamp": _format_time(now),
    }
    if text.client_ref is not None:
        params["client-ref"] = text.client_ref
    return _write(params, form, secret)


def address(wire: str, url: str, body: bytes) -> tuple[str, str, dict[str, str], bytes | None]:
    """Return method, URL, headers and body of a webhook; a GET has it all in its URL."""
    if wire == "legacy-get":
        return "GET", f"{url}{'&' if '?' in url else '?'}{body.decode()}", {}, None
    return "POST", url, {"Content-Type": _CONTENT_TYPES[wire]}, body


def _write(params: dict[str, Any], form: LegacyFormat, secret: str) -> bytes:
    if form.signature != "none":
        params = {"timestamp": str(int(time.time())), "nonce": str(uuid.uuid4())} | params
        params["sig"] = _sign({name: str(value) for name, value in params.items()}, form.signature, secret)
    return (json.dumps(params) if form.wire == "legacy-json" else urlencode(params)).encode()


def _sign(params: dict[str, str], method: str, secret: str) -> str:
    text = "".join(
        f"&{name}={value.replace('&', '_').replace('=', '_')}" for name, value in sorted(params.items())
    ).encode()
    if method == "md5hash":
        return hashlib.md5(text + secret.encode()).hexdigest()
    return hmac.new(secret.encode(), text, method).hexdigest()


def _format_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
