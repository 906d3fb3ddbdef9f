"""One simulator and one service for all tests of a process; each test starts from a simulator that forgot all."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.harness.simulator import Simulator
from tests.simulator.receiver import Receiver, Webhook

VIRTUAL_NUMBER = "+14155550100"
SARA = "+14155550123"
# A simulated second is 0.1 s: receipts come after 0.03 and 0.12 s, the first retry after 0.5 s.
CLOCK_SCALE = 0.1
# As a claim or a field: leave it out.
ABSENT = object()


@dataclass(frozen=True)
class Caller:
    """Somebody who calls POST /v1/messages as the service does."""

    simulator: Simulator
    session: requests.Session

    def make_token(self, *, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
        """Return a token of the application; a claim replaces the usual one, and ABSENT removes it."""
        now = int(time.time())
        usual = {
            "application_id": self.simulator.application_id,
            "iat": now,
            "exp": now + 900,
            "jti": str(uuid.uuid4()),
        }
        kept = {name: value for name, value in (usual | claims).items() if value is not ABSENT}
        return jwt.encode(kept, key or _load_key(self.simulator.private_key), algorithm=algorithm)

    def post(self, content: bytes | dict[str, Any], *, authorization: str | None = None) -> requests.Response:
        """POST a body to /v1/messages; with a good token unless told otherwise ("" sends none)."""
        if authorization is None:
            authorization = f"Bearer {self.make_token()}"
        headers = {"Authorization": authorization} if authorization else {}
        if isinstance(content, dict):
            return self.session.post(f"{self.simulator.url}/v1/messages", json=content, headers=headers, timeout=60)
        return self.session.post(f"{self.simulator.url}/v1/messages", data=content, headers=headers, timeout=60)

    def send(self, **fields: Any) -> requests.Response:
        """Send a text; a field replaces the usual one, and ABSENT removes it."""
        return self.post(make_request(**fields))

    def send_accepted(self, **fields: Any) -> str:
        """Send a text, which must be accepted, and return its message_uuid."""
        answer = self.send(**fields)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["message_uuid"])


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def shared_simulator(receiver: Receiver) -> Iterator[Simulator]:
    with Simulator.start(
        inbound_url=f"{receiver.url}/inbound", status_url=f"{receiver.url}/status", clock_scale=CLOCK_SCALE
    ) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Iterator[Simulator]:
    shared_simulator.reset()
    yield shared_simulator
    shared_simulator.reset()


@pytest.fixture
def caller(simulator: Simulator) -> Iterator[Caller]:
    with requests.Session() as session:
        session.trust_env = False
        yield Caller(simulator, session)


def make_request(**fields: Any) -> dict[str, Any]:
    """Return the body of a send; a field replaces the usual one, ABSENT removes it, and from_number is `from`."""
    usual = {
        "channel": "sms",
        "message_type": "text",
        "to": SARA.removeprefix("+"),
        "from": VIRTUAL_NUMBER.removeprefix("+"),
        "text": "I am at the blue gate",
    }
    if "from_number" in fields:
        fields["from"] = fields.pop("from_number")
    return {name: value for name, value in (usual | fields).items() if value is not ABSENT}


def list_statuses(webhooks: list[Webhook]) -> list[str]:
    return [webhook.payload["status"] for webhook in webhooks]


@cache
def _load_key(pem: str) -> Any:
    return load_pem_private_key(pem.encode(), None)
