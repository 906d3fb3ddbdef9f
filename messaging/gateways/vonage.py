"""Hand over texts through Vonage's Messages API."""

import re
import ssl
import time
from collections.abc import Callable
from functools import cache

import jwt
import pydantic
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError, SSLError
from vonage import Auth, VonageError
from vonage_http_client.errors import HttpRequestError
from vonage_messages import MmsAudio, MmsContent, MmsFile, MmsImage, MmsResource, MmsVcard, MmsVideo, Sms
from vonage_messages.models import BaseMessage
from vonage_messages.models.mms import (
    MmsContentItemAudio,
    MmsContentItemFile,
    MmsContentItemImage,
    MmsContentItemVcard,
    MmsContentItemVideo,
)

from messaging.gateways import (
    ErrorKind,
    MediaKind,
    OutboundText,
    Outcome,
    SendError,
)
from messaging.gateways.vonage_client import Redirected, hasten, make_client
from messaging.gateways.vonage_errors import explain_answer, pause

# A carrier's load balancer closes idle connections; a request on one that is just closing has no known outcome.
_IDLE_SECONDS = 20
_TOKEN_SECONDS = 600
_CARRIER = ErrorKind.CARRIER


class VonageGateway:
    """Hands over texts through Vonage's SDK, with at most one POST a text. Not for use by two threads at once.

    Raises ImproperlyConfigured when VONAGE_PRIVATE_KEY cannot sign.
    """

    def __init__(self) -> None:
        self._vonage = make_client(_auth(), url=settings.VONAGE_API_URL, timeout_seconds=settings.SEND_TIMEOUT_SECONDS)
        self._session = hasten(self._vonage, url=settings.VONAGE_API_URL)
        self._last_used = 0.0

    def send(self, text: OutboundText) -> str:
        """Hand over a text and return Vonage's `message_uuid`; raises SendError, from which nothing leaks."""
        if not re.fullmatch(r"\+[1-9][0-9]{6,14}", text.to_number, re.ASCII):
            detail = "The recipient's number cannot receive a text."
            raise SendError(Outcome.NEVER, "invalid_number", detail, kind=ErrorKind.RECIPIENT)
        message = _make_message(text)
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

    def check_credentials(self) -> None:
        """Raise SendError unless a text would be taken from us; asks with one that names nobody, so none is sent."""
        error = None
        try:
            client = self._vonage.http_client
            client.post(client.api_host, "/v1/messages", {}, "jwt")
        except HttpRequestError as refused:
            error = explain_answer(refused.response)
        except Exception as raised:
            error = _explain(raised)
        # NEVER is said of the request alone (422), and so to somebody who may make one.
        if error and error.outcome is not Outcome.NEVER:
            raise error

    def _close_idle_connection(self) -> None:
        if time.monotonic() - self._last_used > _IDLE_SECONDS:
            self._session.hang_up()


# https://developer.vonage.com/en/messages/concepts/mms
_MMS: dict[MediaKind, Callable[..., BaseMessage]] = {
    MediaKind.IMAGE: MmsImage,
    MediaKind.AUDIO: MmsAudio,
    MediaKind.VIDEO: MmsVideo,
    MediaKind.VCARD: MmsVcard,
    MediaKind.FILE: MmsFile,
}
_MMS_ITEM: dict[MediaKind, Callable[..., MmsResource]] = {
    MediaKind.IMAGE: MmsContentItemImage,
    MediaKind.AUDIO: MmsContentItemAudio,
    MediaKind.VIDEO: MmsContentItemVideo,
    MediaKind.VCARD: MmsContentItemVcard,
    MediaKind.FILE: MmsContentItemFile,
}


def _make_message(text: OutboundText) -> BaseMessage | None:
    """Return the SDK's model of a text, or nothing when it refuses: its error quotes number and text."""
    common = {
        "to": text.to_number.removeprefix("+"),
        "from_": text.from_number.removeprefix("+"),
        "client_ref": str(text.reference),
    }
    try:
        if not text.media:
            return Sms(text=text.body, **common)
        # The body is the caption of the first.
        captions = [text.body or None, *[None] * (len(text.media) - 1)]
        if len(text.media) == 1:
            [media] = text.media
            resource = MmsResource(url=media.url, caption=captions[0])
            return _MMS[media.kind](**{media.kind.value: resource}, **common)
        items = [
            _MMS_ITEM[media.kind](url=media.url, caption=caption)
            for media, caption in zip(text.media, captions, strict=True)
        ]
        return MmsContent(content=items, **common)
    except pydantic.ValidationError:
        return None


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
        case NewConnectionError():
            # Refused, no route, or no such name. A kind of ConnectTimeoutError, to urllib3.
            return SendError(Outcome.AGAIN, "no_connection", "Vonage could not be reached.", kind=_CARRIER)
        case ConnectTimeoutError():
            return SendError(Outcome.AGAIN, "no_connection", "Vonage could not be reached in time.", kind=_CARRIER)
        case ProxyError() | SSLError(args=(ssl.SSLCertVerificationError(), *_)):
            # What else goes wrong with TLS may do so after the request was sent.
            return SendError(
                Outcome.AGAIN, "no_connection", "No secure connection to Vonage could be made.", kind=_CARRIER
            )
        case Redirected():
            return pause("redirected", "VONAGE_API_URL answers with a redirect; is it right?")
        case HTTPError():
            return SendError(Outcome.UNKNOWN, "answer_lost", "The connection was lost before Vonage answered.")
        case TypeError() | pydantic.ValidationError() | ValueError():
            # A 2xx whose body is not what is documented: accepted, as far as anybody can tell.
            return SendError(Outcome.UNKNOWN, "answer_unreadable", "Vonage's answer could not be read.")
        case jwt.PyJWTError() | VonageError():
            return pause("bad_private_key", "VONAGE_PRIVATE_KEY cannot sign; is it the right PEM?")
        case _:
            return SendError(Outcome.UNKNOWN, type(error).__name__, "Sending ended in an unexpected error.")


def make_token() -> str:
    """Return a JWT of the application, valid for some minutes more."""
    return _auth().create_jwt_auth_string().decode("ascii").removeprefix("Bearer ")


def _gateway_id(value: str) -> str:
    """Return a `message_uuid` with nothing in it that a database or a log could stumble over."""
    return re.sub(r"[^A-Za-z0-9_.:-]", "", value)[:64]
