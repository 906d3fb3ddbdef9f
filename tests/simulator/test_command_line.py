"""How the simulator is started and stopped, what it says when it cannot start, and what it never logs."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

from tests.harness.simulator import ROOT, Simulator, make_key_pair, wait_until
from tests.simulator.conftest import SARA, VIRTUAL_NUMBER, make_request


@pytest.fixture(scope="module")
def private_key():
    return make_key_pair()[0]


@pytest.fixture
def environment(private_key):
    return {
        "PATH": "/usr/bin:/bin",
        "VONAGE_API_KEY": "abcd1234",
        "VONAGE_APPLICATION_ID": "1c4d1d5e-8f5b-4d43-9a43-1f5f1f0a2f6e",
        "VONAGE_SIGNATURE_SECRET": "a secret of more than thirty-two bytes",
        "VONAGE_PRIVATE_KEY": private_key,
    }


def run(environment, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "simulator", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


def assert_one_sentence(finished, said):
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert re.fullmatch(r"simulator: [^\n]+\.\n", finished.stderr), finished.stderr
    assert said in finished.stderr


# --- Settings that are missing or wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("VONAGE_API_KEY", "VONAGE_API_KEY is not set: give it or --api-key."),
        ("VONAGE_APPLICATION_ID", "VONAGE_APPLICATION_ID is not set: give it or --application-id."),
        ("VONAGE_SIGNATURE_SECRET", "VONAGE_SIGNATURE_SECRET is not set: give it or --signature-secret."),
        ("VONAGE_PRIVATE_KEY", "No key to check tokens with: give --public-key-path, VONAGE_PRIVATE_KEY or"),
    ],
)
def test_a_missing_setting_is_named_in_one_sentence(environment, name, said):
    assert_one_sentence(run(environment | {name: ""}), said)


WRONG = {
    "port": ({"SIMULATOR_PORT": "70000"}, "--port must be a number from 0 to 65535, not '70000'."),
    "port of letters": ({"SIMULATOR_PORT": "http"}, "--port must be a number from 0 to 65535, not 'http'."),
    "clock scale": ({"SIMULATOR_CLOCK_SCALE": "nan"}, "--clock-scale must be a number from 1e-05 to 100"),
    "inbound URL": ({"SIMULATOR_INBOUND_URL": "ftp://proxy.example"}, "--inbound-url must be an http:// or https://"),
    "status URL": ({"SIMULATOR_STATUS_URL": "http://[::1/status"}, "--status-url must be an http:// or https://"),
    "handset": ({"SIMULATOR_HANDSETS": "+14155550123,Sara"}, "A number of SIMULATOR_HANDSETS is not a phone number"),
    "key file": ({"SIMULATOR_PUBLIC_KEY_PATH": "/nowhere.pem"}, "(--public-key-path) cannot be read: No such file"),
    "key": ({"VONAGE_PRIVATE_KEY": "hello"}, "VONAGE_PRIVATE_KEY does not hold an unencrypted PEM key."),
    "host": ({"SIMULATOR_HOST": "no-such-host.invalid"}, "Cannot listen on no-such-host.invalid port "),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_named_in_one_sentence(environment, change, said):
    finished = run({"SIMULATOR_PORT": "0"} | environment | change)
    assert_one_sentence(finished, said)
    assert "+1415" not in finished.stderr


def test_a_busy_port_is_named_in_one_sentence(environment):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        finished = run(environment, "--port", port)
    assert_one_sentence(finished, f"Cannot listen on 127.0.0.1 port {port}: ")
    assert "ddress already in use" in finished.stderr


def test_help_names_every_variable(environment):
    finished = run({}, "--help")
    assert finished.returncode == 0
    for name in ("PORT", "INBOUND_URL", "STATUS_URL", "CLOCK_SCALE", "HANDSETS", "VIRTUAL_NUMBERS", "WEBHOOK_TIMEOUT"):
        assert f"SIMULATOR_{name}" in finished.stdout


# --- Settings that are right ---------------------------------------------------------------------------------


def test_a_public_key_file_is_enough(tmp_path):
    private, public = make_key_pair()
    for name, pem in (("private.pem", private), ("public.pem", public)):
        (tmp_path / name).write_text(pem)
        with Simulator.start(SIMULATOR_PUBLIC_KEY_PATH=str(tmp_path / name)) as simulator:
            assert simulator.call("GET", "/healthz") == {"status": "ok"}


def test_a_private_key_can_be_written_in_one_line(private_key):
    with Simulator.start(VONAGE_PRIVATE_KEY=private_key.replace("\n", "\\n")) as simulator:
        assert simulator.call("GET", "/healthz") == {"status": "ok"}


def test_the_oldest_texts_are_forgotten():
    with Simulator.start(SIMULATOR_KEEP_TEXTS="2") as simulator:
        for text in ("one", "two", "three"):
            simulator.text(SARA, VIRTUAL_NUMBER, text)
        assert [text["text"] for text in simulator.texts()] == ["two", "three"]


# --- Stopping ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_at_once_whatever_is_under_way(receiver, number):
    with Simulator.start(inbound_url=f"{receiver.url}/inbound") as simulator:
        receiver.answer("Held back", -1)
        receiver.wait_for(simulator.text(SARA, VIRTUAL_NUMBER, "Held back"))
        simulator.set_faults(latency_ms=60_000)
        session = requests.Session()
        session.trust_env = False
        with session, session.get(f"{simulator.url}/api/stream", stream=True, timeout=60):

            def send():
                with pytest.raises(requests.ConnectionError):
                    session.post(f"{simulator.url}/v1/messages", json=make_request(), timeout=60)

            waiting = threading.Thread(target=send)
            waiting.start()
            wait_until(lambda: simulator.stats()["faults_struck"] == {"latency_ms": 1})
            started = time.monotonic()
            simulator.process.send_signal(number)
            assert simulator.process.wait(60) == 0
            assert time.monotonic() - started < 3
            waiting.join()
        assert simulator.log.read_text().splitlines() == [f"simulator ready on {simulator.url}"]


# --- The log and the page ------------------------------------------------------------------------------------


def test_the_log_holds_no_number_and_no_text(simulator, caller, receiver):
    already = len(simulator.log.read_text())
    secret = "a text nobody else may read"
    caller.send_accepted(text=secret)
    caller.send(text=secret, to="+14155550123")
    caller.post(b'{"text": "' + secret.encode())
    receiver.answer(secret, 500, 200)
    simulator.text(SARA, VIRTUAL_NUMBER, secret)
    for fault in ("refuse", "drop_after_accept"):
        simulator.set_faults(**{fault: True})
        with pytest.raises(requests.ConnectionError):
            caller.send(text=secret)
    simulator.set_faults(respond_with=502)
    caller.send(text=secret)
    simulator.clear_faults()
    simulator.wait_until_quiet()
    assert simulator.log.read_text()[already:] == ""
    assert SARA not in simulator.log.read_text()


def test_a_request_that_is_no_http_is_not_quoted_in_the_log(simulator):
    host, port = simulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"TEXT +14155550123 hello\r\n\r\n")
        assert b"400" in connection.recv(1000)
    assert "4155550123" not in simulator.log.read_text()


def test_the_page_may_load_nothing_from_outside(simulator, caller):
    page = caller.session.get(f"{simulator.url}/", timeout=60)
    assert page.headers["Content-Type"].startswith("text/html")
    links = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert links and all(link.startswith("/static/") for link in links)
    modules = ["/static/handsets.js", "/static/traffic.js", "/static/faults.js", "/static/api.js"]
    for path in ("/", *links, *modules):
        answer = caller.session.get(simulator.url + path, timeout=60)
        assert answer.status_code == 200
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        outside = re.findall(r"https?://[^\s\"'`)]+", answer.text)
        assert set(outside) <= {"http://www.w3.org/2000/svg"}
