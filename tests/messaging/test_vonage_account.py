"""The client of Vonage's account APIs: what it reads, and one error for every way in which that can fail."""

import base64
import traceback
from decimal import Decimal

import pytest

from messaging.gateways import AccountError, OwnedNumber
from messaging.gateways.vonage_account import VonageAccount, WebhookUrl, fits_private_key
from tests.harness.simulator import make_key_pair
from tests.messaging.wire import Wire, answer, hang_up, reset, say_and_hang_up, say_nothing

SECRET = "test-api-secret"


@pytest.fixture
def wire(settings):
    wire = Wire()
    settings.VONAGE_API_URL = settings.VONAGE_REST_URL = wire.url
    settings.SEND_TIMEOUT_SECONDS = 1
    yield wire
    wire.close()


def on_wire(index: int, **fields) -> dict:
    """Return a number as Vonage lists it."""
    return {
        "country": "US",
        "msisdn": f"1202555{100 + index:04}",
        "moHttpUrl": "https://example.com/mo",
        "type": "mobile-lvn",
        "features": ["SMS", "MMS", "VOICE"],
        "app_id": "aaaaaaaa-0000-4000-8000-000000000000",
        **fields,
    }


def page(count: int, *numbers: dict) -> bytes:
    return answer(200, {"count": count, "numbers": list(numbers)})


def fail(ask) -> AccountError:
    with pytest.raises(AccountError) as raised:
        ask()
    return raised.value


# --- What is read ---------------------------------------------------------------------------------------------


def test_a_number_is_read_as_vonage_documents_it(wire):
    wire.answers = [page(1, on_wire(0))]
    assert VonageAccount().list_numbers() == [
        OwnedNumber("+12025550100", "US", True, True, "aaaaaaaa-0000-4000-8000-000000000000")
    ]
    [request] = wire.requests
    assert request.line == "GET /account/numbers?size=100&index=1 HTTP/1.1"
    assert request.headers["authorization"] == f"Basic {base64.b64encode(f'abcd1234:{SECRET}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({"features": ["SMS"]}, {"can_mms": False}),
        ({"features": ["VOICE"]}, {"can_sms": False, "can_mms": False}),
        ({"features": None}, {"can_sms": False, "can_mms": False}),
        ({"app_id": None}, {"application_id": ""}),
        ({"app_id": None, "messagesCallbackType": "app", "messagesCallbackValue": "a"}, {"application_id": "a"}),
        ({"country": "ca"}, {"country": "CA"}),
        ({"new_field": {"of": "tomorrow"}}, {}),
    ],
)
def test_what_a_number_may_lack(wire, fields, read):
    wire.answers = [page(1, {name: value for name, value in on_wire(0, **fields).items() if value is not None})]
    [number] = VonageAccount().list_numbers()
    assert {name: getattr(number, name) for name in read} == read


def test_a_short_code_is_left_out(wire):
    wire.answers = [page(2, on_wire(0), on_wire(0, msisdn="12345"))]
    assert [number.number for number in VonageAccount().list_numbers()] == ["+12025550100"]


def test_an_account_without_numbers_is_an_empty_object(wire):
    wire.answers = [answer(200, {})]
    assert VonageAccount().list_numbers() == []


@pytest.mark.parametrize("count", [1, 99, 100, 101, 200, 250])
def test_every_page_is_read(vonage, count):
    numbers = [f"+1202555{100 + index:04}" for index in range(count)]
    vonage.set_account(numbers=numbers)
    assert sorted(number.number for number in VonageAccount().list_numbers()) == numbers


def test_balance_and_application_are_read(vonage):
    vonage.set_account(balance=12.3456)
    account = VonageAccount()
    assert (account.read_balance().amount, account.read_balance().currency) == (Decimal("12.3456"), "EUR")
    application = account.read_application()
    assert application.name == "Simulated application" and application.messages and application.media_is_secured
    assert application.inbound == WebhookUrl("http://localhost:8000/webhooks/inbound", "POST")
    assert fits_private_key(application.public_key)


@pytest.mark.parametrize(("key", "fits"), [(make_key_pair()[1], False), ("", None), ("not a key", None)])
def test_another_public_key_does_not_fit(key, fits):
    assert fits_private_key(key) is fits


def test_an_application_of_another_account_is_none(vonage, settings):
    settings.VONAGE_APPLICATION_ID = "../../account/numbers"
    assert VonageAccount().read_application() is None


