"""Encrypt everything anew with the newest key, while the service runs.

Which key a row is under is found by trying, so there is no progress to keep: whoever starts again, after a kill, skips
what is done. A row is changed only if it still holds the token that was read, and never waited for.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from messaging.models import Attachment
from proxy_project.encryption import EncryptedJSONField, EncryptedTextField, find_fingerprint
from proxy_project.sql import execute_planned

BATCH_SIZE = 200
MEDIA_FOLDER = "media"
# A file without a row may be one that is just being stored.
_STRAY_AFTER = timedelta(days=1)
# One at a time: two would do each other's work again.
_LOCK = 0x6B657973
# What is written with an old key while we are at it, by a process that was not restarted, is found by the next pass.
_PASSES = 5


class AlreadyRotating(Exception):
    """Another process is encrypting everything anew at this moment."""


@dataclass
class Tally:
    """What was found: values by the fingerprint of their key, and those that no key reads by where they are."""

    by_key: Counter[str] = field(default_factory=Counter)
    in_clear: int = 0
    rotated: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)

    @property
    def left(self) -> int:
        """How many values are not under the newest key, though one of our keys reads them."""
        older = map(find_fingerprint, settings.ENCRYPTION_KEYS[1:])
        return sum(self.by_key[key] for key in older) + self.in_clear


def rotate_everything(*, batch_size: int = BATCH_SIZE, say: Callable[[str], None]) -> Tally:
    """Encrypt every value and file under the newest key, and return what a last look at all of them found.

    `say` is given a sentence for each table in which something was done. Raises AlreadyRotating.
    """
    with _alone():
        for _ in range(_PASSES):
            tally = _go_through(batch_size, is_writing=True, say=say)
            if not tally.left:
                break
        delete_stray_files()
        return tally


def look_at_everything(*, batch_size: int = BATCH_SIZE) -> Tally:
    """Return under which keys everything is, and change nothing."""
    return _go_through(batch_size, is_writing=False, say=lambda _: None)


def delete_stray_files() -> int:
    """Delete the files that no attachment has, and that are older than a day: a crash has left them."""
    if not _has_media():
        return 0
    _, names = default_storage.listdir(MEDIA_FOLDER)
    known = set(Attachment.objects.exclude(file="").values_list("file", flat=True))
    deleted = 0
    for name in (f"{MEDIA_FOLDER}/{name}" for name in names):
        if name not in known and default_storage.get_modified_time(name) < timezone.now() - _STRAY_AFTER:
            default_storage.delete(name)
            deleted += 1
    return deleted


@dataclass(frozen=True)
class _Column:
    """A column that holds tokens: how its token is read in SQL, and written."""

    name: str
    is_json: bool

    @property
    def read(self) -> str:
        return f"{self.name} #>> '{{}}'" if self.is_json else self.name

    def write(self, value: str) -> str:
        return f"to_jsonb({value})" if self.is_json else value


@dataclass(frozen=True)
class _Table:
    name: str
    key: str
    key_type: str
    columns: Sequence[_Column]

    @cached_property
    def read(self) -> str:
        tokens = ", ".join(column.read for column in self.columns)
        is_filled = " OR ".join(f"{column.read} NOT IN ('', '{{}}')" for column in self.columns)
        return f"""
            SELECT {self.key}, {tokens} FROM {self.name}
             WHERE (%(after)s::{self.key_type} IS NULL OR {self.key} > %(after)s) AND ({is_filled})
             ORDER BY {self.key} LIMIT %(limit)s
        """

    @cached_property
    def write(self) -> str:
        """SQL that writes new tokens over old ones where these still stand, and waits for nobody."""
        numbered = list(enumerate(self.columns))
        arrays = ", ".join(f"%(old{n})s::text[], %(new{n})s::text[]" for n, _ in numbered)
        names = ", ".join(f"old{n}, new{n}" for n, _ in numbered)
        changes = ", ".join(f"{column.name} = {column.write(f'anew.new{n}')}" for n, column in numbered)
        stands = " AND ".join(f"held.token{n} = anew.old{n}" for n, _ in numbered)
        tokens = ", ".join(f"{column.read} AS token{n}" for n, column in numbered)
        return f"""
            WITH held AS MATERIALIZED (
                SELECT {self.key} AS key, {tokens} FROM {self.name}
                 WHERE {self.key} = ANY(%(keys)s::{self.key_type}[]) FOR NO KEY UPDATE SKIP LOCKED
            )
            UPDATE {self.name} AS row SET {changes}
              FROM held JOIN unnest(%(keys)s::{self.key_type}[], {arrays}) AS anew (key, {names}) ON anew.key = held.key
             WHERE row.{self.key} = held.key AND {stands}
            RETURNING 1
        """


class _Keyring:
    def __init__(self) -> None:
        self._fernets = [Fernet(key) for key in settings.ENCRYPTION_KEYS]
        self.fingerprints = [find_fingerprint(key) for key in settings.ENCRYPTION_KEYS]

    def renew(self, token: bytes) -> tuple[str, bytes]:
        """Return the fingerprint of a token's key, and the token under the newest; raises InvalidToken."""
        for fernet, fingerprint in zip(self._fernets, self.fingerprints, strict=True):
            try:
                content = fernet.decrypt(token)
            except InvalidToken:
                continue
            if fernet is self._fernets[0]:
                return fingerprint, token
            # It keeps its time: https://cryptography.io/en/latest/fernet/#cryptography.fernet.MultiFernet.rotate
            made_at = fernet.extract_timestamp(token)
            return fingerprint, self._fernets[0].encrypt_at_time(content, made_at)
        raise InvalidToken


