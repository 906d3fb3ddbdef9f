"""Send prepared HTTP requests over kept-alive connections from one thread, as cheaply as Python can."""

import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.table import BenchError

Address = tuple[str, int]


@dataclass
class Load:
    """What a run of requests took."""

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    # Of a schedule: when each request was due, in seconds since 1970.
    due_at: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        return percentile(self.latencies_ms, percent)

    def require(self, status: int) -> None:
        """Raise BenchError unless every answer had this status."""
        if set(self.statuses) != {status}:
            raise BenchError(f"Not every answer was {status}: {self.statuses}")

    def note(self, status: int, milliseconds: float) -> None:
        self.latencies_ms.append(milliseconds)
        self.statuses[status] = self.statuses.get(status, 0) + 1


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class _Connection:
    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timed_from = 0.0
        self.answer = b""

    def send(self, request: bytes, timed_from: float) -> None:
        self.answer = b""
        self.timed_from = timed_from
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Return the status once the answer is complete; answers have a Content-Length."""
        chunk = self.socket.recv(65536)
        if not chunk:
            raise BenchError("The server closed a connection that it should keep.")
        self.answer += chunk
        head, separator, body = self.answer.partition(b"\r\n\r\n")
        if not separator:
            return None
        for line in head.split(b"\r\n")[1:]:
            if line[:15].lower() == b"content-length:":
                return int(head[9:12]) if len(body) >= int(line[15:]) else None
        raise BenchError("An answer has no Content-Length.")


def run_load(*, address: Address, requests: Sequence[bytes], connections: int) -> Load:
    """Keep `connections` requests on the wire until all are answered."""
    load = Load()
    waiting = iter(requests)
    with selectors.DefaultSelector() as selector:
        opened = _open(selector, address, min(connections, len(requests)))
        started = time.perf_counter()
        for connection, request in zip(opened, waiting, strict=False):
            connection.send(request, time.perf_counter())
        while len(load.latencies_ms) < len(requests):
            for connection in _collect(selector, load):
                if (following := next(waiting, None)) is not None:
                    connection.send(following, time.perf_counter())
        load.seconds = time.perf_counter() - started
        _close(selector)
    return load


def run_schedule(*, address: Address, requests: Sequence[bytes], per_second: float) -> Load:
    """Send a request whenever one is due, however many are on the wire still; latencies count from when it was due."""
    load = Load()
    with selectors.DefaultSelector() as selector:
        idle = _open(selector, address, 4)
        started, offset = time.perf_counter(), time.time() - time.perf_counter()
        for number, request in enumerate(requests):
            due = started + number / per_second
            while (wait := due - time.perf_counter()) > 0:
                idle += _collect(selector, load, wait)
            connection = idle.pop() if idle else _open(selector, address, 1)[0]
            load.due_at.append(due + offset)
            connection.send(request, due)
        while len(load.latencies_ms) < len(requests):
            _collect(selector, load)
        load.seconds = time.perf_counter() - started
        _close(selector)
    return load


def post(*, path: str, body: bytes, authorization: str) -> bytes:
    """Return the bytes of a POST of JSON."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _open(selector: selectors.BaseSelector, address: Address, count: int) -> list[_Connection]:
    opened = [_Connection(address) for _ in range(count)]
    for connection in opened:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    return opened


def _collect(selector: selectors.BaseSelector, load: Load, timeout: float = 60) -> list[_Connection]:
    """Return the connections whose answers are complete, after the first of them or after `timeout` seconds."""
    done = []
    ready = selector.select(timeout)
    if not ready and timeout >= 60:
        raise BenchError("There was no answer for a minute.")
    for key, _ in ready:
        status = key.data.receive()
        if status is not None:
            load.note(status, (time.perf_counter() - key.data.timed_from) * 1000)
            done.append(key.data)
    return done


def _close(selector: selectors.BaseSelector) -> None:
    for key in list(selector.get_map().values()):
        key.data.socket.close()