@pytest.mark.parametrize(
    "application",
    [
        {"id": "1"},
        {"id": "1", "name": None, "capabilities": []},
        {"id": "1", "capabilities": {"messages": None}},
        {"id": "1", "capabilities": {"messages": {"webhooks": {"inbound_url": "https://example.com"}}}},
        {"id": "1", "keys": {"public_key": 5}},
    ],
)
def test_an_application_may_lack_everything_but_its_id(wire, application):
    wire.answers = [answer(200, application)]
    read = VonageAccount().read_application()
    assert (read.name, read.inbound, read.public_key) == ("", WebhookUrl("", ""), "")


# --- What can go wrong ----------------------------------------------------------------------------------------

HTML = b"<html>+12025550100</html>"
FAILURES = [
    (answer(401, {"error-code": "401"}), "401", False),
    (answer(420, {"error-code": "420"}), "420", False),
    (answer(403, {}), "403", False),
    (answer(400, {}), "400", False),
    (answer(405, {}), "405", False),
    (answer(429, {}, Retry_After="3600"), "429", True),
    (answer(500, {}), "500", True),
    (answer(502, HTML, Content_Type="text/html"), "502", True),
    (answer(503, {}), "503", True),
    (answer(302, b"", Location="http://127.0.0.1:9/"), "redirected", False),
    (answer(200, b""), "answer_unreadable", True),
    (answer(200, HTML), "answer_unreadable", True),
    (answer(200, [1, 2]), "answer_unreadable", True),
    (answer(200, b'"x"'), "answer_unreadable", True),
    (answer(200, {"numbers": 5, "value": "much", "id_": "x"}), "answer_unreadable", True),
    (say_nothing, "timeout", True),
    (hang_up, "answer_lost", True),
    (reset, "answer_lost", True),
    (say_and_hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "answer_lost", True),
]


@pytest.mark.parametrize("asked", ["list_numbers", "read_balance", "read_application"])
@pytest.mark.parametrize(("given", "code", "again"), FAILURES)
def test_a_failure_is_one_error_that_says_whether_to_try_again(wire, asked, given, code, again):
    wire.answers = [given]
    error = fail(getattr(VonageAccount(), asked))
    assert (error.code, error.again) == (code, again)
    assert len(wire.requests) == 1
    told = "".join(traceback.format_exception(error))
    assert SECRET not in told and "2025550100" not in told and "Basic" not in told


@pytest.mark.parametrize("asked", ["list_numbers", "read_balance", "read_application"])
def test_nobody_listens(settings, asked):
    settings.VONAGE_API_URL = settings.VONAGE_REST_URL = "http://127.0.0.1:9"
    error = fail(getattr(VonageAccount(), asked))
    assert (error.code, error.again) == ("no_connection", True)


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([page(3, on_wire(0))], "answer_incomplete"),
        ([page(1, on_wire(0), on_wire(1))], "answer_incomplete"),
        ([page(200, *map(on_wire, range(100)))], "answer_incomplete"),
        ([page(150, *map(on_wire, range(100))), answer(200, {})], "answer_incomplete"),
        ([page(150, *map(on_wire, range(100))), page(149, *map(on_wire, range(101, 150)))], "answer_incomplete"),
        ([page(150, *map(on_wire, range(100))), answer(500, {})], "500"),
        ([page(150, *map(on_wire, range(100))), say_nothing], "timeout"),
        ([page(10**9, *map(on_wire, range(100)))], "answer_incomplete"),
        ([answer(200, {"numbers": []})], "answer_unreadable"),
        ([page(1, on_wire(0, country="USA"))], "answer_unreadable"),
        ([page(1, on_wire(0, features="SMS"))], "answer_unreadable"),
        ([page(1, on_wire(0, msisdn=12025550100))], "answer_unreadable"),
    ],
)
def test_pages_that_do_not_fit_together_are_an_error(wire, answers, code):
    wire.answers = answers
    error = fail(VonageAccount().list_numbers)
    assert (error.code, error.again) == (code, True)
    assert "2025550100" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e30"])
def test_a_balance_that_is_none_is_an_error(wire, value):
    wire.answers = [answer(200, f'{{"value":{value}}}'.encode())]
    assert fail(VonageAccount().read_balance).code == "answer_unreadable"


def test_a_balance_may_be_owed(wire):
    wire.answers = [answer(200, {"value": -1.5, "autoReload": False})]
    assert VonageAccount().read_balance().amount == Decimal("-1.5")


def test_without_a_secret_nothing_is_asked(settings):
    settings.VONAGE_API_SECRET = ""
    error = fail(VonageAccount)
    assert (error.code, error.again) == ("no_api_secret", False)
    assert "VONAGE_API_SECRET" in error.detail
