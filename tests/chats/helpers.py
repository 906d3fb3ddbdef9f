"""What the tests of the API have in common."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

from django.db import connections

from tests.factories import OMAR, SARA

Result = TypeVar("Result")


def body(*numbers: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a POST /chats, between Sara and Omar unless numbers are given."""
    return {"participants": [{"phone_number": number} for number in numbers or (SARA, OMAR)], **fields}


def errors(response: Any) -> list[tuple[str, str | None]]:
    """Return (code, attr) of each error, having checked the shape."""
    answer = response.json()
    assert set(answer) == {"type", "errors"}
    expected = "server_error" if response.status_code >= 500 else ("client_error", "validation_error")
    assert answer["type"] in expected
    assert all(set(error) == {"code", "detail", "attr"} and error["detail"] for error in answer["errors"])
    return [(error["code"], error["attr"]) for error in answer["errors"]]


def at_once(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run each call in a thread with a database connection of its own, all of them let go together."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Result]) -> Result:
        try:
            connections["default"].ensure_connection()
            barrier.wait(timeout=60)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
