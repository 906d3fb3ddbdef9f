"""Vonage's older SMS API: the webhooks of an account whose SMS setting is "SMS API". Only this file knows its names.

https://developer.vonage.com/en/messaging/sms/guides/inbound-sms
"""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import QueryDict

from messaging.gateways import (
    Forged,
    InboundPart,
    InboundText,
    Malformed,
    NotAccepted,
    Progress,
    Receipt,
    Unsigned,
)
from messaging.gateways.fields import (
    CLOCK_LEEWAY_SECONDS,
    GATEWAY_ID,
    find_obstacle,
    read_price,
    read_recipient,
    read_sender,
    read_uuid,
    require,
)
from messaging.gateways.vonage_codes import SMS_API

# Which of the dashboard's settings decides where what is sent.
WEBHOOK_SETTINGS: dict[type, str] = {
    InboundText: "API Settings > Inbound SMS webhooks",
    InboundPart: "API Settings > Inbound SMS webhooks",
    Receipt: "API Settings > Delivery receipts (DLR) webhooks",
}

# The header of a text in parts counts them in one byte.
_MOST_PARTS = 255


def read_webhook(
    *, method: str, query: QueryDict, body: bytes, expected: type[InboundText] | type[Receipt]
) -> InboundText | InboundPart | Receipt | None:
    """Verify and translate a webhook as GET query, form POST or JSON POST: what its URL is for, or the other.

    None when there is nothing to do: the request that checks the URL, or a receipt that tells nothing.
    Raises WebhookError: Unsigned for a POST that is not of this format at all.
    """
    in_query = {name: values for name, values in query.lists() if name != "token"}
    in_body = _read_body(body) if method == "POST" and body.strip() else None
    given = in_query if in_body is None else in_body
    if not (in_query or in_body):
        return None
    if "msisdn" not in given and "messageId" not in given:
        if method == "POST":
            raise Unsigned("The webhook is not signed. Signed webhooks are switched on in Vonage's dashboard.")
        raise Malformed("The query is not that of a webhook.")
    params = {name: _read_value(name, value) for name, value in given.items() if value is not None}
    _verify(params, token=query.get("token"), mixed=bool(in_query and in_body is not None))
    is_text = not {"text", "type", "data"}.isdisjoint(params)
    if "status" in params and (expected is Receipt or not is_text):
        return _read_receipt(params)
    if is_text:
        return _read_inbound(params)
    raise Malformed("The webhook is neither a text nor a delivery receipt.")


# --- What is accepted -------------------------------------------------------------------------------------


def _verify(params: Mapping[str, str], *, token: str | None, mixed: bool) -> None:
    """Raise WebhookError unless VONAGE_LEGACY_WEBHOOKS says that this is to be believed."""
    accepted = settings.VONAGE_LEGACY_WEBHOOKS
    if not accepted:
        raise NotAccepted(
            "The account sends webhooks in the format of the SMS API. Choose the Messages API under API Settings in "
            "Vonage's dashboard, or set VONAGE_LEGACY_WEBHOOKS."
        )
    if mixed:
        raise NotAccepted("The webhook's URL must have no query of its own, except for VONAGE_WEBHOOK_TOKEN's.")
    if accepted == "token":
        _verify_token(token)
    elif token is not None:
        raise NotAccepted("The webhook's URL has a token, but VONAGE_LEGACY_WEBHOOKS is not `token`.")
    else:
        _verify_signature(params, accepted.removeprefix("signed:"))
    # Older accounts do not send it.
    if params.get("api-key", settings.VONAGE_API_KEY) != settings.VONAGE_API_KEY:
        raise Forged("The webhook is for another account. Is VONAGE_API_KEY right?")


def _verify_token(token: str | None) -> None:
    if token is None:
        raise Unsigned("The webhook's URL must end in ?token= and the VONAGE_WEBHOOK_TOKEN of this service.")
    if not hmac.compare_digest(_encode(token), _encode(settings.VONAGE_WEBHOOK_TOKEN)):
        raise Forged("The token in the webhook's URL is not VONAGE_WEBHOOK_TOKEN.")


