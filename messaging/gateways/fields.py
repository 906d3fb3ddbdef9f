"""Read single fields of a webhook, whatever somebody may have put there; what both formats of Vonage share."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from messaging.gateways import Malformed

# Vonage's clock may be ahead of ours by this much.
CLOCK_LEEWAY_SECONDS = 120
MAX_TEXT_LENGTH = 3200  # https://developer.vonage.com/en/api/messages

GATEWAY_ID = r"[A-Za-z0-9_.:-]{1,64}"
# A name may hold a space; what UTF-8 cannot write has no digest.
SENDER = r"[^\x00-\x1f\x7f\ud800-\udfff]{1,40}"
RECIPIENT = r"\+?[0-9]{3,15}"


def require(payload: Mapping[str, Any], name: str, pattern: str) -> str:
    """Return a field that must be there and fit `pattern`; raises Malformed."""
    value = payload.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
        raise Malformed(f"`{name}` is missing or not what Vonage documents.")
    return value


def read_sender(payload: Mapping[str, Any], name: str) -> str:
    """Return who wrote: E.164 with `+` when a person can be texted there, a short code or a name as it came."""
    sender = require(payload, name, SENDER).removeprefix("+")
    return f"+{sender}" if re.fullmatch(r"[1-9][0-9]{6,14}", sender) else sender


def read_recipient(payload: Mapping[str, Any], name: str) -> str:
    return "+" + require(payload, name, RECIPIENT).removeprefix("+")


def find_obstacle(text: str) -> str:
    """Say why a text cannot be passed on as it is, in the words of InboundText.undeliverable; "" when it can."""
    if not text.strip():
        return "empty"
    return "too_long" if len(text) > MAX_TEXT_LENGTH else ""


def read_uuid(value: Any) -> UUID | None:
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        return None


def read_price(value: Any) -> Decimal | None:
    try:
        # As many places as the log keeps. What is no number, or endless, raises here or where it is compared.
        price = Decimal(str(value)).quantize(Decimal("0.000001"))
        return price if 0 <= price < 10**6 else None
    except InvalidOperation:
        return None
