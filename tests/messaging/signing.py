"""Call the webhooks as Vonage does, with every part of the signature open to change."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from typing import Any

from django.conf import settings
from django.test import Client

INBOUND = "/webhooks/inbound"
STATUS = "/webhooks/status"

# As a claim or a header: leave it out.
ABSENT = object()


def encode(payload: Any) -> bytes:
    """Return the body of a webhook; bytes are a body already."""
    return payload if isinstance(payload, bytes) else json.dumps(payload).encode()


def make_token(body: bytes, *, secret: str | None = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return the token that Vonage signs for `body`. A claim replaces the documented one; ABSENT removes it."""
    documented = {
        "iat": int(time.time()),
        "jti": str(uuid.uuid4()),
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": settings.VONAGE_API_KEY,
        "application_id": settings.VONAGE_APPLICATION_ID,
    }
    header = {"alg": "HS256", "typ": "JWT", **(headers or {})}
    digest = {"HS384": "sha384", "HS512": "sha512"}.get(str(header["alg"]), "sha256")
    signed = f"{_part(header)}.{_part(documented | claims)}"
    key = settings.VONAGE_SIGNATURE_SECRET if secret is None else secret
    return f"{signed}.{_base64(hmac.digest(key.encode(), signed.encode(), digest))}"


def signed_post(client: Client, path: str, payload: Any, *, secret: str | None = None, **claims: Any) -> Any:
    """POST a payload with Vonage's signature; claims as in make_token."""
    body = encode(payload)
    return post(client, path, body, f"Bearer {make_token(body, secret=secret, **claims)}")


def post(client: Client, path: str, body: bytes, authorization: str | None) -> Any:
    """POST a body with an Authorization header, or without one."""
    headers = {} if authorization is None else {"Authorization": authorization}
    return client.post(path, data=body, content_type="application/json", headers=headers)


def _part(values: dict[str, Any]) -> str:
    return _base64(json.dumps({name: value for name, value in values.items() if value is not ABSENT}).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
