"""The plans of the statements behind each request, as PostgreSQL has run them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench.growth import Grown
from messaging.claims import claim_texts, seconds_until_due
from proxy_project import sql

_EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, SETTINGS)"


def write_plans(grown: Grown, requests: Mapping[str, Callable[[], bytes]]) -> str:
    """Return for each of these requests the statements it makes, each with its plan.

    Each statement is run twice: once for its plan, which is undone, and once for the request; what one request leaves
    behind is there for the next.
    """
    parts = [f"Plans with {grown.chats:,} open chats.\n"]
    parts += [_explain(name, partial(_send, make())) for name, make in requests.items()]
    parts.append(_explain("claim of texts", lambda: claim_texts(limit=8)))
    parts.append(_explain("when is the next text due", seconds_until_due))
    return "\n".join(parts)


def _explain(name: str, step: Any) -> str:
    plans: list[str] = []
    with _explained(plans), CaptureQueriesContext(connection) as captured:
        step()
    for query in captured.captured_queries:
        if query["sql"].startswith("SELECT"):
            with connection.cursor() as cursor:
                cursor.execute(f"{_EXPLAIN} {query['sql'].replace('%', '%%')}", ())
                plans.append(_format(query["sql"], cursor.fetchall()))
    return f"{'=' * 100}\n{name}\n{'=' * 100}\n\n" + "\n".join(plans)


@contextmanager
def _explained(plans: list[str]) -> Iterator[None]:
    """Note the plan of each statement that goes past the ORM."""
    execute = sql._execute

    def explain(statement: str, params: Mapping[str, Any], *, prepare: bool) -> list[tuple[Any, ...]]:
        with transaction.atomic():
            rows = execute(f"{_EXPLAIN} {statement}", params, prepare=False)
            transaction.set_rollback(True)
        plans.append(_format(statement, rows))
        return execute(statement, params, prepare=prepare)

    with mock.patch.object(sql, "_execute", explain):
        yield


def _format(statement: str, rows: list[tuple[Any, ...]]) -> str:
    return " ".join(statement.split()) + "\n\n" + "\n".join(f"    {line}" for (line,) in rows) + "\n"


def _send(request: bytes) -> None:
    """Do in this process what a request asks for."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split()
    headers = dict(line.split(": ", 1) for line in lines)
    client = Client(headers={name: value for name, value in headers.items() if name != "Content-Length"})
    response = client.generic(method, path, body, content_type=headers.get("Content-Type", ""))
    response.getvalue()
