"""What proves who somebody is on the wire: tokens or credentials of callers, and tokens that sign webhooks."""

import hashlib
import hmac
import json
import time
import uuid
from base64 import b64encode, urlsafe_b64encode

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_LONGEST_LIFE_S = 24 * 3600
_DEFAULT_LIFE_S = 15 * 60
_CLOCK_LEEWAY_S = 60
_CACHED_TOKENS = 10_000


class TokenChecker:
    """Says whether an Authorization header lets somebody send texts: a token of the application, or the account's key.

    A token that passed is remembered until it expires: verifying RS256 costs more than the rest of a request.
    """

    def __init__(
        self, *, public_key: RSAPublicKey, application_id: str, api_key: str = "", api_secret: str = ""
    ) -> None:
        self._basic = f"Basic {b64encode(f'{api_key}:{api_secret}'.encode()).decode()}" if api_secret else ""
        self._public_key = public_key
        self._application_id = application_id
        self._valid_until: dict[str, float] = {}

    def check(self, authorization: str | None, now: float) -> bool:
        if authorization is None:
            return False
        if self._basic and hmac.compare_digest(authorization.encode("utf-8", "surrogateescape"), self._basic.encode()):
            return True
        valid_until = self._valid_until.get(authorization)
        if valid_until is None:
            valid_until = self._verify(authorization, now)
            if len(self._valid_until) >= _CACHED_TOKENS:
                self._valid_until.clear()
            if valid_until > now:
                self._valid_until[authorization] = valid_until
        return valid_until > now

    def _verify(self, authorization: str, now: float) -> float:
        """Return when the token stops being valid; 0 when it never was."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return 0
        try:
            claims = jwt.decode(
                token.strip(),
                self._public_key,
                algorithms=["RS256"],
                leeway=_CLOCK_LEEWAY_S,
                options={
                    "require": ["application_id", "iat", "jti"],
                    "verify_exp": False,
                    "verify_aud": False,
                    "verify_sub": False,
                },
            )
        except (jwt.PyJWTError, UnicodeError):
            return 0
        issued_at = claims["iat"]
        if not isinstance(issued_at, int | float):
            return 0
        expires_at = claims.get("exp", issued_at + _DEFAULT_LIFE_S)
        if not isinstance(expires_at, int | float) or expires_at - issued_at > _LONGEST_LIFE_S:
            return 0
        if claims["application_id"] != self._application_id or not claims["jti"]:
            return 0
        return float(expires_at)


class WebhookSigner:
    """Makes the Authorization header of a webhook.

    The token is put together here and not by a JWT library, because webhooks are what the load is made of.
    """

    def __init__(self, *, api_key: str, application_id: str, secret: str) -> None:
        self._header = _encode(b'{"alg":"HS256","typ":"JWT"}')
        self._claims = f'"iss":"Vonage","api_key":{json.dumps(api_key)},"application_id":{json.dumps(application_id)}'
        self._secret = secret.encode()

    def sign(self, body: bytes, *, sign: str = "good", wrong_hash: bool = False, iat_skew_s: float = 0) -> str | None:
        """Sign a body; `sign` is good, wrong (somebody else's secret) or none (no header at all).

        With `wrong_hash` the token was made for another body, and `iat_skew_s` moves the time at which it was made.
        """
        if sign == "none":
            return None
        secret = self._secret if sign == "good" else b"not " + self._secret
        payload_hash = hashlib.sha256(b"not " + body if wrong_hash else body).hexdigest()
        claims = (
            f'{{"iat":{int(time.time() + iat_skew_s)},"jti":"{uuid.uuid4()}",{self._claims},'
            f'"payload_hash":"{payload_hash}"}}'
        )
        signed = self._header + b"." + _encode(claims.encode())
        return f"Bearer {(signed + b'.' + _encode(hmac.digest(secret, signed, 'sha256'))).decode()}"


def _encode(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
