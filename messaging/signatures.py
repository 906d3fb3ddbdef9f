"""Know when a webhook last came that was signed with the signature secret as it is now, without a write for each."""

import hashlib
import hmac
import time
from datetime import datetime

from django.conf import settings
from django.db.models.functions import Now

from messaging.models import GatewayAccount
from messaging.pauses import ACCOUNT

_NOTED_EVERY_SECONDS = 600
# With which secret, and when, this process last noted one.
_noted: dict[str, float] = {}


def note_signature() -> None:
    """Note that a webhook was verified, once in ten minutes for each process and secret."""
    secret = settings.VONAGE_SIGNATURE_SECRET
    if time.monotonic() - _noted.get(secret, float("-inf")) < _NOTED_EVERY_SECONDS:
        return
    GatewayAccount.objects.bulk_create([GatewayAccount(name=ACCOUNT)], ignore_conflicts=True)
    GatewayAccount.objects.filter(name=ACCOUNT).update(signed_at=Now(), signed_with=_name_secret(secret))
    _noted[secret] = time.monotonic()


def read_signature() -> datetime | None:
    """Return when a webhook was last noted to be signed with the secret of now, to ten minutes; None if never."""
    account = GatewayAccount.objects.filter(name=ACCOUNT).only("signed_at", "signed_with").first()
    is_current = account and account.signed_with == _name_secret(settings.VONAGE_SIGNATURE_SECRET)
    return account.signed_at if account and is_current else None


def _name_secret(secret: str) -> str:
    """Return what tells this secret from another, and nothing else of it."""
    return hmac.new(settings.DIGEST_KEY.encode(), f"signature secret {secret}".encode(), hashlib.sha256).hexdigest()[
        :16
    ]
