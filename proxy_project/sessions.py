"""Sessions of operators: a copy of the database opens none of them, and shows nothing of what is in them."""

import hashlib
from typing import Any

from cryptography.fernet import InvalidToken
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.utils import timezone

from proxy_project.encryption import decrypt, encrypt


class SessionStore(DatabaseSessionStore):
    """Django's sessions in the database, under a digest of what is in the cookie, and encrypted.

    A new API key waits in a session for the page that shows it, when it does not fit into the cookie of messages.
    """

    def _get_session_from_db(self) -> Any:
        key = _digest(self.session_key or "")
        found = self.model.objects.filter(session_key=key, expire_date__gt=timezone.now()).first()
        if found is None:
            self._session_key = None
        return found

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        instance = super().create_model_instance(data)
        instance.session_key = _digest(instance.session_key)
        return instance

    def exists(self, session_key: str) -> bool:
        return super().exists(_digest(session_key))

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key:
            super().delete(_digest(key))

    def encode(self, session_dict: dict[str, Any]) -> str:
        return encrypt(super().encode(session_dict))

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        try:
            return super().decode(decrypt(str(session_data)))
        except (InvalidToken, ValueError):
            # Of before, or of other keys: they log in again.
            return {}


def _digest(session_key: str) -> str:
    # As long as the column; what is digested is random and long enough.
    return hashlib.sha256(session_key.encode("utf-8", "replace")).hexdigest()[:40]
