"""A new version is deployed while people text: nothing is lost, nothing comes twice, nobody has to wait."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import OMAR, SARA
from tests.harness.service import Deployment, Service
from tests.harness.simulator import wait_until

# What a later version may add to the tables while this one runs, as make lint has it.
LATER_MIGRATION = """
    ALTER TABLE messaging_message ADD COLUMN later varchar(9) DEFAULT '' NOT NULL;
    ALTER TABLE chats_chat ADD COLUMN later varchar(9) NULL;
    CREATE TABLE later_table (id int);
    INSERT INTO django_migrations (app, name, applied) VALUES ('messaging', '9999_later', now());
"""


@pytest.fixture
def service(tmp_path: Path, deployment: Deployment) -> Iterator[Service]:
    """Somebody texts faster than a person."""
    with Service(tmp_path, deployment=deployment, TEXTS_PER_MINUTE="0") as service:
        service.start_web()
        service.start_sender()
        yield service


class Stream:
    """Sara texts, one text after the other, until she is asked to stop."""

    def __init__(self, service: Service, number: str) -> None:
        self._service, self._number = service, number
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._text)
        self.sent: list[str] = []

    def __enter__(self) -> "Stream":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _text(self) -> None:
        for index in itertools.count():
            if self._stopping.is_set():
                return
            self.sent.append(f"no. {index}")
            self._service.simulator.text(SARA, self._number, self.sent[-1])
            self._service.simulator.wait_until_quiet(timeout=30)

    def wait_for_more(self, texts: int = 3) -> None:
        seen = len(self.sent)
        wait_until(lambda: len(self.sent) >= seen + texts, timeout=30, waiting_for="more texts")


@pytest.mark.slow
def test_old_and_new_processes_side_by_side_lose_nothing_and_send_nothing_twice(service: Service) -> None:
    [number] = service.start_chat((SARA, ""), (OMAR, ""))["virtual_numbers"]
    service.start_worker()
    wait_until(lambda: service.call("GET", "/readyz")[0] == 200, timeout=30, waiting_for="the service to be ready")
    with Stream(service, number) as stream:
        service.query(LATER_MIGRATION)
        stream.wait_for_more()
        # The new senders first, then the old ones stop; the same with web processes, which share the port.
        service.start_sender("new sender")
        assert service.terminate("sender") == 0
        stream.wait_for_more()
        service.start_web("new web")
        assert service.terminate("web") == 0
        stream.wait_for_more()
        service.reload("new web")
        stream.wait_for_more()
        assert service.call("GET", "/readyz") == (200, {"status": "ready", "problems": []})
    service.wait_until_sent()
    to_omar = [text["text"] for text in service.simulator.texts() if text["direction"] == "to_handset"]
    arrived = [text for text in to_omar if text.startswith("no. ")]
    assert arrived == stream.sent
    # Those that stopped as they should have said so; the worker, which did not stop, is still there.
    assert service.query("SELECT kind, count(*) FROM messaging_heartbeat GROUP BY kind ORDER BY kind") == [
        ("sender", 1),
        ("worker", 1),
    ]
    assert service.terminate("worker") == 0, service.log("worker")[-3000:]
    assert service.query("SELECT kind FROM messaging_heartbeat") == [("sender",)]
    [(relays,)] = service.query(
        "SELECT sum(value) FROM messaging_measurement WHERE name = 'relay_seconds' AND label <> 'sum'"
    )
    assert relays
