"""Every way in which the carrier can be told to misbehave, seen from the service's side of the wire."""

import time
import uuid

import pytest
import requests

from tests.harness.simulator import wait_until
from tests.simulator.conftest import CLOCK_SCALE, SARA, VIRTUAL_NUMBER, list_statuses

OMAR = "+14155550124"
OTHER_VIRTUAL_NUMBER = "+14155550101"


def wait_for_receipts(simulator, receiver, reference, *, count):
    """Wait for so many receipts, and until no more of them can come."""
    receiver.wait_for(reference, count=count)
    simulator.wait_until_quiet()
    receipts = receiver.webhooks(reference)
    assert len(receipts) == count
    return receipts


@pytest.fixture
def reference():
    return str(uuid.uuid4())


# --- Before the text is accepted -----------------------------------------------------------------------------


def test_latency_holds_back_the_answer(simulator, caller):
    simulator.set_faults(latency_ms=300)
    started = time.monotonic()
    caller.send_accepted()
    assert time.monotonic() - started >= 0.3


def test_latency_can_be_for_one_handset(simulator, caller):
    simulator.set_faults(latency_ms={"value": 60_000, "handset": OMAR})
    caller.send_accepted()
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{simulator.url}/v1/messages",
            json={"channel": "sms", "message_type": "text", "to": OMAR[1:], "from": VIRTUAL_NUMBER[1:], "text": "Hi"},
            timeout=0.2,
            proxies={"http": ""},
        )


def test_jitter_holds_back_the_answer_by_chance(simulator, caller):
    simulator.set_faults(jitter_ms=50)
    caller.send_accepted()
    assert simulator.stats()["faults_struck"] == {"jitter_ms": 1}


RESPONSES = {
    401: ("application/problem+json", "api-errors/#unathorized"),
    402: ("application/problem+json", "api-errors/#low-balance"),
    403: ("application/problem+json", "api-errors/#forbidden"),
    404: ("application/problem+json", "api-errors#not-found"),
    422: ("application/json", "api-errors/messages#1150"),
    429: ("application/problem+json", "api-errors/messages#1000"),
    500: ("application/problem+json", "api-errors/messages#1000"),
    503: ("application/problem+json", "api-errors/messages#1000"),
}


@pytest.mark.parametrize(("status", "expected"), RESPONSES.items())
def test_a_request_is_answered_with_a_problem(simulator, caller, status, expected):
    simulator.set_faults(respond_with=status)
    answer = caller.send()
    content_type, kind = expected
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith(content_type)
    assert answer.json()["type"] == f"https://developer.vonage.com/{kind}"
    assert uuid.UUID(answer.headers["X-Request-Id"])
    assert "Retry-After" not in answer.headers
    assert simulator.texts() == []


def test_429_says_when_to_come_back(simulator, caller):
    simulator.set_faults(respond_with={"status": 429, "retry_after": 15})
    answer = caller.send()
    assert answer.headers["Retry-After"] == "15"
    assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("30", "0")


def test_a_long_wait_is_written_out(simulator, caller):
    simulator.set_faults(respond_with={"status": 503, "retry_after": 86_400})
    assert caller.send().headers["Retry-After"] == "86400"


def test_502_is_the_page_of_a_load_balancer(simulator, caller):
    simulator.set_faults(respond_with=502)
    answer = caller.send()
    assert answer.status_code == 502
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<h1>502 Bad Gateway</h1>" in answer.text


@pytest.mark.parametrize("reset", [False, True])
def test_refuse_hangs_up_before_the_text_is_read(simulator, caller, reset):
    simulator.set_faults(refuse={"reset": reset})
    with pytest.raises(requests.ConnectionError):
        caller.send()
    assert simulator.texts() == []
    stats = simulator.stats()
    assert (stats["requests"], stats["accepted"], stats["responses"]) == (1, 0, {"none": 1})


