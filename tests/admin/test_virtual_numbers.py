"""The pages of virtual numbers: the list with its counts, adding through the service, editing what may be edited."""

from datetime import UTC, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEntry
from chats.models import VirtualNumber, mask
from chats.number_models import NumberHealth, PoolForecast
from chats.pool import look_at_pools
from chats.services import end_chat
from messaging.models import Message, UsageDay
from messaging.number_health import note_health
from platforms.models import Platform
from tests.admin.pages import NUMBERS, page_of, read, words_of
from tests.admin.population import log_relay
from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA, make_chat, make_pool, make_virtual_number

ADD = reverse("admin:chats_virtualnumber_add")


def fields_of(number: VirtualNumber, **changes: Any) -> dict[str, Any]:
    """Return what the form of `number` posts when nothing but `changes` was changed in it."""
    fields: dict[str, Any] = {
        "state": number.state,
        "country": number.country,
        "platform": number.platform_id or "",
        "messages_per_second": number.messages_per_second,
        "paced_by": number.paced_by,
        "can_sms": number.can_sms,
        "can_mms": number.can_mms,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not False}


def new(**changes: Any) -> dict[str, Any]:
    return {"number": "+14155550101", "country": "", "platform": "", "messages_per_second": "5", **changes}


def test_the_list_counts_the_open_chats_of_each_number(operator: Client, platform: Platform) -> None:
    [busy] = make_pool(1)
    make_chat(platform)
    make_chat(platform, (ALICE, BOB))
    ended = make_chat(platform, (CHARLIE, "+14155550128"))
    end_chat(chat_id=ended.pk, reason="over", now=timezone.now())
    [idle] = make_pool_after(1)
    rows = {row.pk: row.open_chats for row in operator.get(NUMBERS).context["cl"].result_list}
    assert rows == {busy.pk: 2, idle.pk: 0}
    assert "+12025550100" in read(operator, NUMBERS)


def test_a_chat_across_two_numbers_counts_for_each(operator: Client, platform: Platform) -> None:
    first, second = make_pool(2)
    chat = make_chat(platform)
    chat.participants.filter(position=1).update(virtual_number=first)
    chat.participants.filter(position=2).update(virtual_number=second)
    rows = {row.pk: row.open_chats for row in operator.get(NUMBERS).context["cl"].result_list}
    assert rows == {first.pk: 1, second.pk: 1}


def test_many_numbers_cost_as_many_queries_as_one(operator: Client, platform: Platform) -> None:
    make_pool(1, platform=platform)
    operator.get(NUMBERS)
    with CaptureQueriesContext(connection) as few:
        operator.get(NUMBERS)
    make_pool_after(20, platform=platform)
    with CaptureQueriesContext(connection) as many:
        operator.get(NUMBERS)
    assert len(many) == len(few) <= 11
    # One statement counts the chats of the whole page, and one reads who is closest to the limit.
    assert len([query for query in many if "chats_participant" in query["sql"]]) == 2


def test_a_number_is_added_by_the_service(operator: Client, platform: Platform) -> None:
    page = operator.post(ADD, new(platform=platform.pk), follow=True)
    assert page.status_code == 200
    number = VirtualNumber.objects.get()
    assert (number.number, number.country, number.state) == ("+14155550101", "US", "active")
    assert (number.messages_per_second, number.paced_by, number.platform) == (5, "segments", platform)
    assert "added successfully" in words_of(page)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (new(number="4155550101"), "Use the E.164 format"),
        (new(number=""), "This field is required."),
        (new(messages_per_second="0"), "greater than or equal to 0.01"),
        (new(messages_per_second="nan"), "Enter a number."),
        (new(messages_per_second="inf"), "Enter a number."),
        (new(country="XX"), "Use an ISO 3166 code of two letters"),
        (new(number="+12025550100"), "already exists"),
        (new(number=SARA), "This is the phone number of a person in an open chat."),
    ],
)
def test_a_number_that_cannot_be_added_is_explained_in_the_form(
    operator: Client, platform: Platform, fields: dict[str, Any], error: str
) -> None:
    make_pool(1)
    make_chat(platform)
    assert error in words_of(operator.post(ADD, fields))
    assert VirtualNumber.objects.count() == 1


