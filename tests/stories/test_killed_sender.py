"""A sender may be killed at any moment: every text arrives, once and in order."""

from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA
from tests.harness.service import Service
from tests.harness.simulator import wait_until

PEOPLE = ((SARA, OMAR), (ALICE, BOB), (CHARLIE, SARA), (OMAR, CHARLIE))
TEXTS_PER_CHAT = 15


def queue_burst(service: Service) -> dict[tuple[str, str], list[str]]:
    """Text in turns while nobody sends; return what must arrive, by (handset, virtual number), in order."""
    expected: dict[tuple[str, str], list[str]] = {}
    chats = [service.start_chat((first, ""), (second, "")) for first, second in PEOPLE]
    service.wait_until_sent()
    assert service.terminate("sender") == 0
    for index in range(TEXTS_PER_CHAT):
        for (first, second), chat in zip(PEOPLE, chats, strict=True):
            writer, reader = (first, second) if index % 2 else (second, first)
            number = chat["virtual_numbers"][0]
            body = f"{chat['id']} no. {index}"
            service.simulator.text(writer, number, body)
            expected.setdefault((reader, number), []).append(body)
            # Texts overtake each other between the handset and us unless one is received before the next is sent.
            service.simulator.wait_until_quiet()
    return expected


def find_arrived(service: Service) -> dict[tuple[str, str], list[str]]:
    arrived: dict[tuple[str, str], list[str]] = {}
    for text in service.simulator.texts():
        if text["direction"] == "to_handset" and " no. " in text["text"]:
            arrived.setdefault((text["handset"], text["virtual_number"]), []).append(text["text"])
    return arrived


def count_sent(service: Service) -> int:
    [(sent,)] = service.query("SELECT count(*) FROM messaging_message WHERE kind = 'relay' AND sent_at IS NOT NULL")
    return int(sent)


def test_a_sender_killed_in_a_burst_loses_nothing_and_sends_nothing_twice(service: Service) -> None:
    expected = queue_burst(service)
    service.simulator.set_faults(latency_ms={"value": 150}, drop_after_accept={"probability": 0.2})
    service.start_sender()
    wait_until(lambda: count_sent(service) > 5, waiting_for="the burst to be under way")
    service.kill("sender")
    assert service.query("SELECT count(*) FROM messaging_message WHERE status = 'sending'") != [(0,)]
    service.start_sender()
    service.wait_until_sent(timeout=90)
    assert find_arrived(service) == expected


def test_two_senders_share_a_burst_and_send_nothing_twice(service: Service) -> None:
    expected = queue_burst(service)
    service.simulator.set_faults(latency_ms={"value": 20})
    service.start_sender("first")
    service.start_sender("second")
    service.wait_until_sent()
    assert find_arrived(service) == expected


def test_a_sender_that_is_asked_to_stop_finishes_and_gives_back(service: Service) -> None:
    expected = queue_burst(service)
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