# --- The text is accepted, and the service cannot know -------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
def test_drop_after_accept_hangs_up_although_the_text_arrives(simulator, caller, receiver, reference, reset):
    simulator.set_faults(drop_after_accept={"reset": reset})
    with pytest.raises(requests.ConnectionError):
        caller.send(client_ref=reference)
    assert simulator.wait_for_text(SARA)["client_ref"] == reference
    assert list_statuses(receiver.wait_for(reference, count=2)) == ["submitted", "delivered"]
    stats = simulator.stats()
    assert (stats["requests"], stats["accepted"], stats["refused"]) == (1, 1, 0)


def test_empty_202_accepts_without_an_id(simulator, caller, receiver, reference):
    simulator.set_faults(empty_202=True)
    answer = caller.send(client_ref=reference)
    assert (answer.status_code, answer.content) == (202, b"")
    simulator.wait_for_text(SARA)
    receiver.wait_for(reference, count=2)


# --- Receipts ------------------------------------------------------------------------------------------------


def test_no_receipts(simulator, caller, receiver, reference):
    simulator.set_faults(no_receipts={"times": 1})
    caller.send_accepted(client_ref=reference)
    told = str(uuid.uuid4())
    caller.send_accepted(client_ref=told)
    receiver.wait_for(told, count=2)
    assert receiver.webhooks(reference) == []
    assert [text["status"] for text in simulator.texts()] == ["accepted", "delivered"]


def test_receipts_before_answer(simulator, caller, receiver, reference):
    simulator.set_faults(receipts_before_answer=True)
    caller.send_accepted(client_ref=reference)
    assert list_statuses(receiver.webhooks(reference)) == ["submitted", "delivered"]
    assert [exchange["kind"] for exchange in simulator.traffic()] == ["status", "status", "send"]


def test_receipts_before_answer_that_are_not_taken_do_not_hold_up_the_answer(simulator, caller, receiver, reference):
    simulator.set_faults(receipts_before_answer=True)
    receiver.answer(reference, 503)
    caller.send_accepted(client_ref=reference)
    assert len(receiver.webhooks(reference)) == 2


def test_reorder_receipts(simulator, caller, receiver, reference):
    simulator.set_faults(reorder_receipts=True)
    caller.send_accepted(client_ref=reference)
    assert list_statuses(wait_for_receipts(simulator, receiver, reference, count=2)) == ["delivered", "submitted"]
    assert simulator.texts()[0]["status"] == "delivered"


def test_receipts_before_answer_in_the_wrong_order(simulator, caller, receiver, reference):
    simulator.set_faults(receipts_before_answer=True, reorder_receipts=True)
    caller.send_accepted(client_ref=reference)
    assert list_statuses(receiver.webhooks(reference)) == ["delivered", "submitted"]


@pytest.mark.parametrize("fault", ["double_receipts", "double_webhooks"])
def test_receipts_come_twice(simulator, caller, receiver, reference, fault):
    simulator.set_faults(**{fault: True})
    caller.send_accepted(client_ref=reference)
    receipts = wait_for_receipts(simulator, receiver, reference, count=4)
    assert sorted(list_statuses(receipts)) == ["delivered", "delivered", "submitted", "submitted"]


def test_double_webhooks_delivers_inbound_texts_twice(simulator, receiver):
    simulator.set_faults(double_webhooks=True)
    message_uuid = simulator.text(SARA, VIRTUAL_NUMBER, "Hello")
    first, second = wait_for_receipts(simulator, receiver, message_uuid, count=2)
    assert first.body == second.body
    assert simulator.texts()[0]["webhook"]["copies"] == 2


def test_double_receipts_leaves_inbound_texts_alone(simulator, receiver):
    simulator.set_faults(double_receipts=True)
    wait_for_receipts(simulator, receiver, simulator.text(SARA, VIRTUAL_NUMBER, "Hello"), count=1)


def test_receipt_delay_is_in_real_time(simulator, caller, receiver, reference):
    simulator.set_faults(receipt_delay_ms=400)
    started = time.monotonic()
    caller.send_accepted(client_ref=reference)
    assert receiver.wait_for(reference)[0].at - started >= 0.4 + 0.3 * CLOCK_SCALE


