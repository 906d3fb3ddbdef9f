"""Fetching an attachment, against a host on the wire: whom our token goes to, and how it can end."""

import threading
import time

import jwt
import pytest
import requests

from messaging.gateways import MediaError
from messaging.gateways.vonage_media import fetch_media
from tests.messaging.wire import Wire, answer, hang_up, say_and_hang_up

FILE = bytes(range(256)) * 300


@pytest.fixture
def host(settings):
    host = Wire([answer(200, FILE, Content_Type="image/jpeg")])
    settings.VONAGE_API_URL = host.url
    yield host
    host.close()


@pytest.fixture
def stranger():
    stranger = Wire([answer(200, FILE)])
    yield stranger
    stranger.close()


def fetch(url: str, *, max_bytes: int = 100_000, max_seconds: float = 10) -> bytes:
    return fetch_media(url, max_bytes=max_bytes, max_seconds=max_seconds)


def refuse(url: str, **limits) -> MediaError:
    with pytest.raises(MediaError) as raised:
        fetch(url, **limits)
    # Neither its words nor what it hangs on quote the address.
    assert "secret-name" not in f"{raised.value!s} {raised.value.detail}"
    assert raised.value.__cause__ is None and (raised.value.__suppress_context__ or raised.value.__context__ is None)
    return raised.value


def test_a_file_is_fetched_with_our_token(host, settings):
    assert fetch(f"{host.url}/v3/media/1?x=y") == FILE
    [request] = host.requests
    assert request.line == "GET /v3/media/1?x=y HTTP/1.1"
    token = request.headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["application_id"] == settings.VONAGE_APPLICATION_ID


STRANGE = [
    "https://example.com/v3/media/secret-name",
    "https://api.nexmo.com.example.com/secret-name",
    "https://example.com/api.nexmo.com/secret-name",
    "https://api-us.nexmo.com@example.com/secret-name",
    "https://user:password@api-us.nexmo.com/secret-name",
    "https://api-us.nexmo.com:8443/secret-name",
    "https://api-us.nexmo.com:99999999/secret-name",
    "https://API-us.nexmo.com\\@example.com/secret-name",
    "http://api-us.nexmo.com/secret-name",
    "http://127.0.0.1/secret-name",
    "http://169.254.169.254/latest/secret-name",
    "https://[::1]/secret-name",
    "https://apievil.example/secret-name",
    "file:///etc/secret-name",
    "https:///secret-name",
    "",
]


@pytest.mark.parametrize("url", STRANGE)
def test_no_host_but_vonages_is_asked(url, monkeypatch):
    monkeypatch.setattr(requests.Session, "send", lambda *_, **__: pytest.fail("asked"))
    error = refuse(url)
    assert (error.code, error.again) == ("strange_host", False)


@pytest.mark.parametrize("host_name", ["api.nexmo.com", "api-us.nexmo.com", "api-eu.vonage.com", "api-ap-3.nexmo.com"])
def test_vonages_hosts_are_asked(host_name, monkeypatch):
    asked = []

    def send(session, request, **_):
        asked.append(request.url)
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "send", send)
    assert refuse(f"https://{host_name}/v3/media/1").code == "no_connection"
    assert asked == [f"https://{host_name}/v3/media/1"]


def test_a_host_can_be_added(monkeypatch, settings):
    settings.VONAGE_MEDIA_HOSTS = ["media.example.com"]
    monkeypatch.setattr(requests.Session, "send", lambda *_, **__: (_ for _ in ()).throw(requests.ConnectionError()))
    assert refuse("https://media.example.com/1").code == "no_connection"


def test_a_redirect_elsewhere_is_not_followed_and_gets_no_token(host, stranger):
    host.answers = [answer(302, Location=f"{stranger.url}/secret-name")]
    assert refuse(f"{host.url}/1").code == "strange_host"
    assert stranger.requests == []


def test_a_redirect_on_the_same_host_is_followed(host):
    host.answers = [answer(302, Location="/moved"), answer(200, FILE)]
    assert fetch(f"{host.url}/1") == FILE


def test_a_redirect_without_end_is_given_up(host):
    host.answers = [answer(302, Location="/1")]
    assert (refuse(f"{host.url}/1").code, len(host.requests)) == ("redirected", 4)


@pytest.mark.parametrize(
    ("status", "again"),
    [*((status, True) for status in (401, 403, 404, 408, 429, 500, 503)), (204, False), (400, False), (410, False)],
)
def test_an_answer_that_is_no_file(host, status, again):
    host.answers = [answer(status)]
    error = refuse(f"{host.url}/secret-name")
    assert (error.code, error.again) == (f"http_{status}", again)


@pytest.mark.parametrize("announced", [True, False])
def test_what_is_too_large_is_not_read(host, announced):
    if not announced:
        body = b"".join(b"%x\r\n%s\r\n" % (len(FILE), FILE) for _ in range(50))
        host.answers = [say_and_hang_up(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)]
    error = refuse(f"{host.url}/1", max_bytes=70_000)
    assert (error.code, error.again) == ("too_large", False)


BROKEN = {
    "an empty file": answer(200),
    "no answer": hang_up,
    "half an answer": say_and_hang_up(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "half a file": say_and_hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"),
    "half a chunk": say_and_hang_up(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf"),
    "no HTTP": say_and_hang_up(b"220 mail.example.com ESMTP\r\n"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_connection_that_breaks_is_tried_again(host, broken):
    host.answers = [broken]
    assert refuse(f"{host.url}/secret-name").again


def test_nobody_there_is_tried_again(host):
    host.close()
    assert refuse(f"{host.url}/secret-name").again


def test_a_host_that_drips_holds_us_no_longer_than_allowed(host):
    done = threading.Event()

    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not done.wait(0.02):
            connection.sendall(b"x")

    host.answers = [drip]
    started = time.monotonic()
    assert refuse(f"{host.url}/1", max_seconds=0.3).code == "too_slow"
    assert time.monotonic() - started < 5
    done.set()
