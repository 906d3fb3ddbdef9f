"""What reaches the web process on the wire: hostile requests, and the odd forms that good ones may have."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import uvicorn

from proxy_project import web_worker
from tests.factories import OMAR, SARA
from tests.harness.service import Deployment, Service, find_free_port
from tests.harness.simulator import wait_until
from tests.messaging.payloads import sms
from tests.messaging.signing import encode, make_token

HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def ask(port: int, *pieces: bytes, answers: int = 1) -> bytes:
    """Send pieces on one connection, and return what comes back: so many answers, or all until it is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        received = b""
        while received.count(b"HTTP/1.1 ") < answers or not received.endswith((b"}", b"\r\n\r\n")):
            try:
                more = connection.recv(65536)
            except ConnectionError:
                break
            if not more:
                break
            received += more
        return received


@contextmanager
def serving() -> Iterator[int]:
    """Serve an application that answers {} to everything, as the web process reads requests, and yield its port."""

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    port = find_free_port()
    config = uvicorn.Config(
        application, port=port, lifespan="off", log_config=None, http=web_worker.BoundedProtocol, loop="asyncio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, waiting_for="the server to start")
        yield port
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 30_000,
        b"GET /" + b"a" * 200_000,
    ],
    ids=["one header", "many headers", "an address"],
)
def test_a_head_without_end_is_not_read_to_the_end(head):
    with serving() as port:
        answer = ask(port, *(head[start : start + 10_000] for start in range(0, len(head), 10_000)))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


def test_large_bodies_are_not_taken_for_heads():
    body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + b"a" * 300_000
    with serving() as port:
        assert b" 200 OK" in ask(port, body)


def test_who_is_slow_with_the_head_of_a_request_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(web_worker, "HEAD_SECONDS", 0.3)
    with serving() as port:
        assert ask(port, b"GET / HTTP/1.1\r\nHost:") == b""
        assert ask(port) == b""
        # Nor on a connection that has been used.
        assert ask(port, HEALTHZ + b"\r\n", b"GET / HTTP/1.1\r\nHo", answers=2).count(b" 200 OK") == 1


def test_who_is_slow_between_two_requests_is_waited_for(monkeypatch):
    monkeypatch.setattr(web_worker, "HEAD_SECONDS", 0.3)
    with serving() as port, socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        for _ in range(2):
            connection.sendall(HEALTHZ + b"\r\n")
            received = b""
            while not received.endswith(b"{}"):
                received += connection.recv(65536)
            assert b" 200 OK" in received
            time.sleep(0.6)  # what has to be waited for is that nothing happens


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    deployment = Deployment("+14155550100")
    yield deployment
    deployment.drop()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, deployment: Deployment) -> Iterator[Service]:
    with Service(
        Path(tmp_path_factory.mktemp("http")), deployment=deployment, PUBLIC_URL="https://texting.example.com"
    ) as service:
        service.start_web()
        service.start_chat((SARA, ""), (OMAR, ""))
        yield service


@pytest.fixture
def port(service: Service) -> int:
    return int(service.url.rsplit(":", 1)[1])


def post(service: Service, settings, text: str) -> tuple[bytes, bytes]:
    """Return the head of a signed webhook, without its length, and its body."""
    settings.VONAGE_API_KEY = service.simulator.api_key
    settings.VONAGE_APPLICATION_ID = service.simulator.application_id
    body = encode(sms(text=text))
    token = make_token(body, secret=service.simulator.signature_secret)
    return f"POST /webhooks/inbound HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n".encode(), body


def count_texts(service: Service) -> int:
    [(count,)] = service.query("SELECT count(*) FROM messaging_message WHERE direction = 'in'")
    return int(count)


def test_a_webhook_in_pieces_is_taken_once_it_is_whole(service, port, settings):
    head, body = post(service, settings, "in pieces")
    texts = count_texts(service)
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:9], body[9:])) + b"0\r\n\r\n"
    assert b" 200 OK" in ask(port, head, b"Transfer-Encoding: chunked\r\n\r\n", chunked[:20], chunked[20:])
    assert count_texts(service) == texts + 1


def test_webhooks_sent_without_waiting_for_answers_are_all_answered(service, port, settings):
    requests = []
    for text in ("one", "two", "three"):
        head, body = post(service, settings, text)
        requests.append(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    texts = count_texts(service)
    assert ask(port, b"".join(requests), answers=3).count(b" 200 OK") == 3
    assert count_texts(service) == texts + 3


def test_a_webhook_that_breaks_off_is_not_taken(service, port, settings):
    head, body = post(service, settings, "half")
    texts = count_texts(service)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-9])
    # Whoever comes after it is answered.
    assert b" 200 OK" in ask(port, HEALTHZ + b"\r\n")
    assert count_texts(service) == texts


def test_addresses_that_are_no_ascii_are_refused(port):
    for line in (b"GET /healthz?q=\xff HTTP/1.1\r\n", b"GET /h\xc3\xa4 HTTP/1.1\r\n"):
        assert ask(port, line + b"Host: 127.0.0.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_header_with_an_underscore_is_not_taken_for_the_proxys(port):
    vouched = ask(port, HEALTHZ + b"X-Forwarded-Proto: https\r\n\r\n").lower()
    forged = ask(port, HEALTHZ + b"X_Forwarded_Proto: https\r\n\r\n").lower()
    assert b"strict-transport-security" in vouched
    assert b"strict-transport-security" not in forged


def test_people_who_send_slowly_keep_nobody_waiting(service, port):
    """More of them than there are threads in all web processes."""
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    try:
        for connection in slow:
            connection.sendall(
                b"POST /chats HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                b"Authorization: Bearer " + service.api_key.encode() + b"\r\nContent-Length: 99\r\n\r\n{"
            )
        for _ in range(4):
            assert b" 200 OK" in ask(port, HEALTHZ + b"\r\n")
        assert service.call("GET", "/chats")[0] == 200
    finally:
        for connection in slow:
            connection.close()
