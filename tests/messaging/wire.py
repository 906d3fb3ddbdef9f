"""A server that speaks raw TCP, so that a carrier can be played that breaks off anywhere in its answer."""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Answer = bytes | Callable[[socket.socket], None]


def answer(status: int, body: Any = b"", **headers: Any) -> bytes:
    """Return an HTTP response as bytes; a header's name is written with `_` for `-`."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = {"Content_Type": "application/json", "Content_Length": len(body), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body


ACCEPTED = answer(202, {"message_uuid": "5a8f1c2e-7d34-4b6a-9c1d-2f3e4a5b6c7d"})


def hang_up(connection: socket.socket) -> None:
    """Close without a word."""
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def reset(connection: socket.socket) -> None:
    """Send a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def say_and_hang_up(words: bytes) -> Answer:
    def say(connection: socket.socket) -> None:
        connection.sendall(words)
        hang_up(connection)

    return say


def say_nothing(connection: socket.socket) -> None:
    """Keep the connection open until the client gives up."""
    with contextlib.suppress(OSError):
        connection.recv(1)


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Wire:
    """The server: it takes any number of connections, and gives one answer after the other, the last for ever."""

    answers: list[Answer] = field(default_factory=lambda: [ACCEPTED])
    requests: list[Request] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Closing alone would leave the thread in accept(), and the port open.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections += 1
                threading.Thread(target=self._serve, args=[connection, self._connections], daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            for request in _read_requests(connection, number):
                with self._lock:
                    self.requests.append(request)
                    given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if isinstance(given, bytes):
                    connection.sendall(given)
                else:
                    given(connection)
                    self.hung_up.set()
                    return


def _read_requests(connection: socket.socket, number: int) -> Iterator[Request]:
    stream = connection.makefile("rb")
    while line := stream.readline():
        headers = {}
        while (header := stream.readline().strip()) != b"":
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        yield Request(line.decode("latin-1").strip(), headers, body, number)
