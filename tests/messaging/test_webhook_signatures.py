"""Whom the webhooks believe: every check of the signature, and that nothing of a forged webhook is stored."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives import serialization
from django.conf import settings as service_settings

from messaging.models import Message
from tests.messaging.payloads import receipt, sms
from tests.messaging.rows import make_queued
from tests.messaging.signing import ABSENT, INBOUND, STATUS, encode, make_token, post, signed_post

pytestmark = pytest.mark.django_db

HOUR = 3600
BODY = encode(sms())
OTHER_BODY = encode(sms(text="other"))


def iat(**from_now: float) -> int:
    return int(time.time() + from_now.get("seconds", 0) + from_now.get("hours", 0) * HOUR)


def unsigned(header: dict) -> str:
    """Return a token of that header without a signature."""
    return make_token(BODY, headers=header).rpartition(".")[0] + "."


def public_key(settings) -> str:
    """Return the public half of the application's key: what a confused verifier would take as an HMAC secret."""
    key = serialization.load_pem_private_key(settings.VONAGE_PRIVATE_KEY.encode(), None).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def raw_claims(claims: str) -> str:
    """Return a well-signed token whose claims are this text."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"alg":"HS256"}', claims.encode())]
    signature = hmac.digest(service_settings.VONAGE_SIGNATURE_SECRET.encode(), b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def refuse(client, authorization: str | None, status: int) -> None:
    """Check that both webhooks refuse that header, in the error shape of the service, and store nothing."""
    before = list(Message.objects.values())
    for path in (INBOUND, STATUS):
        response = post(client, path, BODY, authorization)
        assert response.status_code == status
        answer = response.json()
        assert answer["type"] == ("server_error" if status >= 500 else "client_error")
        assert [set(error) for error in answer["errors"]] == [{"code", "detail", "attr"}]
    assert list(Message.objects.values()) == before


# --- No token ------------------------------------------------------------------------------------------------

UNSIGNED = {
    "no header": None,
    "an empty header": "",
    "Basic": "Basic YWJjZDEyMzQ6c2VjcmV0",
    "Bearer without a token": "Bearer",
    "Bearer and a space": "Bearer ",
    "only a token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
}


@pytest.mark.parametrize("authorization", UNSIGNED.values(), ids=UNSIGNED)
def test_an_unsigned_webhook_is_answered_503_so_that_it_comes_again_signed(client, chat, authorization):
    refuse(client, authorization, 503)


# --- Tokens that prove nothing ---------------------------------------------------------------------------------

GARBAGE = {
    "a word": "garbage",
    "dots": "...",
    "two dots": "..",
    "not base64": "ä.ö.ü",
    "NUL": "a.\x00.b",
    "header is no object": base64.urlsafe_b64encode(b"[]").decode() + ".e30.",
    "header is deeply nested": base64.urlsafe_b64encode(b"[" * 50_000).decode() + ".e30.",
    "very long": "a" * 100_000,
}


@pytest.mark.parametrize("token", GARBAGE.values(), ids=GARBAGE)
def test_garbage_for_a_token_is_refused(client, chat, token):
    refuse(client, f"Bearer {token}", 401)


FORGED_HEADERS = {
    "alg none": {"alg": "none"},
    "alg None": {"alg": "None"},
    "alg empty": {"alg": ""},
    "alg null": {"alg": None},
    "alg a list": {"alg": ["HS256"]},
    "alg missing": {"alg": ABSENT},
    "HS384": {"alg": "HS384"},
    "HS512": {"alg": "HS512"},
    "RS256": {"alg": "RS256"},
    "lower case": {"alg": "hs256"},
    "a critical extension": {"crit": ["exp"], "exp": 1},
    "a kid that is no string": {"kid": 1},
    "a detached payload": {"b64": False, "crit": ["b64"]},
}


@pytest.mark.parametrize("header", FORGED_HEADERS.values(), ids=FORGED_HEADERS)
def test_only_hs256_is_believed(client, chat, header):
    refuse(client, f"Bearer {make_token(BODY, headers=header)}", 401)
    refuse(client, f"Bearer {unsigned(header)}", 401)


SECRETS = {
    "of somebody else": lambda settings: "x" * 32,
    "empty": lambda settings: "",
    "a prefix": lambda settings: settings.VONAGE_SIGNATURE_SECRET[:-1],
    "the API secret": lambda settings: settings.VONAGE_API_SECRET,
    "the application's public key": public_key,
}


@pytest.mark.parametrize("choose", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
def test_only_the_accounts_secret_is_believed(client, chat, settings, choose, algorithm):
    token = make_token(BODY, secret=choose(settings), headers={"alg": algorithm})
    refuse(client, f"Bearer {token}", 401)


# --- Claims ----------------------------------------------------------------------------------------------------

FORGED_CLAIMS = {
    "no payload_hash": {"payload_hash": ABSENT},
    "payload_hash null": {"payload_hash": None},
    "payload_hash of another body": {"payload_hash": hashlib.sha256(OTHER_BODY).hexdigest()},
    "payload_hash in upper case": {"payload_hash": hashlib.sha256(BODY).hexdigest().upper()},
    "payload_hash not ASCII": {"payload_hash": "é" * 64},
    "payload_hash a lone surrogate": {"payload_hash": "\ud800"},
    "payload_hash a list": {"payload_hash": [hashlib.sha256(BODY).hexdigest()]},
    "payload_hash empty": {"payload_hash": ""},
    "no iss": {"iss": ABSENT},
    "iss of somebody else": {"iss": "Nexmo"},
    "iss in lower case": {"iss": "vonage"},
    "iss a list": {"iss": ["Vonage"]},
    "no jti": {"jti": ABSENT},
    "jti a number": {"jti": 5},
    "no api_key": {"api_key": ABSENT},
    "api_key null": {"api_key": None},
    "api_key of another account": {"api_key": "ffff9999"},
    "api_key a list": {"api_key": ["abcd1234"]},
    "another application": {"application_id": "00000000-0000-4000-8000-000000000000"},
    "application_id a list": {"application_id": []},
    "no iat": {"iat": ABSENT},
    "iat null": {"iat": None},
    "iat a word": {"iat": "now"},
    "iat a list": {"iat": [1]},
    "iat negative": {"iat": -1},
    "iat true": {"iat": True},
    "iat enormous": {"iat": 10**4000},
    "iat NaN": {"iat": float("nan")},
    "iat infinite": {"iat": float("inf")},
    "iat minus infinite": {"iat": float("-inf")},
    "expired": {"exp": 1},
    "exp a word": {"exp": "never"},
    "exp infinite": {"exp": float("inf")},
    "nbf tomorrow": {"nbf": 99_999_999_999},
}


@pytest.mark.parametrize("claims", FORGED_CLAIMS.values(), ids=FORGED_CLAIMS)
def test_a_claim_that_is_wrong_is_refused(client, chat, claims):
    refuse(client, f"Bearer {make_token(BODY, **claims)}", 401)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '"x"', "{", '{"iat":1e400}', "[" * 50_000], ids=lambda text: text[:5]
)
def test_claims_that_are_no_object_are_refused(client, chat, text):
    refuse(client, f"Bearer {raw_claims(text)}", 401)


AGES = {
    "100 s ahead": ({"seconds": 100}, 200),
    "an hour ahead": ({"hours": 1}, 401),
    "24 h old": ({"hours": -24}, 200),
    "26 h old": ({"hours": -26}, 401),
}


@pytest.mark.parametrize(("age", "status"), AGES.values(), ids=AGES)
def test_a_signature_counts_for_as_long_as_vonage_retries(client, chat, age, status):
    payload = sms()
    assert signed_post(client, INBOUND, payload, iat=iat(**age)).status_code == status
    assert Message.objects.filter(direction="in").count() == (status == 200)


BELIEVED = {
    "as documented": lambda: {},
    "no application_id": lambda: {"application_id": ABSENT},
    "application_id null": lambda: {"application_id": None},
    "iat a float": lambda: {"iat": time.time()},
    "iat a string of digits": lambda: {"iat": str(iat())},
    "an audience": lambda: {"aud": "somebody"},
    "a subject that is a number": lambda: {"sub": 5},
    "an expiry in the future": lambda: {"exp": iat(hours=1)},
    "unknown claims": lambda: {"nested": {"a": [1]}},
}


@pytest.mark.parametrize("claims", BELIEVED.values(), ids=BELIEVED)
def test_what_vonage_signs_is_believed(client, chat, claims):
    assert signed_post(client, INBOUND, sms(), **claims()).status_code == 200
    assert Message.objects.filter(direction="in").count() == 1


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_not_case_sensitive(client, chat, scheme):
    assert post(client, INBOUND, BODY, f"{scheme} {make_token(BODY)}").status_code == 200


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_short_secret_is_the_accounts_to_choose(client, chat, settings):
    settings.VONAGE_SIGNATURE_SECRET = "short"
    assert signed_post(client, INBOUND, sms()).status_code == 200
    assert signed_post(client, INBOUND, sms(), secret="other").status_code == 401


def test_a_token_does_not_authenticate_another_body(client, chat):
    token = make_token(BODY)
    assert post(client, INBOUND, BODY, f"Bearer {token}").status_code == 200
    assert post(client, INBOUND, OTHER_BODY, f"Bearer {token}").status_code == 401
    assert post(client, INBOUND, BODY + b" ", f"Bearer {token}").status_code == 401
    assert Message.objects.filter(direction="in").count() == 1


def test_the_age_that_counts_can_be_set(client, chat, settings):
    settings.WEBHOOK_MAX_AGE_HOURS = 1
    assert signed_post(client, INBOUND, sms(), iat=iat(hours=-2)).status_code == 401


def test_a_forged_receipt_moves_nothing(client, omar):
    message = make_queued(omar, status="sent")
    forged = receipt(client_ref=str(message.pk), status="rejected")
    assert signed_post(client, STATUS, forged, secret="x" * 32).status_code == 401
    message.refresh_from_db()
    assert message.status == "sent"


@pytest.mark.parametrize("path", [INBOUND, STATUS])
@pytest.mark.parametrize("method", ["head", "put", "patch", "delete", "options"])
def test_only_get_and_post_are_taken(client, path, method):
    assert getattr(client, method)(path).status_code == 405


def test_the_reason_is_told_without_the_token_or_the_body(client, chat, caplog):
    token = make_token(BODY, iss="Nexmo")
    response = post(client, INBOUND, BODY, f"Bearer {token}")
    said = json.dumps(response.json()) + caplog.text
    assert "webhook refused" in caplog.text
    for secret in (token, "Hello there", sms()["from"]):
        assert secret not in said
