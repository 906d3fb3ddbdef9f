"""The API of the approval hook."""

from functools import partial

import pytest

from platforms.models import ApprovalHook, Platform
from tests.chats.helpers import at_once, errors
from tests.factories import make_api_client, make_platform

HOOK = "/approval-hook"
ROTATE = "/approval-hook/rotate-secret"
URL = "http://127.0.0.1:9/approve"
KEYS = {
    "url", "timeout_seconds", "default", "created_at", "previous_secret_until", "last_success_at", "last_failure_at",
    "last_failure", "consecutive_failures", "skipped_until",
}  # fmt: skip


def put(api, **fields):
    return api.put(HOOK, {"url": URL, "default": "block", **fields})


def test_it_is_set_and_its_secret_is_shown_once(api, platform):
    response = put(api)
    assert response.status_code == 201
    new = response.json()
    assert new.keys() == KEYS | {"secret"}
    assert new["secret"].startswith("whsec_")
    assert (new["url"], new["timeout_seconds"], new["default"]) == (URL, 3, "block")
    shown = api.get(HOOK).json()
    assert shown == {name: value for name, value in new.items() if name != "secret"}
    platform.refresh_from_db()
    assert platform.asks_for_approval


def test_it_is_changed_as_a_whole_and_keeps_its_secret(api):
    put(api, timeout_seconds=10)
    kept = ApprovalHook.objects.get().secret
    response = put(api, default="relay")
    assert response.status_code == 200
    changed = response.json()
    assert (changed["timeout_seconds"], changed["default"], changed["secret"]) == (3, "relay", None)
    assert ApprovalHook.objects.get().secret == kept


def test_it_is_removed(api, platform):
    put(api)
    assert api.delete(HOOK).status_code == 204
    platform.refresh_from_db()
    assert not platform.asks_for_approval
    for answer in (api.get(HOOK), api.delete(HOOK), api.post(ROTATE)):
        assert (answer.status_code, errors(answer)) == (404, [("not_found", None)])


def test_a_new_secret_leaves_the_one_before_it_alive_for_a_day(api):
    first = put(api).json()["secret"]
    rotated = api.post(ROTATE).json()
    hook = ApprovalHook.objects.get()
    assert (hook.secret, hook.previous_secret) == (rotated["secret"], first)
    assert rotated["previous_secret_until"]
    third = api.post(ROTATE).json()["secret"]
    hook.refresh_from_db()
    assert (hook.secret, hook.previous_secret) == (third, rotated["secret"])


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"url": None}, ("null", "url")),
        ({"url": ""}, ("blank", "url")),
        ({"url": "ftp://example.com"}, ("bad_url", "url")),
        ({"url": "https://a:b@127.0.0.1/"}, ("bad_url", "url")),
        ({"url": "http://127.0.0.1/" + "x" * 500}, ("max_length", "url")),
        ({"default": None}, ("null", "default")),
        ({"default": "pass"}, ("invalid_choice", "default")),
        ({"timeout_seconds": 0}, ("min_value", "timeout_seconds")),
        ({"timeout_seconds": 11}, ("max_value", "timeout_seconds")),
        ({"timeout_seconds": 1.5}, ("invalid", "timeout_seconds")),
        ({"secret": "mine"}, ("unknown_field", "secret")),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_set(api, fields, expected):
    response = put(api, **fields)
    assert (response.status_code, errors(response)) == (400, [expected])
    assert not ApprovalHook.objects.exists()


def test_the_default_has_to_be_said(api):
    assert errors(api.put(HOOK, {"url": URL})) == [("required", "default")]


@pytest.mark.parametrize("url", ["http://example.com/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.1.1/"])
def test_a_url_within_our_network_is_refused(api, settings, url):
    settings.ALLOW_PRIVATE_ENDPOINTS = False
    assert errors(put(api, url=url)) == [("bad_url", "url")]


def test_one_platform_sees_and_removes_only_its_own(api, other_api, other_platform):
    put(api)
    assert other_api.get(HOOK).status_code == other_api.delete(HOOK).status_code == 404
    put(other_api, default="relay")
    assert other_api.delete(HOOK).status_code == 204
    assert api.get(HOOK).json()["default"] == "block"


@pytest.mark.django_db(transaction=True)
def test_two_who_set_it_at_once_set_one():
    platform = make_platform()
    clients = [make_api_client(platform) for _ in range(4)]
    answers = at_once([partial(put, client, timeout_seconds=n + 1) for n, client in enumerate(clients)])
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert ApprovalHook.objects.count() == 1
    assert Platform.objects.get().asks_for_approval
