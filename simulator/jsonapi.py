"""How the control API reads requests, and refuses those that make no sense."""

import json
from typing import Any

from aiohttp import web


async def read_json(request: web.Request) -> Any:
    """Read a body of JSON; raises ValueError."""
    return parse_json(await request.read())


def parse_json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError("the body must be JSON") from error


def read_window(request: web.Request) -> dict[str, int]:
    """Read `after` and `limit` of the query; raises ValueError."""
    window = {}
    for name in ("after", "limit"):
        if (value := request.query.get(name)) is not None:
            if not is_whole(value):
                raise ValueError(f"{name} must be a whole number")
            window[name] = int(value)
    return window


def is_whole(value: str) -> bool:
    return value.isdecimal() and len(value) <= 18


def refuse(error: str) -> web.Response:
    return web.json_response({"error": error}, status=400)
