"""A sender may be killed at any moment: every text arrives, once and in order."""

import signal

import pytest

from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA
from tests.harness.service import Service
from tests.harness.simulator import wait_until
from tests.stories.bursts import find_arrived, queue_burst

PEOPLE = ((SARA, OMAR), (ALICE, BOB), (CHARLIE, SARA), (OMAR, CHARLIE))


def count_sent(service: Service) -> int:
    [(sent,)] = service.query("SELECT count(*) FROM messaging_message WHERE kind = 'relay' AND sent_at IS NOT NULL")
    return int(sent)


def is_frozen_while_sending(service: Service) -> bool:
    """Freeze the sender; when nothing was on the wire at this moment, let it go on."""
    service.send_signal("sender", signal.SIGSTOP)
    [(sending,)] = service.query("SELECT count(*) FROM messaging_message WHERE status = 'sending'")
    if not sending:
        service.send_signal("sender", signal.SIGCONT)
    return bool(sending)


def test_a_sender_killed_in_a_burst_loses_nothing_and_sends_nothing_twice(service: Service) -> None:
    expected = queue_burst(service, PEOPLE, texts_per_chat=15)
    service.simulator.set_faults(latency_ms={"value": 150}, drop_after_accept={"probability": 0.2})
    service.start_sender()
    wait_until(lambda: count_sent(service) > 5, waiting_for="the burst to be under way")
    wait_until(lambda: is_frozen_while_sending(service), waiting_for="a moment at which texts are on the wire")
    service.kill("sender")
    service.start_sender()
    service.wait_until_sent(timeout=90)
    assert find_arrived(service) == expected


@pytest.mark.slow
def test_two_senders_share_a_burst_and_send_nothing_twice(service: Service) -> None:
    expected = queue_burst(service, PEOPLE, texts_per_chat=15)
    service.simulator.set_faults(latency_ms={"value": 20})
    service.start_sender("first")
    service.start_sender("second")
    service.wait_until_sent()
    assert find_arrived(service) == expected


@pytest.mark.slow
def test_a_sender_that_is_asked_to_stop_finishes_and_gives_back(service: Service) -> None:
    expected = queue_burst(service, PEOPLE, texts_per_chat=15)
    service.simulator.set_faults(latency_ms={"value": 200})
    service.start_sender()
    wait_until(lambda: count_sent(service) > 0, waiting_for="the first text to be sent")
    assert service.terminate("sender") == 0
    states = dict(service.query("SELECT status, count(*) FROM messaging_message WHERE kind = 'relay' GROUP BY status"))
    assert "sending" not in states and "unconfirmed" not in states
    assert states["queued"] > 0
    service.start_sender()
    service.wait_until_sent()
    assert find_arrived(service) == expected
