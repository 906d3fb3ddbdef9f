"""Another operator's change is not overwritten unseen: who saves second is told who changed what, and loses nothing."""

import html
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from audit.models import AuditEntry
from chats.models import VirtualNumber
from operators.desk_admin import ReadOnlyAdmin
from operators.others_changes import TOKEN, NoticesOthersChanges
from platforms.models import ApprovalHook, Platform, Template, WebhookEndpoint
from tests.admin.pages import page_of, words_of
from tests.factories import make_platform, make_virtual_number


def open_page(client: Client, row: Any) -> dict[str, Any]:
    """Return what a browser would send of a row's page when nothing is typed."""
    response = client.get(page_of(row))
    assert response.status_code == 200
    return fields_of(response)


def fields_of(response: Any) -> dict[str, Any]:
    """Return the fields of a page as a browser would send them."""
    found: dict[str, Any] = {}
    formsets = [each.formset for each in response.context["inline_admin_formsets"]]
    forms = [response.context["adminform"].form, *(form for each in formsets for form in [*each.initial_forms])]
    for form in [*forms, *(each.management_form for each in formsets)]:
        for bound in form:
            value = bound.value()
            if bound.field.disabled:
                continue
            # Without the links beside a choice of other rows.
            widget = getattr(bound.field.widget, "widget", bound.field.widget)
            context = widget.get_context(bound.html_name, value, {})["widget"]
            for part in context.get("subwidgets", [context]):
                add_field(found, part, value)
    [found[TOKEN]] = re.findall(rf'name="{TOKEN}" value="([^"]+)"', html.unescape(response.content.decode()))
    return found


def add_field(found: dict[str, Any], part: dict[str, Any], value: Any) -> None:
    if part.get("type") == "checkbox" or "checked" in part.get("attrs", {}) or isinstance(value, bool):
        if value and value is not True:
            found.setdefault(part["name"], []).append(str(part["value"]))
        elif value:
            found[part["name"]] = "on"
    elif isinstance(part.get("value"), list):
        found[part["name"]] = part["value"]
    else:
        found[part["name"]] = "" if part.get("value") is None else part["value"]


@pytest.fixture
def olga(log_in: Callable[..., Client]) -> Client:
    return log_in("administrator", "olga")


@pytest.fixture
def oscar(log_in: Callable[..., Client]) -> Client:
    return log_in("administrator", "oscar")


def test_a_second_save_is_refused_once_and_says_who_changed_what(
    olga: Client, oscar: Client, platform: Platform
) -> None:
    olgas, oscars = open_page(olga, platform), open_page(oscar, platform)
    assert olga.post(page_of(platform), {**olgas, "name": "Rides of Paris"}).status_code == 302
    answer = oscar.post(page_of(platform), {**oscars, "name": "Rides of Rome"})
    words = words_of(answer)
    assert "something was changed: Name. By: olga (" in words
    assert "Somebody else has changed this to “Rides of Paris”. Below is what you typed" in words
    assert fields_of(answer)["name"] == "Rides of Rome"
    assert Platform.objects.get().name == "Rides of Paris"
    # Now oscar has seen it, and decides.
    assert oscar.post(page_of(platform), {**fields_of(answer)}).status_code == 302
    assert Platform.objects.get().name == "Rides of Rome"


def test_what_the_second_left_alone_stays_as_the_first_made_it(olga: Client, oscar: Client, platform: Platform) -> None:
    olgas, oscars = open_page(olga, platform), open_page(oscar, platform)
    olga.post(page_of(platform), {**olgas, "language": "es", "cool_down_hours": "12"})
    answer = oscar.post(page_of(platform), {**oscars, "name": "Rides of Rome"})
    words = words_of(answer)
    assert "something was changed: Language, Cool-down (hours). By: olga (" in words
    assert "changed this to “es”, which is kept when you save" in words
    again = fields_of(answer)
    assert (again["name"], again["language"], str(again["cool_down_hours"])) == ("Rides of Rome", "es", "12.0")
    assert oscar.post(page_of(platform), again).status_code == 302
    platform.refresh_from_db()
    assert (platform.name, platform.language, platform.cool_down_hours) == ("Rides of Rome", "es", 12)


