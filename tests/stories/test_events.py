"""A platform's receiver of events, against the whole service: a worker may be killed at any moment."""

import threading

import pytest

from tests.events.receiver import Answer, Receiver, failing
from tests.factories import OMAR, SARA
from tests.harness.service import Service
from tests.harness.simulator import wait_until


def test_a_receiver_that_fails_at_first_is_told_everything_in_order(service: Service) -> None:
    service.start_worker()
    with Receiver(failing(1)) as receiver:
        status, endpoint = service.call("POST", "/webhook-endpoints", {"url": receiver.url, "include_bodies": True})
        assert status == 201
        chat = service.start_chat((SARA, "Sara"), (OMAR, "Omar"))
        service.simulator.text(SARA, chat["virtual_numbers"][0], "I am here")
        service.wait_until_sent()
        wait_until(lambda: len(receiver.received) > 5, waiting_for="the events of a chat", timeout=30)
        for received in receiver.received:
            received.verify(endpoint["secret"])
        assert receiver.types[:2] == ["chat.started", "chat.started"]
        [told] = [each.event["data"] for each in receiver.received if each.event["type"] == "message.received"]
        assert told["message"]["text"] == "I am here"
        assert receiver.types.count("message.delivered") == 3


@pytest.mark.slow
def test_a_worker_killed_half_way_loses_no_event(service: Service) -> None:
    service.start_worker()
    released, held = threading.Event(), threading.Event()

    def hold(received: object) -> Answer:
        held.set()
        released.wait(30)
        return Answer()

    with Receiver(hold) as receiver:
        service.call("POST", "/webhook-endpoints", {"url": receiver.url, "event_types": ["chat.started", "chat.ended"]})
        chat = service.start_chat((SARA, "Sara"), (OMAR, "Omar"))
        service.call("POST", f"/chats/{chat['id']}/end", {})
        assert held.wait(30)
        service.kill("worker")
        released.set()
        receiver.decide = lambda received: Answer()
        assert service.query("SELECT status FROM platforms_eventdelivery ORDER BY position") == [
            ("sending",),
            ("waiting",),
        ]
        # Nobody waits a minute for the lease to end.
        service.query("UPDATE platforms_eventdelivery SET due_at = now() WHERE status = 'sending'")
        service.start_worker()
        wait_until(lambda: len(receiver.received) == 3, waiting_for="both events", timeout=30)
    assert receiver.types == ["chat.started", "chat.started", "chat.ended"]
    assert len({each.id for each in receiver.received}) == 2
