"""A taxi firm's day over HTTP: its program is examples/client.py, its receiver of events examples/receiver.py."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from examples.client import Conflict, Texting
from messaging import wording
from tests.factories import ALICE, BOB, OMAR, SARA
from tests.harness.receiver import ExampleReceiver
from tests.harness.service import Deployment, Service
from tests.harness.simulator import wait_until

BOOKING = [{"phone_number": SARA, "name": "Sara"}, {"phone_number": OMAR, "name": "Omar"}]
CLOSING_TEXT = "Thank you for riding with us."
AT_THE_GATE = "Your white car is at the blue gate."
# What the simulator charges for a segment.
PRICE_OUT, PRICE_IN = Decimal("0.0072"), Decimal("0.0057")
RIDE_IS_OVER = "Your ride with {platform} is over. For lost items, call the office."
LOST = "I left my umbrella in your car"


@pytest.fixture
def service(tmp_path: Path, deployment: Deployment) -> Iterator[Service]:
    with Service(tmp_path, deployment=deployment) as service:
        service.start_web()
        service.start_sender()
        service.start_worker()
        yield service


@pytest.fixture
def texting(service: Service, monkeypatch: pytest.MonkeyPatch) -> Texting:
    monkeypatch.setenv("NO_PROXY", "*")
    return Texting(service.url, api_key=service.api_key)


def test_a_taxi_firms_day(service: Service, texting: Texting, tmp_path: Path) -> None:
    with ExampleReceiver(tmp_path, texting_url=service.url, api_key=service.api_key) as receiver:
        asked = {"url": receiver.url, "include_bodies": True}
        endpoint = texting.call("POST", "/webhook-endpoints", asked)
        texting.call("PUT", "/templates", {"kind": "chat_ended", "language": "en", "text": RIDE_IS_OVER})
        chat = book_twice(service, texting)
        fail_twice(service, receiver, endpoint["secret"])
        ride(service, texting, chat)
        swap_the_driver(service, texting, chat)
        receiver.kill()
        end_and_lose_an_umbrella(service, texting, chat)
        # What happened meanwhile it fetches.
        receiver.start(secret=endpoint["secret"])
        reopen_and_find_it(service, texting, chat)
        service.wait_until_sent()
        service.simulator.wait_until_quiet()
        events = wait_for_all_events(texting, receiver)
        check_the_events(chat, events)
        check_the_order_of_webhooks(service)
        check_the_books(service, texting)
        check_the_usage(service, texting)
        check_the_logs(service)


def book_twice(service: Service, texting: Texting) -> dict[str, Any]:
    """The firm's program books twice, at once and again later, and once with another passenger by mistake."""
    with ThreadPoolExecutor(2) as at_once:
        bookings = [at_once.submit(texting.start_chat, BOOKING, reference="booking-8812") for _ in range(2)]
    chat, again = (booking.result() for booking in bookings)
    assert chat["id"] == again["id"] == texting.start_chat(BOOKING, reference="booking-8812")["id"]
    with pytest.raises(Conflict) as refused:
        texting.start_chat([{"phone_number": BOB}, BOOKING[1]], reference="booking-8812")
    assert refused.value.code == "reference_taken"
    for handset in (SARA, OMAR):
        service.simulator.wait_for_text(handset, "can now text")
    service.wait_until_sent()
    assert len(service.simulator.texts_to(SARA)) == len(service.simulator.texts_to(OMAR)) == 1
    assert service.simulator.texts_to(BOB) == []
    return chat


def fail_twice(service: Service, receiver: ExampleReceiver, secret: str) -> None:
    """The receiver is down, and then has a wrong secret; with the right one it is told everything."""
    wait_for_attempts(service, 1)
    receiver.start(secret="whsec_" + "d3Jvbmcgc2VjcmV0" * 2)
    caught_up = receiver.count_kept()
    wait_for_attempts(service, 2)
    assert receiver.log.splitlines().count("401") >= 1
    assert receiver.count_kept() == caught_up
    receiver.kill()
    receiver.start(secret=secret)
    wait_for_attempts(service, 3, status="delivered")


