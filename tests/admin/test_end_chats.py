"""Ending chats: what is asked before, what is done, and what is recorded."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chats import admin as chats_admin
from chats.models import Chat
from chats.services import end_chat
from messaging.models import Message
from platforms.models import Platform
from tests.admin.pages import CHATS, end_all, page_of, read, words_of
from tests.factories import ALICE, BOB, SARA, make_chat, make_pool


@pytest.fixture
def chats(platform: Platform) -> list[Chat]:
    make_pool(2)
    return [
        make_chat(platform, reference="booking-8812"),
        make_chat(platform, (ALICE, BOB), names=("Alice", "Bob")),
    ]


@pytest.fixture
def chat(chats: list[Chat]) -> Chat:
    return chats[0]


def end_page(chat: Chat) -> str:
    return reverse("admin:chats_chat_end_one_chat", args=[chat.pk])


def test_the_confirmation_says_what_happens_to_whom(operator: Client, chats: list[Chat]) -> None:
    number = chats[0].participants.get(position=1).virtual_number.number
    page = words_of(end_all(operator, chats))
    for shown in (
        "End these 2 chats?",
        "can no longer text each other",
        "until a chat is reopened",
        "(booking-8812), Rides",
        f"Sara, +1••••••••23, through {number}",
        "Bob, +1••••••••26, through",
        "Reason",
    ):
        assert shown in page
    assert not Chat.objects.filter(status="ended").exists()


def test_chosen_chats_are_ended_with_a_reason(operator: Client, chats: list[Chat]) -> None:
    texts = Message.objects.count()
    page = end_all(operator, chats, reason=" trip over ")
    assert "Ended 2 chats." in words_of(page)
    for chat in Chat.objects.all():
        assert (chat.status, chat.end_reason) == ("ended", "trip over")
        assert chat.ended_at
        assert {one.ended_at for one in chat.participants.all()} == {chat.ended_at}
    assert Message.objects.count() == texts


def test_what_the_confirmation_page_holds_is_what_ends_the_chats(operator: Client, chats: list[Chat]) -> None:
    page = end_all(operator, chats)
    fields = {"action": "end_chats", "_selected_action": [str(pk) for pk in page.context["selected"]]}
    source = page.content.decode()
    assert re.search(r"<h1[^>]*>End these 2 chats\?</h1>", source)
    for pk in fields["_selected_action"]:
        assert f'<input type="hidden" name="_selected_action" value="{pk}">' in source
    assert re.search(r"<button[^>]*>\s*End these 2 chats\s*</button>", source)
    for name in ("action", "confirmed", "reason", "csrfmiddlewaretoken"):
        assert f'name="{name}"' in source
    operator.post(CHATS, {**fields, "confirmed": "yes", "reason": "over"})
    assert Chat.objects.filter(status="ended").count() == 2


def test_one_chat_is_ended_from_its_page(operator: Client, chat: Chat) -> None:
    assert end_page(chat) in operator.get(page_of(chat)).content.decode()
    asked = read(operator, end_page(chat))
    assert "End this chat?" in asked and "Sara, +1••••••••23" in asked
    answer = operator.post(end_page(chat), {"confirmed": "yes", "reason": "no-show"})
    assert answer.status_code == 302 and answer.headers["Location"] == page_of(chat)
    page = operator.get(page_of(chat))
    assert "Ended the chat." in words_of(page) and "no-show" in words_of(page)
    assert end_page(chat) not in page.content.decode()


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("", "This field is required."),
        ("   ", "This field is required."),
        ("x" * 101, "at most 100 characters"),
        (f"{SARA} asked for it", "Must not contain a phone number"),
    ],
)
def test_a_reason_that_cannot_be_kept_is_asked_for_again(
    operator: Client, chats: list[Chat], reason: str, error: str
) -> None:
    assert error in words_of(end_all(operator, chats, reason=reason))
    asked = operator.post(end_page(chats[0]), {"confirmed": "yes", "reason": reason})
    assert error in words_of(asked)
    assert not Chat.objects.filter(status="ended").exists()
    assert not LogEntry.objects.exists()


def test_looking_at_the_confirmation_ends_nothing(operator: Client, chat: Chat) -> None:
    operator.get(end_page(chat), {"confirmed": "yes", "reason": "over"})
    operator.post(end_page(chat), {"reason": "over"})
    chat.refresh_from_db()
    assert chat.status == "open"


def test_ending_needs_a_token(operator: Client, chat: Chat) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(end_page(chat), {"confirmed": "yes", "reason": "over"}).status_code == 403
    fields = {"action": "end_chats", "_selected_action": str(chat.pk), "confirmed": "yes", "reason": "over"}
    assert strict.post(CHATS, fields).status_code == 403
    chat.refresh_from_db()
    assert chat.status == "open"


def test_who_ended_a_chat_and_why_is_recorded(operator: Client, chat: Chat) -> None:
    end_all(operator, [chat], reason="trip over")
    entry = LogEntry.objects.get()
    assert entry.user.username == "olga"
    assert entry.object_id == str(chat.pk)
    assert entry.get_change_message() == "Ended the chat: trip over"
    assert "Ended the chat: trip over" in read(operator, page_of(chat, "history"))


def test_ending_again_changes_nothing_and_records_nothing(operator: Client, chats: list[Chat]) -> None:
    ended = end_chat(chat_id=chats[0].pk, reason="trip over", now=timezone.now())
    assert "ended already" in words_of(end_all(operator, chats))
    page = words_of(end_all(operator, chats, reason="again"))
    assert "Ended 1 chat." in page and "1 chat had ended before" in page
    again = operator.post(end_page(chats[0]), {"confirmed": "yes", "reason": "again"}, follow=True)
    assert "This chat had ended before" in words_of(again)
    first = Chat.objects.get(pk=ended.pk)
    assert (first.end_reason, first.ended_at) == ("trip over", ended.ended_at)
    assert [entry.object_id for entry in LogEntry.objects.all()] == [str(chats[1].pk)]


def test_a_chat_that_another_ends_at_the_same_moment_is_theirs(
    operator: Client, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_race(**fields: object) -> Chat:
        end_chat(chat_id=chat.pk, reason="the platform's", now=timezone.now())
        return end_chat(**fields)  # type: ignore[arg-type]

    monkeypatch.setattr(chats_admin, "end_chat", lose_the_race)
    assert "1 chat had ended before" in words_of(end_all(operator, [chat], reason="mine"))
    chat.refresh_from_db()
    assert chat.end_reason == "the platform's"
    assert not LogEntry.objects.exists()


def test_no_more_are_ended_at_once_than_one_request_can_do(
    operator: Client, chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chats_admin, "END_AT_ONCE_LIMIT", 1)
    assert "End at most 1 chat at once." in words_of(end_all(operator, chats, reason="over"))
    assert not Chat.objects.filter(status="ended").exists()


def test_a_viewer_is_not_offered_it_and_cannot_do_it(viewer: Client, chats: list[Chat]) -> None:
    assert "end_chats" not in viewer.get(CHATS).content.decode()
    assert end_page(chats[0]) not in viewer.get(page_of(chats[0])).content.decode()
    end_all(viewer, chats, reason="over")
    assert viewer.get(end_page(chats[0])).status_code == 403
    assert viewer.post(end_page(chats[0]), {"confirmed": "yes", "reason": "over"}).status_code == 403
    assert not Chat.objects.filter(status="ended").exists()
