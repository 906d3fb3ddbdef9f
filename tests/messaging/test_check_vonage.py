"""check_vonage: every line of the checklist, ok and broken, against a simulated account."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from messaging.account_check import check_account
from messaging.gateways import vonage as gateway
from messaging.models import GatewayAccount
from tests.factories import VIRTUAL_NUMBER, make_virtual_number
from tests.harness.simulator import make_key_pair
from tests.messaging.legacy import TOKEN, legacy_sms, send, sign, with_token
from tests.messaging.payloads import receipt, sms
from tests.messaging.rows import make_queued
from tests.messaging.signing import INBOUND, STATUS, signed_post

pytestmark = pytest.mark.django_db

PUBLIC = "https://texting.example.com"
OTHER_APPLICATION = "aaaaaaaa-0000-4000-8000-000000000000"
ALL = ["public url", "sending", "balance", "application", "private key", "messages", "inbound url", "status url",
       "media", "numbers", "signature"]  # fmt: skip


@pytest.fixture
def account(vonage, virtual_number):
    """An account that fits, with one virtual number that is active."""
    vonage.set_account(numbers=[VIRTUAL_NUMBER])
    return vonage


@pytest.fixture(autouse=True)
def nothing_noted_yet(monkeypatch):
    monkeypatch.setattr("messaging.signatures._noted", {})


def check() -> dict[str, tuple[str, str]]:
    """Return what was found of each thing: the state, and the sentence."""
    out = io.StringIO()
    try:
        call_command("check_vonage", "--json", stdout=out)
    except CommandError as error:
        assert str(error).startswith("Broken: ") and error.returncode == 1
    found = json.loads(out.getvalue())
    assert any(line["state"] == "broken" for line in found) is (not _passes())
    return {line["check"]: (line["state"], line["detail"]) for line in found}


def _passes() -> bool:
    try:
        call_command("check_vonage", stdout=io.StringIO())
    except CommandError:
        return False
    return True


def change_application(simulator, **messages: Any) -> None:
    """Change the Messages capability; None takes it away."""
    application = simulator.call("GET", "/api/account")["application"]
    application["capabilities"]["messages"] |= messages
    simulator.set_account(application=application)


def test_an_account_that_fits_is_green(account):
    out = io.StringIO()
    call_command("check_vonage", stdout=out)
    lines = out.getvalue().splitlines()
    assert [line[4:16].strip() for line in lines] == ALL
    assert [line[:2] for line in lines] == ["ok"] * 10 + ["??"]
    assert "1 virtual number is in the account, and linked to the application." in lines[-2]


def test_nothing_is_changed_and_no_text_is_sent(account):
    before = account.call("GET", "/api/account")
    check()
    assert account.call("GET", "/api/account") == before
    assert account.texts() == [] and account.stats()["accepted"] == 0


# --- Where we are ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api_url", "public_url", "state", "said"),
    [
        ("https://api.nexmo.com", PUBLIC, "ok", "an address that Vonage can reach"),
        ("https://api.nexmo.com", "http://localhost:8000", "broken", "set PUBLIC_URL to a public https:// address"),
        ("https://api.nexmo.com", "https://127.0.0.1", "broken", "Vonage cannot reach"),
        ("https://api.nexmo.com", "https://192.168.0.7", "broken", "Vonage cannot reach"),
        ("https://api.nexmo.com", "https://[::1]:8000", "broken", "Vonage cannot reach"),
        ("https://api.nexmo.com", "https://texting", "broken", "Vonage cannot reach"),
        ("https://api.nexmo.com", "http://texting.example.com", "broken", "is not https"),
        ("http://127.0.0.1:8099", "http://localhost:8000", "ok", "Vonage is simulated"),
    ],
)
def test_the_public_url(settings, api_url, public_url, state, said):
    settings.VONAGE_API_URL, settings.PUBLIC_URL = api_url, public_url
    # The first; no other is asked for, which would go out to Vonage.
    finding = next(check_account())
    assert (finding.state.name.lower(), said in finding.sentence) == (state, True)


# --- Credentials -------------------------------------------------------------------------------------------------


@pytest.fixture
def another_key(settings):
    settings.VONAGE_PRIVATE_KEY = make_key_pair()[0].strip()
    gateway._auth.cache_clear()
    yield
    gateway._auth.cache_clear()


def test_a_key_of_another_application(account, another_key):
    found = check()
    assert found["sending"][0] == "broken" and "VONAGE_PRIVATE_KEY must be that of" in found["sending"][1]
    assert found["private key"] == (
        "broken",
        "VONAGE_PRIVATE_KEY is not the application's: generate a new pair under Applications > yours > Edit.",
    )


def test_a_key_that_cannot_sign(account, settings):
    settings.VONAGE_PRIVATE_KEY = "-----BEGIN RSA PRIVATE KEY-----"
    gateway._auth.cache_clear()
    found = check()
    gateway._auth.cache_clear()
    assert found["sending"][0] == "broken" and "VONAGE_PRIVATE_KEY cannot sign" in found["sending"][1]
    assert found["private key"][0] == "unknown"


def test_a_wrong_secret(account, settings):
    settings.VONAGE_API_SECRET = "wrong"
    found = check()
    for name in ("balance", "application", "numbers"):
        assert found[name][0] == "broken" and "copy both from API Settings" in found[name][1]


def test_no_secret_leaves_open_what_it_is_needed_for(account, settings):
    settings.VONAGE_API_SECRET = ""
    found = check()
    assert list(found) == ["public url", "sending", "api secret", "signature"]
    assert found["api secret"][0] == "unknown" and "Set VONAGE_API_SECRET" in found["api secret"][1]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_vonage_in_trouble_is_not_known_to_be_broken(account, status):
    account.set_account(fail={"status": status})
    account.set_faults(respond_with=status)
    found = check()
    assert {name: found[name][0] for name in ("sending", "balance", "application", "numbers")} == dict.fromkeys(
        ("sending", "balance", "application", "numbers"), "unknown"
    )


@pytest.mark.parametrize(
    ("status", "said"), [(402, "balance of the Vonage account is too low"), (401, "with Messages on")]
)
def test_texts_that_are_refused_for_the_accounts_sake(account, status, said):
    account.set_faults(respond_with=status)
    state, sentence = check()["sending"]
    assert state == "broken" and said in sentence


@pytest.mark.parametrize(
    ("balance", "state", "said"),
    [(100, "ok", "100.00 EUR"), (9.5, "broken", "less than BALANCE_WARNING"), (0, "broken", "else no text is sent")],
)
def test_the_balance(account, balance, state, said):
    account.set_account(balance=balance)
    found = check()["balance"]
    assert found[0] == state and said in found[1]


# --- The application ---------------------------------------------------------------------------------------------


def test_no_such_application(account):
    account.set_account(application=None)
    found = check()
    assert found["application"][0] == "broken" and "copy the id" in found["application"][1]
    assert "inbound url" not in found


def test_an_application_without_messages(account):
    application = account.call("GET", "/api/account")["application"]
    account.set_account(application={**application, "capabilities": {"voice": {}}})
    found = check()
    assert found["messages"][0] == "broken" and "switch it on" in found["messages"][1]
    assert "inbound url" not in found


INBOUND_URL, STATUS_URL = "http://localhost:8000/webhooks/inbound", "http://localhost:8000/webhooks/status"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ({"address": STATUS_URL, "http_method": "POST"}, f"It is {STATUS_URL}: enter {INBOUND_URL} as Inbound URL"),
        ({"address": INBOUND_URL + "/", "http_method": "POST"}, "enter"),
        ({"address": "https://old.example.com/hook?token=secret", "http_method": "POST"}, "It is https://old.example"),
        ({"address": "", "http_method": "POST"}, "It is empty"),
        ({"address": INBOUND_URL, "http_method": "GET"}, "Its method is GET: set it to POST"),
        ({"address": INBOUND_URL + "?x=1", "http_method": "POST"}, "It has a query"),
        ({}, "It is empty"),
    ],
)
def test_a_wrong_inbound_url(account, url, said):
    change_application(account, webhooks={"inbound_url": url})
    found = check()
    assert found["inbound url"][0] == "broken" and said in found["inbound url"][1]
    assert "secret" not in found["inbound url"][1]
    assert found["status url"][0] == "broken" and "as Status URL" in found["status url"][1]


def test_a_token_in_the_url_is_right_where_one_is_asked_for(account, settings):
    settings.VONAGE_LEGACY_WEBHOOKS = "token"
    change_application(account, webhooks={"inbound_url": {"address": INBOUND_URL + "?token=x", "http_method": "POST"}})
    found = check()
    assert found["inbound url"] == ("ok", f"It is {INBOUND_URL}.")
    assert found["sms api"][0] == "unknown" and "API Settings must name the same two URLs" in found["sms api"][1]


@pytest.mark.parametrize(("secured", "said"), [(True, "Only the application"), (False, "authenticate_inbound_media")])
def test_pictures(account, secured, said):
    change_application(account, authenticate_inbound_media=secured)
    state, sentence = check()["media"]
    assert state == "ok" and said in sentence


# --- Numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("+14155550199", "is not in the account: rent it, or retire it"),
        ({"number": VIRTUAL_NUMBER, "application_id": ""}, "is linked to no application: link it"),
        ({"number": VIRTUAL_NUMBER, "application_id": OTHER_APPLICATION}, "is linked to another application"),
        ({"number": VIRTUAL_NUMBER, "features": ["VOICE"]}, "has no SMS"),
    ],
)
def test_a_virtual_number_that_cannot_work(account, number, said):
    account.set_account(numbers=[number])
    state, sentence = check()["numbers"]
    assert state == "broken" and sentence.startswith(f"{VIRTUAL_NUMBER} ") and said in sentence


def test_no_active_number(vonage):
    make_virtual_number(state="reserved")
    vonage.set_account(numbers=[VIRTUAL_NUMBER])
    state, sentence = check()["numbers"]
    assert state == "broken" and "sync_virtual_numbers" in sentence


def test_a_retired_number_need_not_be_there(account):
    make_virtual_number("+14155550109", state="retired")
    assert check()["numbers"][0] == "ok"


def test_numbers_that_could_be_brought_in_are_counted(account):
    account.set_account(numbers=[VIRTUAL_NUMBER, "+14155550101", "+14155550102"])
    assert "2 more of the account can be brought in" in check()["numbers"][1]


# --- The signature -----------------------------------------------------------------------------------------------


def test_a_webhook_that_was_believed_proves_the_signature_secret(account, client, chat):
    assert check()["signature"][0] == "unknown"
    assert signed_post(client, INBOUND, sms()).status_code == 200
    state, sentence = check()["signature"]
    assert state == "ok" and "webhook refused" in sentence


def test_a_receipt_proves_it_too(account, client, omar):
    make_queued(omar, status="sent", gateway_id="aaaa-1")
    assert check()["signature"][0] == "unknown"
    assert signed_post(client, STATUS, receipt(message_uuid="aaaa-1", status="delivered")).status_code == 200
    assert check()["signature"][0] == "ok"


def test_a_text_that_is_believed_by_a_token_proves_no_signature_secret(account, client, chat, settings):
    settings.VONAGE_LEGACY_WEBHOOKS, settings.VONAGE_WEBHOOK_TOKEN = "token", TOKEN
    assert send(client, with_token(INBOUND), legacy_sms()).status_code == 200
    state, sentence = check()["signature"]
    assert state == "unknown" and "believed by VONAGE_WEBHOOK_TOKEN" in sentence
    assert signed_post(client, INBOUND, sms()).status_code == 200
    assert check()["signature"][0] == "ok"


def test_a_signed_text_of_the_sms_api_proves_it(account, client, chat, settings):
    settings.VONAGE_LEGACY_WEBHOOKS = "signed:sha256"
    assert send(client, INBOUND, sign(legacy_sms(), "sha256")).status_code == 200
    assert check()["signature"][0] == "ok"


@pytest.mark.parametrize("path", [INBOUND, STATUS])
def test_the_check_of_a_url_proves_nothing(account, client, path):
    assert client.get(path).status_code == 200
    assert check()["signature"][0] == "unknown"


def test_a_secret_that_has_changed_since_is_to_be_proved_anew(account, client, chat, settings):
    assert signed_post(client, INBOUND, sms()).status_code == 200
    settings.VONAGE_SIGNATURE_SECRET = "another secret, at least as long as the one before"
    assert check()["signature"][0] == "unknown"
    assert signed_post(client, INBOUND, sms()).status_code == 200
    assert check()["signature"][0] == "ok"


def test_webhooks_that_come_after_one_another_are_noted_once(account, client, chat):
    assert signed_post(client, INBOUND, sms()).status_code == 200
    GatewayAccount.objects.update(signed_at=None)
    assert signed_post(client, INBOUND, sms()).status_code == 200
    assert check()["signature"][0] == "unknown"


def test_the_api_secret_in_the_place_of_the_signature_secret(account, settings):
    settings.VONAGE_SIGNATURE_SECRET = settings.VONAGE_API_SECRET
    state, sentence = check()["signature"]
    assert state == "broken" and "copy the signature secret from API Settings" in sentence