def ride(service: Service, texting: Texting, chat: dict[str, Any]) -> None:
    [number] = chat["virtual_numbers"]
    service.simulator.text(SARA, number, "I am at the blue gate", copies=3)
    service.simulator.wait_for_text(OMAR, "I am at the blue gate")
    service.simulator.text(OMAR, number, "Two minutes!")
    service.simulator.wait_for_text(SARA, "Two minutes!")
    texting.change_chat(chat["id"], metadata={"car": "white"})
    # The firm itself has something to say, and its program repeats the request.
    for _ in range(2):
        path = f"/chats/{chat['id']}/messages"
        texting.call("POST", path, {"text": AT_THE_GATE}, idempotency_key="at-the-gate-8812")
    for handset in (SARA, OMAR):
        service.simulator.wait_for_text(handset, AT_THE_GATE)


def swap_the_driver(service: Service, texting: Texting, chat: dict[str, Any]) -> None:
    """Alice drives instead of Omar, who is cut off."""
    omar = next(person for person in chat["participants"] if person["name"] == "Omar")
    swapped = texting.replace_participant(chat["id"], omar["id"], phone_number=ALICE, name="Alice")
    [hers] = [person["virtual_number"] for person in swapped["participants"] if person["name"] == "Alice"]
    [number] = chat["virtual_numbers"]
    service.simulator.wait_for_text(SARA, "You are now texting with Alice")
    service.simulator.wait_for_text(ALICE, "Sara")
    service.simulator.text(OMAR, number, "Where are you?")
    service.simulator.wait_for_text(OMAR, wording.NO_LONGER_IN_CHAT)
    service.simulator.text(SARA, number, "Is it the white car?")
    service.simulator.wait_for_text(ALICE, "Is it the white car?")
    service.simulator.text(ALICE, hers, "Yes, the white one")
    service.simulator.wait_for_text(SARA, "Yes, the white one")


def end_and_lose_an_umbrella(service: Service, texting: Texting, chat: dict[str, Any]) -> None:
    ended = texting.end_chat(chat["id"], reason="trip finished", closing_text=CLOSING_TEXT)
    assert (ended["status"], ended["end_reason"]) == ("ended", "trip finished")
    for handset in (SARA, ALICE):
        service.simulator.wait_for_text(handset, CLOSING_TEXT)
    service.simulator.text(SARA, chat["virtual_numbers"][0], LOST)
    service.simulator.wait_for_text(SARA, "Your ride with Rides is over.")


def reopen_and_find_it(service: Service, texting: Texting, chat: dict[str, Any]) -> None:
    reopened = texting.reopen_chat(chat["id"])
    assert reopened["status"] == "open"
    before = service.simulator.texts()[-1]["seq"]
    service.simulator.text(SARA, chat["virtual_numbers"][0], LOST)
    service.simulator.wait_for_text(ALICE, LOST, after=before)
    [hers] = [person["virtual_number"] for person in reopened["participants"] if person["name"] == "Alice"]
    service.simulator.text(ALICE, hers, "It is here, I bring it")
    service.simulator.wait_for_text(SARA, "It is here, I bring it")
    assert [text["text"] for text in service.simulator.texts_to(ALICE)].count(LOST) == 1


def wait_for_all_events(texting: Texting, receiver: ExampleReceiver) -> list[dict[str, Any]]:
    """Return the events as the API lists them, once the receiver has handled each of them."""

    def find_all() -> list[dict[str, Any]] | None:
        listed = list(texting.list_events())
        handled = [event_id for event_id, _ in receiver.handled()]
        assert len(set(handled)) == len(handled)
        # An event is listed once whatever began before it has ended, wherever in PostgreSQL that was.
        if not any(event["type"] == "chat.reopened" for event in listed):
            return None
        return listed if {event["id"] for event in listed} == set(handled) else None

    return wait_until(find_all, waiting_for="the receiver to handle every event")