@pytest.mark.parametrize(
    ("fault", "status", "error_code"),
    [
        ("rejected", "rejected", "1240"),
        ("undeliverable", "undeliverable", "1331"),
        ({"status": "rejected", "error_code": "1490"}, "rejected", "1490"),
        ({"status": "rejected", "error_code": 1460}, "rejected", "1460"),
        ("delivered", "delivered", None),
    ],
)
def test_final_status(simulator, caller, receiver, reference, fault, status, error_code):
    simulator.set_faults(final_status=fault)
    caller.send_accepted(client_ref=reference)
    submitted, final = wait_for_receipts(simulator, receiver, reference, count=2)
    assert (submitted.payload["status"], final.payload["status"]) == ("submitted", status)
    assert "error" not in submitted.payload
    if error_code is None:
        assert "error" not in final.payload
    else:
        error = final.payload["error"]
        assert error["title"] == error_code
        assert error["type"] == f"https://developer.vonage.com/api-errors/messages#{error_code}"
        assert error["detail"] and error["instance"]
        assert not {"usage", "sms"} & set(final.payload)
    assert simulator.texts()[0]["status"] == status


# --- How often and for whom ----------------------------------------------------------------------------------


def test_a_fault_strikes_as_often_as_it_is_told_and_is_gone(simulator, caller):
    simulator.set_faults(respond_with={"status": 500, "times": 2})
    assert [caller.send().status_code for _ in range(3)] == [500, 500, 202]
    assert simulator.call("GET", "/api/faults") == {}
    assert simulator.stats()["faults_struck"] == {"respond_with": 2}


def test_a_fault_says_how_often_it_will_strike_still(simulator, caller):
    simulator.set_faults(respond_with={"status": 500, "times": 3})
    caller.send()
    assert simulator.call("GET", "/api/faults")["respond_with"]["times"] == 2


@pytest.mark.parametrize(("probability", "expected"), [(0, {202}), (1, {500})])
def test_a_fault_strikes_never_or_always(simulator, caller, probability, expected):
    simulator.set_faults(respond_with={"status": 500, "probability": probability})
    assert {caller.send().status_code for _ in range(20)} == expected


def test_a_fault_strikes_by_chance(simulator, caller):
    simulator.set_faults(respond_with={"status": 500, "probability": 0.5})
    # Both come up within 60 tries in all but one of 10^17 runs.
    wait_until(lambda: {"202", "500"} <= set(simulator.stats()["responses"]) or caller.send() is None)
    assert set(simulator.stats()["responses"]) == {"202", "500"}


def test_a_fault_can_be_for_one_virtual_number_or_one_handset(simulator, caller):
    for only, struck in (
        ({"virtual_number": VIRTUAL_NUMBER}, {"from_number": VIRTUAL_NUMBER[1:]}),
        ({"handset": OMAR}, {"to": OMAR[1:]}),
    ):
        simulator.set_faults(respond_with={"status": 500, **only})
        assert caller.send(**({"from_number": OTHER_VIRTUAL_NUMBER[1:], "to": SARA[1:]} | struck)).status_code == 500
        assert caller.send(from_number=OTHER_VIRTUAL_NUMBER[1:], to=SARA[1:]).status_code == 202


def test_faults_take_the_place_of_all_others(simulator):
    simulator.set_faults(latency_ms=5, empty_202=True)
    simulator.set_faults(no_receipts=True, empty_202=False, refuse=None)
    assert simulator.call("GET", "/api/faults") == {"no_receipts": {"probability": 1.0}}
    simulator.clear_faults()
    assert simulator.call("GET", "/api/faults") == {}


def test_what_get_shows_can_be_put_back(simulator):
    faults = {
        "latency_ms": {"value": 200, "probability": 0.5, "times": 3, "virtual_number": VIRTUAL_NUMBER},
        "respond_with": {"status": 429, "retry_after": 15, "probability": 1.0, "handset": SARA},
        "final_status": {"status": "rejected", "error_code": "1240", "probability": 1.0},
        "refuse": {"reset": True, "probability": 1.0},
        "no_receipts": {"probability": 1.0},
    }
    assert simulator.set_faults(**faults) == faults
    assert simulator.set_faults(**simulator.call("GET", "/api/faults")) == faults
