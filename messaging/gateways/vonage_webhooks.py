"""The Messages API's webhooks: verify their signature, and translate texts and delivery receipts."""

import hashlib
import hmac
import json
import re
import time
import warnings
from decimal import Decimal
from typing import Any

import jwt
from django.conf import settings
from django.utils.dateparse import parse_datetime
from jwt.warnings import InsecureKeyLengthWarning

from messaging.gateways import (
    Forged,
    InboundText,
    Malformed,
    Media,
    MediaKind,
    Progress,
    Receipt,
    Unsigned,
)
from messaging.gateways.fields import (
    CLOCK_LEEWAY_SECONDS,
    GATEWAY_ID,
    MAX_TEXT_LENGTH,
    find_obstacle,
    read_price,
    read_recipient,
    read_sender,
    read_uuid,
    require,
)
from messaging.gateways.vonage_codes import RESULT_UNKNOWN
from messaging.gateways.vonage_errors import read_error

# Which of the dashboard's settings decides where what is sent.
WEBHOOK_SETTINGS: dict[type, str] = {
    InboundText: "Applications > yours > Messages > Inbound URL",
    Receipt: "Applications > yours > Messages > Status URL",
}

# Of one text. Carriers take fewer.
MAX_ATTACHMENTS = 30
_MEDIA_KINDS = {kind.value: kind for kind in MediaKind}
_URL = re.compile(r"https?://[!-~]{1,2000}", re.ASCII)

# The account's signature secret may be shorter than HS256 recommends; it is Vonage's to choose.
warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)


def read_webhook(
    *, authorization: str, body: bytes, expected: type[InboundText] | type[Receipt]
) -> InboundText | Receipt | None:
    """Verify and translate a webhook: what its URL is for, or the other when it is clearly that.

    None for a receipt that tells us nothing. Raises WebhookError.
    """
    payload = _verified(authorization, body)
    has_status, has_text = "status" in payload, "text" in payload or "message_type" in payload
    is_receipt = has_status if has_status is not has_text else expected is Receipt
    return _read_receipt(payload) if is_receipt else _read_inbound(payload)


def _read_inbound(payload: dict[str, Any]) -> InboundText:
    """https://developer.vonage.com/en/messages/concepts/inbound-messages"""
    message_type = payload.get("message_type", "text")
    text = _optional_text(payload, "text")
    media: tuple[Media, ...] = ()
    if message_type != "text" or ("text" not in payload and payload.get("channel") != "sms"):
        named = _part(payload, message_type) if isinstance(message_type, str) else {}
        text = text or _optional_text(named, "caption")
        media = _read_media(message_type, named, payload.get("content"))
        undeliverable = "" if media else "media"
    else:
        undeliverable = find_obstacle(text)
    if media and len(text) > MAX_TEXT_LENGTH:
        undeliverable = "too_long"
    sms = _part(payload, "sms")
    price, currency = _read_usage(payload)
    return InboundText(
        gateway_id=require(payload, "message_uuid", GATEWAY_ID),
        from_number=read_sender(payload, "from"),
        to_number=read_recipient(payload, "to"),
        body=text,
        undeliverable=undeliverable,
        media=media,
        segments=_count(sms.get("num_messages", sms.get("count_total", sms.get("total_count")))),
        price=price,
        currency=currency,
        written_at=_timestamp(payload.get("timestamp")),
    )


def _read_media(message_type: Any, named: dict[str, Any], content: Any) -> tuple[Media, ...]:
    """Return each attachment once: the first has an object of its own, and stands in `content` with the others.

    https://developer.vonage.com/en/messages/concepts/mms
    """
    others = content if isinstance(content, list) else []
    first = [{"type": message_type, "url": named.get("url")}] if named or not others else []
    found: dict[str, Media] = {}
    for item in [*first, *others][:MAX_ATTACHMENTS]:
        kind, url = (item.get("type"), item.get("url")) if isinstance(item, dict) else (None, None)
        if isinstance(kind, str) and kind in _MEDIA_KINDS:
            # One without an address is kept as well: it cannot be fetched, and its sender is told.
            address = url if isinstance(url, str) and _URL.fullmatch(url) else ""
            found.setdefault(address, Media(_MEDIA_KINDS[kind], address))
    return tuple(found.values()) if any(found) else ()


