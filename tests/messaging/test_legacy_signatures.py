"""What the webhooks believe of the SMS API's format: exactly what VONAGE_LEGACY_WEBHOOKS says, and nothing else."""

import time
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from messaging.models import Message, TextPart
from proxy_project.configuration import Configuration
from tests.messaging.legacy import (
    FORMATS,
    METHODS,
    TOKEN,
    legacy_part,
    legacy_receipt,
    legacy_sms,
    send,
    sign,
    with_token,
)
from tests.messaging.payloads import sms
from tests.messaging.rows import make_queued, read_inbound
from tests.messaging.signing import ABSENT, INBOUND, STATUS, encode, post, signed_post

pytestmark = pytest.mark.django_db

BOTH = pytest.mark.parametrize("path", [INBOUND, STATUS])
EACH_FORMAT = pytest.mark.parametrize("form", FORMATS)


@pytest.fixture
def signed(settings):
    settings.VONAGE_LEGACY_WEBHOOKS = "signed:sha256"


@pytest.fixture
def token(settings):
    settings.VONAGE_LEGACY_WEBHOOKS, settings.VONAGE_WEBHOOK_TOKEN = "token", TOKEN


def refuse(response, status: int, *words: str) -> None:
    """Check the answer, its words, and that nothing is stored."""
    assert response.status_code == status
    [error] = response.json()["errors"]
    assert all(word in error["detail"] for word in words), error
    assert not read_inbound()
    assert not TextPart.objects.exists()


# --- The request that checks a URL -----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("mode", ["", "token", "signed:md5hash"])
@pytest.mark.parametrize("query", ["", f"?token={TOKEN}"])
def test_an_empty_get_or_post_checks_the_url(client, chat, settings, path, mode, query):
    settings.VONAGE_LEGACY_WEBHOOKS = mode
    before = Message.objects.count()
    for response in (
        client.get(path + query),
        client.post(path + query, data=b"", content_type="application/json"),
        client.post(path + query, data=b"", content_type="application/x-www-form-urlencoded"),
        client.post(path + query, data=b"{}", content_type="application/json"),
    ):
        assert (response.status_code, response.content) == (200, b"")
    assert Message.objects.count() == before


# --- Configuration --------------------------------------------------------------------------------------------


def configure(monkeypatch, value: str, token: str = "") -> str:
    """Return what the setting comes to; raises ImproperlyConfigured as the start of the service does."""
    monkeypatch.setenv("VONAGE_LEGACY_WEBHOOKS", value)
    config = Configuration(Path("none"))
    accepted = config.legacy_webhooks("VONAGE_LEGACY_WEBHOOKS", token=token)
    config.raise_problems()
    return accepted


@pytest.mark.parametrize("value", ["", " ", "token", "Signed:SHA256 ", *(f"signed:{method}" for method in METHODS)])
def test_what_can_be_configured(monkeypatch, value):
    assert configure(monkeypatch, value, TOKEN) == value.strip().lower()


@pytest.mark.parametrize(
    "value", ["signed", "signed:", "signed:none", "signed:sha384", "any", "true", "token,signed:md5"]
)
def test_what_cannot_be_configured_stops_the_start(monkeypatch, value):
    with pytest.raises(ImproperlyConfigured, match="VONAGE_LEGACY_WEBHOOKS must be"):
        configure(monkeypatch, value, TOKEN)


@pytest.mark.parametrize("token", ["", "short", "x" * 19, "with a space in it and long", "ä" * 20])
def test_a_token_that_is_missing_or_too_easy_stops_the_start(monkeypatch, token):
    with pytest.raises(ImproperlyConfigured, match="VONAGE_WEBHOOK_TOKEN of 20 or more"):
        configure(monkeypatch, "token", token)


@BOTH
@EACH_FORMAT
@pytest.mark.parametrize("payload", [legacy_sms, legacy_receipt, lambda: legacy_part(1, 2, "a")])
def test_without_configuration_the_format_is_answered_503_with_the_setting_to_change(client, chat, path, form, payload):
    for params in (payload(), sign(payload(), "md5hash")):
        refuse(send(client, path, params, form), 503, "VONAGE_LEGACY_WEBHOOKS", "Messages API")


