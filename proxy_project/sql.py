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


# Of every session that is to probe indexes, whatever it is believed that the tables hold.
_BY_INDEXES_ALONE = """
    SELECT set_config('plan_cache_mode', 'force_generic_plan', false), set_config('jit', 'off', false),
           set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
           set_config('enable_mergejoin', 'off', false)
"""


def plan_by_indexes_alone(*, connection: Any, **_: object) -> None:
    """Have a connection plan each prepared statement once, and without reading whole tables: for `connection_created`.

    For a process whose statements all read a few rows by their indexes, and whose largest take longer to plan than to
    run. docs/decisions/0009-plans-of-an-empty-queue.md
    """
    with connection.cursor() as cursor:
        cursor.execute(_BY_INDEXES_ALONE)


def _execute(sql: str, params: Mapping[str, Any], *, prepare: bool) -> list[tuple[Any, ...]]:
    # What Django's own cursors do first: once a request, replace a connection that the server has closed.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        # Binary rows are read a quarter faster: UUIDs and times need no parsing.
        cursor.execute(sql, params, prepare=prepare, binary=True)
        # Not by its description, which makes an object of each column: 0.1 ms for the lookup of a text.
        return [] if cursor.rownumber is None else cursor.fetchall()
