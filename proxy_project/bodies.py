"""Read the body of a request before anybody is kept busy with it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


async def read_body(receive: Receive, *, most_bytes: int) -> tuple[bytes | None, Receive]:
    """Return the body, or None when it is larger or breaks off; and a `receive` that gives what was read once more."""
    read: list[Message] = []
    size, is_whole = 0, False
    while not is_whole and size <= most_bytes:
        message = await receive()
        read.append(message)
        if message["type"] != "http.request":
            break
        size += len(message.get("body", b""))
        is_whole = not message.get("more_body", False)
    body = b"".join(message.get("body", b"") for message in read) if is_whole and size <= most_bytes else None
    again = iter(read)

    async def receive_again() -> Message:
        message = next(again, None)
        return await receive() if message is None else message

    return body, receive_again
