"""Find one's way in the admin, and read its pages as a person does."""

import html
import re
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.test import Client
from django.urls import reverse

from chats.models import Chat

CHATS = reverse("admin:chats_chat_changelist")
NUMBERS = reverse("admin:chats_virtualnumber_changelist")
MESSAGES = reverse("admin:messaging_message_changelist")
PLATFORMS = reverse("admin:platforms_platform_changelist")
KEYS = reverse("admin:platforms_apikey_changelist")
# What a browser sends of the table of templates on a platform's page.
NO_TEMPLATES = {"templates-TOTAL_FORMS": "0", "templates-INITIAL_FORMS": "0"}


def page_of(row: Model, page: str = "change") -> str:
    """Return the address of a row's page: `change`, `history` or `delete`."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=[row.pk])


def read(client: Client, address: str, **params: Any) -> str:
    """Return the words of a page, without its markup."""
    return words_of(client.get(address, params, follow=True))


def words_of(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    source = re.sub(r"<(script|style).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", source)).split())


def listed(response: Any) -> list[UUID]:
    """Return the ids of the rows a list shows, in its order."""
    return [row.pk for row in response.context["cl"].result_list]


def search_chats(client: Client, text: str) -> Any:
    """Search the chats as the box on their list does, and return the page it leads to."""
    return client.post(CHATS, {"q": text}, follow=True)


def end_all(client: Client, chats: list[Chat], **fields: str) -> Any:
    """Post what the list of chats does when "End chats" is chosen for `chats`; `reason` confirms."""
    if "reason" in fields:
        fields["confirmed"] = "yes"
    selected = [str(chat.pk) for chat in chats]
    return client.post(CHATS, {"action": "end_chats", "_selected_action": selected, **fields}, follow=True)
