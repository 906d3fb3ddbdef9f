"""Know which encryption keys are needed, so that nothing starts without one of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from platforms.models import EncryptionKey
from proxy_project.encryption import decrypt, find_fingerprint

_HINT = (
    "Put the key back into ENCRYPTION_KEYS, behind the newest one. If it is lost for good, and what it encrypted with "
    "it: `manage.py rotate_keys --lost FINGERPRINT`."
)

# The newest of each kind, by indexes; whoever writes has the newest key.
_NEWEST = """
    (SELECT phone_number FROM chats_participant ORDER BY id DESC LIMIT 1) UNION ALL
    (SELECT body FROM messaging_message ORDER BY position DESC LIMIT 1) UNION ALL
    (SELECT payload FROM platforms_event ORDER BY position DESC LIMIT 1) UNION ALL
    (SELECT secret FROM platforms_webhookendpoint) UNION ALL
    (SELECT secret FROM platforms_approvalhook) UNION ALL
    (SELECT secret FROM operators_secondfactor)
"""
_NEEDED = "SELECT fingerprint, lost_at IS NOT NULL FROM platforms_encryptionkey WHERE not_needed_since IS NULL"
# The newest is in use again, whatever was found before.
_NOTE = """
    INSERT INTO platforms_encryptionkey (fingerprint) SELECT unnest(%(all)s::text[])
    ON CONFLICT (fingerprint) DO UPDATE SET not_needed_since = NULL, lost_at = NULL
     WHERE platforms_encryptionkey.fingerprint = %(newest)s
       AND (platforms_encryptionkey.not_needed_since IS NOT NULL OR platforms_encryptionkey.lost_at IS NOT NULL)
"""


def require_keys() -> None:
    """Note which keys this process has, and raise ImproperlyConfigured when one that is needed is missing."""
    if problem := find_problem():
        raise ImproperlyConfigured(f"The service cannot start: {problem}\n  {_HINT}")


def check_keys(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Do what require_keys does, as a system check: the sender and the worker run it before they start."""
    problem = find_problem()
    return [Error(problem, hint=_HINT, id="platforms.E001")] if problem else []


def find_problem() -> str:
    """Say in a sentence which key is missing; an empty one when none is, and all that there are have been noted.

    A database that is away or not migrated yet is no problem of keys.
    """
    configured = [find_fingerprint(key) for key in settings.ENCRYPTION_KEYS]
    try:
        with connection.cursor() as cursor:
            cursor.execute(_NEEDED)
            needed = cursor.fetchall()
            if missing := sorted(key for key, is_lost in needed if not is_lost and key not in configured):
                return _say_missing(missing)
            if not any(is_lost for _, is_lost in needed):
                cursor.execute(_NEWEST)
                if not all(_is_readable(token) for (token,) in cursor.fetchall()):
                    return "What was stored last was encrypted with a key that is not among ENCRYPTION_KEYS."
            cursor.execute(_NOTE, {"all": configured, "newest": configured[0]})
    except DatabaseError:
        return ""
    return ""


def note_not_needed(*, fingerprints: Sequence[str], now: datetime) -> None:
    """Note that nothing is encrypted with these keys any more."""
    EncryptionKey.objects.filter(pk__in=fingerprints, not_needed_since=None).update(not_needed_since=now)


def give_up_key(*, fingerprint: str, now: datetime) -> bool:
    """Let the service start without a key that is lost; False when none that is needed has this fingerprint."""
    return EncryptionKey.objects.filter(pk=fingerprint, not_needed_since=None).update(lost_at=now) == 1


def _say_missing(fingerprints: Sequence[str]) -> str:
    which = "key" if len(fingerprints) == 1 else "keys"
    return (
        f"ENCRYPTION_KEYS lacks the {which} with the fingerprint {', '.join(fingerprints)}, with which something in "
        "the database is encrypted."
    )


def _is_readable(token: str) -> bool:
    try:
        decrypt(token)
    except InvalidToken:
        return False
    return True
