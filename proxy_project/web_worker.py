"""How gunicorn's workers speak HTTP: uvicorn's, with what it needs to know of this service."""

import asyncio
import signal
import sys
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

# More than a proxy in front lets through, and than any request of ours has: nginx takes 32 KiB.
MOST_HEAD_BYTES = 64 * 1024
MOST_HEADERS = 100
# A client gets so long for the head of a request, so that those who send none do not use up all connections.
HEAD_SECONDS = 30


class BoundedProtocol(HttpToolsProtocol):
    """Reads requests by llhttp, which is strict about what smuggles requests; closes on heads that are large or slow.

    uvicorn limits neither: https://www.uvicorn.org/settings/#resource-limits
    """

    _is_in_head = False
    # What was read of it while it was not whole, and what its headers are long so far.
    _head_bytes = 0
    _header_bytes = 0
    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD_BYTES:
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if len(self.headers) >= MOST_HEADERS or self._header_bytes > MOST_HEAD_BYTES:
            raise ValueError("The head of the request is too large.")  # which the parser makes a 400
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def _begin_head(self) -> None:
        self._end_head()
        self._is_in_head, self._head_bytes, self._header_bytes = True, 0, 0
        self._closing = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _end_head(self) -> None:
        self._is_in_head = False
        if self._closing:
            self._closing.cancel()
            self._closing = None


class WebWorker(UvicornWorker):
    """An event loop that reads requests, and takes the plain webhooks among them; Django runs in threads beside it."""

    CONFIG_KWARGS: dict[str, Any] = {
        "loop": "uvloop",
        "http": BoundedProtocol,
        "ws": "none",
        "lifespan": "on",
        # Who a request comes from is decided by TRUSTED_PROXIES, from what the socket says and the header.
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config.timeout_graceful_shutdown = self.cfg.graceful_timeout

    def init_signals(self) -> None:
        super().init_signals()
        # uvicorn sends itself the signal once more when it has stopped. By default that would be the end of the
        # process, before anything else that is to be done at its end.
        signal.signal(signal.SIGTERM, _exit)
        signal.signal(signal.SIGINT, _exit)


def _exit(*_: object) -> None:
    sys.exit(0)
