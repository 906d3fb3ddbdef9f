"""The real gateway against a server on the wire: one POST a text, and an outcome for every way it can end."""

import contextlib
import os
import socket
import ssl
import time
import traceback
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from django.core.exceptions import ImproperlyConfigured

from messaging.gateways import OutboundText, Outcome, SendError, vonage
from messaging.gateways.vonage import VonageGateway
from tests.factories import OMAR, VIRTUAL_NUMBER
from tests.messaging.wire import ACCEPTED, Wire, answer, hang_up, reset, say_and_hang_up, say_nothing

BODY = "Meet me at the corner ✓"
_PEM, _PKCS8, _PKCS1 = (
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.PrivateFormat.TraditionalOpenSSL,
)
_NO_PASSWORD = serialization.NoEncryption()
AGAIN, PAUSE, NEVER, UNKNOWN = Outcome.AGAIN, Outcome.PAUSE, Outcome.NEVER, Outcome.UNKNOWN


@pytest.fixture
def wire(settings):
    wire = Wire()
    settings.VONAGE_API_URL = wire.url
    settings.SEND_TIMEOUT_SECONDS = 1
    yield wire
    wire.close()


@pytest.fixture
def clock(monkeypatch):
    """The gateway's clock, which a test moves: seconds since it was started."""
    clock = SimpleNamespace(seconds=1_000_000.0)
    monkeypatch.setattr(vonage, "time", SimpleNamespace(monotonic=lambda: clock.seconds, time=time.time))
    vonage._auth.cache_clear()
    yield clock
    vonage._auth.cache_clear()


def make_text(**fields) -> OutboundText:
    values = {"reference": uuid.uuid4(), "from_number": VIRTUAL_NUMBER, "to_number": OMAR, "body": BODY, **fields}
    return OutboundText(**values)


def refuse(gateway: VonageGateway, text: OutboundText | None = None) -> SendError:
    """Return the SendError that sending ends in."""
    with pytest.raises(SendError) as raised:
        gateway.send(text or make_text())
    return raised.value


def problem(status: int, **fields) -> dict:
    """Return an error as Vonage writes it, which quotes what it was sent."""
    return {
        "type": f"https://developer.vonage.com/api-errors#{status}",
        "title": f"Rejected {OMAR}",
        "detail": f"Not {BODY!r} to {OMAR[1:]}",
        "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf",
        **fields,
    }


# --- Accepted -----------------------------------------------------------------------------------------------


def test_an_accepted_text_is_one_post_of_what_vonage_documents(wire, settings):
    text = make_text()
    assert VonageGateway().send(text) == "5a8f1c2e-7d34-4b6a-9c1d-2f3e4a5b6c7d"
    [request] = wire.requests
    assert request.line == "POST /v1/messages HTTP/1.1"
    assert request.json == {
        "channel": "sms",
        "message_type": "text",
        "to": OMAR[1:],
        "from": VIRTUAL_NUMBER[1:],
        "text": BODY,
        "client_ref": str(text.reference),
    }
    scheme, token = request.headers["authorization"].split()
    public_key = serialization.load_pem_private_key(settings.VONAGE_PRIVATE_KEY.encode(), None).public_key()
    claims = jwt.decode(token, public_key, algorithms=["RS256"])
    assert (scheme, claims["application_id"]) == ("Bearer", settings.VONAGE_APPLICATION_ID)
    assert 600 < claims["exp"] - claims["iat"] <= 24 * 3600


@pytest.mark.parametrize("body", ["", "x" * 3200, "😀" * 3200, "a\x00b", "line\r\nline", "Ünïcödé"])
def test_a_text_arrives_word_for_word(wire, body):
    VonageGateway().send(make_text(body=body))
    assert [request.json["text"] for request in wire.requests] == [body]


@pytest.mark.parametrize(
    ("given", "kept"), [("a-b_c.d:E9", "a-b_c.d:E9"), ("a\x00b\n c", "abc"), ("x" * 99, "x" * 64), ("", "")]
)
def test_the_gateway_id_is_what_the_log_can_hold(wire, given, kept):
    wire.answers = [answer(202, {"message_uuid": given})]
    assert VonageGateway().send(make_text()) == kept


# --- Every other end ----------------------------------------------------------------------------------------

