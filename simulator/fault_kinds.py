"""Every misbehaviour the carrier can be told, and what each may be told about itself."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from yarl import URL

from simulator.legacy import FORMATS, LEGACY_STATUSES, SIGNATURES
from simulator.phone_numbers import PHONE_NUMBER

LONGEST_MS = 600_000
LONGEST_WAIT_S = 86_400
LARGEST_MEDIA = 50_000_000
PARTS = ("in_order", "shuffled", "missing", "doubled")
ELSEWHERE = "http://elsewhere.invalid/"
_DEFAULT_ERROR_CODES = {"rejected": "1240", "undeliverable": "1331"}


@dataclass(frozen=True, slots=True)
class Option:
    """One thing a fault can be told: what it must be, in words and as a check, and what it is when untold."""

    must_be: str
    passes: Callable[[Any], bool]
    default: Any = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault; `{"name": value}` is short for `{"name": {main: value}}`, and `true` for a fault without main."""

    main: str | None = None
    options: dict[str, Option] = field(default_factory=dict)
    complete: Callable[[dict[str, Any]], None] = lambda options: None


def is_number(value: Any) -> TypeGuard[float]:
    return is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _choose(*values: str, default: str | None = None) -> Option:
    return Option(f"one of {', '.join(values)}", lambda value: value in values, default)


def _is_rate(value: Any) -> bool:
    return is_number(value) and 0.01 <= value <= 10_000


def _is_url(value: Any) -> bool:
    try:
        return isinstance(value, str) and URL(value).scheme in ("http", "https") and bool(URL(value).host)
    except ValueError:
        return False


def _complete_final_status(options: dict[str, Any]) -> None:
    code = str(options.get("error_code") or _DEFAULT_ERROR_CODES.get(options["status"], ""))
    options["error_code"] = code or None


_SWITCH = Kind()
_RESET = Kind(options={"reset": Option("true or false", lambda value: isinstance(value, bool), False)})
_MILLISECONDS = Kind(
    "value",
    {
        "value": Option(
            f"a number of milliseconds from 0 to {LONGEST_MS}", lambda v: is_number(v) and 0 <= v <= LONGEST_MS
        )
    },
)
_STATUS = Option("an HTTP status from 400 to 599", lambda value: is_integer(value) and 400 <= value <= 599)
_ONE_KIND = {"kind": _choose("inbound", "status")}
_RATE = Option("a number from 0.01 to 10000", _is_rate)
_ERROR_CODE = Option("digits, such as 1240", lambda v: re.fullmatch(r"[0-9]{1,6}", str(v)) is not None)
_SIGNATURE = _choose(*SIGNATURES, default="none")

KINDS: dict[str, Kind] = {
    # A request to send.
    "refuse": _RESET,
    "drop_after_accept": _RESET,
    "empty_202": _SWITCH,
    "respond_with": Kind(
        "status",
        {
            "status": _STATUS,
            "retry_after": Option(
                f"whole seconds from 0 to {LONGEST_WAIT_S}",
                lambda value: is_integer(value) and 0 <= value <= LONGEST_WAIT_S,
            ),
        },
    ),
    "latency_ms": _MILLISECONDS,
    "jitter_ms": _MILLISECONDS,
    "number_rate": Kind(
        "value",
        {
            "value": _RATE,
            "numbers": Option(
                "an object of phone numbers with + and their rates",
                lambda v: isinstance(v, dict) and all(PHONE_NUMBER.fullmatch(n) and _is_rate(r) for n, r in v.items()),
            ),
        },
    ),
    "account_rate": Kind("value", {"value": _RATE}),
    # Receipts.
    "no_receipts": Kind(options={"which": _choose("submitted", "last")}),
    "receipts_before_answer": _SWITCH,
    "reorder_receipts": _SWITCH,
    "double_receipts": _SWITCH,
    "receipt_delay_ms": _MILLISECONDS,
    "final_status": Kind(
        "status",
        {
            "status": _choose("delivered", "rejected", "undeliverable", *LEGACY_STATUSES),
            "error_code": _ERROR_CODE,
        },
        _complete_final_status,
    ),
    "partial_segments": Kind(
        options={
            "delivered": Option("a whole number of segments", lambda v: is_integer(v) and 0 <= v <= 255),
            "error_code": _ERROR_CODE,
        }
    ),
    "opt_out_assist": _SWITCH,
    # Webhooks of both kinds: how they are signed, and their dialects.
    "double_webhooks": _SWITCH,
    "unsigned_webhooks": Kind(options=_ONE_KIND),
    "wrong_signature": Kind(options=_ONE_KIND),
    "wrong_payload_hash": Kind(options=_ONE_KIND),
    "iat_skew_s": Kind(
        "value",
        {
            "value": Option(
                "seconds from -1000000 to 1000000", lambda value: is_number(value) and abs(value) <= 1_000_000
            ),
            **_ONE_KIND,
        },
    ),
    "integer_error_title": _SWITCH,
    "total_count": _SWITCH,
    "no_message_type": _SWITCH,
    "unsupported_message_type": _SWITCH,
    "millisecond_timestamps": _SWITCH,
    "inbound_format": Kind("format", {"format": _choose(*FORMATS), "signature": _SIGNATURE, "parts": _choose(*PARTS)}),
    "receipt_format": Kind("format", {"format": _choose(*FORMATS), "signature": _SIGNATURE}),
    # What the service fetches from the media host.
    "secure_media": _SWITCH,
    "media_respond_with": Kind("status", {"status": _STATUS}),
    "media_timeout": _SWITCH,
    "media_drip": Kind(
        "bytes_per_s",
        {"bytes_per_s": Option("a number from 1 to 1000000", lambda v: is_number(v) and 1 <= v <= 1_000_000)},
    ),
    "media_redirect": Kind(options={"to": Option("an http:// or https:// address", _is_url, ELSEWHERE)}),
    "media_content_type": Kind(
        "value",
        {
            "value": Option(
                "a content type such as text/html",
                lambda v: isinstance(v, str) and re.fullmatch(r"[\w.+-]+/[\w.+-]+", v, re.ASCII) is not None,
            )
        },
    ),
    "media_larger": Kind(
        "bytes",
        {
            "bytes": Option(
                f"a whole number of bytes from 1 to {LARGEST_MEDIA}",
                lambda v: is_integer(v) and 1 <= v <= LARGEST_MEDIA,
            ),
            "announced": _choose("original", "nothing", "all", default="original"),
        },
    ),
    "media_drop_halfway": _RESET,
}