def test_a_country_in_small_letters_is_taken(operator: Client) -> None:
    operator.post(ADD, new(country="ca"))
    assert VirtualNumber.objects.get().country == "CA"


def test_what_may_be_edited_is_saved(operator: Client, platform: Platform) -> None:
    [number] = make_pool(1)
    changes = {"state": "draining", "country": "CA", "platform": platform.pk, "messages_per_second": 2.5,
               "paced_by": "segments", "can_sms": False, "can_mms": True}  # fmt: skip
    assert operator.post(page_of(number), fields_of(number, **changes)).status_code == 302
    number.refresh_from_db()
    assert (number.state, number.country, number.platform) == ("draining", "CA", platform)
    assert (number.messages_per_second, number.paced_by) == (2.5, "segments")
    assert (number.can_sms, number.can_mms) == (False, True)


def test_a_number_with_chats_is_not_retired_and_the_form_says_why(operator: Client, platform: Platform) -> None:
    [number] = make_pool(1)
    chat = make_chat(platform)
    changes = {"state": "retired", "country": "CA"}
    page = operator.post(page_of(number), fields_of(number, **changes))
    assert "1 chat that has not ended uses this number. Let it drain" in words_of(page)
    number.refresh_from_db()
    assert (number.state, number.country) == ("active", "US")
    end_chat(chat_id=chat.pk, reason="test", now=timezone.now())
    assert operator.post(page_of(number), fields_of(number, **changes)).status_code == 302
    number.refresh_from_db()
    assert (number.state, number.country) == ("retired", "CA")


def test_a_form_with_another_error_changes_no_state(operator: Client) -> None:
    [number] = make_pool(1)
    operator.post(page_of(number), fields_of(number, state="draining", country="XX"))
    number.refresh_from_db()
    assert number.state == "active"


def test_the_number_itself_and_its_pacing_cannot_be_edited(operator: Client) -> None:
    [number] = make_pool(1)
    form = operator.get(page_of(number)).context["adminform"].form
    editable = {"state", "country", "platform", "messages_per_second", "paced_by", "can_sms", "can_mms"}
    assert set(form.fields) == editable
    number.refresh_from_db()
    forged = {"number": "+14155550199", "next_send_at": "2099-01-01", "created_at": "2099-01-01"}
    operator.post(page_of(number), fields_of(number, state="draining") | forged)
    changed = VirtualNumber.objects.get(pk=number.pk)
    assert changed.state == "draining"
    assert (changed.number, changed.next_send_at) == (number.number, number.next_send_at)


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", ""])
def test_a_rate_that_cannot_be_paced_is_refused(operator: Client, rate: str) -> None:
    [number] = make_pool(1)
    assert operator.post(page_of(number), fields_of(number, messages_per_second=rate)).status_code == 200
    number.refresh_from_db()
    assert number.messages_per_second == 10


@pytest.mark.parametrize("country", ["XX", "1A", "us"])
def test_an_edited_country_is_a_country_or_made_one(operator: Client, country: str) -> None:
    number = make_virtual_number(country="CA")
    operator.post(page_of(number), fields_of(number, country=country))
    number.refresh_from_db()
    assert number.country == ("US" if country == "us" else "CA")


