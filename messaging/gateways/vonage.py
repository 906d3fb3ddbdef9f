"""Vonage's Messages API: the only file that knows its SDK; vonage_errors.py and vonage_legacy.py know the rest."""

import hashlib
import hmac
import json
import re
import time
import warnings
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import jwt
import pydantic
import requests
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.dateparse import parse_datetime
from jwt.warnings import InsecureKeyLengthWarning
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError
from vonage import Auth, HttpClientOptions, Vonage, VonageError
from vonage_http_client.errors import HttpRequestError
from vonage_messages import Sms

from messaging.gateways import (
    ErrorKind,
    Forged,
    InboundText,
    Malformed,
    OutboundText,
    Outcome,
    Progress,
    Receipt,
    SendError,
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
from messaging.gateways.vonage_errors import RESULT_UNKNOWN, explain_answer, pause, read_error

# Which of the dashboard's settings decides where what is sent.
WEBHOOK_SETTINGS: dict[type, str] = {
    InboundText: "Applications > yours > Messages > Inbound URL",
    Receipt: "Applications > yours > Messages > Status URL",
}

# A carrier's load balancer closes idle connections; a request on one that is just closing has no known outcome.
_IDLE_SECONDS = 20
_TOKEN_SECONDS = 600
_CARRIER = ErrorKind.CARRIER

# The account's signature secret may be shorter than HS256 recommends; it is Vonage's to choose.
warnings.filterwarnings("ignore", category=InsecureKeyLengthWarning)


# --- Sending ----------------------------------------------------------------------------------------------


class VonageGateway:
    """Hands over texts through Vonage's SDK, with at most one POST a text. Not for use by two threads at once.

    Raises ImproperlyConfigured when VONAGE_PRIVATE_KEY cannot sign.
    """

    def __init__(self) -> None:
        host = urlsplit(settings.VONAGE_API_URL)
        self._vonage = Vonage(
            _auth(),
            HttpClientOptions(
                api_host=host.netloc,
                timeout=settings.SEND_TIMEOUT_SECONDS,
                # The SDK repeats a POST once for each connection its pool may hold: one connection, one POST.
                pool_connections=1,
                pool_maxsize=1,
                max_retries=0,
            ),
        )
        session = self._vonage.http_client._session
        # A redirected POST comes out as a GET whose answer looks like success.
        session.max_redirects = 0
        # Read the proxy settings once, not at every request.
        session.proxies = requests.utils.get_environ_proxies(settings.VONAGE_API_URL)
        session.trust_env = False
        if host.scheme == "http":
            session.mount(f"https://{host.netloc}", _PlainHTTP(pool_connections=1, pool_maxsize=1, max_retries=0))
        self._session = session
        self._last_used = 0.0

    def send(self, text: OutboundText) -> str:
        """Hand over a text and return Vonage's `message_uuid`; raises SendError, from which nothing leaks."""
        if not re.fullmatch(r"\+[1-9][0-9]{6,14}", text.to_number, re.ASCII):
            detail = "The recipient's number cannot receive a text."
            raise SendError(Outcome.NEVER, "invalid_number", detail, kind=ErrorKind.RECIPIENT)
        message = _make_sms(text)
        if message is None:
            raise SendError(Outcome.NEVER, "invalid_text", "The text is not one that Vonage takes.")
        self._close_idle_connection()
        error = None
        try:
            return _gateway_id(self._vonage.messages.send(message).message_uuid)
        except Exception as raised:
            # What the SDK raises carries the request: number, text and credentials. Nothing of it is chained.
            error = _explain(raised)
        finally:
            self._last_used = time.monotonic()
        raise error

    def _close_idle_connection(self) -> None:
        if time.monotonic() - self._last_used > _IDLE_SECONDS:
            for adapter in self._session.adapters.values():
                adapter.close()


def _make_sms(text: OutboundText) -> Sms | None:
    """Return the SDK's model of a text, or nothing when it refuses: its error quotes number and text."""
    try:
        return Sms(
            to=text.to_number.removeprefix("+"),
            from_=text.from_number.removeprefix("+"),
            text=text.body,
            client_ref=str(text.reference),
        )
    except pydantic.ValidationError:
        return None


class _PlainHTTP(HTTPAdapter):
    """The SDK speaks https only; the simulator does not."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.url = "http://" + request.url.removeprefix("https://")
        return super().send(request, *args, **kwargs)


class _CachedTokenAuth(Auth):
    """Makes one token and uses it for ten minutes: signing one for each request parses the key each time (36 ms)."""

    def create_jwt_auth_string(self) -> bytes:
        token, made_at = getattr(self, "_cached", (b"", float("-inf")))
        if time.monotonic() - made_at > _TOKEN_SECONDS:
            token, made_at = super().create_jwt_auth_string(), time.monotonic()
            self._cached = (token, made_at)
        return bytes(token)


@cache
def _auth() -> _CachedTokenAuth:
    try:
        auth = _CachedTokenAuth(
            application_id=settings.VONAGE_APPLICATION_ID, private_key=settings.VONAGE_PRIVATE_KEY + "\n"
        )
        auth.create_jwt_auth_string()
    except (VonageError, jwt.PyJWTError):
        raise ImproperlyConfigured(
            "VONAGE_PRIVATE_KEY cannot sign: it must be the application's key as PEM, with -----BEGIN PRIVATE KEY-----."
        ) from None
    return auth


def _explain(error: Exception) -> SendError:
    """Say of whatever the SDK raised whether the text may be sent again."""
    match error:
        case HttpRequestError():
            return explain_answer(error.response)
        case requests.exceptions.ConnectTimeout():
            return SendError(Outcome.AGAIN, "no_connection", "Vonage could not be reached in time.", kind=_CARRIER)
        case requests.exceptions.SSLError() | requests.exceptions.ProxyError():
            return SendError(
                Outcome.AGAIN, "no_connection", "No secure connection to Vonage could be made.", kind=_CARRIER
            )
        case requests.exceptions.TooManyRedirects():
            return pause("redirected", "VONAGE_API_URL answers with a redirect; is it right?")
        case requests.exceptions.ConnectionError() if _was_never_connected(error):
            return SendError(Outcome.AGAIN, "no_connection", "Vonage could not be reached.", kind=_CARRIER)
        case requests.exceptions.RequestException():
            return SendError(Outcome.UNKNOWN, "answer_lost", "The connection was lost before Vonage answered.")
        case TypeError() | pydantic.ValidationError() | ValueError():
            # A 2xx whose body is not what is documented: accepted, as far as anybody can tell.
            return SendError(Outcome.UNKNOWN, "answer_unreadable", "Vonage's answer could not be read.")
        case jwt.PyJWTError() | VonageError():
            return pause("bad_private_key", "VONAGE_PRIVATE_KEY cannot sign; is it the right PEM?")
        case _:
            return SendError(Outcome.UNKNOWN, type(error).__name__, "Sending ended in an unexpected error.")


def _was_never_connected(error: requests.exceptions.ConnectionError) -> bool:
    """Return whether there was no connection at all: refused, no route, or no such name."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def _gateway_id(value: str) -> str:
    """Return a `message_uuid` with nothing in it that a database or a log could stumble over."""
    return re.sub(r"[^A-Za-z0-9_.:-]", "", value)[:64]


# --- Webhooks ---------------------------------------------------------------------------------------------


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
    if message_type != "text" or ("text" not in payload and payload.get("channel") != "sms"):
        media = payload.get(message_type) if isinstance(message_type, str) else None
        text = text or (_optional_text(media, "caption") if isinstance(media, dict) else "")
        undeliverable = "media"
    else:
        undeliverable = find_obstacle(text)
    return InboundText(
        gateway_id=require(payload, "message_uuid", GATEWAY_ID),
        from_number=read_sender(payload, "from"),
        to_number=read_recipient(payload, "to"),
        body=text,
        undeliverable=undeliverable,
    )


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
    code, detail, kind = read_error(_part(payload, "error"))
    if code == RESULT_UNKNOWN and progress is Progress.FAILED:
        # Neither delivered nor failed: it was sent, and that is all anybody will ever know.
        progress = Progress.SENT
    usage = _part(payload, "usage")
    sms = _part(payload, "sms")
    return Receipt(
        gateway_id=gateway_id,
        reference=read_uuid(payload.get("client_ref")),
        progress=progress,
        at=_timestamp(payload.get("timestamp")),
        error_code=code,
        error_detail=detail,
        error_kind=kind,
        segments=_count(sms.get("count_total", sms.get("total_count"))),
        price=read_price(usage.get("price")),
        currency=currency if re.fullmatch(r"[A-Z]{3}", currency := str(usage.get("currency", ""))) else "",
    )


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
