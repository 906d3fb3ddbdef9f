"""Look into every table, as whoever has got hold of a copy of the database does; and make texts to be found there."""

import re
from io import StringIO
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client

from messaging.keeping.rotation import list_tables
from tests.messaging.payloads import sms
from tests.messaging.signing import INBOUND, signed_post


def dump() -> str:
    """Return every row of every table, as text."""
    rows = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT row::text FROM "{table}" AS row')
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows)


def read_everything() -> str:
    """Return everything that is encrypted, in clear, as whoever has the keys does."""
    fernets = [Fernet(key) for key in settings.ENCRYPTION_KEYS]
    found = []
    for table in list_tables():
        for column in table.columns:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT {column.read} FROM {table.name}")
                found += [_decrypt(token, fernets) for (token,) in cursor.fetchall() if token]
    # Rows that were changed are found elsewhere.
    return "\n".join(sorted(found))


def spellings(number: str) -> list[str]:
    """Return how a number of ten national digits is written: `+14155550123` as `(415) 555-0123` and the like."""
    area, office, line = number[-10:-7], number[-7:-4], number[-4:]
    separated = [separator.join((area, office, line)) for separator in ("", " ", "-", ".")]
    return [*separated, f"({area}) {office}-{line}", f"({area}) {office} {line}", f"{office}-{line}", f"{office}{line}"]


def assert_absent(text: str, *secrets: str) -> None:
    for secret in secrets:
        assert not re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text), "it is there"


def receive(text: str, **fields: Any) -> None:
    """Have somebody, Sara unless `from_` is given, text the virtual number."""
    assert signed_post(Client(), INBOUND, sms(text=text, **fields)).status_code == 200


def run(command: str, *arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out, **options)
    return out.getvalue()


def make_key() -> str:
    return Fernet.generate_key().decode()


def _decrypt(token: str, fernets: list[Fernet]) -> str:
    for fernet in fernets:
        try:
            return fernet.decrypt(token.encode()).decode()
        except InvalidToken:
            continue
    return token
