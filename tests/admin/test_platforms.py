"""The pages of platforms and API keys: a key is shown once, revoked for good, and never edited."""

import re
from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from platforms.models import ApiKey, Platform
from tests.admin.pages import KEYS, NO_TEMPLATES, PLATFORMS, page_of, read, words_of
from tests.factories import make_api_key, make_platform

ADD_PLATFORM = reverse("admin:platforms_platform_add")
ADD_KEY = reverse("admin:platforms_apikey_add")
INTRODUCTION = "Hi {name}, this is {platform}. Text {counterpart} here. Reply STOP to opt out."


def read_key(page: str) -> str:
    found = re.search(r"The new API key of .*? is (\S+)", page)
    assert found, page
    return found[1]


def is_accepted(key: str) -> bool:
    return APIClient(headers={"Authorization": f"Bearer {key}"}).get("/chats").status_code == 200


def revoke(client: Client, *keys: ApiKey, **fields: str) -> str:
    fields |= {"action": "revoke_keys"}
    return words_of(client.post(KEYS, fields | {"_selected_action": [str(key.pk) for key in keys]}, follow=True))


def test_a_new_platform_gets_a_key_that_opens_the_api(operator: Client) -> None:
    page = operator.post(
        ADD_PLATFORM,
        {"name": "Rides", "introduction": INTRODUCTION, "cool_down_hours": "2", **NO_TEMPLATES},
        follow=True,
    )
    assert is_accepted(read_key(words_of(page)))
    platform = Platform.objects.get()
    assert (platform.name, platform.introduction, platform.api_keys.count()) == ("Rides", INTRODUCTION, 1)
    assert platform.cool_down_hours == 2


def test_a_platform_gets_a_further_key(operator: Client, platform: Platform) -> None:
    page = operator.post(ADD_KEY, {"platform": platform.pk, "name": "second", "role": "write"}, follow=True)
    assert is_accepted(read_key(words_of(page)))
    key = platform.api_keys.get()
    assert (key.name, key.role, key.expiry_date) == ("second", "write", None)


def test_a_key_may_be_made_to_read_only_and_to_expire(operator: Client, platform: Platform) -> None:
    fields = {"name": "audit", "role": "read", "expiry_date_0": "2130-01-31", "expiry_date_1": "18:00"}
    page = operator.post(ADD_KEY, {"platform": platform.pk, **fields}, follow=True)
    text = read_key(words_of(page))
    assert is_accepted(text)
    assert APIClient(headers={"Authorization": f"Bearer {text}"}).post("/chats").status_code == 403
    assert platform.api_keys.get().expiry_date == datetime(2130, 1, 31, 18, tzinfo=UTC)
    listed = read(operator, KEYS)
    assert "read: GET only" in listed and "2130" in listed


def test_a_key_that_would_have_expired_already_is_not_made(operator: Client, platform: Platform) -> None:
    fields = {"name": "audit", "role": "read", "expiry_date_0": "2020-01-31", "expiry_date_1": "18:00"}
    page = words_of(operator.post(ADD_KEY, {"platform": platform.pk, **fields}, follow=True))
    assert "Must be in the future." in page
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("is_new", [True, False])
def test_a_platform_may_have_limits_of_its_own(operator: Client, db: None, is_new: bool) -> None:
    address = ADD_PLATFORM if is_new else page_of(make_platform("Rides"))
    fields = {"name": "Rides", "introduction": "", "reads_per_minute": "5", "chats_per_day": "0", **NO_TEMPLATES}
    assert operator.post(address, fields).status_code == 302
    platform = Platform.objects.get()
    assert (platform.reads_per_minute, platform.writes_per_minute, platform.chats_per_day) == (5, None, 0)
    fields["reads_per_minute"] = "-1"
    assert "greater than or equal to 0" in words_of(operator.post(page_of(platform), fields))


def test_a_key_is_shown_once_and_kept_nowhere(operator: Client, platform: Platform) -> None:
    page = operator.post(ADD_KEY, {"platform": platform.pk, "name": "second", "role": "write"}, follow=True)
    key = read_key(words_of(page))
    secret = key.partition(".")[2]
    assert len(secret) >= 32
    row = ApiKey.objects.get()
    for address in (KEYS, PLATFORMS, page_of(row), page_of(row, "history"), page_of(platform), reverse("admin:index")):
        assert secret not in operator.get(address).content.decode()
    kept = [*ApiKey.objects.values_list(), *LogEntry.objects.values_list()]
    kept += [session.get_decoded() for session in Session.objects.all()]
    assert secret not in str(kept)