@EACH_FORMAT
def test_the_messages_format_is_taken_whatever_is_configured(client, chat, settings, form):
    settings.VONAGE_WEBHOOK_TOKEN = TOKEN
    for mode in ("", "token", *(f"signed:{method}" for method in METHODS)):
        settings.VONAGE_LEGACY_WEBHOOKS = mode
        assert signed_post(client, INBOUND, sms()).status_code == 200
        assert signed_post(client, INBOUND, sms(), secret="x" * 32).status_code == 401
        assert post(client, INBOUND, encode(sms()), None).status_code == 503
        assert post(client, with_token(INBOUND), encode(sms()), None).status_code == 503
    assert len(read_inbound()) == 7


# --- Signatures -------------------------------------------------------------------------------------------------


@EACH_FORMAT
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spell", [str, str.upper])
def test_every_method_is_believed_when_it_is_the_one_configured(client, chat, settings, form, method, spell):
    settings.VONAGE_LEGACY_WEBHOOKS = f"signed:{method}"
    params = sign(legacy_sms(text="Yes & no = maybe, Привет 😀"), method)
    for other in METHODS:
        if other != method:
            refuse(send(client, INBOUND, sign(legacy_sms(), other), form), 401)
    assert send(client, INBOUND, params | {"sig": spell(params["sig"])}, form).status_code == 200
    assert [row.body for row in read_inbound()] == ["Yes & no = maybe, Привет 😀"]


EXAMPLE = {
    "api-key": "abcd1234",
    "keyword": "YES",
    "message-timestamp": "2026-03-01 12:00:00",
    "messageId": "0A000000A1B2C3D4",
    "msisdn": "14155550123",
    "nonce": "0f3c2b1a-1111-4222-8333-944455556666",
    "text": "Yes & no = maybe",
    "timestamp": "1772366400",
    "to": "14155550100",
    "type": "text",
}
EXAMPLE_SIGNATURES = {
    "sha256": "bf3aeb7de7f7a058afaa1bdc652b7492740eaf7bb4c72a04614ea63d59c3d74a",
    "md5hash": "570b7c8b8dbef4c7b7a4e55205eaf7cf",
}


@pytest.mark.parametrize(("method", "signature"), EXAMPLE_SIGNATURES.items())
def test_the_worked_example_is_believed(client, chat, settings, time_machine, method, signature):
    time_machine.move_to("2026-03-01T12:00:05Z")
    settings.VONAGE_LEGACY_WEBHOOKS, settings.VONAGE_SIGNATURE_SECRET = f"signed:{method}", "SigSecret123"
    assert send(client, INBOUND, EXAMPLE | {"sig": signature}).status_code == 200
    assert [row.body for row in read_inbound()] == ["Yes & no = maybe"]


def changed(**changes):
    def change(params: dict) -> dict:
        merged = params | {name.replace("_", "-"): value for name, value in changes.items()}
        return {name: value for name, value in merged.items() if value is not ABSENT}

    return change


FORGED = {
    "another text": changed(text="other"),
    "another sender": changed(msisdn="14155550199"),
    "a parameter more": changed(more="1"),
    "a parameter less": changed(keyword=ABSENT),
    "a parameter renamed": changed(keyword=ABSENT, Keyword="HELLO"),
    "another time": changed(timestamp="1772366401"),
    "sig not ASCII": changed(sig="é" * 64),
    "sig of other digits": changed(sig="٣" * 64),
    "sig shorter": changed(sig="ab"),
}


@EACH_FORMAT
@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_a_changed_webhook_is_refused(client, chat, signed, form, change):
    refuse(send(client, INBOUND, change(sign(legacy_sms(), "sha256")), form), 401)


@EACH_FORMAT
@pytest.mark.parametrize("secret", ["x" * 32, ""])
def test_only_the_accounts_secret_is_believed(client, chat, signed, form, secret):
    refuse(send(client, INBOUND, sign(legacy_sms(), "sha256", secret=secret), form), 401, "VONAGE_SIGNATURE_SECRET")


@EACH_FORMAT
@pytest.mark.parametrize("sig", [ABSENT, ""])
def test_an_unsigned_webhook_is_answered_503_so_that_it_is_not_lost(client, chat, signed, form, sig):
    params = changed(sig=sig)(sign(legacy_sms(), "sha256"))
    refuse(send(client, INBOUND, params, form), 503, "VONAGE_LEGACY_WEBHOOKS=token")


@pytest.mark.parametrize("sig", [None, 5, 1.5, True, ["a"], {"a": 1}, "\ud800"])
def test_a_signature_that_is_no_string_is_refused(client, chat, signed, sig):
    response = send(client, INBOUND, sign(legacy_sms(), "sha256") | {"sig": sig}, "json")
    assert response.status_code in {400, 401, 503}
    assert not read_inbound()


