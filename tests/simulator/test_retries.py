"""Webhooks that are not taken: which are tried again, when, and for how long."""

import itertools
import socket
import uuid

import pytest

from tests.harness.simulator import Simulator, wait_until
from tests.simulator.conftest import CLOCK_SCALE, SARA, VIRTUAL_NUMBER, list_statuses
from tests.simulator.receiver import DROP, HANG

FIRST_RETRY_S = 5 * CLOCK_SCALE


def type_text(simulator):
    """Type a text under an id that is known before its webhook arrives."""
    message_uuid = str(uuid.uuid4())
    return message_uuid, lambda **kw: simulator.text(SARA, VIRTUAL_NUMBER, "Hello", message_uuid=message_uuid, **kw)


def test_retries_come_after_5_seconds_and_then_twice_as_late_each_until_one_is_taken(simulator, receiver):
    message_uuid, send = type_text(simulator)
    receiver.answer(message_uuid, 500, 503, 200)
    send()
    webhooks = receiver.wait_for(message_uuid, count=3)
    waits = [later.at - earlier.at for earlier, later in itertools.pairwise(webhooks)]
    for wait, expected in zip(waits, [FIRST_RETRY_S, 2 * FIRST_RETRY_S], strict=True):
        assert expected - 0.01 < wait < expected + 1
    assert len({webhook.body for webhook in webhooks}) == 1
    simulator.wait_until_quiet()
    [text] = simulator.texts()
    assert text["webhook"] == {"copies": 1, "attempts": 3, "status": 200, "done": True, "lost": 0}
    inbound = simulator.stats()["webhooks"]["inbound"]
    assert inbound == {"attempts": 3, "delivered": 1, "retried": 2, "lost": 0, "pending": 0}
    assert [exchange["attempt"] for exchange in simulator.traffic()] == [1, 2, 3]


@pytest.mark.parametrize("answer", [429, 500, 502, 503, 504, DROP])
def test_what_may_pass_is_tried_again(simulator, receiver, answer):
    message_uuid, send = type_text(simulator)
    receiver.answer(message_uuid, answer, 200)
    send()
    assert [webhook.status for webhook in receiver.wait_for(message_uuid, count=2)] == [answer, 200]


@pytest.mark.parametrize("answer", [301, 400, 401, 403, 404, 410, 422])
def test_a_webhook_that_is_refused_is_lost(simulator, receiver, answer):
    message_uuid, send = type_text(simulator)
    receiver.answer(message_uuid, answer, 200)
    send()
    receiver.wait_for(message_uuid)
    simulator.wait_until_quiet()
    [text] = simulator.texts()
    assert text["webhook"] == {"copies": 1, "attempts": 1, "status": answer, "done": True, "lost": 1}
    assert simulator.stats()["webhooks"]["lost"] == 1
    assert len(receiver.webhooks(message_uuid)) == 1


@pytest.mark.parametrize("answer", [200, 201, 202, 204])
def test_any_2xx_takes_a_webhook(simulator, receiver, answer):
    message_uuid, send = type_text(simulator)
    receiver.answer(message_uuid, answer)
    send()
    simulator.wait_until_quiet()
    assert simulator.stats()["webhooks"]["delivered"] == 1


def test_an_answer_that_does_not_come_in_time_is_tried_again(receiver):
    with Simulator.start(
        inbound_url=f"{receiver.url}/inbound", clock_scale=0.01, SIMULATOR_WEBHOOK_TIMEOUT="0.5"
    ) as impatient:
        message_uuid, send = type_text(impatient)
        receiver.answer(message_uuid, HANG, 200)
        send()
        receiver.wait_for(message_uuid, count=2)
        impatient.wait_until_quiet()
        first, second = impatient.traffic()
        assert (first["status"], first["error"], second["status"]) == (None, "no answer in time", 200)
        assert first["ms"] >= 500


def test_a_service_that_is_down_gets_its_texts_when_it_is_up_again(receiver):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken and not listened on: connections are refused
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/status"
        with Simulator.start(inbound_url=url, clock_scale=0.01) as simulator:
            simulator.text(SARA, VIRTUAL_NUMBER, "Hello")
            exchanges = wait_until(lambda: found if len(found := simulator.traffic()) >= 3 else None)
            assert {exchange["status"] for exchange in exchanges} == {None}
            assert {exchange["error"] for exchange in exchanges} == {"ClientConnectorError"}
            [text] = simulator.texts()
            assert not text["webhook"]["done"]
            assert simulator.stats()["webhooks"]["pending"] == 1


def test_a_webhook_is_lost_after_24_hours_with_at_most_15_minutes_between_tries(receiver):
    # 24 hours take 0.9 s and 15 minutes 9 ms.
    with Simulator.start(inbound_url=f"{receiver.url}/inbound", clock_scale=0.00001) as fast:
        message_uuid, send = type_text(fast)
        receiver.answer(message_uuid, 500)
        send()
        fast.wait_until_quiet()
        counts = fast.stats()["webhooks"]["inbound"]
        assert (counts["lost"], counts["delivered"]) == (1, 0)
        # Doubling without end would give 15 tries.
        assert counts["attempts"] > 18
        webhooks = receiver.webhooks(message_uuid)
        assert len(webhooks) == counts["attempts"]
        assert webhooks[-1].at - webhooks[0].at < 24 * 3600 * 0.00001 + 0.5


def test_each_webhook_is_tried_on_its_own(simulator, receiver):
    stuck, send_stuck = type_text(simulator)
    receiver.answer(stuck, 500)
    send_stuck()
    receiver.wait_for(stuck)
    following = [simulator.text(SARA, VIRTUAL_NUMBER, "Hello") for _ in range(20)]
    for message_uuid in following:
        receiver.wait_for(message_uuid)
    wait_until(lambda: simulator.stats()["webhooks"]["pending"] == 1)


def test_copies_are_tried_again_each_on_its_own(simulator, receiver):
    message_uuid, send = type_text(simulator)
    receiver.answer(message_uuid, 200, 500, 200)
    send(copies=3)
    receiver.wait_for(message_uuid, count=4)
    simulator.wait_until_quiet()
    [text] = simulator.texts()
    assert text["webhook"] == {"copies": 3, "attempts": 4, "status": 200, "done": True, "lost": 0}


def test_a_receipt_that_is_tried_again_is_overtaken_by_the_next(simulator, caller, receiver):
    reference = str(uuid.uuid4())
    receiver.answer(reference, 503, 200)
    caller.send_accepted(client_ref=reference)
    receipts = receiver.wait_for(reference, count=3)
    assert list_statuses(receipts) == ["submitted", "delivered", "submitted"]
    assert receipts[0].body == receipts[2].body
    assert receipts[0].authorization != receipts[2].authorization
