"""The server-sent events the page follows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from tests.simulator.conftest import SARA, VIRTUAL_NUMBER

Event = tuple[str, str, dict[str, Any]]


@contextmanager
def follow(simulator, *, query="", last_event_id=None) -> Iterator[Iterator[Event]]:
    """Open the stream; yields its events as (id, name, data)."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    with requests.Session() as session:
        session.trust_env = False
        url = f"{simulator.url}/api/stream{query}"
        with session.get(url, headers=headers, stream=True, timeout=(5, 5)) as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            assert response.headers["Cache-Control"] == "no-store"
            yield read_events(response)


def read_events(response: requests.Response) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in response.iter_lines(chunk_size=None, decode_unicode=True):
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif not line and "event" in fields:
            yield fields["id"], fields["event"], json.loads(fields["data"])
            fields = {}


def take_until(events, name, **expected) -> list[Event]:
    """Return the events up to the first with this name and these values."""
    taken = []
    for event in events:
        taken.append(event)
        if event[1] == name and expected.items() <= event[2].items():
            return taken
    raise AssertionError(f"the stream ended without {name}")


def test_a_new_listener_is_told_to_start_afresh_and_what_there_is(simulator, caller):
    caller.send_accepted(text="Before")
    simulator.set_faults(no_receipts=True)
    with follow(simulator) as events:
        told = take_until(events, "exchange", kind="send")
    assert [name for _, name, _ in told][:3] == ["reset", "faults", "text"]
    assert told[1][2] == {"no_receipts": {"probability": 1.0}}
    assert told[2][2]["text"] == "Before"


def test_a_listener_is_told_what_happens(simulator, caller):
    with follow(simulator) as events:
        take_until(events, "faults")
        caller.send_accepted(text="Hello")
        [*_, (_, _, shown)] = take_until(events, "text", status="delivered")
        assert (shown["text"], shown["handset"]) == ("Hello", SARA)
        typed = simulator.text(SARA, VIRTUAL_NUMBER, "Two minutes!")
        taken = {"copies": 1, "attempts": 1, "status": 200, "done": True, "lost": 0}
        told = take_until(events, "text", message_uuid=typed, webhook=taken)
        assert told[-1][2]["direction"] == "from_handset"
        assert [data["status"] for _, _, data in told if data.get("kind") == "inbound"] == [200]


def test_a_listener_is_told_of_faults_and_of_a_reset(simulator):
    with follow(simulator) as events:
        take_until(events, "faults")
        simulator.set_faults(empty_202=True)
        assert take_until(events, "faults")[-1][2] == {"empty_202": {"probability": 1.0}}
        simulator.clear_faults()
        assert take_until(events, "faults")[-1][2] == {}
        simulator.reset()
        take_until(events, "reset")


def test_a_fault_that_has_struck_for_the_last_time_is_told_to_be_gone(simulator, caller):
    simulator.set_faults(respond_with={"status": 500, "times": 1})
    with follow(simulator) as events:
        take_until(events, "faults", respond_with={"status": 500, "probability": 1.0, "times": 1})
        caller.send()
        assert take_until(events, "faults")[-1][2] == {}


def test_a_listener_that_comes_back_is_told_what_it_missed_and_nothing_twice(simulator, caller):
    simulator.set_faults(no_receipts=True)
    caller.send_accepted(text="Seen")
    with follow(simulator) as events:
        last_id = take_until(events, "exchange", kind="send")[-1][0]
    caller.send_accepted(text="Missed")
    with follow(simulator, last_event_id=last_id) as events:
        told = take_until(events, "exchange", kind="send")
    assert [data["text"] for _, name, data in told if name == "text"] == ["Missed"]
    assert "reset" not in [name for _, name, _ in told]


def test_a_listener_of_another_run_starts_afresh(simulator):
    for last_event_id in ("00000000-1-5", "rubbish", "-" + "9" * 5000):
        with follow(simulator, last_event_id=last_event_id) as events:
            assert next(events)[1] == "reset"


def test_after_leaves_out_what_is_older(simulator, caller):
    simulator.set_faults(no_receipts=True)
    caller.send_accepted(text="Old")
    last = simulator.traffic()[-1]["seq"]
    caller.send_accepted(text="New")
    with follow(simulator, query=f"?after={last}") as events:
        told = take_until(events, "exchange", kind="send")
    assert [data["text"] for _, name, data in told if name == "text"] == ["New"]


def test_an_after_of_many_digits_is_as_none(simulator):
    with follow(simulator, query="?after=" + "9" * 5000) as events:
        assert next(events)[1] == "reset"


def test_every_listener_is_told(simulator, caller):
    with follow(simulator) as first, follow(simulator) as second:
        caller.send_accepted(text="Hello")
        for events in (first, second):
            assert take_until(events, "text", handset=SARA)[-1][2]["text"] == "Hello"
