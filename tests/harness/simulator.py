"""Start the simulator as its own process and drive it through its control API."""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
# Nothing listens on port 9 (discard) of a test machine: webhooks sent there fail, as they should when unexpected.
NOWHERE = "http://127.0.0.1:9/"

Found = TypeVar("Found")
_open = build_opener(ProxyHandler({})).open


class SimulatorError(Exception):
    """The simulator did not start, or answered a control request with an error."""


def make_key_pair() -> tuple[str, str]:
    """Make the private (PKCS#8) and public key of an application, both as PEM text."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def wait_until(probe: Callable[[], Found | None], *, timeout: float = 60.0, waiting_for: str = "a condition") -> Found:
    """Ask `probe` until it returns something true, and return that; raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while True:
        if found := probe():
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout} s for {waiting_for}")
        time.sleep(0.01)


def make_attachment(
    content: bytes, content_type: str = "image/jpeg", *, name: str = "", caption: str = ""
) -> dict[str, Any]:
    """Return an attachment as POST /api/texts takes it."""
    return {
        "data": base64.b64encode(content).decode(),
        "content_type": content_type,
        "name": name,
        "caption": caption,
    }


class Simulator:
    """A running simulator; use `with Simulator.start(…) as simulator:`, or call `stop()`, which keeps its log."""

    def __init__(self, *, process: subprocess.Popen[bytes], log: Path, environment: dict[str, str], private_key: str):
        self.process = process
        self.log = log
        self.url = ""
        self.private_key = private_key
        self.api_key = environment["VONAGE_API_KEY"]
        self.api_secret = environment["VONAGE_API_SECRET"]
        self.application_id = environment["VONAGE_APPLICATION_ID"]
        self.signature_secret = environment["VONAGE_SIGNATURE_SECRET"]

    @classmethod
    def start(
        cls,
        *,
        inbound_url: str = NOWHERE,
        status_url: str = NOWHERE,
        clock_scale: float = 0.02,
        port: int = 0,
        **env: str,
    ) -> Self:
        """Start a simulator and wait until it listens; `env` adds environment variables, by their names.

        Keys and credentials not given in `env` are made up, and can be read from the attributes.
        """
        given = {
            "SIMULATOR_INBOUND_URL": inbound_url,
            "SIMULATOR_STATUS_URL": status_url,
            "SIMULATOR_CLOCK_SCALE": str(clock_scale),
            "SIMULATOR_PORT": str(port),
            "VONAGE_API_KEY": "abcd1234",
            "VONAGE_API_SECRET": "simulated-Secret1",
            "VONAGE_APPLICATION_ID": str(uuid.uuid4()),
            "VONAGE_SIGNATURE_SECRET": f"signature-secret-{uuid.uuid4().hex}",
            **env,
        }
        if not {"VONAGE_PRIVATE_KEY", "VONAGE_PRIVATE_KEY_PATH", "SIMULATOR_PUBLIC_KEY_PATH"} & given.keys():
            given["VONAGE_PRIVATE_KEY"] = _make_default_key()
        handle, log = tempfile.mkstemp(prefix="simulator-", suffix=".log")
        with os.fdopen(handle, "wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "simulator"],
                cwd=ROOT, env=_clean_environment() | given, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        simulator = cls(
            process=process, log=Path(log), environment=given, private_key=given.get("VONAGE_PRIVATE_KEY", "")
        )
        try:
            simulator.url = wait_until(
                simulator._read_ready_line, timeout=START_TIMEOUT_S, waiting_for="the simulator to listen"
            )
        except BaseException:
            simulator.stop()
            simulator.log.unlink(missing_ok=True)
            raise
        return simulator

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.log.unlink(missing_ok=True)

    def stop(self) -> int:
        """Stop the process and return its exit status; harmless when it has stopped already."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait(STOP_TIMEOUT_S)

    def text(self, from_number: str, to_number: str, text: str, **kw: Any) -> str:
        """Type a text on a handset and return its message_uuid; `kw` as in POST /api/texts."""
        answer = self.call("POST", "/api/texts", {"from": from_number, "to": to_number, "text": text, **kw})
        return str(answer["message_uuid"])

    def mms(self, from_number: str, to_number: str, text: str = "", *media: dict[str, Any], **kw: Any) -> str:
        """Send an MMS from a handset and return its message_uuid; without media it is a long text sent as MMS.

        An attachment is made by `make_attachment`.
        """
        return self.text(from_number, to_number, text, channel="mms", media=list(media), **kw)

    def read_media(self, attachment: dict[str, Any]) -> bytes:
        """Return what one of the `media` of a text holds, once it has been fetched."""
        with _open(self.url + attachment["content"], timeout=30) as response:
            return bytes(response.read())

    def arrivals(self) -> dict[str, Any]:
        """Return what arrived when, per virtual number and for the account."""
        found: dict[str, Any] = self.call("GET", "/api/arrivals")
        return found

    def advance_clock(self, *, seconds: float) -> None:
        """Make the media that handsets sent so many simulated seconds older."""
        self.call("POST", "/api/clock", {"advance_s": seconds})

    def texts(self, *, after: int = 0) -> list[dict[str, Any]]:
        """Return every text the simulator remembers, in both directions, oldest first."""
        found: list[dict[str, Any]] = self.call("GET", f"/api/texts?after={after}")["texts"]
        return found

    def texts_to(self, handset: str, *, after: int = 0) -> list[dict[str, Any]]:
        """Return the texts that reached a handset, oldest first."""
        return [
            text for text in self.texts(after=after) if text["direction"] == "to_handset" and text["handset"] == handset
        ]

    def wait_for_text(
        self,
        handset: str,
        containing: str = "",
        *,
        predicate: Callable[[dict[str, Any]], object] = lambda text: True,
        after: int = 0,
        timeout: float = 60.0,
    ) -> dict[str, Any]:
        """Wait until a text that contains `containing` and passes `predicate` has reached a handset, and return it."""

        def find() -> dict[str, Any] | None:
            texts = self.texts_to(handset, after=after)
            return next((text for text in texts if containing in text["text"] and predicate(text)), None)

        return wait_until(find, timeout=timeout, waiting_for=f"a text containing {containing!r}")

    def traffic(self, *, after: int = 0) -> list[dict[str, Any]]:
        """Return the latest HTTP exchanges with the service, oldest first."""
        found: list[dict[str, Any]] = self.call("GET", f"/api/traffic?after={after}")["traffic"]
        return found

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", "/api/stats")
        return found

    def set_faults(self, **faults: Any) -> dict[str, Any]:
        """Put these faults in the place of all others: `set_faults(latency_ms=200, respond_with={"status": 429})`."""
        found: dict[str, Any] = self.call("PUT", "/api/faults", faults)
        return found

    def clear_faults(self) -> None:
        self.call("DELETE", "/api/faults")

    def set_account(self, **parts: Any) -> dict[str, Any]:
        """Replace parts of the account, such as `numbers=[…]` or `balance=3`, and return all of it."""
        found: dict[str, Any] = self.call("PUT", "/api/account", parts)
        return found

    def reset(self) -> None:
        """Make the simulator forget texts, traffic, counters, faults, the account's changes and pending webhooks."""
        self.call("DELETE", "/api/state")

    def wait_until_quiet(self, *, timeout: float = 60.0) -> None:
        """Wait until no webhook is pending and no media are being fetched."""

        def is_quiet() -> bool:
            stats = self.stats()
            return stats["webhooks"]["pending"] == stats["mms_under_way"] == 0

        wait_until(is_quiet, timeout=timeout, waiting_for="no webhook to be pending")

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the control API; raises SimulatorError with what it says is wrong."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data=data, method=method, headers={"Content-Type": "application/json"})
        try:
            with _open(request, timeout=30) as response:
                answer = response.read()
        except HTTPError as error:
            raise SimulatorError(f"{error.code}: {error.read().decode(errors='replace')}") from error
        return json.loads(answer) if answer else None

    def _read_ready_line(self) -> str | None:
        output = self.log.read_text()
        for line in output.splitlines():
            if line.startswith("simulator ready on "):
                return line.removeprefix("simulator ready on ").strip()
        if self.process.poll() is not None:
            raise SimulatorError(f"the simulator exited with {self.process.returncode}: {output.strip()}")
        return None


@cache
def _make_default_key() -> str:
    return make_key_pair()[0]


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("VONAGE_", "SIMULATOR_"))}
