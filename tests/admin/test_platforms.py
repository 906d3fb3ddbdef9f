"""The pages of platforms and API keys: a key is shown once, revoked for good, and never edited."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from audit.models import AuditEntry
from messaging.models import UsageDay
from platforms.models import ApiKey, Event, EventDelivery, Platform, Template, WebhookEndpoint
from tests.admin.pages import KEYS, NO_TEMPLATES, PLATFORMS, page_of, read, words_of
from tests.factories import make_api_key, make_platform, make_virtual_number

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


def show_preview(client: Client, platform: Platform, **fields: str) -> Any:
    return client.post(reverse("admin:platforms_platform_preview", args=[platform.pk]), fields)


def test_the_page_of_a_platform_shows_its_keys(operator: Client, platform: Platform) -> None:
    make_api_key(platform)
    make_api_key(platform, revoked=True)
    ApiKey.objects.filter(revoked=False).update(last_used_at=datetime(2026, 3, 1, 12, tzinfo=UTC))
    page = read(operator, page_of(platform))
    assert "last used 1 Mar 2026, 12:00" in page and "never used" in page
    assert page.count("Revoke …") == 1
    assert f"{ADD_KEY}?platform={platform.pk}" in operator.get(page_of(platform)).content.decode()
    chosen = operator.get(ADD_KEY, {"platform": platform.pk}).context["adminform"].form
    assert chosen.get_initial_for_field(chosen.fields["platform"], "platform") == str(platform.pk)


@pytest.fixture
def endpoint(platform: Platform) -> WebhookEndpoint:
    """One to which two deliveries have failed, and whose third still waits."""
    endpoint = WebhookEndpoint.objects.create(
        platform=platform,
        url="https://example.com/events",
        secret="x",
        consecutive_failures=2,
        last_failure_at=timezone.now(),
        last_failure="answered 500",
    )
    for status in ("failed", "failed", "waiting"):
        event = Event.objects.create(platform=platform, type="ping", payload="{}")
        EventDelivery.objects.create(
            event=event,
            endpoint=endpoint,
            position=event.pk.int % 1000,
            status=status,
            attempts=3,
            due_at=timezone.now() if status == "waiting" else None,
        )
    return endpoint


def test_what_an_endpoint_did_not_take_is_delivered_again(operator: Client, endpoint: WebhookEndpoint) -> None:
    page = read(operator, page_of(endpoint.platform))
    assert "fails, 2 times in a row" in page and "answered 500 · 1 waiting, 2 failed" in page
    again = reverse("admin:platforms_platform_redeliver", args=[endpoint.platform_id, endpoint.pk])
    assert "Deliver 2 events again?" in read(operator, again)
    assert EventDelivery.objects.filter(status="failed").count() == 2
    assert "2 events are on their way again." in words_of(operator.post(again, {"confirmed": "yes"}, follow=True))
    assert set(EventDelivery.objects.values_list("status", flat=True)) == {"waiting"}
    assert AuditEntry.objects.get(action="redelivered_event").object_id == str(endpoint.pk)
    # A double click posts it twice.
    assert "Nothing had failed there" in words_of(operator.post(again, {"confirmed": "yes"}, follow=True))
    assert AuditEntry.objects.filter(action="redelivered_event").count() == 1


def test_nothing_is_delivered_again_to_an_endpoint_that_is_off(operator: Client, endpoint: WebhookEndpoint) -> None:
    WebhookEndpoint.objects.update(is_enabled=False)
    again = reverse("admin:platforms_platform_redeliver", args=[endpoint.platform_id, endpoint.pk])
    assert again not in operator.get(page_of(endpoint.platform)).content.decode()
    assert "switched off" in words_of(operator.post(again, {"confirmed": "yes"}, follow=True))
    assert EventDelivery.objects.filter(status="failed").count() == 2


def test_an_endpoint_is_looked_for_on_its_own_platform(
    operator: Client, endpoint: WebhookEndpoint, other_platform: Platform
) -> None:
    again = reverse("admin:platforms_platform_redeliver", args=[other_platform.pk, endpoint.pk])
    assert operator.get(again).status_code == operator.post(again).status_code == 404


def test_a_viewer_delivers_nothing_again_and_is_offered_nothing(viewer: Client, endpoint: WebhookEndpoint) -> None:
    make_api_key(endpoint.platform)
    page = read(viewer, page_of(endpoint.platform))
    assert "in use" in page and "Revoke …" not in page and "Make a key" not in page and "Deliver again" not in page
    again = reverse("admin:platforms_platform_redeliver", args=[endpoint.platform_id, endpoint.pk])
    assert viewer.get(again).status_code == viewer.post(again).status_code == 403


def test_a_template_is_previewed_as_it_would_be_texted(operator: Client, platform: Platform) -> None:
    text = "Hi {name}, {counterpart} is here. STOP to opt out \N{PARTY POPPER}"
    told = show_preview(operator, platform, kind="introduction", language="en", side="", text=text).json()
    assert told["text"] == "Hi Sara, Omar is here. STOP to opt out \N{PARTY POPPER}"
    assert told["words"].startswith("1 segment of UCS-2, room for") and "because of \N{PARTY POPPER}" in told["words"]
    assert told["problem"] == "" and "{reference}" in told["fields"]
    told = show_preview(operator, platform, kind="introduction", language="en", text="Hi {who}").json()
    assert "Use only these fields" in told["problem"]
    told = show_preview(operator, platform, kind="help", language="not a tag!", text="").json()
    assert told["text"] and told["note"] == "What people read without this template."
    assert show_preview(operator, platform, kind="nonsense").json()["words"] == "Choose what it is for."
    assert not platform.templates.exists()


def test_a_preview_says_what_a_segment_costs(operator: Client, platform: Platform) -> None:
    number = make_virtual_number()
    UsageDay.objects.create(
        day=timezone.now().date(),
        platform=platform,
        virtual_number=number,
        direction="out",
        kind="relay",
        status="delivered",
        currency="EUR",
        **{"texts": 10, "segments": 20, "mms": 0, "attachments": 0, "price": "0.142"},
    )
    told = show_preview(operator, platform, kind="help", language="en", text="x" * 200).json()
    assert "2 segments of GSM-7" in told["words"] and "about 0.0142 EUR each" in told["words"]


def test_a_preview_is_for_those_who_see_platforms_and_posted(platform: Platform, operator: Client) -> None:
    address = reverse("admin:platforms_platform_preview", args=[platform.pk])
    assert operator.get(address).status_code == 405
    client = Client()
    client.force_login(User.objects.create_user("una", is_staff=True))
    assert client.post(address, {"kind": "help", "text": "x"}).status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="olga"))
    assert strict.post(address, {"kind": "help", "text": "x"}).status_code == 403


def test_the_page_of_a_platform_takes_a_handful_of_queries(operator: Client, endpoint: WebhookEndpoint) -> None:
    platform = endpoint.platform
    make_api_key(platform)
    Template.objects.create(platform=platform, kind="help", language="en", text="Call {platform}.")
    operator.get(page_of(platform))
    with CaptureQueriesContext(connection) as few:
        operator.get(page_of(platform))
    for index in range(8):
        make_api_key(platform)
        Template.objects.create(platform=platform, kind="help", language=f"{'abcdefgh'[index]}a", text="x")
        WebhookEndpoint.objects.create(platform=platform, url=f"https://example.com/{index}", secret="x")
    with CaptureQueriesContext(connection) as many:
        operator.get(page_of(platform))
    assert len(many) == len(few) <= 11


def test_the_words_that_opt_out_are_named(operator: Client, platform: Platform) -> None:
    page = read(operator, page_of(platform))
    assert "Opt-out words" in page and "stop, stopall" in page and "darse de baja" in page
