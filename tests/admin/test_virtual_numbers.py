"""The pages of virtual numbers: the list with its counts, adding through the service, editing what may be edited."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chats.models import VirtualNumber
from chats.services import end_chat
from platforms.models import Platform
from tests.admin.pages import NUMBERS, page_of, read, words_of
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
    assert len(many) == len(few) <= 10
    # The counts come with the rows: one statement reads the participants.
    assert len([query for query in many if "chats_participant" in query["sql"]]) == 1


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


def make_pool_after(size: int, **fields: Any) -> list[VirtualNumber]:
    """Return `size` more virtual numbers, beside those of `make_pool`."""
    return [
        VirtualNumber.objects.create(number=f"+1202555{200 + index:04}", country="US", **fields)
        for index in range(size)
    ]
