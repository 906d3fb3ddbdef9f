"""A platform's receiver of events, as its developers would write it: it verifies what comes, and answers."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Received:
    """A webhook as it came."""

    id: str
    headers: dict[str, str]
    body: str

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def verify(self, secret: str) -> None:
        """Raise WebhookVerificationError unless it is signed with the secret."""
        Webhook(secret).verify(self.body, self.headers)


@dataclass(frozen=True)
class Answer:
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


Decide = Callable[[Received], Answer]


class Receiver:
    """An HTTP server in threads; `decide` says how it answers, and may block."""

    def __init__(self, decide: Decide = lambda received: Answer()) -> None:
        self.received: list[Received] = []
        self.decide = decide
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/events"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def types(self) -> list[str]:
        return [each.event["type"] for each in self.received]

    def _take(self, received: Received) -> Answer:
        with self._lock:
            self.received.append(received)
        return self.decide(received)

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                received = Received(self.headers["webhook-id"], dict(self.headers), body)
                answer = receiver._take(received)
                self.send_response(answer.status)
                body = answer.body.encode()
                for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def failing(times: int, status: int = 500, **headers: str) -> Decide:
    """Return what refuses the first attempts, and takes the rest."""
    left = threading.Semaphore(times)
    return lambda received: Answer(status, headers) if left.acquire(blocking=False) else Answer()
