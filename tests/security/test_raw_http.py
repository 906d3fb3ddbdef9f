"""What gunicorn, as we run it, makes of requests that are no HTTP or try to be two; over a raw socket."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.service import Deployment, Service

HOST = b"Host: localhost\r\n"
POST = b"POST /webhooks/inbound HTTP/1.1\r\n" + HOST
BODY = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
REQUESTS = {
    "two ways to say how long it is": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + BODY,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 45\r\n\r\n" + BODY,
    "a length with a sign": POST + b"Content-Length: +0\r\n\r\n" + BODY,
    "an unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + BODY,
    "a space before the colon": POST + b"Content-Length : 0\r\n\r\n" + BODY,
    "a folded header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "a bad chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n" + BODY,
    "a huge header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 500 + b"\r\n",
    "a huge path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a NUL in a header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    deployment = Deployment()
    try:
        directory: Path = tmp_path_factory.mktemp("raw")
        with Service(directory, deployment=deployment, METRICS_TOKEN="x" * 30) as service:
            service.start_web()
            yield service
    finally:
        deployment.drop()


def exchange(web: Service, request: bytes) -> bytes:
    parts = urlsplit(web.url)
    answer = b""
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=60) as connected:
        try:
            connected.sendall(request)
            while received := connected.recv(65536):
                answer += received
        except ConnectionError:
            # Closed before it had read all of it.
            pass
    return answer


def test_what_is_no_request_or_tries_to_be_two_is_refused_and_the_connection_closed(web: Service) -> None:
    for name, request in REQUESTS.items():
        answer = exchange(web, request)
        statuses = [line.split()[1] for line in answer.splitlines() if line.startswith(b"HTTP/1.1 ")]
        assert statuses in ([], [b"400"]), (name, answer)
    # It goes on.
    assert b" 200 " in exchange(web, b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")


def test_a_header_with_an_underscore_is_not_taken_for_one_of_a_proxy(web: Service) -> None:
    request = b"GET /healthz HTTP/1.1\r\n" + HOST + b"X_Forwarded_Host: evil.example\r\nConnection: close\r\n\r\n"
    answer = exchange(web, request)
    assert b"evil" not in answer
