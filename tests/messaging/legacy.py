"""Call the webhooks as Vonage's SMS API does: in each of its three formats, with any signature."""

import hashlib
import hmac
import itertools
import json
import time
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.test import Client

from tests.factories import OMAR, SARA, VIRTUAL_NUMBER
from tests.messaging.signing import ABSENT

FORMATS = ("get", "form", "json")
METHODS = ("md5hash", "md5", "sha1", "sha256", "sha512")
TOKEN = "a-token-of-twenty-letters"

_ids = itertools.count(1)


def make_id() -> str:
    return f"0A{next(_ids):014X}"


def legacy_sms(**fields: Any) -> dict[str, Any]:
    """Return an inbound text from Sara to the virtual number; `_` in the name of a field is `-`."""
    return _replace(
        {
            "api-key": settings.VONAGE_API_KEY,
            "msisdn": SARA[1:],
            "to": VIRTUAL_NUMBER[1:],
            "messageId": make_id(),
            "text": "Hello there",
            "type": "text",
            "keyword": "HELLO",
            "message-timestamp": "2026-03-01 12:00:00",
        },
        fields,
    )


def legacy_part(part: int, total: int, text: str, **fields: Any) -> dict[str, Any]:
    """Return one part of a long text."""
    parts = {"concat": "true", "concat_ref": "108", "concat_total": str(total), "concat_part": str(part)}
    return legacy_sms(text=text, **{**parts, **fields})


def legacy_receipt(**fields: Any) -> dict[str, Any]:
    """Return the receipt of a text to Omar."""
    return _replace(
        {
            "msisdn": OMAR[1:],
            "to": VIRTUAL_NUMBER[1:],
            "network-code": "310260",
            "messageId": make_id(),
            "price": "0.03330000",
            "status": "delivered",
            "scts": time.strftime("%y%m%d%H%M", time.gmtime()),
            "err-code": "0",
            "api-key": settings.VONAGE_API_KEY,
            "message-timestamp": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
        },
        fields,
    )


def sign(params: dict[str, Any], method: str, *, secret: str | None = None) -> dict[str, Any]:
    """Return the parameters with time, nonce and signature, those that are there already kept."""
    params = {"timestamp": str(int(time.time())), "nonce": "0f3c2b1a-1111-4222-8333-944455556666"} | params
    text = "".join(f"&{name}={_escape(params[name])}" for name in sorted(params) if name != "sig")
    key = settings.VONAGE_SIGNATURE_SECRET if secret is None else secret
    signed = text.encode("utf-8", "surrogatepass")
    if method == "md5hash":
        signature = hashlib.md5(signed + key.encode()).hexdigest()
    else:
        signature = hmac.new(key.encode(), signed, method).hexdigest()
    return {"sig": signature} | params


def send(client: Client, path: str, params: dict[str, Any], form: str = "form") -> Any:
    """Send parameters as they are: as a GET query, a form or JSON."""
    if form == "get":
        return client.get(f"{path}{'&' if '?' in path else '?'}{urlencode(params)}")
    if form == "form":
        return client.post(path, data=urlencode(params), content_type="application/x-www-form-urlencoded")
    return client.post(path, data=json.dumps(params), content_type="application/json")


def with_token(path: str, token: str = TOKEN) -> str:
    return f"{path}?token={token}"


def _escape(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("&", "_").replace("=", "_")


def _replace(documented: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    merged = documented | {name.replace("_", "-"): value for name, value in fields.items()}
    return {name: value for name, value in merged.items() if value is not ABSENT}
