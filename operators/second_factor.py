"""Set up, check and remove an operator's second factor (TOTP, RFC 6238)."""

import hmac
import secrets
import time
from base64 import b32decode, b32encode
from datetime import datetime
from urllib.parse import quote, urlencode

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import F, Func, Value
from django_otp.oath import TOTP

from operators.models import SecondFactor

STEP_SECONDS = 30
# Clocks of phones: a code is taken one step early or late.
TOLERANCE = 1
RECOVERY_CODES = 10


def has_second_factor(user: AbstractBaseUser) -> bool:
    """Return whether `user` cannot log in without a code."""
    return SecondFactor.objects.filter(user=user.pk, confirmed_at__isnull=False).exists()


def begin_setup(*, user: AbstractBaseUser) -> SecondFactor:
    """Return the factor that `user` is about to confirm, with a new secret if there is none yet."""
    secret = b32encode(secrets.token_bytes(20)).decode()
    factor, _ = SecondFactor.objects.get_or_create(user_id=user.pk, defaults={"secret": secret})
    return factor


def confirm(*, factor: SecondFactor, code: str, now: datetime) -> list[str] | None:
    """Switch the factor on when `code` shows that the app knows the secret; return its recovery codes.

    They are kept nowhere. Returns None when the code is wrong, or the factor is on already.
    """
    codes = [b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    with transaction.atomic():
        if not _take_code(factor, code):
            return None
        switched_on = SecondFactor.objects.filter(pk=factor.pk, confirmed_at=None).update(
            confirmed_at=now, recovery_digests=[_digest(each) for each in codes]
        )
    return codes if switched_on else None


def check(*, user: AbstractBaseUser, code: str) -> bool:
    """Take a code of the app or a recovery code; each works once, whoever comes with it at the same time."""
    factor = SecondFactor.objects.filter(user=user.pk, confirmed_at__isnull=False).first()
    return factor is not None and (_take_code(factor, code) or _take_recovery_code(factor, code))


def remove(*, user: AbstractBaseUser) -> bool:
    """Let `user` log in with the password alone; False when it was so already."""
    return SecondFactor.objects.filter(user=user.pk).delete()[0] > 0


def make_uri(*, factor: SecondFactor, username: str, issuer: str) -> str:
    """Return what the picture for the app says.

    https://github.com/google/google-authenticator/wiki/Key-Uri-Format
    """
    label = quote(f"{issuer}:{username}")
    return f"otpauth://totp/{label}?{urlencode({'secret': factor.secret, 'issuer': issuer})}"


def _take_code(factor: SecondFactor, code: str) -> bool:
    digits = "".join(code.split())
    if not (len(digits) == 6 and digits.isascii() and digits.isdecimal()):
        return False
    totp = TOTP(b32decode(factor.secret), STEP_SECONDS)
    totp.time = time.time()
    if not totp.verify(int(digits), tolerance=TOLERANCE, min_t=factor.last_step + 1):
        return False
    step = totp.t()
    return SecondFactor.objects.filter(pk=factor.pk, last_step__lt=step).update(last_step=step) == 1


def _take_recovery_code(factor: SecondFactor, code: str) -> bool:
    digest = _digest("".join(code.split()).replace("-", "").lower())
    return (
        SecondFactor.objects.filter(pk=factor.pk, recovery_digests__contains=[digest]).update(
            recovery_digests=Func(F("recovery_digests"), Value(digest), function="array_remove")
        )
        == 1
    )


def _digest(code: str) -> bytes:
    return hmac.digest(settings.DIGEST_KEY.encode(), b"recovery code " + code.encode("utf-8", "replace"), "sha256")