def test_both_making_the_same_change_is_no_conflict(olga: Client, oscar: Client, platform: Platform) -> None:
    olgas, oscars = open_page(olga, platform), open_page(oscar, platform)
    for client, fields in ((olga, olgas), (oscar, oscars)):
        assert client.post(page_of(platform), {**fields, "name": "Rides of Paris"}).status_code == 302


def test_a_page_of_ones_own_in_another_window_is_no_exception(olga: Client, platform: Platform) -> None:
    first, second = open_page(olga, platform), open_page(olga, platform)
    olga.post(page_of(platform), {**first, "name": "Rides of Paris"})
    words = words_of(olga.post(page_of(platform), {**second, "name": "Rides of Rome"}))
    assert "By: you, in another window (" in words


def test_what_the_service_itself_changed_is_said_too(olga: Client, platform: Platform) -> None:
    fields = open_page(olga, platform)
    Platform.objects.update(records_events=True)
    words = words_of(olga.post(page_of(platform), {**fields, "name": "Rides of Rome"}))
    assert "something was changed: Records events. By: the service itself." in words
    assert "changed this to “yes”, which is kept" in words


def test_a_rejected_change_of_a_number_moves_no_state(
    olga: Client, oscar: Client, virtual_number: VirtualNumber
) -> None:
    olgas, oscars = open_page(olga, virtual_number), open_page(oscar, virtual_number)
    olga.post(page_of(virtual_number), {**olgas, "messages_per_second": "3"})
    answer = oscar.post(page_of(virtual_number), {**oscars, "state": "draining"})
    assert "something was changed: Messages per second" in words_of(answer)
    virtual_number.refresh_from_db()
    assert (virtual_number.state, virtual_number.messages_per_second) == ("active", 3)


def test_the_pacing_of_the_sender_is_no_change(olga: Client, virtual_number: VirtualNumber) -> None:
    fields = open_page(olga, virtual_number)
    VirtualNumber.objects.update(next_send_at="2030-01-01T00:00Z")
    assert olga.post(page_of(virtual_number), {**fields, "state": "draining"}).status_code == 302


def rows_of(platform: Platform) -> list[tuple[str, str]]:
    return sorted(Template.objects.filter(platform=platform).values_list("language", "text"))


@pytest.fixture
def templates(platform: Platform) -> list[Template]:
    texts = {"en": "Call {name}.", "es": "Llame a {name}."}
    return [
        Template.objects.create(platform=platform, kind="not_delivered", language=language, text=text)
        for language, text in texts.items()
    ]


def field_of(fields: dict[str, Any], template: Template, name: str) -> str:
    """Return the name of a field of the row of `template`."""
    [key] = [key for key, value in fields.items() if key.endswith("-id") and str(value) == str(template.pk)]
    return f"{key.removesuffix('-id')}-{name}"


def test_a_template_that_another_changed_is_not_overwritten(
    olga: Client, oscar: Client, platform: Platform, templates: list[Template]
) -> None:
    olgas, oscars = open_page(olga, platform), open_page(oscar, platform)
    text = field_of(olgas, templates[0], "text")
    olga.post(page_of(platform), {**olgas, text: "Write to {name}."})
    answer = oscar.post(page_of(platform), {**oscars, text: "Wait for {name}."})
    words = words_of(answer)
    assert "something was changed: Text. By: olga (" in words and "“Write to {name}.”" in words
    assert ("en", "Write to {name}.") in rows_of(platform)
    again = fields_of(answer)
    assert again[text] == "Wait for {name}."
    assert oscar.post(page_of(platform), again).status_code == 302
    assert ("en", "Wait for {name}.") in rows_of(platform)


def test_a_template_that_another_changed_is_not_deleted_unseen(
    olga: Client, oscar: Client, platform: Platform, templates: list[Template]
) -> None:
    olgas, oscars = open_page(olga, platform), open_page(oscar, platform)
    olga.post(page_of(platform), {**olgas, field_of(olgas, templates[0], "text"): "Write to {name}."})
    oscars[field_of(oscars, templates[0], "DELETE")] = "on"
    answer = oscar.post(page_of(platform), oscars)
    assert "something was changed: Text. By: olga (" in words_of(answer)
    assert len(rows_of(platform)) == 2
    again = {**fields_of(answer), field_of(oscars, templates[0], "DELETE"): "on"}
    assert oscar.post(page_of(platform), again).status_code == 302
    assert [language for language, _ in rows_of(platform)] == ["es"]


