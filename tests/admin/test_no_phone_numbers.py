"""No page of the admin, and nothing it records, holds the full phone number of a person."""

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chats.models import Chat
from chats.services import end_chat
from platforms.models import ApiKey
from tests.admin.pages import CHATS, KEYS, NO_TEMPLATES, end_all, page_of, search_chats
from tests.admin.population import PEOPLE, Population, populate


@pytest.fixture
def population(db: None) -> Population:
    population = populate()
    Group.objects.create(name="night shift")
    # A platform may say why in its own words.
    end_chat(chat_id=population.ended_chat.pk, reason="x", now=timezone.now())
    Chat.objects.filter(pk=population.ended_chat.pk).update(end_reason="+1 (415) 555-0125 cancelled")
    return population


def find_numbers(text: str) -> list[str]:
    """Return the numbers of people that `text` holds, in full or without their country code."""
    digits = re.sub(r"[\s().\-\u2010-\u2015]", "", html.unescape(text))
    return [number for number in PEOPLE if number[-10:] in digits]


def walk(client: Client) -> Iterator[tuple[str, Any]]:
    """Yield every page that every model has: its list, and of each row the page, the history and the deletion."""
    yield "index", client.get(reverse("admin:index"))
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        for page in ("changelist", "add"):
            yield f"{name} {page}", client.get(reverse(f"{name}_{page}"))
        for row in model._default_manager.only("pk"):
            for page in ("change", "history", "delete"):
                yield f"{name} {page} {row.pk}", client.get(page_of(row, page))
        yield f"{name} app", client.get(reverse("admin:app_list", args=[model._meta.app_label]))


def test_no_page_holds_a_phone_number(operator: Client, population: Population) -> None:
    end_all(operator, [population.open_chat], reason="no-show")
    seen = 0
    for name, page in walk(operator):
        assert page.status_code in (200, 403), name
        assert find_numbers(page.content.decode()) == [], name
        seen += page.status_code == 200
    assert seen > 60


@pytest.mark.slow
def test_no_page_holds_a_phone_number_for_a_viewer(viewer: Client, population: Population) -> None:
    for name, page in walk(viewer):
        assert find_numbers(page.content.decode()) == [], name


def test_no_confirmation_page_holds_a_phone_number(operator: Client, population: Population) -> None:
    chats = list(Chat.objects.all())
    pages = [end_all(operator, chats), end_all(operator, chats, reason=f"for {PEOPLE[0]}")]
    pages += [operator.get(reverse("admin:chats_chat_end_one_chat", args=[chat.pk])) for chat in chats]
    keys = [key.pk for key in ApiKey.objects.all()]
    pages.append(operator.post(KEYS, {"action": "revoke_keys", "_selected_action": keys}))
    for page in pages[:1] + pages[2:]:
        assert page.status_code == 200
        assert find_numbers(page.content.decode()) == []
    # What the operator typed is given back to them, and only that.
    assert find_numbers(pages[1].content.decode()) == [PEOPLE[0]]


@pytest.mark.parametrize("number", PEOPLE)
def test_a_search_answers_without_the_number(operator: Client, population: Population, number: str) -> None:
    for typed in (number, number[1:], f"{number[:5]} {number[5:]}"):
        page = search_chats(operator, typed)
        assert find_numbers(page.content.decode()) == []
        assert find_numbers(str(page.redirect_chain)) == []


def test_nothing_that_is_recorded_holds_a_phone_number(operator: Client, population: Population) -> None:
    operator.post(CHATS, {"q": PEOPLE[0]})
    end_all(operator, list(Chat.objects.all()), reason="night")
    platform = {"name": "Rides Ltd", "introduction": "", "language": "en", "opt_out_scope": "number", **NO_TEMPLATES}
    operator.post(page_of(population.platforms[0]), platform)
    fields = {"state": "draining", "country": "US", "platform": "", "messages_per_second": 3, "paced_by": "texts",
              "can_sms": "on"}  # fmt: skip
    operator.post(page_of(population.numbers[0]), fields)
    keys = {"action": "revoke_keys", "confirmed": "yes", "_selected_action": [population.keys[0].pk]}
    operator.post(KEYS, keys)
    recorded = list(LogEntry.objects.values_list("object_repr", "change_message"))
    assert len(recorded) >= 5
    sessions = [session.get_decoded() for session in Session.objects.all()]
    assert find_numbers(f"{recorded} {sessions}") == []


def test_the_lists_cannot_be_asked_for_numbers_in_their_address(operator: Client, population: Population) -> None:
    for lookup in ("participants__phone_number", "participants__phone_digest", "participants__name__startswith"):
        assert operator.get(CHATS, {lookup: "x"}).status_code == 400
    answer = operator.get(reverse("admin:messaging_message_changelist"), {"stranger_number": PEOPLE[0]})
    assert answer.headers["Location"].endswith("?e=1")