INVALID = {"invalid_parameters": [{"name": "to", "reason": f"{OMAR} is wrong"}, {"name": f"x {OMAR}", "reason": ""}]}
HTML = b"<html><h1>502 Bad Gateway</h1></html>"
ENDS = {
    "400": (answer(400, problem(400)), NEVER, "400"),
    "401": (answer(401, problem(401)), PAUSE, "401"),
    "402 no money": (answer(402, problem(402)), PAUSE, "402"),
    "403": (answer(403, problem(403)), PAUSE, "403"),
    "404": (answer(404, problem(404)), PAUSE, "404"),
    "405": (answer(405), PAUSE, "405"),
    "408": (answer(408), AGAIN, "408"),
    "410": (answer(410), NEVER, "410"),
    "413": (answer(413), NEVER, "413"),
    "422": (answer(422, problem(422, **INVALID)), NEVER, "422"),
    "422 without parameters": (answer(422, problem(422)), NEVER, "422"),
    "422 not JSON": (answer(422, b"no"), NEVER, "422"),
    "422 strange parameters": (answer(422, {"invalid_parameters": [1, "to", {}]}), NEVER, "422"),
    "429": (answer(429, problem(429)), AGAIN, "429"),
    "500": (answer(500, problem(500)), AGAIN, "500"),
    "502 HTML": (answer(502, HTML, Content_Type="text/html"), AGAIN, "502"),
    "503": (answer(503, b"busy"), AGAIN, "503"),
    "504": (answer(504, HTML, Content_Type="text/html"), UNKNOWN, "504"),
    "302": (answer(302, Location="/v1/elsewhere"), PAUSE, "redirected"),
    "301 to itself": (answer(301, Location="/v1/messages"), PAUSE, "redirected"),
    "303": (answer(303, Location="/v1/elsewhere"), PAUSE, "redirected"),
    "307": (answer(307, Location="/v1/messages"), PAUSE, "redirected"),
    "308": (answer(308, Location="/v1/messages"), PAUSE, "redirected"),
    "302 to nowhere": (answer(302), PAUSE, "302"),
    "304": (answer(304), PAUSE, "304"),
    "empty 202": (answer(202), UNKNOWN, "answer_unreadable"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", UNKNOWN, "answer_unreadable"),
    "202 HTML": (answer(202, HTML), UNKNOWN, None),
    "202 a list": (answer(202, []), UNKNOWN, "answer_unreadable"),
    "202 a string": (answer(202, "ok"), UNKNOWN, "answer_unreadable"),
    "202 null": (answer(202, None), UNKNOWN, "answer_unreadable"),
    "202 without message_uuid": (answer(202, {"id": OMAR}), UNKNOWN, "answer_unreadable"),
    "202 message_uuid null": (answer(202, {"message_uuid": None}), UNKNOWN, "answer_unreadable"),
    "202 not UTF-8": (answer(202, b'{"message_uuid": "\xff"'), UNKNOWN, None),
    "202 deeply nested": (answer(202, b"[" * 100_000), UNKNOWN, None),
    "202 broken off": (say_and_hang_up(answer(202, b"{", Content_Length=99)), UNKNOWN, "answer_lost"),
    "headers broken off": (say_and_hang_up(b"HTTP/1.1 202 Accepted\r\nContent-Le"), UNKNOWN, None),
    "garbage": (say_and_hang_up(b"\x00\xff\xfe garbage\r\n\r\n"), UNKNOWN, "answer_lost"),
    "garbage gzip": (answer(202, b"not gzip", Content_Encoding="gzip"), UNKNOWN, "answer_lost"),
    "closed without an answer": (hang_up, UNKNOWN, "answer_lost"),
    "reset": (reset, UNKNOWN, "answer_lost"),
    "no answer in time": (say_nothing, UNKNOWN, "answer_lost"),
    "half an answer in time": (answer(202, b"{", Content_Length=99), UNKNOWN, "answer_lost"),
}


@pytest.mark.parametrize(("given", "outcome", "code"), ENDS.values(), ids=ENDS)
def test_every_end_is_one_post_and_one_outcome(wire, caplog, given, outcome, code):
    caplog.set_level("DEBUG")
    wire.answers = [given]
    error = refuse(VonageGateway())
    assert (error.outcome, error.throttled) == (outcome, code == "429")
    assert error.code == code or code is None
    assert [request.line for request in wire.requests] == ["POST /v1/messages HTTP/1.1"]
    check_nothing_leaks(error, caplog.text, wire)


@pytest.mark.parametrize(("given", "outcome", "code"), ENDS.values(), ids=ENDS)
def test_every_end_on_a_connection_that_worked_before_is_one_post_too(wire, given, outcome, code):
    wire.answers = [ACCEPTED, given]
    gateway = VonageGateway()
    gateway.send(make_text())
    assert refuse(gateway).outcome == outcome
    assert [(request.line, request.connection) for request in wire.requests] == [("POST /v1/messages HTTP/1.1", 1)] * 2


@pytest.mark.parametrize("given", [hang_up, reset, answer(500), answer(302, Location="/x"), say_and_hang_up(b"?")])
def test_after_any_end_the_gateway_sends_on(wire, given):
    wire.answers = [given, ACCEPTED]
    gateway = VonageGateway()
    refuse(gateway)
    gateway.send(make_text())
    assert len(wire.requests) == 2


def check_nothing_leaks(error: SendError, logged: str, wire: Wire) -> None:
    """Check that no number, text or token is in an error, in what it is chained to, or in the log."""
    said = [logged]
    chain: list[BaseException | None] = [error]
    while chain:
        if link := chain.pop():
            said += [str(link), repr(link), repr(vars(link)), "".join(traceback.format_exception(link))]
            chain += [link.__cause__, link.__context__]
    tokens = [request.headers["authorization"].split()[1] for request in wire.requests]
    for secret in (OMAR[1:], VIRTUAL_NUMBER[1:], BODY, "corner", *tokens):
        assert not [text for text in said if secret in text]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "configuration"), (402, "money"), (404, "configuration"), (429, "carrier"), (500, "carrier")],
)
def test_an_answer_says_whom_it_concerns(wire, status, kind):
    wire.answers = [answer(status, problem(status))]
    assert refuse(VonageGateway()).kind.value == kind


