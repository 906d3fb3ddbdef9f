"""The simulated account, asked as Vonage documents it, and set through the control API."""

import pytest

from tests.harness.simulator import Simulator, SimulatorError, make_key_pair

NUMBERS = [
    "+14155550100",
    {"number": "+14155550101", "features": ["SMS"], "application_id": ""},
    {"number": "+61491570006", "application_id": "another"},
]


@pytest.fixture
def ask(simulator, caller):
    """Ask with key and secret; what else requests.request takes by keyword."""

    def request(path, *, method="GET", secret=simulator.api_secret, **kw):
        return caller.session.request(method, simulator.url + path, auth=(simulator.api_key, secret), timeout=60, **kw)

    return request


def test_without_changes_it_owns_what_the_simulator_was_started_with(ask, simulator):
    assert ask("/account/numbers").json() == {}
    assert ask("/account/get-balance").json() == {"value": 100.0, "autoReload": False}
    application = ask(f"/v2/applications/{simulator.application_id}").json()
    assert application["id"] == simulator.application_id
    inbound = application["capabilities"]["messages"]["webhooks"]["inbound_url"]
    assert inbound == {"address": simulator.call("GET", "/api/settings")["inbound_url"], "http_method": "POST"}


def test_a_number_looks_as_on_the_wire(ask, simulator):
    simulator.set_account(numbers=NUMBERS)
    answer = ask("/account/numbers").json()
    assert answer["count"] == 3
    assert answer["numbers"][0] == {
        "country": "US",
        "msisdn": "14155550100",
        "moHttpUrl": "",
        "type": "mobile-lvn",
        "features": ["SMS", "MMS", "VOICE"],
        "messagesCallbackType": "app",
        "messagesCallbackValue": simulator.application_id,
        "app_id": simulator.application_id,
    }
    assert "app_id" not in answer["numbers"][1] and answer["numbers"][2]["country"] == "AU"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"country": "AU"}, ["61491570006"]),
        ({"application_id": "another"}, ["61491570006"]),
        ({"has_application": "True"}, ["14155550100", "61491570006"]),
        ({"has_application": "false"}, ["14155550101"]),
        ({"pattern": "1415", "search_pattern": "0"}, ["14155550100", "14155550101"]),
        ({"pattern": "555", "search_pattern": "1"}, ["14155550100", "14155550101"]),
        ({"pattern": "6", "search_pattern": "2"}, ["61491570006"]),
        ({"size": "2"}, ["14155550100", "14155550101"]),
        ({"size": "2", "index": "2"}, ["61491570006"]),
        ({"size": "2", "index": "3"}, []),
    ],
)
def test_filters_and_pages(ask, simulator, query, found):
    simulator.set_account(numbers=NUMBERS)
    answer = ask("/account/numbers", params=query).json()
    assert [number["msisdn"] for number in answer.get("numbers", [])] == found


@pytest.mark.parametrize("query", [{"size": "101"}, {"size": "0"}, {"index": "0"}, {"index": "x"}, {"size": "-1"}])
def test_pages_that_there_are_not_are_refused(ask, query):
    assert ask("/account/numbers", params=query).status_code == 420


@pytest.mark.parametrize("path", ["/account/numbers", "/account/get-balance", "/v2/applications/1", "/number/update"])
def test_a_wrong_secret_is_refused(ask, simulator, caller, path):
    method = "POST" if path == "/number/update" else "GET"
    assert ask(path, method=method, secret="wrong").status_code == 401
    assert caller.session.request(method, simulator.url + path, timeout=60).status_code == 401


def test_a_simulator_without_a_secret_tells_nobody(caller):
    with Simulator.start(VONAGE_API_SECRET="", VONAGE_PRIVATE_KEY=make_key_pair()[0]) as simulator:
        answer = caller.session.get(f"{simulator.url}/account/get-balance", auth=(simulator.api_key, ""), timeout=60)
        assert answer.status_code == 401


def test_another_application_is_not_found(ask, simulator):
    assert ask("/v2/applications/another").status_code == 404
    simulator.set_account(application=None)
    assert ask(f"/v2/applications/{simulator.application_id}").status_code == 404


def test_a_number_is_linked(ask, simulator):
    simulator.set_account(numbers=NUMBERS)
    form = {"country": "US", "msisdn": "14155550101", "app_id": "new"}
    assert ask("/number/update", method="POST", data=form).json() == {
        "error-code": "200",
        "error-code-label": "success",
    }
    assert simulator.call("GET", "/api/account")["numbers"][1]["application_id"] == "new"
    assert ask("/number/update", method="POST", data={**form, "msisdn": "1"}).status_code == 420


def test_it_fails_where_it_is_told_to(ask, simulator):
    simulator.set_account(numbers=NUMBERS, fail={"status": 503, "path": "numbers", "index": 2})
    assert ask("/account/numbers").status_code == 200
    assert ask("/account/numbers?index=2").status_code == 503
    assert ask("/account/get-balance").status_code == 200
    simulator.set_account(fail={"status": 429})
    assert ask("/account/get-balance").status_code == ask("/account/numbers").status_code == 429
    simulator.reset()
    assert ask("/account/numbers").json() == {}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "the body must be an object"),
        ({"nubmers": []}, "the body must be an object"),
        ({"numbers": ["4155550100"]}, "number must be a phone number with +"),
        ({"numbers": [5]}, "a number is a string"),
        ({"numbers": 5}, "not iterable"),
        ({"numbers": [{"number": "+14155550100", "features": ["FAX"]}]}, "features must be a list of"),
        ({"numbers": [{"number": "+14155550100", "application_id": None}]}, "application_id must be a string"),
        ({"balance": "5"}, "balance must be a number"),
        ({"application": {}}, "application must be an object with an id"),
        ({"fail": {"status": 200}}, "status must be"),
        ({"fail": {"status": 500, "path": "texts"}}, "path must be one of"),
        ({"fail": {"status": 500, "index": "2"}}, "index must be"),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(simulator, body, said):
    before = simulator.call("GET", "/api/account")
    with pytest.raises(SimulatorError, match="400") as raised:
        simulator.call("PUT", "/api/account", body)
    assert said in str(raised.value)
    if isinstance(body, dict):
        with pytest.raises(SimulatorError):
            simulator.set_account(**{"balance": 5, **body})
    assert simulator.call("GET", "/api/account") == before
