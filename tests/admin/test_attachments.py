"""Pictures and files as the operator sees them: in the chat, on the text's page, and in a list of what went wrong."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chats.models import Chat
from messaging.models import Attachment
from platforms.models import Platform
from tests.admin.pages import listed, page_of, read
from tests.admin.population import log_inbound
from tests.factories import make_chat, make_pool

ATTACHMENTS = reverse("admin:messaging_attachment_changelist")


@pytest.fixture
def chat(platform: Platform) -> Chat:
    make_pool(1)
    return make_chat(platform)


@pytest.fixture
def attachments(chat: Chat) -> list[Attachment]:
    """A picture that was passed on, a contact card that was withheld, and a video that could not be fetched."""
    text = log_inbound(chat.participants.get(position=1), "look", media_count=3)
    stored = {"file": "media/1", "content_type": "image/jpeg", "size": 120_000, "stored_at": timezone.now()}
    failed = {"error_code": "http_404", "error_detail": "Vonage answered 404 instead of the file."}
    return [
        Attachment.objects.create(message=text, position=0, kind="image", status="stored", **stored),
        Attachment.objects.create(message=text, position=1, kind="vcard", status="withheld"),
        Attachment.objects.create(message=text, position=2, kind="video", status="failed", **failed),
    ]


def test_the_chat_shows_the_picture_and_says_what_became_of_the_rest(operator: Client, chat, attachments):
    picture = reverse("admin:chats_chat_media", args=[chat.pk, attachments[0].pk])
    assert f'<img src="{picture}"' in operator.get(page_of(chat)).content.decode()
    page = read(operator, page_of(chat))
    assert "Contact card: withheld" in page
    assert "Video: could not be passed on. Vonage answered 404 instead of the file. (http_404)" in page


def test_the_texts_page_says_so_too(operator: Client, attachments):
    page = read(operator, page_of(attachments[0].message))
    assert "Picture, 117.2 KB: passed on" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "Contact card: withheld" in page


def test_the_list_finds_what_could_not_be_passed_on(operator: Client, attachments):
    picture, card, video = attachments
    assert listed(operator.get(ATTACHMENTS)) == [video.pk, card.pk, picture.pk]
    assert listed(operator.get(ATTACHMENTS, {"status__exact": "failed"})) == [video.pk]
    assert "Vonage answered 404" in read(operator, ATTACHMENTS)


def test_it_can_be_read_and_nothing_else(operator: Client, attachments):
    assert operator.get(reverse("admin:messaging_attachment_add")).status_code == 403
    assert operator.post(reverse("admin:messaging_attachment_delete", args=[attachments[0].pk])).status_code == 403
