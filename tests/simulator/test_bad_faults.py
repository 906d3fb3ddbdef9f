"""A fault that makes no sense is refused with a sentence that says why, and changes nothing."""

import pytest

from tests.harness.simulator import SimulatorError

BAD = {
    "no object": ([], "faults must be a JSON object"),
    "unknown": ({"gremlins": True}, "unknown fault 'gremlins'; there are refuse, "),
    "switch that is a number": ({"refuse": 1}, "refuse must be true, false or an object"),
    "switch that is a string": ({"empty_202": "yes"}, "empty_202 must be true, false or an object"),
    "latency that is a string": ({"latency_ms": "200"}, "latency_ms must be a number of milliseconds from 0 to 600000"),
    "latency that is true": ({"latency_ms": True}, "latency_ms must be a number of milliseconds"),
    "latency below 0": ({"latency_ms": -1}, "latency_ms must be a number of milliseconds"),
    "latency without value": ({"latency_ms": {}}, "latency_ms must be a number of milliseconds"),
    "latency without end": ({"jitter_ms": float("inf")}, "jitter_ms must be a number of milliseconds"),
    "status that is no error": ({"respond_with": 200}, "respond_with must be an HTTP status from 400 to 599"),
    "status that is a string": ({"respond_with": "429"}, "respond_with must be an HTTP status"),
    "no status": ({"respond_with": {"retry_after": 5}}, "respond_with must be an HTTP status"),
    "wait below 0": ({"respond_with": {"status": 429, "retry_after": -1}}, "retry_after of respond_with must be whole"),
    "wait of half a second": ({"respond_with": {"status": 429, "retry_after": 0.5}}, "must be whole seconds"),
    "wait of years": ({"respond_with": {"status": 429, "retry_after": 10**9}}, "whole seconds from 0 to 86400"),
    "unknown final status": ({"final_status": "lost"}, "final_status must be one of delivered, rejected, undeliver"),
    "error code of letters": (
        {"final_status": {"status": "rejected", "error_code": "ABC"}},
        "error_code of final_status must be digits",
    ),
    "delivered with an error code of letters": (
        {"final_status": {"status": "delivered", "error_code": "ABC"}},
        "error_code of final_status must be digits",
    ),
    "reset that is a number": ({"drop_after_accept": {"reset": 1}}, "reset of drop_after_accept must be true or false"),
    "rate of none": ({"number_rate": 0}, "number_rate must be a number from 0.01 to 10000"),
    "no rate": ({"account_rate": True}, "account_rate must be a number from 0.01 to 10000"),
    "rates of no numbers": (
        {"number_rate": {"value": 1, "numbers": {"1415": 1}}},
        "the numbers of number_rate must be",
    ),
    "unknown format": ({"inbound_format": "legacy-xml"}, "inbound_format must be one of legacy-get, legacy-form,"),
    "unknown parts": (
        {"inbound_format": {"format": "legacy-get", "parts": "some"}},
        "the parts of inbound_format must",
    ),
    "skew without end": ({"iat_skew_s": float("nan")}, "iat_skew_s must be seconds from"),
    "webhook of another kind": ({"unsigned_webhooks": {"kind": "media"}}, "must be one of inbound, status"),
    "redirect to nowhere": ({"media_redirect": {"to": "ftp://1"}}, "the to of media_redirect must be an http:// or"),
    "redirect to what is no URL": ({"media_redirect": {"to": "http://[::1"}}, "the to of media_redirect must be"),
    "content type that is none": ({"media_content_type": "a b"}, "media_content_type must be a content type"),
    "drip of nothing": ({"media_drip": 0}, "media_drip must be a number from 1 to"),
    "value in a list": ({"final_status": {"status": ["rejected"]}}, "final_status must be one of"),
    "key of another fault": ({"refuse": {"status": 500}}, "refuse takes reset, probability, times,"),
    "probability of 2": ({"empty_202": {"probability": 2}}, "probability of empty_202 must be from 0 to 1"),
    "probability that is true": ({"empty_202": {"probability": True}}, "probability of empty_202 must be from 0 to 1"),
    "times of 0": ({"empty_202": {"times": 0}}, "times of empty_202 must be a whole number of at least 1"),
    "times of one and a half": ({"empty_202": {"times": 1.5}}, "times of empty_202 must be a whole number"),
    "handset without +": ({"empty_202": {"handset": "14155550123"}}, "handset of empty_202 must be a phone number"),
    "handset that is refused": ({"refuse": {"handset": "+14155550123"}}, "refuse strikes before the request is read"),
}


@pytest.mark.parametrize(("faults", "said"), BAD.values(), ids=BAD)
def test_a_bad_fault_is_400_and_says_what_is_wrong(simulator, faults, said):
    simulator.set_faults(no_receipts=True)
    with pytest.raises(SimulatorError) as refused:
        simulator.call("PUT", "/api/faults", faults)
    assert str(refused.value).startswith("400: ")
    assert said in str(refused.value)
    assert simulator.call("GET", "/api/faults") == {"no_receipts": {"probability": 1.0}}


def test_one_bad_fault_spoils_the_good_ones(simulator):
    with pytest.raises(SimulatorError):
        simulator.set_faults(no_receipts=True, latency_ms="soon")
    assert simulator.call("GET", "/api/faults") == {}
