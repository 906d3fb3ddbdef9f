"""Before anything irreversible the desk says what will happen to whom, and does nothing yet."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from platforms.models import ApprovalHook, Platform, WebhookEndpoint
from tests.admin.pages import page_of, words_of

ENDPOINTS, HOOKS = (reverse(f"admin:platforms_{name}_changelist") for name in ("webhookendpoint", "approvalhook"))


@pytest.fixture
def endpoint(platform: Platform) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(platform=platform, url="https://example.com/events", secret="whsec_x")


@pytest.fixture
def hook(platform: Platform) -> ApprovalHook:
    return ApprovalHook.objects.create(platform=platform, url="https://example.com/ask", secret="x", default="block")


def choose(client: Client, address: str, action: str, *rows: Any) -> str:
    fields = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return words_of(client.post(address, fields, follow=True))


def test_deleting_an_endpoint(operator: Client, endpoint: WebhookEndpoint) -> None:
    pages = [words_of(operator.get(page_of(endpoint, "delete")))]
    pages.append(choose(operator, ENDPOINTS, "delete_selected", endpoint))
    for page in pages:
        assert "https://example.com/events: Rides is told of nothing there any more" in page
        assert "switch it off instead" in page
    assert WebhookEndpoint.objects.exists()


def test_deleting_an_approval_hook(operator: Client, hook: ApprovalHook) -> None:
    page = words_of(operator.get(page_of(hook, "delete")))
    assert "https://example.com/ask: Rides is asked no more; its texts are passed on at once" in page
    assert ApprovalHook.objects.exists()


def test_deleting_a_group(operator: Client) -> None:
    group = Group.objects.create(name="night shift")
    for name in ("una", "uma"):
        User.objects.create_user(name).groups.add(group)
    page = words_of(operator.get(page_of(group, "delete")))
    assert "night shift: 2 users may no longer do what only this group lets them." in page
    assert Group.objects.filter(pk=group.pk).exists()


def test_new_secrets(operator: Client, endpoint: WebhookEndpoint, hook: ApprovalHook, other_platform: Platform) -> None:
    other = WebhookEndpoint.objects.create(platform=other_platform, url="https://example.org/events", secret="whsec_y")
    page = choose(operator, ENDPOINTS, "rotate_secrets", endpoint, other)
    assert "Make 2 new secrets?" in page
    for told in (endpoint.url, "Rides", other.url, "Rentals"):
        assert told in page
    assert "https://example.com/ask Rides" in choose(operator, HOOKS, "rotate_secrets", hook)
    assert set(WebhookEndpoint.objects.values_list("previous_secret", flat=True)) == {""}