def check_the_events(chat: dict[str, Any], events: list[dict[str, Any]]) -> None:
    types = [event["type"] for event in events]
    of_the_chat = ["chat.started", "participant.replaced", "chat.ended", "chat.reopened"]
    assert [type for type in types if type in of_the_chat] == of_the_chat
    received = [event["data"]["message"] for event in events if event["type"] == "message.received"]
    assert [(message["text"], message["status"]) for message in received] == [
        ("I am at the blue gate", "relayed"),
        ("Two minutes!", "relayed"),
        ("Where are you?", "late"),
        ("Is it the white car?", "relayed"),
        ("Yes, the white one", "relayed"),
        (LOST, "late"),
        (LOST, "relayed"),
        ("It is here, I bring it", "relayed"),
    ]
    assert {event["data"]["chat"]["id"] for event in events} == {chat["id"]}


def check_the_order_of_webhooks(service: Service) -> None:
    """Of a chat each is taken before the next one comes, also where the receiver was down or refused them."""
    taken = service.query(
        "SELECT array_agg(position ORDER BY delivered_at) FROM platforms_eventdelivery WHERE status = 'delivered'"
        " AND chat_id IS NOT NULL GROUP BY chat_id"
    )
    assert taken
    for (positions,) in taken:
        assert len(positions) > 10 and positions == sorted(positions)


def check_the_books(service: Service, texting: Texting) -> None:
    """What the platform can read of every text is what the carrier counted."""
    carried = [text for text in service.simulator.texts() if text["direction"] == "to_handset"]
    logged = [
        message
        for chat in texting.list_chats()
        for message in texting.list_messages(chat["id"])
        if message["direction"] == "out"
    ]
    assert {message["status"] for message in logged} == {"delivered"}
    assert sorted(message["text"] for message in logged) == sorted(text["text"] for text in carried)
    assert sum(message["segments"] for message in logged) == sum(text["segments"] for text in carried)
    assert service.simulator.stats()["accepted"] == len(logged)


def check_the_usage(service: Service, texting: Texting) -> None:
    """The bill agrees with what the simulator counted: each text once, its segments, and what they cost."""
    total = texting.call("GET", "/usage")["total"]
    to_people = [text for text in service.simulator.texts() if text["direction"] == "to_handset"]
    from_people = [text for text in service.simulator.texts() if text["direction"] == "from_handset"]
    assert total["outbound"]["texts"] == len(to_people)
    assert total["outbound"]["by_kind"]["platform"] == 2
    assert total["outbound"]["by_status"] == {"delivered": len(to_people)}
    assert total["outbound"]["segments"] == sum(text["segments"] for text in to_people)
    assert total["inbound"]["texts"] == len(from_people)
    assert total["inbound"]["segments"] == sum(text["segments"] for text in from_people)
    for side, segment, texts in (("inbound", PRICE_IN, from_people), ("outbound", PRICE_OUT, to_people)):
        [price] = total[side]["prices"]
        charged = segment * sum(text["segments"] for text in texts)
        assert (price["currency"], Decimal(price["amount"])) == ("EUR", charged)
    messages = (message for chat in texting.list_chats() for message in texting.list_messages(chat["id"]))
    paid = sum(Decimal(message["price"]) for message in messages if message["direction"] == "out")
    assert [Decimal(price["amount"]) for price in total["outbound"]["prices"]] == [paid]
    assert paid > 0


def check_the_logs(service: Service) -> None:
    for process, log in service.logs().items():
        for secret in (SARA, OMAR, ALICE, BOB, "umbrella", "blue gate"):
            assert secret.removeprefix("+") not in log, f"{process} logged what it must not"


def wait_for_attempts(service: Service, attempts: int, *, status: str = "waiting") -> None:
    """Wait until an event was delivered so often, without the minutes and hours between the attempts."""

    def look() -> object:
        service.query(
            f"UPDATE platforms_eventdelivery SET due_at = now() WHERE status = 'waiting' AND attempts < {attempts}"
        )
        return service.query(
            f"SELECT 1 FROM platforms_eventdelivery WHERE attempts >= {attempts} AND status = '{status}'"
        )

    wait_until(look, waiting_for=f"attempt {attempts} to end")
