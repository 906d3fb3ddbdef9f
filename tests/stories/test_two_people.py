"""The story of the product, over real HTTP between the service's own processes and the simulator."""

import re

import pytest

from tests.factories import ALICE, OMAR, SARA
from tests.harness.service import Service
from tests.harness.simulator import wait_until

GREETING = "Good evening, I am at the corner by the bakery"
ANSWER = "Very good, I am coming down with two suitcases"


def bodies(texts: list[dict[str, str]]) -> list[str]:
    return [text["text"] for text in texts]


def test_two_people_text_each_other_and_never_see_each_others_number(service: Service) -> None:
    simulator = service.simulator
    service.start_worker()

    chat = service.start_chat((SARA, "Sara"), (OMAR, "Omar"), reference="booking-8812")
    [virtual_number] = chat["virtual_numbers"]
    assert "Omar" in simulator.wait_for_text(SARA, "STOP")["text"]
    assert "Sara" in simulator.wait_for_text(OMAR, "STOP")["text"]

    simulator.text(SARA, virtual_number, GREETING)
    assert simulator.wait_for_text(OMAR, GREETING)["virtual_number"] == virtual_number
    simulator.text(OMAR, virtual_number, ANSWER)
    assert simulator.wait_for_text(SARA, ANSWER)["virtual_number"] == virtual_number

    simulator.text(SARA, virtual_number, "I see you", copies=5)
    simulator.wait_for_text(OMAR, "I see you")
    simulator.text(ALICE, virtual_number, "Whose number is this?")
    simulator.wait_until_quiet()

    assert service.call("POST", f"/chats/{chat['id']}/end", {"reason": "arrived"})[1]["status"] == "ended"
    simulator.text(OMAR, virtual_number, "You left your umbrella")
    simulator.wait_for_text(OMAR, "has ended")
    simulator.text(OMAR, virtual_number, "Are you there?")
    simulator.wait_until_quiet()
    service.wait_until_sent()

    introduction, *to_sara = bodies(simulator.texts_to(SARA))
    assert to_sara == [ANSWER]
    introduction_to_omar, *to_omar = bodies(simulator.texts_to(OMAR))
    assert to_omar[:2] == [GREETING, "I see you"]
    assert len(to_omar) == 3 and "has ended" in to_omar[2]
    assert bodies(simulator.texts_to(ALICE)) == []
    for text in (introduction, introduction_to_omar):
        assert not re.search(r"\d{5}", text)

    _, transcript = service.call("GET", f"/chats/{chat['id']}/messages")
    outbound = [message for message in transcript["results"] if message["direction"] == "out"]
    assert {message["status"] for message in outbound} == {"delivered"}

    numbers_and_texts = [SARA, OMAR, ALICE, virtual_number, GREETING, ANSWER, "I see you", "umbrella", "Sara", "Omar"]
    for process, log in service.logs().items():
        assert log or process == "worker", f"{process} logged nothing"
        for secret in numbers_and_texts:
            assert secret.removeprefix("+") not in log, f"{process} logged what it must not"


@pytest.mark.slow
def test_texts_to_a_service_that_is_down_arrive_when_it_is_up_again(service: Service) -> None:
    chat = service.start_chat((SARA, "Sara"), (OMAR, "Omar"))
    service.wait_until_sent()
    service.kill("web")
    service.simulator.text(SARA, chat["virtual_numbers"][0], "Is anybody there?")
    wait_until(
        lambda: service.simulator.stats()["webhooks"]["retried"] > 0, waiting_for="the simulator to have tried in vain"
    )
    service.start_web()
    service.simulator.wait_for_text(OMAR, "Is anybody there?", timeout=30)
    assert len(service.simulator.texts_to(OMAR)) == 2


@pytest.mark.slow
def test_a_web_process_killed_in_a_burst_loses_nothing_and_relays_nothing_twice(service: Service) -> None:
    chat = service.start_chat((SARA, "Sara"), (OMAR, "Omar"))
    service.wait_until_sent()
    expected = [f"no. {index}" for index in range(200)]
    for index, body in enumerate(expected):
        service.simulator.text(SARA, chat["virtual_numbers"][0], body, copies=1 + index % 2)
        if index == 100:
            service.kill("web")
    service.start_web()
    service.simulator.wait_until_quiet(timeout=60)
    service.wait_until_sent()
    assert sorted(bodies(service.simulator.texts_to(OMAR))[1:]) == sorted(expected)


@pytest.mark.slow
def test_the_worker_ends_a_chat_on_time(service: Service) -> None:
    chat = service.start_chat((SARA, "Sara"), (OMAR, "Omar"))
    service.query(f"UPDATE chats_chat SET expires_at = now() - interval '1 second' WHERE id = '{chat['id']}'")
    service.start_worker()

    def find_ended() -> object:
        _, found = service.call("GET", f"/chats/{chat['id']}")
        return found if found["status"] == "ended" else None

    ended = wait_until(find_ended, timeout=30, waiting_for="the worker's turn")
    assert ended["end_reason"] == "expired"
    wait_until(lambda: "chats ended" in service.log("worker"), waiting_for="the worker to say so")
