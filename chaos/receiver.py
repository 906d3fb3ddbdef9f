"""A platform's receiver of events: it checks the signature of each, refuses some at first, and remembers all."""

import json
import random
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from standardwebhooks import Webhook, WebhookVerificationError

_REFUSES = 0.01


@dataclass(frozen=True, slots=True)
class Received:
    """An event that was answered 204."""

    id: str
    type: str
    chat_id: str


class Receiver:
    """An HTTP server in threads, which is never down: a second failure of an event is waited for minutes."""

    def __init__(self, *, choices: random.Random) -> None:
        self.received: list[Received] = []
        self.refused: set[str] = set()
        self.badly_signed = 0
        self.secret = ""
        self._choices = choices
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._make_handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/events"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, headers: dict[str, str], body: str) -> int:
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.badly_signed += 1
            return 401
        event = json.loads(body)
        event_id = headers["webhook-id"]
        with self._lock:
            if event_id not in self.refused and self._choices.random() < _REFUSES:
                self.refused.add(event_id)
                return 500
            self.received.append(Received(event_id, event["type"], event["data"]["chat"]["id"]))
        return 204

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status = receiver._take({name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a worker that was killed while it was being answered."""
