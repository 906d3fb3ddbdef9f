"""POST /v1/messages: what is accepted, and the problem in which everything else ends."""

import base64
import time
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.harness.simulator import wait_until
from tests.simulator.conftest import ABSENT, SARA, VIRTUAL_NUMBER, make_request

PROBLEM_KEYS = {"type", "title", "detail", "instance"}


def test_a_text_is_accepted_with_its_id_and_a_request_id(simulator, caller):
    answer = caller.send(text="Hello Sara", client_ref="text-1")
    assert answer.status_code == 202
    assert answer.headers["Content-Type"].startswith("application/json")
    assert set(answer.json()) == {"message_uuid"}
    assert uuid.UUID(answer.json()["message_uuid"]) and uuid.UUID(answer.headers["X-Request-Id"])

    [text] = simulator.texts_to(SARA)
    assert text["message_uuid"] == answer.json()["message_uuid"]
    assert (text["text"], text["client_ref"], text["virtual_number"]) == ("Hello Sara", "text-1", VIRTUAL_NUMBER)


def test_every_text_gets_an_id_of_its_own(caller):
    assert caller.send_accepted() != caller.send_accepted()


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "x" * 3200},
        {"client_ref": "x" * 100},
        {"to": "1415555", "from_number": "14155550100"},
        {"to": "141555501231234"},
        {"from_number": "ACME"},
        {"from_number": "12345"},
        {"ttl": 20},
        {"sms": {"encoding_type": "unicode"}},
        {"webhook_url": "http://127.0.0.1:9/status"},
        {"something_new": True},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_what_is_at_the_limit_is_accepted(caller, fields):
    assert caller.send(**fields).status_code == 202


# --- Refused for the token -----------------------------------------------------------------------------------


def _now():
    return int(time.time())


CLAIMS = {
    "expired": lambda: {"iat": _now() - 1000, "exp": _now() - 100},
    "expired by default, 15 minutes after iat": lambda: {"iat": _now() - 1000, "exp": ABSENT},
    "living more than 24 hours": lambda: {"exp": _now() + 24 * 3600 + 60},
    "without application_id": lambda: {"application_id": ABSENT},
    "without iat": lambda: {"iat": ABSENT},
    "without jti": lambda: {"jti": ABSENT},
    "issued in the future": lambda: {"iat": _now() + 600, "exp": _now() + 900},
    "exp that is no number": lambda: {"exp": "tomorrow"},
    "iat without end": lambda: {"iat": float("inf")},
    "of another application": lambda: {"application_id": str(uuid.uuid4())},
}
AUTHORIZATIONS = {
    "no header": "",
    "Basic": "Basic YWJjZDEyMzQ6c2VjcmV0",
    "no token": "Bearer ",
    "no JWT": "Bearer abc",
    "bytes that are no text": b"Bearer \xff\xfe.a.b",
}


def _assert_unauthorized(simulator, answer):
    assert answer.status_code == 401
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert uuid.UUID(answer.headers["X-Request-Id"])
    assert set(answer.json()) == PROBLEM_KEYS
    assert answer.json()["type"] == "https://developer.vonage.com/api-errors/#unathorized"
    assert simulator.texts() == []


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
def test_a_token_with_wrong_claims_is_401(simulator, caller, claims):
    token = caller.make_token(**claims())
    _assert_unauthorized(simulator, caller.post(make_request(), authorization=f"Bearer {token}"))


@pytest.mark.parametrize("authorization", AUTHORIZATIONS.values(), ids=AUTHORIZATIONS)
def test_a_header_that_holds_no_token_is_401(simulator, caller, authorization):
    _assert_unauthorized(simulator, caller.post(make_request(), authorization=authorization))


def test_a_token_signed_with_another_key_is_401(simulator, caller):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    token = caller.make_token(key=key)
    _assert_unauthorized(simulator, caller.post(make_request(), authorization=f"Bearer {token}"))


def test_the_key_and_the_secret_of_the_account_do_as_well(simulator, caller):
    def post(secret: str) -> int:
        basic = base64.b64encode(f"{simulator.api_key}:{secret}".encode()).decode()
        return caller.post(make_request(), authorization=f"Basic {basic}").status_code

    assert (post(simulator.api_secret), post("another"), post("")) == (202, 401, 401)


def test_an_hs256_token_is_401(simulator, caller):
    token = caller.make_token(key="k" * 32, algorithm="HS256")
    _assert_unauthorized(simulator, caller.post(make_request(), authorization=f"Bearer {token}"))


