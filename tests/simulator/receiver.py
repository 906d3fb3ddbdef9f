"""A service that takes webhooks, notes them and answers as a test wants."""

import json
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import attrgetter
from types import TracebackType
from typing import Any, Self

from tests.harness.simulator import wait_until

# Answers that are no HTTP status.
HANG = -1
DROP = -2


@dataclass(frozen=True)
class Webhook:
    """One request that arrived, when (on the monotonic clock), and the status it was answered with."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    status: int

    @property
    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")


@dataclass
class Receiver:
    """Listens on a port of its own; use `with Receiver() as receiver:`.

    Tests share it, so each asks for its own webhooks, by a string that only these contain.
    """

    _webhooks: list[Webhook] = field(default_factory=list)
    _plans: dict[str, list[int]] = field(default_factory=dict)
    _closing: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            do_GET = do_POST

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, containing: str, *statuses: int) -> None:
        """Answer webhooks that contain a string with these, one after the other and the last for ever; else 200."""
        self._plans[containing] = list(statuses)

    def webhooks(self, containing: str) -> list[Webhook]:
        """Return the webhooks that arrived and contain a string, oldest first."""
        found = [webhook for webhook in list(self._webhooks) if containing.encode() in webhook.body]
        return sorted(found, key=attrgetter("at"))

    def wait_for(self, containing: str, *, count: int = 1) -> list[Webhook]:
        """Wait until so many webhooks that contain a string have arrived, and return all that have."""
        return wait_until(
            lambda: found if len(found := self.webhooks(containing)) >= count else None,
            waiting_for=f"{count} webhooks",
        )

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        *_, at = handler.client_address
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            status = self._choose(body)
            self._webhooks.append(Webhook(handler.path, headers, body, at, status))
        if status == HANG:
            self._closing.wait(30)
        if status in (HANG, DROP):
            return
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _choose(self, body: bytes) -> int:
        plan = next((plan for containing, plan in self._plans.items() if containing.encode() in body), [200])
        return plan.pop(0) if len(plan) > 1 else plan[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Webhooks come by the dozen at once.
    request_queue_size = 128

    def get_request(self) -> tuple[socket.socket, Any]:
        """Add to the address when a webhook came, each on a connection of its own: its thread may be late."""
        connection, address = super().get_request()
        return connection, (*address, time.monotonic())

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