def test_a_platforms_name_and_introduction_are_edited(operator: Client, platform: Platform) -> None:
    fields = {"name": "Rides Ltd", "introduction": INTRODUCTION, "cool_down_hours": "48", **NO_TEMPLATES}
    assert operator.post(page_of(platform), fields).status_code == 302
    platform.refresh_from_db()
    assert (platform.name, platform.introduction, platform.cool_down_hours) == ("Rides Ltd", INTRODUCTION, 48)
    assert "its own wording" in read(operator, PLATFORMS)


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "Call +1 415 555 0129"}, "Must not contain a phone number"),
        ({"name": "Rentals"}, "already exists"),
        ({"introduction": "Hi {name}"}, "Say how to opt out"),
        ({"introduction": "Hi {who}. Reply STOP to opt out."}, "Use only these fields"),
        ({"introduction": "Hi {name.__class__}. STOP"}, "without a format"),
        ({"introduction": "Call +1 415 555 0129. Reply STOP to opt out."}, "Must not contain a phone number"),
        ({"introduction": "STOP" * 200}, "at most 600 characters"),
        ({"cool_down_hours": "-1"}, "greater than or equal to 0"),
        ({"cool_down_hours": "nan"}, "Enter a number."),
    ],
)
def test_what_cannot_be_texted_is_refused_with_a_reason(
    operator: Client, platform: Platform, is_new: bool, fields: dict[str, str], error: str
) -> None:
    make_platform("Rentals")
    address = ADD_PLATFORM if is_new else page_of(platform)
    assert error in words_of(operator.post(address, {"name": "New name", "introduction": "", **NO_TEMPLATES, **fields}))
    assert set(Platform.objects.values_list("name", "introduction")) == {("Rides", ""), ("Rentals", "")}


def test_keys_are_revoked_after_a_confirmation(operator: Client, platform: Platform) -> None:
    text, other = make_api_key(platform), make_api_key(platform)
    key = ApiKey.objects.get(prefix=text.partition(".")[0])
    asked = revoke(operator, key)
    assert "Revoke this API key?" in asked and key.prefix in asked and "cannot be undone" in asked
    assert is_accepted(text)
    assert f"Revoked: {key.prefix}." in revoke(operator, key, confirmed="yes")
    assert not is_accepted(text) and is_accepted(other)
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("olga", key.pk)
    assert entry.get_change_message() == "Revoked the key"


def test_revoking_again_changes_nothing(operator: Client, platform: Platform) -> None:
    make_api_key(platform, revoked=True)
    assert "Revoked: nothing new." in revoke(operator, ApiKey.objects.get(), confirmed="yes")
    assert not LogEntry.objects.exists()


def test_nothing_of_a_key_is_edited_or_deleted(operator: Client, platform: Platform) -> None:
    make_api_key(platform)
    key = ApiKey.objects.get()
    page = operator.get(page_of(key))
    assert not page.context["adminform"].form.fields and 'name="_save"' not in page.content.decode()
    assert operator.post(page_of(key), {"name": "x", "revoked": "on"}).status_code == 403
    assert operator.post(page_of(key, "delete"), {"post": "yes"}).status_code == 403
    assert ApiKey.objects.get() == key and not key.revoked


def test_platforms_are_not_deleted(operator: Client, platform: Platform) -> None:
    assert operator.post(page_of(platform, "delete"), {"post": "yes"}).status_code == 403
    operator.post(PLATFORMS, {"action": "delete_selected", "_selected_action": str(platform.pk), "post": "yes"})
    assert Platform.objects.filter(pk=platform.pk).exists()


def test_the_list_counts_the_keys_in_use(operator: Client, platform: Platform) -> None:
    make_api_key(platform)
    make_api_key(platform, revoked=True)
    [row] = operator.get(PLATFORMS).context["cl"].result_list
    assert row.key_count == 1


def test_a_viewer_revokes_and_makes_no_key(viewer: Client, platform: Platform) -> None:
    text = make_api_key(platform)
    revoke(viewer, ApiKey.objects.get(), confirmed="yes")
    assert is_accepted(text)
    assert viewer.post(ADD_KEY, {"platform": platform.pk, "name": "x"}).status_code == 403
    assert viewer.post(ADD_PLATFORM, {"name": "x", "introduction": ""}).status_code == 403
    assert viewer.post(page_of(platform), {"name": "x", "introduction": ""}).status_code == 403
    assert (Platform.objects.get().name, ApiKey.objects.count()) == ("Rides", 1)


def test_a_template_is_added_and_shown_as_people_read_it_with_its_cost(operator: Client, platform: Platform) -> None:
    template = {"kind": "introduction", "language": "es_mx", "side": "1", "text": "Hola {name}, {reference}. STOP"}
    fields = {"name": "Rides", "introduction": "", "language": "es"}
    fields |= {"templates-TOTAL_FORMS": "1", "templates-INITIAL_FORMS": "0"}
    fields |= {f"templates-0-{name}": value for name, value in template.items()}
    page = words_of(operator.post(page_of(platform), fields | {"templates-0-text": "Hola {who}. STOP"}))
    assert "Use only these fields" in page and not platform.templates.exists()
    assert operator.post(page_of(platform), fields).status_code == 302
    platform.refresh_from_db()
    assert (platform.language, platform.templates.get().language) == ("es", "es-MX")
    page = read(operator, page_of(platform))
    assert "Hola Sara, booking-12. STOP (1 segment of GSM-7, room for 133 more characters)" in page