_PROGRESS = {
    "submitted": Progress.SENT,
    "delivered": Progress.DELIVERED,
    "read": Progress.DELIVERED,
    "rejected": Progress.FAILED,
    "undeliverable": Progress.FAILED,
}


def _read_receipt(payload: dict[str, Any]) -> Receipt | None:
    """https://developer.vonage.com/en/messages/concepts/messages-status-callbacks"""
    gateway_id = require(payload, "message_uuid", GATEWAY_ID)
    progress = _PROGRESS.get(require(payload, "status", r"[a-z_]{1,40}"))
    if progress is None:
        return None
    code, error = read_error(_part(payload, "error") or _read_rejected_segment(payload))
    if code == RESULT_UNKNOWN and progress is Progress.FAILED:
        # Neither delivered nor failed: it was sent, and that is all anybody will ever know.
        progress = Progress.SENT
    sms = _part(payload, "sms")
    price, currency = _read_usage(payload)
    return Receipt(
        gateway_id=gateway_id,
        reference=read_uuid(payload.get("client_ref")),
        progress=progress,
        at=_timestamp(payload.get("timestamp")),
        error_code=code,
        error_detail=error.in_words[:200] if error else "",
        error_kind=error.kind if error else None,
        remedy=error.remedy if error and progress is Progress.FAILED else None,
        segments=_count(sms.get("count_total", sms.get("total_count"))),
        price=price,
        currency=currency,
    )


def _read_rejected_segment(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the error of the first segment that was rejected, in the form of a receipt's `error`.

    https://developer.vonage.com/en/messages/concepts/multisegment-sms-handling
    """
    segments = _part(payload, "sms").get("segments")
    for segment in segments if isinstance(segments, list) else []:
        if isinstance(segment, dict) and segment.get("error_code"):
            return {"title": segment["error_code"]}
    return {}


def _read_usage(payload: dict[str, Any]) -> tuple[Decimal | None, str]:
    """Return the price of a text and its currency, as far as they are told."""
    usage = _part(payload, "usage")
    currency = str(usage.get("currency", ""))
    return read_price(usage.get("price")), currency if re.fullmatch(r"[A-Z]{3}", currency) else ""


def _verified(authorization: str, body: bytes) -> dict[str, Any]:
    """Return the JSON object of a webhook that Vonage signed for us.

    The token is checked for more than the SDK's helper does: above all that it belongs to this body.
    https://developer.vonage.com/en/getting-started/concepts/webhooks
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unsigned("The webhook is not signed. Signed webhooks are switched on in Vonage's dashboard.")
    try:
        claims = jwt.decode(
            token,
            settings.VONAGE_SIGNATURE_SECRET,
            algorithms=["HS256"],
            leeway=CLOCK_LEEWAY_SECONDS,
            options={
                "verify_aud": False,
                "verify_sub": False,
                "require": ["iat", "jti", "iss", "payload_hash"],
            },
        )
    except (jwt.PyJWTError, RecursionError):
        raise Forged("The signature is wrong. Is VONAGE_SIGNATURE_SECRET that of the account?") from None
    payload_hash = str(claims["payload_hash"]).encode("utf-8", "replace")
    if not hmac.compare_digest(payload_hash, hashlib.sha256(body).hexdigest().encode()):
        raise Forged("The signature belongs to another body.")
    if claims["iss"] != "Vonage":
        raise Forged("The signature is not Vonage's.")
    if claims.get("api_key") != settings.VONAGE_API_KEY:
        raise Forged("The webhook is for another account. Is VONAGE_API_KEY right?")
    if claims.get("application_id") not in (None, "", settings.VONAGE_APPLICATION_ID):
        raise Forged("The webhook is for another application. Is VONAGE_APPLICATION_ID right?")
    if int(claims["iat"]) < time.time() - settings.WEBHOOK_MAX_AGE_HOURS * 3600:
        raise Forged("The signature is too old.")
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("The body is not JSON.") from None
    if not isinstance(payload, dict):
        raise Malformed("The body is not a JSON object.")
    return payload


def _optional_text(payload: dict[str, Any], name: str) -> str:
    value = payload.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"`{name}` is not a string.")
    return value


def _part(payload: dict[str, Any], name: str) -> dict[str, Any]:
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def _timestamp(value: Any) -> float:
    try:
        parsed = parse_datetime(value)
        return parsed.timestamp() if parsed else 0.0
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _count(value: Any) -> int | None:
    return int(value) if re.fullmatch(r"[0-9]{1,3}", str(value)) else None
