"""Many texts at once, and whether each arrived once and in order."""

from collections.abc import Iterable

from tests.harness.service import Service

# What arrives, by (handset, virtual number), in order.
Arrivals = dict[tuple[str, str], list[str]]


def queue_burst(service: Service, pairs: Iterable[tuple[str, str]], *, texts_per_chat: int) -> Arrivals:
    """Start a chat for each pair, stop the sender, and text in turns; return what must arrive."""
    expected: Arrivals = {}
    chats = [(pair, service.start_chat((pair[0], ""), (pair[1], ""))) for pair in pairs]
    service.wait_until_sent()
    assert service.terminate("sender") == 0
    for index in range(texts_per_chat):
        for (first, second), chat in chats:
            writer, reader = (first, second) if index % 2 else (second, first)
            [number] = chat["virtual_numbers"]
            body = f"{chat['id']} no. {index}"
            service.simulator.text(writer, number, body)
            expected.setdefault((reader, number), []).append(body)
            # Texts overtake each other between the handset and us unless one is received before the next is sent.
            service.simulator.wait_until_quiet()
    return expected


def find_arrived(service: Service) -> Arrivals:
    """Return what arrived of the bursts."""
    arrived: Arrivals = {}
    for text in service.simulator.texts():
        if text["direction"] == "to_handset" and " no. " in text["text"]:
            arrived.setdefault((text["handset"], text["virtual_number"]), []).append(text["text"])
    return arrived
