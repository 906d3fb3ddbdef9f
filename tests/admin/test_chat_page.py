"""The page of one chat: read-only, with a transcript a person can follow."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from chats import conversation_admin
from chats.models import Chat, Participant
from messaging.models import Message
from platforms.models import Platform
from tests.admin.pages import page_of, read
from tests.admin.population import log_answer, log_inbound, log_relay
from tests.factories import OMAR, SARA, make_chat, make_pool

Status = Message.Status


@pytest.fixture
def chat(platform: Platform) -> Chat:
    """A chat of Sara, the first, and Omar, in which nobody has texted yet."""
    make_pool(1)
    chat = make_chat(platform, reference="booking-8812")
    Message.objects.all().delete()
    return chat


@pytest.fixture
def sara(chat: Chat) -> Participant:
    return chat.participants.get(position=1)


@pytest.fixture
def omar(chat: Chat) -> Participant:
    return chat.participants.get(position=2)


def read_bubbles(client: Client, chat: Chat) -> list[tuple[str, str]]:
    """Return the classes and the source of each bubble, without the markup of its icons."""
    page = client.get(page_of(chat)).content.decode()
    found = re.findall(r'<li class="talk-text ([^"]*)"[^>]*>(.*?)</li>', page, re.DOTALL)
    icon = re.compile(r'<span class="material-symbols-outlined"[^>]*>\w+</span>')
    return [(classes, " ".join(icon.sub("", source).split())) for classes, source in found]


def test_the_page_shows_the_chat_and_offers_nothing_to_edit(operator: Client, chat: Chat) -> None:
    page = operator.get(page_of(chat))
    for shown in ("booking-8812", "Rides", "Sara +1••••••••23", "Omar +1••••••••24", str(chat.pk)):
        assert shown in page.content.decode()
    assert not page.context["adminform"].form.fields
    assert 'name="_save"' not in page.content.decode()
    assert 'name="_continue"' not in page.content.decode()


def test_a_posted_change_is_refused(operator: Client, chat: Chat) -> None:
    assert operator.post(page_of(chat), {"status": "ended", "end_reason": "x"}).status_code == 403
    chat.refresh_from_db()
    assert chat.status == "open"


def test_a_chat_without_texts_says_so(operator: Client, chat: Chat) -> None:
    assert "Nobody has texted yet." in read(operator, page_of(chat))


def test_the_first_person_is_on_the_left_and_the_second_on_the_right(
    operator: Client, chat: Chat, sara: Participant, omar: Participant
) -> None:
    log_relay(sara, "Hi")
    log_relay(omar, "Hello")
    (left, first), (right, second) = read_bubbles(operator, chat)
    assert "talk-text-left" in left and '<b dir="auto">Sara</b>' in first and "Hi" in first
    assert "talk-text-right" in right and '<b dir="auto">Omar</b>' in second and "Hello" in second


def test_a_text_and_its_relay_are_one_bubble(operator: Client, chat: Chat, sara: Participant) -> None:
    log_relay(sara, "I am here")
    [(_, bubble)] = read_bubbles(operator, chat)
    assert bubble.count("I am here") == 1
    assert "Delivered to Omar" in bubble


def test_what_the_service_says_is_on_the_side_of_whom_it_is_for(
    operator: Client, chat: Chat, omar: Participant
) -> None:
    log_answer(omar, "Welcome", kind=Message.Kind.INTRODUCTION)
    log_answer(omar, "Please send it as a text.", status=Status.SENT)
    (first, introduction), (_, answer) = read_bubbles(operator, chat)
    assert "talk-service" in first and "talk-text-right" in first
    assert "<b>Introduction</b>" in introduction and "Delivered to Omar" in introduction
    assert "<b>Automatic reply</b>" in answer and "Sent to Omar" in answer


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.QUEUED, "Waiting to be sent to Omar"),
        (Status.SENDING, "Being sent to Omar"),
        (Status.UNCONFIRMED, "Perhaps sent, the carrier&#x27;s answer was lost, to Omar"),
        (Status.SENT, "Sent to Omar"),
        (Status.DELIVERED, "Delivered to Omar"),
        (Status.FAILED, "Could not be delivered to Omar"),
    ],
)
def test_delivery_is_told_in_words(operator: Client, chat: Chat, sara: Participant, status: Status, words: str) -> None:
    log_relay(sara, "Hi", status=status)
    [(_, bubble)] = read_bubbles(operator, chat)
    assert words in bubble


def test_a_failed_text_says_why(operator: Client, chat: Chat, sara: Participant) -> None:
    log_relay(sara, "Hi", status=Status.FAILED, error_code="1320", error_detail=f"{OMAR} is unreachable")
    [(classes, bubble)] = read_bubbles(operator, chat)
    assert "talk-failed" in classes
    assert "Could not be delivered to Omar: +1••••••••24 is unreachable (1320)" in bubble


@pytest.mark.parametrize(
    ("status", "error_code", "words"),
    [
        (Status.LATE, "", "Not passed on: the chat had ended"),
        (Status.BLOCKED, "media", "Not passed on: a kind of message that cannot be passed on"),
        (Status.BLOCKED, "too_long", "Not passed on: too long"),
        (Status.BLOCKED, "something new", "Not passed on"),
    ],
)
def test_a_text_that_was_not_passed_on_says_why(
    operator: Client, chat: Chat, sara: Participant, status: Status, error_code: str, words: str
) -> None:
    log_inbound(sara, "", status=status, error_code=error_code)
    [(_, bubble)] = read_bubbles(operator, chat)
    assert f"<span>{words}</span>" in bubble
    assert "<i>no text</i>" in bubble


def test_markup_in_names_texts_and_metadata_is_only_text(operator: Client, platform: Platform) -> None:
    make_pool(1)
    evil = "<img src=x onerror=alert(1)>"
    chat = make_chat(platform, names=(evil, "Omar"), reference=evil)
    Chat.objects.filter(pk=chat.pk).update(metadata={evil: evil}, end_reason=evil)
    log_relay(chat.participants.get(position=1), evil, status=Status.FAILED, error_detail=evil, error_code=evil)
    page = operator.get(page_of(chat)).content.decode()
    assert evil not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 7


def test_the_lines_of_a_text_are_kept(operator: Client, chat: Chat, sara: Participant) -> None:
    log_relay(sara, "one\ntwo")
    assert 'dir="auto">one\ntwo</div>' in operator.get(page_of(chat)).content.decode()


def test_their_own_numbers_are_masked_in_what_people_write(operator: Client, chat: Chat, sara: Participant) -> None:
    for written in (SARA, SARA[1:], "(415) 555-0123", "415.555.0123", "001 415 555 0123", OMAR):
        log_relay(sara, f"I am at {written}, call me")
    for _, bubble in read_bubbles(operator, chat):
        assert re.search(r"I am at \+1••••••••2[34], call me", bubble), bubble


def test_only_the_latest_texts_are_read_and_earlier_ones_are_a_click_away(
    operator: Client, chat: Chat, sara: Participant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_admin, "TEXTS_AT_ONCE", 3)
    for number in range(3):
        log_relay(sara, f"text {number}")
    assert "Show earlier" not in read(operator, page_of(chat))
    for number in range(3, 8):
        log_relay(sara, f"text {number}")
    seen: list[list[str]] = []
    address = page_of(chat)
    while address:
        page = operator.get(address).content.decode()
        seen.append(re.findall(r'<div class="talk-body" dir="auto">(text \d)', page))
        link = re.search(r'href="(\?before=\d+)"', page)
        address = f"{page_of(chat)}{link[1]}" if link else ""
    assert seen == [["text 5", "text 6", "text 7"], ["text 2", "text 3", "text 4"], ["text 0", "text 1"]]


def test_a_long_transcript_costs_as_many_queries_as_a_short_one(
    operator: Client, chat: Chat, sara: Participant
) -> None:
    log_relay(sara, "text")
    operator.get(page_of(chat))
    with CaptureQueriesContext(connection) as short:
        operator.get(page_of(chat))
    for _ in range(30):
        log_relay(sara, "text")
    with CaptureQueriesContext(connection) as long:
        operator.get(page_of(chat))
    assert len(long) == len(short) <= 15


def test_an_unknown_chat_leads_back_without_an_error(operator: Client, chat: Chat) -> None:
    address = page_of(chat).replace(str(chat.pk), "not-an-id")
    assert operator.get(address).status_code == 302
    assert operator.get(reverse("admin:chats_chat_end_one_chat", args=["not-an-id"])).status_code == 404