def test_a_422_names_the_parameters_and_quotes_no_reason(wire):
    wire.answers = [answer(422, problem(422, **INVALID))]
    assert refuse(VonageGateway()).detail == "Vonage refused the text: invalid to."


RETRY_AFTER = {
    "seconds": ("7", 7.0),
    "none": (None, None),
    "zero": ("0", 0.0),
    "a date": ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    "negative": ("-5", None),
    "a fraction": ("1.5", None),
    "enormous": ("9" * 30, None),
    "a word": ("soon", None),
}


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("header", "seconds"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_retry_after_is_read_in_seconds_or_not_at_all(wire, status, header, seconds):
    wire.answers = [answer(status, problem(status), **({"Retry_After": header} if header else {}))]
    started = time.monotonic()
    error = refuse(VonageGateway())
    assert (error.outcome, error.retry_after, error.throttled) == (AGAIN, seconds, status == 429)
    assert time.monotonic() - started < 5  # the wait is the sender's, not the gateway's


def test_a_carrier_that_is_not_there_is_tried_again(settings, caplog):
    caplog.set_level("DEBUG")
    gone = Wire()
    gone.close()
    settings.VONAGE_API_URL = gone.url
    error = refuse(VonageGateway())
    assert (error.outcome, error.code) == (AGAIN, "no_connection")
    check_nothing_leaks(error, caplog.text, gone)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_nobody_knows_is_tried_again(settings, scheme):
    settings.VONAGE_API_URL = f"{scheme}://carrier.invalid"
    assert refuse(VonageGateway()).outcome == AGAIN


def test_a_carrier_that_does_not_speak_tls_gets_no_text(settings, caplog):
    plain = Wire()
    settings.VONAGE_API_URL = plain.url.replace("http:", "https:")
    settings.SEND_TIMEOUT_SECONDS = 1
    with socket.create_connection(("127.0.0.1", int(plain.url.rpartition(":")[2]))):
        error = refuse(VonageGateway())
    plain.close()
    assert error.outcome in (AGAIN, UNKNOWN)
    assert [request for request in plain.requests if b"corner" in request.body] == []
    check_nothing_leaks(error, caplog.text, Wire())


UNSENDABLE = {
    "no number": {"to_number": ""},
    "without +": {"to_number": OMAR[1:]},
    "a short code": {"to_number": "+12345"},
    "a zero first": {"to_number": "+0155550123"},
    "too long": {"to_number": "+" + "1" * 16},
    "other digits": {"to_number": "+1٤١٥٥٥٥٠١٢٤"},
    "a newline": {"to_number": OMAR + "\n"},
    "a text that is too long": {"body": "corner " + "x" * 3200},
}


@pytest.mark.parametrize("fields", UNSENDABLE.values(), ids=UNSENDABLE)
def test_what_vonage_would_refuse_is_not_posted(wire, caplog, fields):
    caplog.set_level("DEBUG")
    error = refuse(VonageGateway(), make_text(**fields))
    assert error.outcome == NEVER
    assert wire.requests == []
    check_nothing_leaks(error, caplog.text, wire)


# --- Tokens, connections and threads ------------------------------------------------------------------------


def test_a_token_is_used_for_ten_minutes_by_every_gateway(wire, clock):
    gateway = VonageGateway()
    gateway.send(make_text())
    clock.seconds += 599
    gateway.send(make_text())
    VonageGateway().send(make_text())
    clock.seconds += 2
    gateway.send(make_text())
    first, second, third, fourth = (request.headers["authorization"] for request in wire.requests)
    assert first == second == third != fourth


def test_a_connection_is_kept_and_not_used_again_once_it_was_idle(wire, clock):
    gateway = VonageGateway()
    for seconds in (0, 1, 19, 21):
        clock.seconds += seconds
        gateway.send(make_text())
    assert [request.connection for request in wire.requests] == [1, 1, 1, 2]


def test_a_connection_that_the_carrier_closed_is_replaced_without_a_second_post(wire):
    wire.answers = [say_and_hang_up(ACCEPTED), ACCEPTED]
    gateway = VonageGateway()
    gateway.send(make_text())
    assert wire.hung_up.wait(60)
    gateway.send(make_text())
    assert [request.connection for request in wire.requests] == [1, 2]


def test_threads_with_their_own_gateways_post_each_text_once(wire):
    def send_ten(_: int) -> list[str]:
        gateway = VonageGateway()
        texts = [make_text(body=str(uuid.uuid4())) for _ in range(10)]
        for text in texts:
            gateway.send(text)
        return [f"{text.reference} {text.body}" for text in texts]

    with ThreadPoolExecutor(8) as pool:
        sent = [each for texts in pool.map(send_ten, range(8)) for each in texts]
    posted = [f"{request.json['client_ref']} {request.json['text']}" for request in wire.requests]
    assert sorted(posted) == sorted(sent)
    assert len({request.headers["authorization"] for request in wire.requests}) == 1
    assert len({request.connection for request in wire.requests}) == 8


# --- What a lean session finds out once --------------------------------------------------------------------------


@pytest.fixture
def proxy(monkeypatch):
    """A proxy that the environment names, for whatever is not said to go without."""
    proxy = Wire()
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//sender:secret@"))
    monkeypatch.setenv("https_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield proxy
    proxy.close()


def test_a_proxy_of_the_environment_is_used(proxy, settings):
    settings.VONAGE_API_URL = "http://carrier.invalid"
    gateway = VonageGateway()
    gateway.send(make_text())
    gateway.send(make_text())
    assert [request.line for request in proxy.requests] == ["POST http://carrier.invalid/v1/messages HTTP/1.1"] * 2
    assert {request.headers["proxy-authorization"] for request in proxy.requests} == {"Basic c2VuZGVyOnNlY3JldA=="}


def test_a_proxy_of_the_environment_is_asked_for_a_tunnel_and_sees_nothing(proxy, settings):
    settings.VONAGE_API_URL = "https://carrier.invalid"
    proxy.answers = [answer(403)]
    assert refuse(VonageGateway()).outcome is AGAIN
    [request] = proxy.requests
    assert (request.line.rpartition(" ")[0], request.body) == ("CONNECT carrier.invalid:443", b"")


def test_a_proxy_is_not_used_where_the_environment_says_so(proxy, wire):
    VonageGateway().send(make_text())
    assert (len(wire.requests), proxy.requests) == (1, [])


def test_a_proxy_that_is_not_there_is_tried_again(proxy, settings):
    settings.VONAGE_API_URL = "http://carrier.invalid"
    proxy.close()
    assert refuse(VonageGateway()).outcome is AGAIN


@contextlib.contextmanager
def a_carrier_over_tls(settings, tmp_path) -> Iterator[tuple[socket.socket, ssl.SSLContext, Path]]:
    """Yield where requests over TLS arrive, and the certificate that has to be trusted for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "localhost.pem"
    pem.write_bytes(certificate.public_bytes(_PEM) + key.private_bytes(_PEM, _PKCS8, _NO_PASSWORD))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.VONAGE_API_URL = f"https://localhost:{listener.getsockname()[1]}"
        yield listener, context, pem


def test_a_carrier_whose_certificate_nobody_signed_gets_no_text(settings, tmp_path):
    with a_carrier_over_tls(settings, tmp_path) as (listener, context, _), ThreadPoolExecutor(1) as pool:
        heard = pool.submit(_hear_over_tls, listener, context)
        error = refuse(VonageGateway())
        assert (error.outcome, error.code) == (AGAIN, "no_connection")
        assert heard.result(timeout=60) == b""


def test_nobody_knows_of_a_text_after_which_tls_broke(settings, tmp_path, monkeypatch):
    with a_carrier_over_tls(settings, tmp_path) as (listener, context, trusted), ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(trusted))
        heard = pool.submit(_hear_over_tls, listener, context, answer=b"this is no TLS")
        assert refuse(VonageGateway()).outcome is UNKNOWN
        assert b"/v1/messages" in heard.result(timeout=60)


def _hear_over_tls(listener: socket.socket, context: ssl.SSLContext, answer: bytes = b"") -> bytes:
    """Return what the first to connect says once there is a secure connection; answer beside that connection."""
    connection, _ = listener.accept()
    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
        said = secure.recv(100_000)
        with socket.socket(fileno=os.dup(secure.fileno())) as beside:
            beside.sendall(answer)
        return said
    return b""


def test_cookies_are_not_kept(wire):
    wire.answers = [answer(202, {"message_uuid": "1"}, Set_Cookie="node=7"), ACCEPTED]
    gateway = VonageGateway()
    gateway.send(make_text())
    gateway.send(make_text())
    assert [request for request in wire.requests if "cookie" in request.headers] == []


# --- Keys ---------------------------------------------------------------------------------------------------


def bad_key(kind: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good = key.private_bytes(_PEM, _PKCS8, _NO_PASSWORD).decode()
    public = key.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {
        "PKCS#1": lambda: key.private_bytes(_PEM, _PKCS1, _NO_PASSWORD).decode(),
        "garbage": lambda: "garbage",
        "garbage in PEM": lambda: "-----BEGIN PRIVATE KEY-----\ngarbage\n-----END PRIVATE KEY-----",
        "empty": lambda: "",
        "truncated": lambda: good[:800],
        "a line missing": lambda: "\n".join(good.splitlines()[:5] + good.splitlines()[6:]),
        "a public key": public.decode,
        "with a password": lambda: key.private_bytes(
            _PEM, _PKCS8, serialization.BestAvailableEncryption(b"password")
        ).decode(),
        "an elliptic curve": lambda: (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(_PEM, _PKCS8, _NO_PASSWORD).decode()
        ),
        "a path": lambda: "/etc/hostname",
    }[kind]()


KINDS = ["PKCS#1", "garbage", "garbage in PEM", "empty", "truncated", "a line missing", "a public key"]


@pytest.mark.parametrize("kind", [*KINDS, "with a password", "an elliptic curve", "a path"])
def test_a_key_that_cannot_sign_is_named_at_the_start(settings, clock, kind):
    settings.VONAGE_PRIVATE_KEY = bad_key(kind)
    with pytest.raises(ImproperlyConfigured, match="VONAGE_PRIVATE_KEY") as raised:
        VonageGateway()
    quoted = settings.VONAGE_PRIVATE_KEY.splitlines()[1:2]
    assert not quoted or quoted[0] not in str(raised.value)


# --- Whether a text would be taken ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"), [(422, None), (400, None), (401, PAUSE), (402, PAUSE), (429, AGAIN), (500, AGAIN)]
)
def test_credentials_are_checked_without_a_text(wire, status, outcome):
    wire.answers = [answer(status, problem(status))]
    if outcome is None:
        VonageGateway().check_credentials()
    else:
        with pytest.raises(SendError) as raised:
            VonageGateway().check_credentials()
        assert raised.value.outcome is outcome
    [request] = wire.requests
    assert request.json == {} and request.headers["authorization"].startswith("Bearer ")