def test_a_token_without_exp_and_one_of_24_hours_are_good(caller):
    now = _now()
    for claims in ({"exp": ABSENT}, {"iat": now, "exp": now + 24 * 3600}):
        assert caller.post(make_request(), authorization=f"Bearer {caller.make_token(**claims)}").status_code == 202


def test_a_token_that_was_good_stops_being_good_when_it_expires(caller):
    authorization = f"Bearer {caller.make_token(exp=time.time() + 2)}"
    assert caller.post(make_request(), authorization=authorization).status_code == 202
    wait_until(lambda: caller.post(make_request(), authorization=authorization).status_code == 401)


# --- Refused for the body ------------------------------------------------------------------------------------

# What is sent, the fragment of the type, and the parameters that are complained of.
INVALID = {
    "to with +": ({"to": "+14155550123"}, "1150", ["to"]),
    "to with letters": ({"to": "1415555CALL"}, "1150", ["to"]),
    "to too short": ({"to": "141555"}, "1150", ["to"]),
    "to too long": ({"to": "1415555012312345"}, "1150", ["to"]),
    "to that begins with 0": ({"to": "04155550123"}, "1150", ["to"]),
    "to that is a number": ({"to": 14155550123}, "1150", ["to"]),
    "to with digits of another script": ({"to": "1٤١٥5550123"}, "1150", ["to"]),
    "to with a line break": ({"to": "14155550123\n"}, "1150", ["to"]),
    "from with +": ({"from_number": "+14155550100"}, "1120", ["from"]),
    "text of 3201": ({"text": "x" * 3201}, "1150", ["text"]),
    "text that is a number": ({"text": 5}, "1150", ["text"]),
    "client_ref of 101": ({"client_ref": "x" * 101}, "1060", ["client_ref"]),
    "unknown channel": ({"channel": "pigeon"}, "1100", ["channel"]),
    "no channel": ({"channel": ABSENT}, "1100", ["channel"]),
    "image by sms": ({"message_type": "image"}, "1140", ["message_type"]),
    "no message_type": ({"message_type": ABSENT}, "1140", ["message_type"]),
    "no to": ({"to": ABSENT}, "1150", ["to"]),
    "no from": ({"from": ABSENT}, "1120", ["from"]),
    "no text": ({"text": ABSENT}, "1150", ["text"]),
    "several": ({"to": ABSENT, "text": None, "client_ref": 5}, "1150", ["client_ref", "text", "to"]),
    "ttl of 19": ({"ttl": 19}, "1150", ["ttl"]),
    "ttl that is true": ({"ttl": True}, "1150", ["ttl"]),
    "unknown encoding": ({"sms": {"encoding_type": "morse"}}, "1150", ["sms.encoding_type"]),
    "sms that is no object": ({"sms": "unicode"}, "1150", ["sms.encoding_type"]),
    "webhook_url that is none": ({"webhook_url": "proxy.example"}, "1150", ["webhook_url"]),
    "webhook_url that cannot be called": ({"webhook_url": "http://[::1/status"}, "1150", ["webhook_url"]),
}


@pytest.mark.parametrize(("fields", "fragment", "names"), INVALID.values(), ids=INVALID)
def test_invalid_parameters_are_422(simulator, caller, fields, fragment, names):
    answer = caller.send(**fields)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"].startswith("application/json")
    assert uuid.UUID(answer.headers["X-Request-Id"])
    problem = answer.json()
    assert set(problem) == PROBLEM_KEYS | {"invalid_parameters"}
    assert problem["type"] == f"https://developer.vonage.com/api-errors/messages#{fragment}"
    assert sorted(entry["name"] for entry in problem["invalid_parameters"]) == names
    assert all(entry["reason"] for entry in problem["invalid_parameters"])
    assert simulator.texts() == []


@pytest.mark.parametrize("content", [b"", b"to=1", b"[]", b'"text"', b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_422(caller, content):
    answer = caller.post(content)
    assert answer.status_code == 422
    assert answer.json()["type"] == "https://developer.vonage.com/api-errors#invalid-json"


def test_credentials_are_looked_at_before_the_body(caller):
    assert caller.post(b"{", authorization="").status_code == 401


def test_other_paths_and_methods_are_404(simulator, caller):
    for method, path in (("GET", "/v1/messages"), ("POST", "/v1/message"), ("GET", "/static/../settings.py")):
        answer = caller.session.request(method, simulator.url + path, timeout=60)
        assert answer.status_code == 404
        assert set(answer.json()) == PROBLEM_KEYS
