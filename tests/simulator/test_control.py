"""The JSON API that tests and the page use to see what happened and to type texts."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from tests.harness.simulator import SimulatorError, wait_until
from tests.simulator.conftest import SARA, VIRTUAL_NUMBER

OMAR = "+14155550124"


def test_settings_and_health(simulator, receiver):
    assert simulator.call("GET", "/api/settings") == {
        "handsets": ["+14155550123", "+14155550124"],
        "virtual_numbers": [],
        "inbound_url": f"{receiver.url}/inbound",
        "service_url": receiver.url,
        "status_url": f"{receiver.url}/status",
        "clock_scale": 0.1,
    }
    assert simulator.call("GET", "/healthz") == {"status": "ok"}


# --- Texts ---------------------------------------------------------------------------------------------------


def test_texts_in_both_directions_are_listed_in_order(simulator, caller):
    message_uuid = caller.send_accepted(text="To Sara", client_ref="text-1")
    typed_uuid = simulator.text(SARA, VIRTUAL_NUMBER, "From Sara")
    simulator.wait_until_quiet()
    to_sara, from_sara = simulator.texts()
    assert to_sara["seq"] < from_sara["seq"]
    assert datetime.fromisoformat(to_sara.pop("at")).tzinfo
    assert to_sara.pop("seq") and from_sara.pop("seq") and from_sara.pop("at")
    assert to_sara == {
        "direction": "to_handset",
        "handset": SARA,
        "virtual_number": VIRTUAL_NUMBER,
        "text": "To Sara",
        "message_uuid": message_uuid,
        "client_ref": "text-1",
        "segments": 1,
        "channel": "sms",
        "media": [],
        "status": "delivered",
        "webhook": None,
    }
    assert from_sara == {
        "direction": "from_handset",
        "handset": SARA,
        "virtual_number": VIRTUAL_NUMBER,
        "text": "From Sara",
        "message_uuid": typed_uuid,
        "client_ref": None,
        "segments": 1,
        "channel": "sms",
        "media": [],
        "status": None,
        "webhook": {"copies": 1, "attempts": 1, "status": 200, "done": True, "lost": 0},
    }


def test_texts_after_a_number_are_listed_and_limited(simulator, caller):
    for text in ("one", "two", "three"):
        caller.send_accepted(text=text)
    first = simulator.texts()[0]["seq"]
    assert [text["text"] for text in simulator.texts(after=first)] == ["two", "three"]
    limited = simulator.call("GET", f"/api/texts?after={first}&limit=1")
    assert [text["text"] for text in limited["texts"]] == ["two"]
    assert simulator.texts(after=limited["last_seq"] + 1000) == []


BAD_TEXTS = {
    "no object": ([], "a text must be a JSON object"),
    "unknown key": ({"body": "x"}, "unknown key 'body'; there are channel, copies, from, media, message_uuid,"),
    "from without +": ({"from": "14155550123"}, "from must be a phone number with +"),
    "to without +": ({"to": "14155550100"}, "to must be a phone number with +"),
    "text that is none": ({"text": None}, "text must be a string"),
    "no copies": ({"copies": 0}, "copies must be a whole number from 1 to 1000"),
    "too many copies": ({"copies": 1001}, "copies must be a whole number from 1 to 1000"),
    "copies that are true": ({"copies": True}, "copies must be a whole number"),
    "empty message_uuid": ({"message_uuid": ""}, "message_uuid must be a string"),
    "payload that is a list": ({"payload": ["text"]}, "payload must be an object"),
    "unknown signature": ({"sign": "forged"}, "sign must be good, wrong or none"),
}


@pytest.mark.parametrize(("fields", "said"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_a_bad_text_is_400_and_says_what_is_wrong(simulator, fields, said):
    usual = {"from": SARA, "to": VIRTUAL_NUMBER, "text": "Hello"}
    with pytest.raises(SimulatorError, match="400: ") as refused:
        simulator.call("POST", "/api/texts", usual | fields if isinstance(fields, dict) else fields)
    assert said in str(refused.value)
    assert simulator.texts() == []


@pytest.mark.parametrize("query", ["after=x", "after=-1", "limit=1.5", "after=" + "9" * 19])
@pytest.mark.parametrize("path", ["texts", "traffic"])
def test_a_bad_window_is_400(simulator, path, query):
    with pytest.raises(SimulatorError, match=r"400: .*must be a whole number"):
        simulator.call("GET", f"/api/{path}?{query}")


# --- Traffic -------------------------------------------------------------------------------------------------


def test_traffic_is_every_exchange_with_the_service(simulator, caller, receiver):
    answer = caller.send(text="Hello")
    simulator.wait_until_quiet()
    send, submitted, delivered = simulator.traffic()
    assert datetime.fromisoformat(send.pop("at")).tzinfo
    assert send.pop("ms") >= 0
    assert send.pop("seq") < submitted["seq"] < delivered["seq"]
    assert '"text": "Hello"' in send.pop("body")
    assert send == {
        "direction": "request",
        "kind": "send",
        "method": "POST",
        "url": "/v1/messages",
        "status": 202,
        "attempt": 1,
        "error": None,
        "answer": answer.text,
    }
    for receipt in (submitted, delivered):
        assert (receipt["direction"], receipt["kind"], receipt["status"]) == ("webhook", "status", 200)
        assert receipt["url"] == f"{receiver.url}/status"
        assert answer.json()["message_uuid"] in receipt["body"]
    assert simulator.traffic(after=submitted["seq"]) == [delivered]


def test_a_refused_request_is_traffic_too(simulator, caller):
    caller.post(b"not JSON")
    [exchange] = simulator.traffic()
    assert (exchange["status"], exchange["body"]) == (422, "not JSON")
    assert "invalid-json" in exchange["answer"]


def test_a_long_body_is_cut(simulator, caller):
    caller.post(b"x" * 10_000)
    assert len(simulator.traffic()[0]["body"]) == 4000


def test_no_phone_number_is_in_any_url(simulator, caller, receiver):
    caller.send_accepted()
    message_uuid = simulator.text(SARA, VIRTUAL_NUMBER, "Hello")
    simulator.wait_until_quiet()
    urls = [exchange["url"] for exchange in simulator.traffic()]
    assert len(urls) == 4
    urls += [webhook.path for webhook in receiver.webhooks(message_uuid)]
    assert not [url for url in urls if re.search(r"\d{7}", url)]


# --- Counters ------------------------------------------------------------------------------------------------


def test_stats_count_everything(simulator, caller):
    caller.send_accepted()
    caller.send_accepted()
    caller.send(to="+1")
    simulator.text(SARA, VIRTUAL_NUMBER, "Hello")
    simulator.wait_until_quiet()
    stats = simulator.stats()
    per_second = stats.pop("accepted_per_second")
    assert set(per_second) == {VIRTUAL_NUMBER}
    assert sum(per_second[VIRTUAL_NUMBER].values()) == 2
    nothing = {"retried": 0, "lost": 0, "pending": 0}
    assert stats == {
        "requests": 3,
        "accepted": 2,
        "refused": 1,
        "responses": {"202": 2, "422": 1},
        "texts_from_handsets": 1,
        "mms_under_way": 0,
        "webhooks": {
            "attempts": 5,
            "delivered": 5,
            **nothing,
            "inbound": {"attempts": 1, "delivered": 1, **nothing},
            "status": {"attempts": 4, "delivered": 4, **nothing},
        },
        "faults_struck": {},
    }


def test_many_at_once_are_counted_once_each(simulator, caller):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: caller.send_accepted(), range(40)))
    assert len(set(answers)) == 40
    assert {text["message_uuid"] for text in simulator.texts()} == set(answers)
    assert simulator.stats()["accepted"] == 40


def test_reset_forgets_texts_traffic_counters_faults_and_pending_webhooks(simulator, caller, receiver):
    message_uuid = "11111111-0000-4000-8000-000000000000"
    receiver.answer(message_uuid, 500)
    simulator.text(SARA, VIRTUAL_NUMBER, "Hello", message_uuid=message_uuid)
    caller.send_accepted()
    last = simulator.texts()[-1]["seq"]
    receiver.wait_for(message_uuid)
    simulator.set_faults(latency_ms={"value": 1, "times": 5})
    simulator.reset()
    assert (simulator.texts(), simulator.traffic(), simulator.call("GET", "/api/faults")) == ([], [], {})
    stats = simulator.stats()
    assert (stats["requests"], stats["webhooks"]["pending"], stats["faults_struck"]) == (0, 0, {})
    # Numbering goes on: what came before the reset can never be taken for what came after.
    caller.send_accepted()
    assert simulator.texts()[0]["seq"] > last


def test_reset_leaves_nothing_pending_whatever_happens_meanwhile(simulator, caller):
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(caller.send_accepted) for _ in range(40)]
        for _ in range(10):
            simulator.reset()
        for each in sent:
            each.result()
    wait_until(lambda: simulator.stats()["webhooks"]["pending"] == 0)
    counts = simulator.stats()["webhooks"]["status"]
    assert counts["pending"] == 0 and counts["lost"] == 0