def test_what_was_typed_into_a_row_that_another_deleted_is_still_there(
    olga: Client, oscar: Client, platform: Platform, templates: list[Template]
) -> None:
    olgas, oscars = open_page(olga, platform), open_page(oscar, platform)
    olga.post(page_of(platform), {**olgas, field_of(olgas, templates[0], "DELETE"): "on"})
    text = field_of(oscars, templates[0], "text")
    answer = oscar.post(page_of(platform), {**oscars, text: "Wait for {name}."})
    assert "Somebody else has deleted a row of this table." in words_of(answer)
    assert "Wait for {name}." in words_of(answer)
    again = {**fields_of(answer), field_of(oscars, templates[0], "DELETE"): "on"}
    before = AuditEntry.objects.filter(action="deleted").count()
    assert oscar.post(page_of(platform), again).status_code == 302
    assert AuditEntry.objects.filter(action="deleted").count() == before
    assert [language for language, _ in rows_of(platform)] == ["es"]


def test_groups_that_another_gave_a_user_are_not_taken_back_unseen(olga: Client, oscar: Client) -> None:
    una = User.objects.create_user("una", is_staff=True, first_name="Una")
    group = Group.objects.get(name="viewer")
    olgas, oscars = open_page(olga, una), open_page(oscar, una)
    assert olga.post(page_of(una), {**olgas, "groups": [group.pk]}).status_code == 302
    answer = oscar.post(page_of(una), {**oscars, "first_name": "Ursula"})
    assert "changed this to “viewer”, which is kept" in words_of(answer)
    assert oscar.post(page_of(una), fields_of(answer)).status_code == 302
    una.refresh_from_db()
    assert una.first_name == "Ursula" and list(una.groups.all()) == [group]


@pytest.mark.parametrize("page", ["endpoint", "hook", "group"])
def test_other_pages_do_the_same(olga: Client, oscar: Client, platform: Platform, page: str) -> None:
    row: Any
    if page == "endpoint":
        row = WebhookEndpoint.objects.create(platform=platform, url="http://127.0.0.1:9/x", secret="x")
        theirs, mine = {"url": "http://127.0.0.1:9/y"}, {"event_types": ["ping"]}
    elif page == "hook":
        row = ApprovalHook.objects.create(
            platform=platform, url="http://127.0.0.1:9/x", secret="x", default="block", timeout_seconds=3
        )
        theirs, mine = {"timeout_seconds": "5"}, {"default": "relay"}
    else:
        row = Group.objects.create(name="night shift")
        theirs, mine = {"name": "day shift"}, {"name": "late shift"}
    olgas, oscars = open_page(olga, row), open_page(oscar, row)
    assert olga.post(page_of(row), {**olgas, **theirs}).status_code == 302
    answer = oscar.post(page_of(row), {**oscars, **mine})
    assert "By: olga (" in words_of(answer)
    assert oscar.post(page_of(row), {**fields_of(answer), **mine}).status_code == 302


def test_a_page_of_another_row_is_as_if_all_had_changed(olga: Client, platform: Platform) -> None:
    other = open_page(olga, make_platform("Rentals"))
    fields = {**open_page(olga, platform), TOKEN: other[TOKEN], "name": "Rides of Rome"}
    assert "something was changed" in words_of(olga.post(page_of(platform), fields))
    assert Platform.objects.get(pk=platform.pk).name == "Rides"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_save_at_the_same_time_one_is_told(log_in: Callable[..., Client]) -> None:
    number = make_virtual_number()
    clients = [log_in("administrator", name) for name in ("olga", "oscar")]
    pages = [open_page(client, number) for client in clients]
    start, answers = threading.Barrier(2), []

    def save(client: Client, fields: dict[str, Any], rate: str) -> None:
        try:
            start.wait(60)
            answers.append(client.post(page_of(number), {**fields, "messages_per_second": rate}).status_code)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=save, args=(client, fields, rate))
        for client, fields, rate in zip(clients, pages, ("3", "4"), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == [200, 302]


def test_no_page_that_changes_something_is_left_out() -> None:
    pages = [page for page in admin.site._registry.values() if not isinstance(page, ReadOnlyAdmin)]
    assert pages and [page for page in pages if not isinstance(page, NoticesOthersChanges)] == []
