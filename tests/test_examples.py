"""examples/client.py and examples/receiver.py, where the API or the network is not as one would like it.

That they work with the real service is told by tests/stories/test_taxi_day.py and test_guide.py.
"""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from standardwebhooks import Webhook

from examples.client import Conflict, NotAllowed, NotFound, Texting, TextingError, Throttled, Unavailable
from tests.harness.receiver import ExampleReceiver
from tests.harness.simulator import wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DROPPED = None


@dataclass
class Answer:
    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class Api:
    """Answers what it is told to, in order; DROPPED closes the connection instead."""

    def __init__(self) -> None:
        self.answers: list[Answer | None] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                api.requests.append((self.command, self.path, dict(self.headers)))
                answer = api.answers.pop(0)
                if answer is None:
                    return
                body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = _answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def idempotency_keys(self) -> set[str | None]:
        return {headers.get("Idempotency-Key") for _, _, headers in self.requests}


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    threading.Thread(target=api.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield api
    api.server.shutdown()
    api.server.server_close()


@pytest.fixture
def texting(api: Api, monkeypatch: pytest.MonkeyPatch) -> Texting:
    monkeypatch.setenv("NO_PROXY", "*")
    return Texting(api.url, api_key="secret", attempts=3)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client has waited, without waiting."""
    waits: list[float] = []
    monkeypatch.setattr("examples.client.time.sleep", waits.append)
    return waits


def refusal(status: int, code: str, **headers: str) -> Answer:
    return Answer(status, {"type": "client_error", "errors": [{"code": code, "detail": "Why.", "attr": None}]}, headers)


class TestClient:
    @pytest.mark.parametrize(
        "failure",
        [DROPPED, Answer(503, b"<html>busy"), refusal(500, "error"), refusal(409, "idempotency_key_in_use")],
        ids=["no answer", "a proxy's 503", "500", "in use"],
    )
    def test_repeats_what_may_have_been_done_with_the_same_key(self, api, texting, waits, failure):
        api.answers = [failure, failure, Answer(201, {"id": "x"})]
        assert texting.start_chat([]) == {"id": "x"}
        assert len(api.requests) == 3 and len(api.idempotency_keys()) == 1 and None not in api.idempotency_keys()
        assert len(waits) == 2 and all(0 < wait < 2 for wait in waits)

    def test_gives_each_request_a_key_of_its_own(self, api, texting):
        api.answers = [Answer(), Answer()]
        texting.end_chat("a")
        texting.change_chat("a", metadata={})
        assert len(api.idempotency_keys()) == 2

    def test_waits_as_long_as_it_is_told(self, api, texting, waits):
        api.answers = [refusal(429, "throttled", **{"Retry-After": "10"}), Answer()]
        texting.get_chat("a")
        assert waits == [10]

    def test_does_not_wait_for_a_day(self, api, texting, waits):
        api.answers = [refusal(429, "throttled", **{"Retry-After": "3600"})]
        with pytest.raises(Throttled):
            texting.start_chat([])
        assert waits == []

    def test_gives_up_after_all_attempts(self, api, texting, waits):
        api.answers = [DROPPED] * 3
        with pytest.raises(Unavailable) as error:
            texting.get_chat("a")
        assert (error.value.status, error.value.code, len(api.requests)) == (None, "no_answer", 3)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(400, TextingError), (401, NotAllowed), (403, NotAllowed), (404, NotFound), (409, Conflict)],
    )
    def test_a_refusal_is_an_exception_of_its_kind_and_not_repeated(self, api, texting, status, kind):
        api.answers = [refusal(status, "because")]
        with pytest.raises(TextingError) as error:
            texting.get_chat("a")
        assert (type(error.value), error.value.code, error.value.status) == (kind, "because", status)
        assert len(api.requests) == 1

    def test_reads_all_pages_and_sends_its_key_to_no_other_host(self, api, texting):
        api.answers = [
            Answer(body={"results": [1, 2], "next": "https://elsewhere.example.com/chats?cursor=c%3D1&status=open"}),
            Answer(body={"results": [3], "next": None}),
        ]
        assert list(texting.list_chats(status="open")) == [1, 2, 3]
        assert [path for _, path, _ in api.requests] == ["/chats?status=open", "/chats?cursor=c%3D1&status=open"]

    def test_reads_events_to_the_last_one(self, api, texting):
        api.answers = [
            Answer(body={"results": [{"id": "a"}], "has_more": True}),
            Answer(body={"results": [{"id": "b"}], "has_more": False}),
        ]
        assert [event["id"] for event in texting.list_events()] == ["a", "b"]
        assert api.requests[1][1] == "/events?limit=200&after=a"


@pytest.fixture
def receiver(api: Api, tmp_path: Path) -> Iterator[ExampleReceiver]:
    with ExampleReceiver(tmp_path, texting_url=api.url, api_key="secret") as receiver:
        yield receiver


def event(reference: str) -> dict[str, Any]:
    return {"type": "chat.ended", "timestamp": "2030-01-30T09:15:12Z", "data": {"chat": {"reference": reference}}}


def nothing_missed() -> Answer:
    return Answer(body={"results": [], "has_more": False})


def post(receiver: ExampleReceiver, event_id: str, event: dict[str, Any], **changed: str) -> int:
    body = json.dumps(event)
    now = datetime.now(UTC)
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(event_id, now, body),
    }
    connection = HTTPConnection(urlsplit(receiver.url).netloc, timeout=60)
    connection.request("POST", "/events", body, {**headers, **changed})
    status = connection.getresponse().status
    connection.close()
    return status


class TestReceiver:
    def test_handles_an_event_once_however_often_it_comes(self, api, receiver):
        api.answers = [nothing_missed()]
        receiver.start(secret=SECRET)
        assert {post(receiver, "a", event("one")) for _ in range(3)} == {204}
        assert post(receiver, "b", event("two")) == 204
        wait_until(lambda: len(receiver.handled()) == 2, waiting_for="both events")
        assert receiver.log.count("chat.ended one\n") == receiver.log.count("chat.ended two\n") == 1

    @pytest.mark.parametrize(
        ("changed", "status"),
        [
            ({"webhook-signature": "v1,AAAA"}, 401),
            ({"webhook-signature": "nonsense"}, 401),
            ({"webhook-signature": ""}, 401),
            ({"webhook-id": "another"}, 401),
            ({"webhook-timestamp": str(int(time.time()) - 3600)}, 401),
            ({"webhook-timestamp": "NaN"}, 401),
            ({"Content-Length": "999999999"}, 413),
        ],
    )
    def test_takes_nothing_that_is_not_signed(self, api, receiver, changed, status):
        api.answers = [nothing_missed()]
        receiver.start(secret=SECRET)
        assert post(receiver, "a", event("one"), **changed) == status
        assert receiver.handled() == []

    def test_catches_up_from_the_last_event_it_has_fetched(self, api, receiver):
        missed = [{"id": name, **event(name), "deliveries": []} for name in ("a", "b")]
        api.answers = [Answer(body={"results": missed, "has_more": False})]
        receiver.start(secret=SECRET)
        post(receiver, "b", event("b"))
        wait_until(lambda: [name for name, _ in receiver.handled()] == ["a", "b"], waiting_for="both events")
        receiver.kill()
        api.answers = [nothing_missed()]
        receiver.start(secret=SECRET)
        assert api.requests[-1][1] == "/events?limit=200&after=b"
        assert receiver.log.count("chat.ended") == 2


def test_both_are_short_enough_to_be_read():
    examples = Path(__file__).resolve().parent.parent / "examples"
    lines = {path.name: len(path.read_text().splitlines()) for path in examples.glob("*.py")}
    assert lines.keys() == {"client.py", "receiver.py"}
    assert lines["client.py"] <= 150 and lines["receiver.py"] <= 120
