"""Note the statements that are run, those that Django does not know of among them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg


@contextmanager
def noted_statements() -> Iterator[list[str]]:
    """Yield the statements that any thread runs within this block, in the order in which they are sent."""
    noted: list[str] = []
    execute = psycopg.Cursor.execute

    def note(cursor: psycopg.Cursor[Any], query: Any, *args: Any, **kwargs: Any) -> psycopg.Cursor[Any]:
        noted.append(str(query))
        return execute(cursor, query, *args, **kwargs)

    with patch.object(psycopg.Cursor, "execute", note):
        yield noted