AGES = {"100 s ahead": (100, 200), "an hour ahead": (3600, 401), "24 h old": (-86400, 200), "26 h old": (-93600, 401)}


@pytest.mark.parametrize(("age", "status"), AGES.values(), ids=AGES)
def test_a_signature_counts_for_as_long_as_vonage_retries(client, chat, signed, age, status):
    params = sign(legacy_sms(timestamp=str(int(time.time()) + age)), "sha256")
    assert send(client, INBOUND, params).status_code == status
    assert len(read_inbound()) == (status == 200)


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1e9", "٣", "9" * 5000, "1.5"])
def test_a_signature_without_a_time_is_refused(client, chat, signed, timestamp):
    refuse(send(client, INBOUND, sign(legacy_sms(timestamp=timestamp), "sha256")), 401)


def test_values_of_json_are_signed_as_they_are_written(client, chat, signed):
    params = sign(legacy_sms(msisdn=14155550123, more=1.50, concat=False), "sha256")
    assert send(client, INBOUND, params, "json").status_code == 200


def test_parameters_in_the_query_and_the_body_are_refused(client, chat, signed):
    params = sign(legacy_sms(), "sha256")
    for form in ("form", "json"):
        refuse(send(client, f"{INBOUND}?text=other", params, form), 503, "query")
        refuse(send(client, with_token(INBOUND), params, form), 503, "token")
    refuse(send(client, with_token(INBOUND), params, "get"), 503, "token")


def test_a_parameter_twice_is_refused(client, chat, signed):
    body = "messageId=0A1&text=a&text=b&msisdn=14155550123"
    refuse(client.post(INBOUND, data=body, content_type="application/x-www-form-urlencoded"), 400)
    refuse(client.get(f"{INBOUND}?{body}"), 400)


@EACH_FORMAT
def test_another_accounts_webhook_is_refused_and_an_old_one_without_account_taken(client, chat, signed, form):
    refuse(send(client, INBOUND, sign(legacy_sms(api_key="ffff9999"), "sha256"), form), 401, "VONAGE_API_KEY")
    assert send(client, INBOUND, sign(legacy_sms(api_key=ABSENT), "sha256"), form).status_code == 200


# --- Tokens -----------------------------------------------------------------------------------------------------


@EACH_FORMAT
def test_unsigned_webhooks_are_believed_with_the_token(client, chat, token, form):
    assert send(client, with_token(INBOUND), legacy_sms(), form).status_code == 200
    assert len(read_inbound()) == 1


@EACH_FORMAT
@pytest.mark.parametrize("wrong", ["x", "", TOKEN[:-1], TOKEN.upper(), "é", "%ED%A0%80", "%00"])
def test_another_token_is_refused(client, chat, token, form, wrong):
    refuse(send(client, with_token(INBOUND, wrong), legacy_sms(), form), 401)


@EACH_FORMAT
def test_without_a_token_the_answer_says_how_the_url_must_end(client, chat, token, form):
    refuse(send(client, INBOUND, legacy_sms(), form), 503, "?token=")
    if form != "get":
        refuse(send(client, INBOUND, legacy_sms(token=TOKEN), form), 503, "?token=")


def test_a_token_is_no_signature(client, chat, signed, settings):
    settings.VONAGE_WEBHOOK_TOKEN = TOKEN
    refuse(send(client, with_token(INBOUND), legacy_sms()), 503)


def test_a_forged_receipt_moves_nothing(client, omar, token):
    message = make_queued(omar, status="sent")
    forged = legacy_receipt(client_ref=str(message.pk), status="failed")
    assert send(client, with_token(STATUS, "x"), forged).status_code == 401
    message.refresh_from_db()
    assert message.status == "sent"


def test_neither_tokens_nor_numbers_nor_texts_are_logged_or_answered(client, chat, token, caplog):
    caplog.set_level("DEBUG")
    said = ""
    for wrong in (TOKEN, TOKEN[:-1]):
        for form in FORMATS:
            for path in (INBOUND, STATUS):
                answer = send(client, with_token(path, wrong), legacy_sms(text="a secret"), form)
                said += answer.content.decode()
    assert "text received" in caplog.text and "webhook refused" in caplog.text
    for secret in ("secret", legacy_sms()["msisdn"], legacy_sms()["to"], TOKEN[:-1]):
        assert secret not in caplog.text + said
