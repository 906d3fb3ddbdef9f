"""Do to a connection what no well-behaved server does."""

import socket
import struct

from aiohttp import web


def hang_up(request: web.Request, *, reset: bool = False) -> web.Response:
    """Close the caller's connection without an answer; with `reset` by RST instead of FIN."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if reset and connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
    return web.Response()


def write_unchecked(request: web.Request, *, content_type: str, announced: int | None, content: bytes) -> None:
    """Write an answer whose length is not what its header says; with None it says nothing and ends with the
    connection.
    """
    length = "" if announced is None else f"Content-Length: {announced}\r\n"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{length}Connection: close\r\n\r\n"
    if request.transport is not None:
        request.transport.write(head.encode() + content)
