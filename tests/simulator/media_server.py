"""A web server with pictures, as the service is one for Vonage."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass
class MediaServer:
    """Listens on a port of its own; use `with MediaServer() as server:`."""

    _served: dict[str, tuple[int, bytes, str, float]] = field(default_factory=dict)
    _closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self, path: str, content: bytes, content_type: str, *, status: int = 200, wait_s: float = 0) -> None:
        """Answer a path with this from now on."""
        self._served[path] = (status, content, content_type, wait_s)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        status, content, content_type, wait_s = self._served[handler.path]
        if wait_s and self._closing.wait(wait_s):
            return
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: callers that hang up are what some tests are about."""
