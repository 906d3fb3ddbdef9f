"""Each operator has the desk in a time zone and language of their own; nobody else's answers change with it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from chats.models import Chat
from operators.models import Preferences
from platforms.models import Platform
from tests.admin.pages import CHATS, page_of, read, words_of
from tests.factories import make_chat, make_pool

PAGE = reverse("preferences")
NOON = datetime(2030, 7, 1, 12, tzinfo=ZoneInfo("UTC"))


@pytest.fixture
def chat(platform: Platform) -> Chat:
    make_pool(1)
    with time_machine.travel(NOON, tick=False):
        return make_chat(platform)


def choose(client: Client, **fields: str) -> Any:
    return client.post(PAGE, {"time_zone": "Europe/Madrid", "language": "en", **fields}, follow=True)


def test_times_are_in_the_operators_zone_and_say_which(operator: Client, chat: Chat) -> None:
    assert "12:00:00 UTC" in read(operator, CHATS)
    choose(operator)
    assert "14:00:00 CEST" in read(operator, CHATS)
    assert "14:00:00 CEST" in read(operator, page_of(chat))
    choose(operator, time_zone="America/Sao_Paulo")
    assert "09:00:00 -03" in read(operator, page_of(chat))


def test_each_operator_has_a_zone_of_their_own(operator: Client, log_in: Callable[..., Client], chat: Chat) -> None:
    choose(operator)
    assert "12:00:00 UTC" in read(log_in("viewer"), CHATS)


def test_before_a_choice_the_browser_says_which(operator: Client, chat: Chat) -> None:
    operator.cookies["browser_zone"] = "Asia/Tokyo"
    assert "21:00:00 JST" in read(operator, CHATS)
    page = operator.get(PAGE)
    assert "You have chosen nothing yet" in page.content.decode()
    assert page.context["form"]["time_zone"].value() == "Asia/Tokyo"
    choose(operator)
    assert "14:00:00 CEST" in read(operator, CHATS)
    assert "You have chosen nothing yet" not in operator.get(PAGE).content.decode()


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../../etc/passwd", "Europe/Madrid; x"])
def test_a_zone_that_is_none_is_none(operator: Client, chat: Chat, zone: str) -> None:
    operator.cookies["browser_zone"] = zone
    assert "12:00:00 UTC" in read(operator, CHATS)
    assert "Select a valid choice" in words_of(choose(operator, time_zone=zone)) or not zone
    assert not Preferences.objects.exists()


def test_a_zone_that_is_gone_from_the_tables_is_utc(operator: Client, chat: Chat) -> None:
    Preferences.objects.create(user=User.objects.get(), time_zone="Europe/Atlantis", language="xx")
    assert "12:00:00 UTC" in read(operator, CHATS)


def test_the_login_page_asks_the_browser_for_its_zone(client: Client, db: None) -> None:
    assert "operators/zone.js" in client.get(reverse("admin:login")).content.decode()


def test_the_menu_leads_there(operator: Client) -> None:
    assert f'href="{PAGE}"' in operator.get(reverse("admin:index")).content.decode()


def test_a_page_asks_no_more_for_it(operator: Client, chat: Chat, django_assert_num_queries: Any) -> None:
    choose(operator)
    with django_assert_num_queries(2):
        # The session, and the user with their preferences.
        operator.get(reverse("admin:jsi18n"))


def test_the_language_is_chosen(operator: Client) -> None:
    assert "Zona horaria" in words_of(choose(operator, language="es"))
    assert "Se han guardado tus preferencias." in words_of(choose(operator, language="es"))
    assert operator.get(PAGE).headers["Content-Language"] == "es"
    assert "Time zone" in words_of(choose(operator, language="en"))


def test_before_a_choice_the_language_is_the_browsers(client: Client, db: None) -> None:
    login = client.get(reverse("admin:login"), headers={"Accept-Language": "es-MX,es;q=0.9,en;q=0.5"})
    assert 'lang="es"' in login.content.decode()
    assert 'lang="en' in client.get(reverse("admin:login"), headers={"Accept-Language": "fr"}).content.decode()


def test_the_api_is_english_in_utc_whoever_has_looked(operator: Client, chat: Chat, api: APIClient) -> None:
    choose(operator, language="es")
    read(operator, CHATS)
    answer = api.get(f"/chats/{chat.pk}", headers={"Accept-Language": "es"})
    assert answer.json()["created_at"] == "2030-07-01T12:00:00Z"
    wrong = api.post("/chats", {}, headers={"Accept-Language": "es"})
    assert "This field is required." in wrong.content.decode()


def test_an_export_is_the_same_whoever_makes_it(operator: Client, chat: Chat) -> None:
    choose(operator, language="es")
    export = operator.get(reverse("admin:chats_chat_export_transcript", args=[chat.pk]))
    text = b"".join(export.streaming_content).decode()
    assert text.startswith("\ufeffTime,From,To") and "waiting to be sent to Omar" in text
