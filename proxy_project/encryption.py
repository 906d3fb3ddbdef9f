"""Hide what people told us: encrypt numbers, names and bodies, and digest numbers for lookup."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

# What stands for a value whose key is missing, where that is shown instead of being an error.
UNREADABLE = "(cannot be read: its key is missing)"

_unreadable_is_shown: ContextVar[bool] = ContextVar("unreadable_is_shown", default=False)


@contextmanager
def show_unreadable() -> Iterator[None]:
    """Let rows whose key is missing be read within this block, as UNREADABLE; elsewhere that raises InvalidToken.

    Only for pages that are looked at: nothing that is written, texted or passed on may be made of it.
    """
    token = _unreadable_is_shown.set(True)
    try:
        yield
    finally:
        _unreadable_is_shown.reset(token)


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


def find_fingerprint(key: str) -> str:
    """Return 16 hexadecimal digits that name one of `ENCRYPTION_KEYS` and tell nothing of it."""
    return hashlib.sha256(b"fingerprint of " + key.encode()).hexdigest()[:16]


class EncryptedTextField(models.TextField):
    """Text that is a Fernet token in the database and plain in Python; it cannot be searched."""

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        return value if not value else _read(value)

    def get_prep_value(self, value: Any) -> str | None:
        if value == UNREADABLE:
            raise ValueError(f"{self.name} could not be read, and must not be overwritten.")
        return value if not value else encrypt(value)

    def get_lookup(self, lookup_name: str) -> Any:
        _refuse_comparison(self.name, lookup_name)
        return super().get_lookup(lookup_name)


class EncryptedJSONField(models.JSONField):
    """JSON that is a string with a Fernet token in the database; nothing (`{}`) stays nothing.

    What is not a string is from before it was encrypted; `manage.py rotate_keys` encrypts it.
    """

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        stored = super().from_db_value(value, expression, connection)
        if not isinstance(stored, str):
            return stored
        text = _read(stored)
        return {"": UNREADABLE} if text == UNREADABLE else json.loads(text)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value == {"": UNREADABLE}:
            raise ValueError(f"{self.name} could not be read, and must not be overwritten.")
        if value and not hasattr(value, "as_sql"):
            value = encrypt(json.dumps(value, ensure_ascii=False))
        return super().get_db_prep_value(value, connection, prepared)

    def get_lookup(self, lookup_name: str) -> Any:
        _refuse_comparison(self.name, lookup_name)
        return super().get_lookup(lookup_name)


def _refuse_comparison(column: str, lookup_name: str) -> None:
    if lookup_name != "isnull":
        raise TypeError(f"{column} is encrypted; every token differs, so it cannot be compared in SQL.")


def _read(token: str) -> str:
    try:
        return decrypt(token)
    except InvalidToken:
        if _unreadable_is_shown.get():
            return UNREADABLE
        raise


def _fernet() -> MultiFernet:
    return _make_fernet(tuple(settings.ENCRYPTION_KEYS))


@cache
def _make_fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
