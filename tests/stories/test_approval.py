"""A platform that is asked about every text, against the whole service: a worker may be killed at any moment."""

import threading

import pytest

from tests.approval.helpers import RELAY, Approver, answering, text_of
from tests.factories import OMAR, SARA
from tests.harness.service import Service
from tests.harness.simulator import wait_until

DUE_NOW = "UPDATE messaging_approval SET due_at = now() WHERE status = 'asking'"


@pytest.mark.slow
def test_texts_reach_people_as_their_platform_wants_also_when_the_worker_is_killed(service: Service) -> None:
    service.start_worker()
    held, released = threading.Event(), threading.Event()

    def decide(received):
        text = text_of(received)
        if text == "hold":
            held.set()
            released.wait(30)
        return answering(
            {"my address is …": {"action": "block"}, "who?": {"action": "relay", "text": "who is it?"}}.get(text, RELAY)
        )

    with Approver() as approver:
        approver.decide = decide
        status, hook = service.call(
            "PUT", "/approval-hook", {"url": approver.url, "default": "block", "timeout_seconds": 10}
        )
        assert status == 201
        number = service.start_chat((SARA, "Sara"), (OMAR, "Omar"))["virtual_numbers"][0]
        for text in ("who?", "my address is …", "hold", "the last"):
            service.simulator.text(SARA, number, text)
            # Else they may overtake each other before they are here.
            service.simulator.wait_until_quiet()
        service.simulator.wait_for_text(OMAR, "who is it?")
        assert held.wait(30)
        service.kill("worker")
        released.set()
        # Nobody waits half a minute for the lease to end.
        service.query(DUE_NOW)
        service.start_worker()
        service.simulator.wait_for_text(OMAR, "the last")
        wait_until(lambda: service.simulator.texts_to(SARA)[1:], waiting_for="what Sara is told")
        for received in approver.received:
            received.verify(hook["secret"])
        arrived = [each["text"] for each in service.simulator.texts_to(OMAR)][1:]
        assert arrived == ["who is it?", "hold", "the last"]
        assert "was not passed on" in service.simulator.texts_to(SARA)[-1]["text"]
        assert approver.texts.count("hold") == 2