def _verify_signature(params: Mapping[str, str], method: str) -> None:
    """https://developer.vonage.com/en/getting-started/concepts/signing-messages"""
    given = params.get("sig")
    if not given:
        raise Unsigned(
            "The webhook is not signed. Ask Vonage's support to switch that on, or set VONAGE_LEGACY_WEBHOOKS=token."
        )
    if not hmac.compare_digest(_encode(given.lower()), _sign(params, method).encode()):
        raise Forged("The signature is wrong. Are VONAGE_SIGNATURE_SECRET and VONAGE_LEGACY_WEBHOOKS the account's?")
    signed_at, now = params.get("timestamp", ""), time.time()
    if not re.fullmatch(r"[0-9]{1,12}", signed_at, re.ASCII):
        raise Forged("The signature has no time.")
    if not now - settings.WEBHOOK_MAX_AGE_HOURS * 3600 <= int(signed_at) <= now + CLOCK_LEEWAY_SECONDS:
        raise Forged("The signature is too old, or from the future.")


def _sign(params: Mapping[str, str], method: str) -> str:
    signed = b"".join(
        _encode(f"&{name}={re.sub('[&=]', '_', value)}") for name, value in sorted(params.items()) if name != "sig"
    )
    secret = settings.VONAGE_SIGNATURE_SECRET.encode()
    if method == "md5hash":
        return hashlib.md5(signed + secret).hexdigest()
    return hmac.new(secret, signed, method).hexdigest()


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


# --- What is read -----------------------------------------------------------------------------------------


def _read_body(body: bytes) -> dict[str, Any]:
    """Return the parameters of a form or of JSON, by how it begins: labels are wrong more often. Numbers stay text."""
    if not body.lstrip().startswith(b"{"):
        return dict(QueryDict(body).lists())
    try:
        payload = json.loads(body, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return {"": "not JSON"}
    return payload if isinstance(payload, dict) else {}


def _read_value(name: str, value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case [str(only)]:
            return only
    raise Malformed("A parameter is not one string.")


def _read_inbound(params: Mapping[str, str]) -> InboundText | InboundPart:
    is_binary = params.get("type", "text").lower() not in ("text", "unicode") or "text" not in params
    body = "" if is_binary else params["text"]
    text = InboundText(
        gateway_id=require(params, "messageId", GATEWAY_ID),
        from_number=read_sender(params, "msisdn"),
        to_number=read_recipient(params, "to"),
        body=body,
        undeliverable="binary" if is_binary else find_obstacle(body),
    )
    if params.get("concat", "").lower() not in ("true", "1"):
        return text
    part, total = (int(require(params, name, r"[0-9]{1,3}")) for name in ("concat-part", "concat-total"))
    if not 1 <= part <= total <= _MOST_PARTS:
        raise Malformed("`concat-part` and `concat-total` do not go together.")
    if total == 1:
        return text
    return InboundPart(text, reference=require(params, "concat-ref", r"[A-Za-z0-9_.:-]{1,40}"), part=part, total=total)


# https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts
_PROGRESS = {
    "accepted": Progress.SENT,
    "buffered": Progress.SENT,
    "delivered": Progress.DELIVERED,
    "expired": Progress.FAILED,
    "failed": Progress.FAILED,
    "rejected": Progress.FAILED,
    # "unknown" tells nothing.
}
# The code of a receipt that has failed and names none.
_CODE_OF_STATUS = {"expired": "expired_at_carrier"}


def _read_receipt(params: Mapping[str, str]) -> Receipt | None:
    gateway_id = require(params, "messageId", GATEWAY_ID)
    status = require(params, "status", r"[A-Za-z_]{1,40}").lower()
    progress = _PROGRESS.get(status)
    if progress is None:
        return None
    code, error = "", None
    if progress is Progress.FAILED:
        code = re.sub(r"[^\w.-]", "", params.get("err-code", ""))[:40]
        code_of_status = _CODE_OF_STATUS.get(status, status)
        code = code_of_status if code in ("", "0") else code
        error = SMS_API.get(code, SMS_API[code_of_status])
    price = read_price(params.get("price"))
    return Receipt(
        gateway_id=gateway_id,
        reference=read_uuid(params.get("client-ref")),
        progress=progress,
        at=_read_time(params),
        error_code=code,
        error_detail=error.in_words if error else "",
        error_kind=error.kind if error else None,
        remedy=error.remedy if error else None,
        # It is of one part, and another than we were answered when the text was handed over.
        is_of_part=True,
        price=price,
        # Vonage bills in nothing else.
        currency="" if price is None else "EUR",
    )


def _read_time(params: Mapping[str, str]) -> float:
    """Return when it was delivered. The carrier's clock may go wrong, the time of the webhook anew at each retry."""
    times = []
    for name, form in (("scts", "%y%m%d%H%M"), ("message-timestamp", "%Y-%m-%d %H:%M:%S")):
        try:
            times.append(datetime.strptime(params.get(name, ""), form).replace(tzinfo=UTC).timestamp())
        except (ValueError, OverflowError):
            continue
    return min(times, default=0.0)