def test_the_senders_pacing_survives_an_edit(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender moves `next_send_at` after the admin has read the row and before it is saved."""
    [number] = make_pool(1)
    later = timezone.now() + timedelta(minutes=5)
    save = VirtualNumber.save

    def sender_is_faster(self: VirtualNumber, **kwargs: Any) -> None:
        VirtualNumber.objects.filter(pk=self.pk).update(next_send_at=later, can_mms=True)
        save(self, **kwargs)

    monkeypatch.setattr(VirtualNumber, "save", sender_is_faster)
    assert operator.post(page_of(number), fields_of(number, state="draining")).status_code == 302
    saved = VirtualNumber.objects.get(pk=number.pk)
    assert (saved.state, saved.next_send_at, saved.can_mms) == ("draining", later, True)


def test_numbers_are_not_deleted(operator: Client) -> None:
    [number] = make_pool(1)
    assert operator.post(page_of(number, "delete"), {"post": "yes"}).status_code == 403
    operator.post(NUMBERS, {"action": "delete_selected", "_selected_action": str(number.pk), "post": "yes"})
    assert VirtualNumber.objects.filter(pk=number.pk).exists()
    assert page_of(number, "delete") not in operator.get(page_of(number)).content.decode()


def test_a_person_is_not_recognised_by_the_list(operator: Client, platform: Platform) -> None:
    make_pool(1)
    make_chat(platform)
    page = read(operator, NUMBERS)
    assert SARA not in page and OMAR not in page


def log_days(number: VirtualNumber, platform: Platform, *, days: int = 1, **texts: int) -> None:
    """Put a day into the books: `relayed` texts in; `delivered`, `failed` and `sent` texts out."""
    for status, amount in texts.items():
        UsageDay.objects.create(
            day=timezone.now().astimezone(UTC).date() - timedelta(days=days),
            platform=platform,
            virtual_number=number,
            direction="in" if status == "relayed" else "out",
            kind="text" if status == "relayed" else "relay",
            status=status,
            currency="",
            **{"texts": amount, "segments": amount, "mms": 0, "attachments": 0, "price": 0},
        )


def move(client: Client, action: str, *numbers: VirtualNumber, **fields: str) -> Any:
    """Post what the list does when an action is chosen for `numbers`; `confirmed` confirms."""
    selected = [str(number.pk) for number in numbers]
    return client.post(NUMBERS, {"action": f"{action}_numbers", "_selected_action": selected, **fields}, follow=True)


def test_the_list_says_how_each_number_is_used_and_fares(operator: Client, platform: Platform) -> None:
    busy, poor, idle = make_pool(3)
    log_days(busy, platform, relayed=40, delivered=38, failed=2, sent=1)
    log_days(poor, platform, delivered=10, failed=20)
    # Longer ago than the list looks.
    log_days(idle, platform, days=8, relayed=3)
    page = read(operator, NUMBERS)
    assert "40 in, 41 out" in page and "95.0 %" in page
    assert "only 33.3 % delivered" in page
    assert "no texts" in page and "none yet" in page


def test_the_page_of_a_number_shows_four_weeks(operator: Client, platform: Platform) -> None:
    [number] = make_pool(1)
    log_days(number, platform, days=27, relayed=7, delivered=5)
    log_days(number, platform, days=28, relayed=1000)
    make_chat(platform)
    answer = operator.get(page_of(number))
    assert answer.context["number_state"].use.inbound == 7
    assert len(answer.context["number_bars"]) == 28
    assert "Open chats 1" in words_of(answer) and "<svg" in answer.content.decode()


def test_when_a_number_was_last_texted_to_and_had_a_receipt_is_noted(operator: Client, platform: Platform) -> None:
    [number] = make_pool(1)
    chat = make_chat(platform)
    sara = chat.participants.get(position=1)
    log_relay(sara, "hello", sent_at=timezone.now(), delivered_at=timezone.now())
    note_health(now=timezone.now())
    health = NumberHealth.objects.get()
    inbound = Message.objects.get(direction="in")
    assert (health.virtual_number, health.last_inbound_at) == (number, inbound.created_at)
    assert health.last_receipt_at == Message.objects.get(relays=inbound).delivered_at
    # What is too old to be read again is not forgotten.
    note_health(now=timezone.now() + timedelta(days=2))
    assert NumberHealth.objects.get().last_inbound_at == inbound.created_at
    assert operator.get(page_of(number)).context["number_state"].last_inbound != "none yet"


def test_a_number_that_was_told_to_slow_down_says_so(operator: Client) -> None:
    now = timezone.now()
    make_virtual_number(throttled_at=now, throttled_times=3, next_send_at=now + timedelta(minutes=1))
    assert "cools down until" in read(operator, NUMBERS)
    VirtualNumber.objects.update(next_send_at=now)
    assert "told to slow down 3 times, last at" in read(operator, NUMBERS)
    VirtualNumber.objects.update(throttled_at=now - timedelta(days=2))
    assert "slow down" not in read(operator, NUMBERS)


def test_who_is_closest_to_the_limit_is_shown_masked(operator: Client, platform: Platform) -> None:
    numbers = make_pool(3)
    make_virtual_number("+14155550110", state="reserved")
    for person in (OMAR, ALICE):
        make_chat(platform, (SARA, person))
    look_at_pools(now=timezone.now())
    forecast = PoolForecast.objects.get()
    assert (forecast.numbers, forecast.held_by_busiest_person, forecast.chats_left) == (3, 2, 1)
    for address in (NUMBERS, page_of(numbers[0])):
        page = read(operator, address)
        assert "1 more chat" in page and mask(SARA) in page and SARA not in page
        assert "holds or cools down from 2 of 3 numbers" in page


def test_what_a_person_holds_counts_for_every_platform(platform: Platform, other_platform: Platform) -> None:
    own = make_virtual_number("+14155550110", platform=other_platform)
    make_pool(2)
    make_chat(platform, (SARA, OMAR))
    ended = make_chat(other_platform, (SARA, ALICE))
    end_chat(chat_id=ended.pk, reason="over", now=timezone.now())
    look_at_pools(now=timezone.now())
    held = dict(PoolForecast.objects.values_list("platform__name", "held_by_busiest_person"))
    # Sara holds a shared number, and cools down from the other platform's own.
    assert ended.participants.filter(virtual_number=own).count() == 2
    assert held == {"Rides": 1, "Rentals": 2}
    VirtualNumber.objects.filter(pk=own.pk).update(state="draining")
    look_at_pools(now=timezone.now() + timedelta(days=30))
    held = dict(PoolForecast.objects.values_list("platform__name", "held_by_busiest_person"))
    assert held == {"Rides": 1, "Rentals": 0}


@pytest.mark.slow
def test_five_thousand_numbers_cost_as_many_queries_as_fifty(operator: Client, platform: Platform) -> None:
    VirtualNumber.objects.bulk_create(
        VirtualNumber(number=f"+1202{index:07}", country="US", platform=platform) for index in range(5000)
    )
    operator.get(NUMBERS)
    with CaptureQueriesContext(connection) as queries:
        answer = operator.get(NUMBERS)
    assert len(answer.context["cl"].result_list) == 50
    assert len(queries) <= 11
    # But for the badge of open reports.
    counted = [query["sql"] for query in queries if "COUNT(*)" in query["sql"]]
    assert not [sql for sql in counted if "chats_virtualnumber" in sql]


def test_the_page_of_a_number_takes_a_handful_of_queries(operator: Client, platform: Platform) -> None:
    [number] = make_pool(1)
    operator.get(page_of(number))
    with CaptureQueriesContext(connection) as few:
        operator.get(page_of(number))
    for index in range(5):
        make_chat(platform, (f"+1415555011{index}", f"+1415555012{index}"))
    log_days(number, platform, relayed=3, delivered=4)
    look_at_pools(now=timezone.now())
    with CaptureQueriesContext(connection) as many:
        operator.get(page_of(number))
    assert len(many) == len(few) <= 10


@pytest.mark.parametrize(
    ("action", "state", "words"),
    [
        ("activate", "active", "New chats are given these numbers from now on."),
        ("reserve", "reserved", "only when a platform asks for them by name"),
        ("drain", "draining", "No new chat gets them"),
        ("retire", "retired", "Retired numbers take no chats any more, and what people text to them reaches nobody."),
    ],
)
def test_numbers_are_moved_after_a_confirmation(
    operator: Client, platform: Platform, action: str, state: str, words: str
) -> None:
    before = "draining" if action == "activate" else "active"
    numbers = make_pool(2, state=before)
    asked = words_of(move(operator, action, *numbers))
    assert words in asked and all(number.number in asked for number in numbers)
    assert f"{before} → {state}" in asked
    assert set(VirtualNumber.objects.values_list("state", flat=True)) == {before}
    assert f"2 virtual numbers are {state} now." in words_of(move(operator, action, *numbers, confirmed="yes"))
    assert set(VirtualNumber.objects.values_list("state", flat=True)) == {state}
    audited = AuditEntry.objects.filter(action="changed", object_type="chats.virtualnumber", fields="state")
    assert {entry.object_id for entry in audited} == {str(number.pk) for number in numbers}
    assert f"Made {state}" in read(operator, page_of(numbers[0], "history"))
    # A double click posts it twice.
    assert "Nothing changed: that had been done before." in words_of(move(operator, action, *numbers, confirmed="yes"))
    assert audited.count() == 2


def test_a_number_with_chats_is_left_when_others_are_retired(operator: Client, platform: Platform) -> None:
    [busy] = make_pool(1)
    make_chat(platform)
    [idle] = make_pool_after(1)
    asked = words_of(move(operator, "retire", busy, idle))
    assert "1 is left as it is: chats that have not ended use it." in asked and "stays active" in asked
    done = words_of(move(operator, "retire", busy, idle, confirmed="yes"))
    assert "1 virtual number is retired now." in done and "1 is not retired" in done
    assert dict(VirtualNumber.objects.values_list("pk", "state")) == {busy.pk: "active", idle.pk: "retired"}


def test_the_last_active_numbers_are_not_drained_unawares(operator: Client, platform: Platform) -> None:
    shared, own = make_virtual_number(), make_virtual_number("+14155550101", platform=platform)
    asked = words_of(move(operator, "drain", shared, own))
    assert "Shared by all platforms: 0 active numbers are left." in asked
    assert "Platforms without numbers of their own cannot open chats then." in asked
    assert "Rides: 0 active numbers are left." in asked


def test_a_number_is_moved_from_its_own_page(operator: Client) -> None:
    [number] = make_pool(1)
    drain = reverse("admin:chats_virtualnumber_drain_number", args=[number.pk])
    assert drain in operator.get(page_of(number)).content.decode()
    assert "Drain this virtual number?" in read(operator, drain)
    assert "1 virtual number is draining now." in words_of(operator.post(drain, {"confirmed": "yes"}, follow=True))
    assert VirtualNumber.objects.get().state == "draining"
    # What it is already is not offered.
    assert drain not in operator.get(page_of(number)).content.decode()


def test_moving_many_numbers_takes_a_handful_of_queries(operator: Client, platform: Platform) -> None:
    numbers = [*make_pool(1, platform=platform), *make_pool_after(40)]
    for fields in ({}, {"confirmed": "yes"}):
        with CaptureQueriesContext(connection) as queries:
            answer = operator.post(
                NUMBERS, {"action": "drain_numbers", "_selected_action": [str(each.pk) for each in numbers], **fields}
            )
        assert answer.status_code in (200, 302)
        assert len(queries) <= 19


def test_a_viewer_moves_no_number(viewer: Client) -> None:
    [number] = make_pool(1)
    move(viewer, "drain", number, confirmed="yes")
    page = reverse("admin:chats_virtualnumber_drain_number", args=[number.pk])
    assert viewer.post(page, {"confirmed": "yes"}).status_code == 403
    assert VirtualNumber.objects.get().state == "active"
    assert page not in viewer.get(page_of(number)).content.decode()


def make_pool_after(size: int, **fields: Any) -> list[VirtualNumber]:
    """Return `size` more virtual numbers, beside those of `make_pool`."""
    return [
        VirtualNumber.objects.create(number=f"+1202555{200 + index:04}", country="US", **fields)
        for index in range(size)
    ]
