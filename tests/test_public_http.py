"""Only hosts on the public internet are called: the address that was checked, in bounded time, with bounded answers."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy_project import public_http
from proxy_project.public_http import Answer, NoAnswer, NotPublic, TooLarge, check_url, get, is_public, post

PRIVATE = (
    "127.0.0.1", "127.255.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "168.63.129.16", "::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe",
    "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
    "2002:a9fe:a9fe::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1",
    "ff02::1", "2606:4700::1%eth0",
)  # fmt: skip
PUBLIC = (
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "168.63.129.17", "2606:4700:4700::1111",
    "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
)  # fmt: skip


@pytest.fixture
def strict(settings):
    settings.ALLOW_PRIVATE_ENDPOINTS = False


@contextmanager
def serving(answer: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Listen on this machine and give each connection to `answer`; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
                connections.append(connection)
                if tls:
                    connection = tls.wrap_socket(connection, server_side=True)
                    connections.append(connection)
                connection.recv(65536)
                answer(connection)
            except OSError:
                if listener.fileno() == -1:
                    return
            finally:
                for each in connections:
                    each.close()
                connections.clear()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def saying(text: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text)


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names resolve to each of `answers` in turn, the last for ever; returns the names that are asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if str(host).endswith(".example.com"):
            asked.append(host)
            addresses = answers[min(len(asked), len(answers)) - 1]
            return [info for address in addresses for info in real(address, port, type=socket.SOCK_STREAM)]
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def call(url: str) -> Answer:
    return get(url, timeout_seconds=5, max_bytes=1000)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_that_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "01.1.1.1", "not an address"])
def test_what_is_no_address_is_not_public(text):
    assert not is_public(text)


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("use", [check_url, call])
def test_a_private_address_in_a_url_is_refused(strict, address, use):
    host = f"[{address}]" if ":" in address else address
    # An interface that is not there is nothing that resolves.
    with pytest.raises((NotPublic, NoAnswer) if "%" in address else NotPublic):
        use(f"https://{host}/events")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "HTTP://example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/",
        "/events",
        "example.com",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://localhost/",
        "https://LOCALHOST:8000/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.0.0.1./",
        "https://[::1]:443/",
        "https://1.1.1.1@127.0.0.1/",
        "https://127.0.0.1#@1.1.1.1/",
        "https://127.0.0.1\\@1.1.1.1/",
        "https://①②⑦.0.0.1/",
        "",
    ],
)
@pytest.mark.parametrize("use", [check_url, call])
def test_a_url_that_could_mislead_is_refused(strict, url, use):
    with pytest.raises((NotPublic, NoAnswer)):
        use(url)


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::1", "8.8.8.8"], ["fd00::1"]])
@pytest.mark.parametrize("use", [check_url, call])
def test_a_name_is_refused_when_any_of_its_addresses_is_private(strict, monkeypatch, addresses, use):
    resolve(monkeypatch, addresses)
    with pytest.raises(NotPublic):
        use("https://hooks.example.com/")


def test_a_name_with_public_addresses_passes_the_check(strict, monkeypatch):
    resolve(monkeypatch, ["93.184.216.34", "2606:4700:4700::1111"])
    check_url("https://hooks.example.com:8443/events?token=1")


def test_a_name_that_was_public_when_it_was_checked_and_is_not_when_it_is_called_is_refused(strict, monkeypatch):
    asked = resolve(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    check_url("https://hooks.example.com/")
    with pytest.raises(NotPublic):
        call("https://hooks.example.com/")
    assert len(asked) == 2


def test_what_was_checked_is_what_is_connected_to(settings, monkeypatch):
    """The name is resolved once for a call; there is no second time that could tell something else."""
    asked = resolve(monkeypatch, ["127.0.0.1"], ["10.255.255.1"])
    with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as port:
        assert call(f"http://hooks.example.com:{port}/").body == b"ok"
    assert len(asked) == 1


def test_a_name_that_does_not_resolve_is_no_answer(strict, monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    for use in (check_url, call):
        with pytest.raises(NoAnswer, match="cannot be resolved"):
            use("https://nowhere.example.com/")


def test_a_name_that_resolves_too_slowly_is_no_answer(strict, monkeypatch):
    resolved = threading.Event()
    monkeypatch.setattr(public_http, "RESOLVE_SECONDS", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: resolved.wait(20) and [])
    with pytest.raises(NoAnswer, match="not resolved within"):
        check_url("https://slow.example.com/")
    resolved.set()


def test_no_error_names_an_address_of_ours(strict, monkeypatch):
    resolve(monkeypatch, ["10.1.2.3"])
    with pytest.raises(NotPublic) as caught:
        call("https://hooks.example.com/")
    assert "10.1" not in str(caught.value)


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        assert call(f"http://127.0.0.1:{port}/").status == 200


def test_a_redirect_is_an_answer():
    with serving(saying(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n")) as port:
        answer = post(f"http://127.0.0.1:{port}/", body=b"x", timeout_seconds=5, max_bytes=10)
    assert (answer.status, answer.headers["location"]) == (302, "http://127.0.0.1:9/")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n" + b"0\r\n\r\n",
    ],
)
def test_an_answer_that_is_too_large_is_refused(answer):
    with serving(saying(answer)) as port, pytest.raises(TooLarge):
        call(f"http://127.0.0.1:{port}/")


def test_a_small_answer_that_unpacks_to_a_large_one_is_not_unpacked():
    packed = gzip.compress(b"x" * 1_000_000)[:900]
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    with serving(saying(head.encode() + packed)) as port:
        assert call(f"http://127.0.0.1:{port}/").body == packed


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"])
def test_a_host_that_dribbles_is_given_up_in_time(head):
    stop = threading.Event()

    def dribble(connection: socket.socket) -> None:
        connection.sendall(head)
        while not stop.wait(0.02):
            connection.sendall(b"x")

    with serving(dribble) as port:
        began = time.monotonic()
        with pytest.raises(NoAnswer):
            get(f"http://127.0.0.1:{port}/", timeout_seconds=0.3, max_bytes=1000)
        assert time.monotonic() - began < 3
        stop.set()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_what_is_no_whole_http_answer_is_no_answer(answer):
    with serving(saying(answer)) as port, pytest.raises(NoAnswer):
        call(f"http://127.0.0.1:{port}/")


class TestTls:
    """The certificate is that of the name in the URL, whatever address it has."""

    @pytest.fixture
    def server(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
        """A host whose certificate is for hooks.example.com, by an authority that we trust."""
        certificate = _make_certificate("hooks.example.com", tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        public_http._tls.cache_clear()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        resolve(monkeypatch, ["127.0.0.1"])
        with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), context) as port:
            yield port
        public_http._tls.cache_clear()

    def test_its_name_is_checked(self, server):
        assert call(f"https://hooks.example.com:{server}/").body == b"ok"

    @pytest.mark.parametrize("host", ["other.example.com", "127.0.0.1"])
    def test_another_name_is_refused(self, server, host):
        with pytest.raises(NoAnswer, match="certificate is not valid"):
            call(f"https://{host}:{server}/")

    def test_an_unknown_authority_is_refused(self, server, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE")
        public_http._tls.cache_clear()
        with pytest.raises(NoAnswer, match="certificate is not valid"):
            call(f"https://hooks.example.com:{server}/")


def _make_certificate(name: str, directory: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
