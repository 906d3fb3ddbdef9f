"""Run the few statements that every text needs, past the ORM, most of them as prepared statements."""

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection


def execute_prepared(sql: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run `sql` on Django's connection, inside its transaction if there is one, and return the rows.

    PostgreSQL parses and plans the statement once a connection; the ORM's statements it plans anew each time.
    Raises Django's database errors.
    """
    return _execute(sql, params, prepare=True)


def execute_planned(sql: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run `sql` like execute_prepared, but have it planned for what is in the tables now.

    For a statement whose rows come in bursts: a plan kept from when there were none compares all with all.
    """
    return _execute(sql, params, prepare=False)


def _execute(sql: str, params: Mapping[str, Any], *, prepare: bool) -> list[tuple[Any, ...]]:
    # What Django's own cursors do first: once a request, replace a connection that the server has closed.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        # Binary rows are read a quarter faster: UUIDs and times need no parsing.
        cursor.execute(sql, params, prepare=prepare, binary=True)
        # Not by its description, which makes an object of each column: 0.1 ms for the lookup of a text.
        return [] if cursor.rownumber is None else cursor.fetchall()
