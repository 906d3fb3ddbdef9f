"""Who may open the admin, and what those may not do who only look."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chats.models import Chat, VirtualNumber
from tests.admin.pages import CHATS, KEYS, MESSAGES, NUMBERS, PLATFORMS, page_of, search_chats
from tests.admin.population import Population, populate

INDEX = reverse("admin:index")
LISTS = (CHATS, MESSAGES, NUMBERS, PLATFORMS, KEYS)


@pytest.fixture
def population(db: None) -> Population:
    return populate()


@pytest.mark.parametrize("address", [INDEX, *LISTS])
def test_nobody_sees_anything_without_a_login(client: Client, db: None, address: str) -> None:
    for answer in (client.get(address), client.post(address, {"q": "x", "action": "end_chats"})):
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith(reverse("admin:login"))


def test_nobody_sees_or_ends_a_chat_without_a_login(client: Client, population: Population) -> None:
    end = reverse("admin:chats_chat_end_one_chat", args=[population.open_chat.pk])
    for address in (page_of(population.open_chat), end):
        assert client.get(address).headers["Location"].startswith(reverse("admin:login"))
    client.post(end, {"confirmed": "yes", "reason": "over"})
    assert Chat.objects.get(pk=population.open_chat.pk).status == "open"


def test_a_user_who_is_not_staff_sees_nothing(client: Client, population: Population) -> None:
    client.force_login(User.objects.create_user("una"))
    for address in (INDEX, *LISTS, page_of(population.open_chat)):
        assert client.get(address).status_code == 302


def test_staff_without_permissions_see_and_search_nothing(client: Client, population: Population) -> None:
    client.force_login(User.objects.create_user("una", is_staff=True))
    for address in (*LISTS, page_of(population.open_chat), page_of(population.numbers[0])):
        assert client.get(address).status_code == 403
    assert client.post(CHATS, {"q": "+14155550123"}).status_code == 403
    index = client.get(INDEX).content.decode()
    assert not [address for address in LISTS if address in index]


def test_the_sidebar_holds_the_pages_a_person_may_see(viewer: Client, population: Population) -> None:
    index = viewer.get(INDEX).content.decode()
    for address in LISTS:
        assert f'href="{address}"' in index


def test_a_viewer_sees_every_page(viewer: Client, population: Population) -> None:
    for address in LISTS:
        assert viewer.get(address).status_code == 200
    for row in (population.open_chat, population.numbers[0], population.platforms[0], population.keys[0]):
        assert viewer.get(page_of(row)).status_code == 200
    assert search_chats(viewer, "+1 415 555 0123").context["cl"].result_list


def test_a_viewer_changes_and_adds_no_number(viewer: Client, population: Population) -> None:
    number = population.numbers[0]
    assert viewer.post(page_of(number), {"state": "retired"}).status_code == 403
    add = reverse("admin:chats_virtualnumber_add")
    fields = {"number": "+14155550199", "country": "", "platform": "", "messages_per_second": 1}
    assert viewer.post(add, fields).status_code == 403
    assert VirtualNumber.objects.get(pk=number.pk).state == "active"
    assert not VirtualNumber.objects.filter(number="+14155550199").exists()


@pytest.mark.parametrize(
    "address", [*LISTS, reverse("admin:auth_user_changelist"), reverse("admin:auth_group_changelist")]
)
def test_no_list_offers_to_delete_what_is_selected(operator: Client, population: Population, address: str) -> None:
    assert "delete_selected" not in operator.get(address).content.decode()


def test_chats_are_neither_added_nor_deleted(operator: Client, population: Population) -> None:
    chat = population.ended_chat
    assert operator.post(reverse("admin:chats_chat_add"), {}).status_code == 403
    assert operator.post(page_of(chat, "delete"), {"post": "yes"}).status_code == 403
    operator.post(CHATS, {"action": "delete_selected", "_selected_action": str(chat.pk), "post": "yes"})
    assert Chat.objects.filter(pk=chat.pk).exists()


def test_the_record_of_what_a_user_did_is_not_deleted_with_them(operator: Client, population: Population) -> None:
    user = User.objects.create_user("una", is_staff=True)
    assert operator.post(page_of(user, "delete"), {"post": "yes"}).status_code == 403
    assert User.objects.filter(pk=user.pk).exists()


@pytest.mark.parametrize("address", [INDEX, *LISTS, reverse("admin:chats_virtualnumber_add")])
def test_a_page_loads_nothing_from_outside(operator: Client, population: Population, address: str) -> None:
    source = operator.get(address).content.decode()
    assert 'href="/static/chats/icon.svg"' in source
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*?(?:src|href)="([^"]+)"', source)
    assert loaded
    assert [address for address in loaded if not re.match(r"/(?!/)", address)] == []
