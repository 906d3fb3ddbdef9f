"""What arrived when, counted for tests of pacing; and 429 above a rate."""

import itertools
import time

import pytest

from tests.simulator.conftest import SARA, VIRTUAL_NUMBER

OTHER = "+14155550101"


def send(caller, count, **fields):
    return [caller.send(**fields).status_code for _ in range(count)]


# --- Counting ------------------------------------------------------------------------------------------------


def test_arrivals_are_counted_per_number_with_their_segments(simulator, caller):
    before = int(time.time() * 1000)
    send(caller, 2, text="x" * 161)
    send(caller, 3, from_number=OTHER[1:])
    arrivals = simulator.arrivals()
    first = dict(arrivals["received"][0])
    assert before <= first.pop("at_ms") <= time.time() * 1000
    assert first == {
        "virtual_number": VIRTUAL_NUMBER,
        "handset": SARA,
        "segments": 2,
        "status": 202,
        "accepted": True,
    }
    counts = {name: arrivals["numbers"][name]["total"] for name in (VIRTUAL_NUMBER, OTHER)} | {
        "account": arrivals["account"]["total"]
    }
    assert counts == {
        VIRTUAL_NUMBER: {"requests": 2, "segments": 4, "accepted": 2, "accepted_segments": 4},
        OTHER: {"requests": 3, "segments": 3, "accepted": 3, "accepted_segments": 3},
        "account": {"requests": 5, "segments": 7, "accepted": 5, "accepted_segments": 7},
    }
    for second, counted in arrivals["account"]["per_second"].items():
        in_it = [each for each in arrivals["received"] if each["at_ms"] // 1000 == int(second)]
        assert (counted["requests"], counted["segments"]) == (len(in_it), sum(each["segments"] for each in in_it))


def test_the_most_in_any_second_is_found_wherever_it_begins(simulator, caller):
    send(caller, 3, text="x" * 161)
    most = simulator.arrivals()["numbers"][VIRTUAL_NUMBER]["most_in_any_second"]
    times = [each["at_ms"] for each in simulator.arrivals()["received"]]
    expected = max(sum(start <= at < start + 1000 for at in times) for start in times)
    assert most == {"requests": expected, "segments": 2 * expected, "accepted_segments": 2 * expected}


def test_what_is_refused_or_lost_on_the_way_back_arrived_too(simulator, caller):
    simulator.set_faults(respond_with={"status": 503, "times": 1})
    send(caller, 2)
    simulator.set_faults(drop_after_accept={"times": 1})
    with pytest.raises(OSError):
        caller.send()
    caller.post(b"not JSON")
    received = simulator.arrivals()["received"]
    assert [(each["status"], each["accepted"]) for each in received] == [(503, False), (202, True), (None, True)]
    simulator.reset()
    assert simulator.arrivals()["received"] == []


# --- Refusing ------------------------------------------------------------------------------------------------


def test_above_a_numbers_rate_is_429(simulator, caller):
    simulator.set_faults(number_rate=1)
    assert send(caller, 3) == [202, 429, 429]
    assert send(caller, 2, from_number=OTHER[1:]) == [202, 429]
    refused = caller.send()
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["title"] == "Rate Limit Hit"
    assert simulator.stats()["faults_struck"] == {"number_rate": 4}
    assert len(simulator.texts()) == 2


def test_a_seconds_worth_may_come_at_once(simulator, caller):
    simulator.set_faults(number_rate=5)
    assert send(caller, 7)[:6] == [202] * 5 + [429]


def test_segments_count(simulator, caller):
    simulator.set_faults(number_rate=3)
    # 6 segments take two seconds at 3 a second.
    assert send(caller, 1, text="x" * 153 * 6) == [202]
    refused = caller.send()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")


def test_who_keeps_to_the_rate_is_never_refused(simulator, caller):
    simulator.set_faults(number_rate=20)
    send(caller, 20)
    answers = []
    for _ in range(10):
        time.sleep(0.05)
        answers.append(caller.send().status_code)
    assert set(answers) == {202}


def test_numbers_can_have_rates_of_their_own(simulator, caller):
    simulator.set_faults(number_rate={"value": 1, "numbers": {OTHER: 100}})
    assert send(caller, 2) == [202, 429]
    assert send(caller, 5, from_number=OTHER[1:]) == [202] * 5


def test_only_one_number_can_have_a_rate(simulator, caller):
    simulator.set_faults(number_rate={"value": 1, "virtual_number": VIRTUAL_NUMBER})
    assert send(caller, 2) == [202, 429]
    assert send(caller, 5, from_number=OTHER[1:]) == [202] * 5


def test_the_account_has_a_rate_of_requests(simulator, caller):
    simulator.set_faults(account_rate=4)
    numbers = itertools.cycle([VIRTUAL_NUMBER[1:], OTHER[1:]])
    # However many segments: the account's rate is one of requests.
    answers = [caller.send(from_number=next(numbers), text="x" * 400).status_code for _ in range(5)]
    assert answers == [202] * 4 + [429]


def test_a_rate_can_be_enforced_a_few_times_only(simulator, caller):
    simulator.set_faults(number_rate={"value": 1, "times": 2})
    assert send(caller, 4) == [202, 429, 429, 202]