def list_tables() -> list[_Table]:
    """Return every table of the database that has encrypted columns."""
    tables = []
    for model in apps.get_models():
        columns = [
            _Column(str(each.column), isinstance(each, EncryptedJSONField))
            for each in model._meta.local_concrete_fields
            if isinstance(each, EncryptedTextField | EncryptedJSONField)
        ]
        if columns and model._meta.managed and not model._meta.proxy:
            key = model._meta.pk
            # Of a row that is one with another, the type of that one's key.
            key_type = str(key.db_type(connection))
            tables.append(_Table(model._meta.db_table, str(key.column), key_type, columns))
    return tables


def _go_through(batch_size: int, *, is_writing: bool, say: Callable[[str], None]) -> Tally:
    """Look at every value once. What was written anew counts as what it was, unless the write came too late."""
    tally, keyring = Tally(), _Keyring()
    for table in list_tables():
        before = tally.rotated
        for rows in _read_batches(table, batch_size):
            _go_through_rows(table, rows, keyring, tally, is_writing=is_writing)
        if tally.rotated > before:
            say(f"{table.name}: {tally.rotated - before} rows encrypted anew")
    before = tally.rotated
    _go_through_files(keyring, tally, is_writing=is_writing)
    if tally.rotated > before:
        say(f"files: {tally.rotated - before} encrypted anew")
    return tally


def _read_batches(table: _Table, size: int) -> Iterator[list[tuple[Any, ...]]]:
    after = None
    while rows := execute_planned(table.read, {"after": after, "limit": size}):
        yield rows
        after = rows[-1][0]


def _go_through_rows(
    table: _Table, rows: Sequence[tuple[Any, ...]], keyring: _Keyring, tally: Tally, *, is_writing: bool
) -> None:
    changed: list[tuple[Any, Sequence[str], Sequence[str]]] = []
    for key, *old in rows:
        new = [_renew(table, column, token, keyring, tally) for column, token in zip(table.columns, old, strict=True)]
        if new != old:
            changed.append((key, old, new))
    if not (changed and is_writing):
        return
    params: dict[str, Any] = {"keys": [key for key, _, _ in changed]}
    for n in range(len(table.columns)):
        params[f"old{n}"] = [old[n] for _, old, _ in changed]
        params[f"new{n}"] = [new[n] for _, _, new in changed]
    tally.rotated += len(execute_planned(table.write, params))


def _renew(table: _Table, column: _Column, token: str, keyring: _Keyring, tally: Tally) -> str:
    if not token or token == "{}":
        return token
    if column.is_json and _is_object(token):
        tally.in_clear += 1
        return Fernet(settings.ENCRYPTION_KEYS[0]).encrypt(token.encode()).decode("ascii")
    try:
        fingerprint, renewed = keyring.renew(token.encode())
    except InvalidToken:
        tally.unreadable[f"{table.name}.{column.name}"] += 1
        return token
    tally.by_key[fingerprint] += 1
    return renewed.decode("ascii")


def _is_object(text: str) -> bool:
    return text.startswith("{") and isinstance(json.loads(text), dict)


def _go_through_files(keyring: _Keyring, tally: Tally, *, is_writing: bool) -> None:
    """First the new file, then the row, then the old file: whoever looks in between finds one that can be read."""
    stored = Attachment.objects.filter(status=Attachment.Status.STORED)
    for pk, name in stored.order_by("pk").values_list("pk", "file").iterator():
        try:
            with default_storage.open(name) as file:
                token = file.read()
            fingerprint, renewed = keyring.renew(token)
        except InvalidToken:
            tally.unreadable["files"] += 1
            continue
        except OSError:
            if stored.filter(pk=pk, file=name).exists():
                tally.unreadable["files that cannot be opened"] += 1
            continue
        tally.by_key[fingerprint] += 1
        if renewed is token or not is_writing:
            continue
        new_name = default_storage.save(f"{MEDIA_FOLDER}/{pk}-{keyring.fingerprints[0]}", ContentFile(renewed))
        is_mine = stored.filter(pk=pk, file=name).update(file=new_name)
        default_storage.delete(name if is_mine else new_name)
        tally.rotated += is_mine


def _has_media() -> bool:
    try:
        default_storage.listdir(MEDIA_FOLDER)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _alone() -> Iterator[None]:
    """Hold a lock of this session; a process that is killed holds nothing any more."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        [is_mine] = cursor.fetchone()
        if not is_mine:
            raise AlreadyRotating
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
