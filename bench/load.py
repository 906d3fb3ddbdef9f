"""Send prepared HTTP requests over kept-alive connections from one thread, as cheaply as Python can."""

import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Load:
    """What a run of requests took."""

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class _Connection:
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self.answer = b""

    def send(self, request: bytes) -> None:
        self.answer = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Return the status once the answer is complete; answers have a Content-Length."""
        chunk = self.socket.recv(65536)
        if not chunk:
            raise ConnectionError("The server closed a connection that it should keep.")
        self.answer += chunk
        head, separator, body = self.answer.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = 0
        for line in head.split(b"\r\n")[1:]:
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        return int(head[9:12]) if len(body) >= length else None


def run_load(*, address: tuple[str, int], requests: Iterator[bytes], connections: int) -> Load:
    """Keep `connections` requests on the wire until `requests` ends."""
    load = Load()
    selector = selectors.DefaultSelector()
    started = time.perf_counter()
    busy = 0
    for _ in range(connections):
        connection = _Connection(address)
        request = next(requests, None)
        if request is None:
            break
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(request)
        busy += 1
    while busy:
        for key, _ in selector.select():
            connection = key.data
            status = connection.receive()
            if status is None:
                continue
            load.latencies_ms.append((time.perf_counter() - connection.sent_at) * 1000)
            load.statuses[status] = load.statuses.get(status, 0) + 1
            request = next(requests, None)
            if request is None:
                busy -= 1
                selector.unregister(connection.socket)
                connection.socket.close()
            else:
                connection.send(request)
    load.seconds = time.perf_counter() - started
    selector.close()
    return load


def post(*, host: str, path: str, body: bytes, authorization: str) -> bytes:
    """Return the bytes of a POST of JSON."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
