"""Hide what people told us: encrypt numbers, names and bodies, and digest numbers for lookup."""

import hmac
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import models


def encrypt(text: str) -> str:
    """Return `text` as a Fernet token under the newest of `ENCRYPTION_KEYS`.

    A lone surrogate, which JSON can carry and UTF-8 cannot, becomes a question mark.
    """
    return _fernet().encrypt(text.encode("utf-8", "replace")).decode("ascii")


def decrypt(token: str) -> str:
    """Return the text of a token made under any of `ENCRYPTION_KEYS`; raises cryptography's InvalidToken.

    Nothing stays nothing, as in EncryptedTextField.
    """
    return _fernet().decrypt(token.encode("ascii")).decode("utf-8") if token else ""


def encrypt_bytes(data: bytes) -> bytes:
    """Return `data` as a Fernet token under the newest of `ENCRYPTION_KEYS`: a third larger."""
    return _fernet().encrypt(data)


def decrypt_bytes(token: bytes) -> bytes:
    """Return the bytes of a token made under any of `ENCRYPTION_KEYS`; raises cryptography's InvalidToken."""
    return _fernet().decrypt(token)


def digest_number(phone_number: str) -> bytes:
    """Return the HMAC-SHA256 of an E.164 number under `DIGEST_KEY`: the same number always gives the same 32 bytes."""
    return hmac.digest(settings.DIGEST_KEY.encode(), phone_number.encode(), "sha256")


class EncryptedTextField(models.TextField):
    """Text that is a Fernet token in the database and plain in Python; it cannot be searched."""

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        return value if not value else decrypt(value)

    def get_prep_value(self, value: Any) -> str | None:
        return value if not value else encrypt(value)

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name != "isnull":
            raise TypeError(f"{self.name} is encrypted; every token differs, so it cannot be compared in SQL.")
        return super().get_lookup(lookup_name)


@cache
def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])
