"""Who may call the API."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.test import APIClient, APIRequestFactory

from platforms.authentication import ApiKeyAuthentication
from platforms.models import ApiKey, Platform
from tests.chats.helpers import errors
from tests.chats.test_errors import ENDPOINTS
from tests.factories import make_api_key, make_chat
from tests.harness.statements import noted_statements

NOW = timezone.now()


def call(key, method="get", path="/chats"):
    return getattr(APIClient(headers={"Authorization": f"Bearer {key}"}), method)(path)


def refused(response):
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    [(code, attr)] = errors(response)
    assert attr is None
    return code


@pytest.mark.parametrize("method, path", ENDPOINTS)
class TestEveryEndpoint:
    def test_refuses_who_shows_no_key(self, db, method, path):
        assert refused(getattr(APIClient(), method)(path)) == "not_authenticated"

    def test_refuses_a_wrong_key(self, platform, method, path):
        key = make_api_key(platform)
        assert refused(call(key[:-1] + ("a" if key[-1] != "a" else "b"), method, path)) == "authentication_failed"

    def test_refuses_a_wrong_key_before_it_tells_what_exists(self, platform, virtual_number, method, path):
        chat = make_chat(platform)
        path = path.replace("0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11", str(chat.pk))
        assert refused(call("wrong", method, path)) == "authentication_failed"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "nonsense",
        "Basic dXNlcjpwYXNz",
        "Api-Key abcdefgh.12345678901234567890123456789012",
        "Bearer a b",
        "Bearer é.é",
        "Bearer \x00.\x00",
        "Bearer .",
        "Bearer " + "x" * 10_000,
    ],
)
def test_a_header_that_is_no_key_is_refused(platform, header):
    make_api_key(platform)
    refused(APIClient(headers={"Authorization": header}).get("/chats"))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_may_be_written_in_any_case(platform, scheme):
    key = make_api_key(platform)
    assert APIClient(headers={"Authorization": f"{scheme} {key}"}).get("/chats").status_code == 200


def test_a_platform_may_have_several_keys_and_revoke_one(platform):
    first, second = make_api_key(platform), make_api_key(platform)
    ApiKey.objects.filter(prefix=first.partition(".")[0]).update(revoked=True)
    assert refused(call(first)) == "authentication_failed"
    assert call(second).status_code == 200


def test_a_key_ends_when_it_expires(platform):
    assert refused(call(make_api_key(platform, expiry_date=NOW - timedelta(seconds=1)))) == "authentication_failed"
    assert call(make_api_key(platform, expiry_date=NOW + timedelta(days=1))).status_code == 200


def test_a_key_is_of_one_platform_only(platform, other_platform, virtual_number):
    chat = make_chat(platform)
    assert call(make_api_key(platform), path=f"/chats/{chat.pk}").status_code == 200
    assert call(make_api_key(other_platform), path=f"/chats/{chat.pk}").status_code == 404
    assert call(make_api_key(other_platform), path=f"/chats/{uuid4()}").status_code == 404


def test_a_key_costs_one_query(platform):
    key = make_api_key(platform)
    call(key)
    with noted_statements() as noted:
        assert call(key).status_code == 200
    # The key with its platform, its limits, the chats.
    assert len(noted) == 3


def test_a_platform_is_known_by_all_its_fields(platform):
    Platform.objects.update(allowed_countries=["US", "NP"], cool_down_hours=5, reads_per_minute=None, language="ne")
    key = make_api_key(platform)
    request = APIRequestFactory().get("/chats", headers={"Authorization": f"Bearer {key}"})
    user, auth = ApiKeyAuthentication().authenticate(Request(request))
    for found in (user, auth):
        assert not found._state.adding
        same = type(found).objects.get(pk=found.pk)
        for field in found._meta.concrete_fields:
            if field.name != "last_used_at":
                assert getattr(found, field.attname) == getattr(same, field.attname), field.name


def test_the_last_use_is_kept_once_a_minute(platform, time_machine):
    key = make_api_key(platform)

    def used_at(moment):
        time_machine.move_to(moment, tick=False)
        call(key)
        return ApiKey.objects.get().last_used_at

    first = used_at(NOW)
    assert abs(first - NOW) < timedelta(seconds=1)
    assert used_at(NOW + timedelta(seconds=59)) == first
    assert used_at(NOW + timedelta(seconds=60)) == first + timedelta(seconds=60)


def test_only_a_hash_of_the_key_is_kept(platform):
    key = make_api_key(platform)
    row = ApiKey.objects.get()
    secret = key.partition(".")[2]
    assert not any(secret in str(value) for value in vars(row).values())
