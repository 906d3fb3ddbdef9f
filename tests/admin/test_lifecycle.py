"""What operators see of chats that are scheduled, and of people who were replaced."""

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from chats.services import replace_participant
from platforms.models import Platform
from tests.admin.pages import CHATS, end_all, page_of, read
from tests.factories import ALICE, OMAR, make_chat, make_person, make_pool


def test_a_scheduled_chat_is_shown_and_can_be_called_off(operator: Client, platform: Platform) -> None:
    make_pool(1)
    chat = make_chat(platform, starts_at=timezone.now() + timedelta(hours=2))
    assert "scheduled" in read(operator, CHATS)
    assert "End chat" in read(operator, page_of(chat))
    end_all(operator, [chat], reason="called off")
    chat.refresh_from_db()
    assert (chat.status, chat.end_reason) == ("ended", "called off")


def test_who_was_replaced_is_shown_as_that(operator: Client, platform: Platform) -> None:
    make_pool(1)
    chat = make_chat(platform)
    replace_participant(
        chat_id=chat.pk,
        participant_id=chat.participants.get(position=2).pk,
        phone_number=make_person(ALICE).phone_number,
        name="Alice",
        now=timezone.now(),
    )
    for page in (read(operator, CHATS), read(operator, page_of(chat))):
        assert "Omar +1••••••••24 (replaced)" in page
        assert "Alice +1••••••••25" in page and "Alice +1••••••••25 (" not in page
        assert OMAR not in page and ALICE not in page
