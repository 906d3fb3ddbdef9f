"""The page of approval hooks, and what a transcript says of the answers."""

import pytest
from django.test import Client
from django.urls import reverse

from chats.models import mask
from platforms.models import ApprovalHook, Platform
from tests.admin.pages import page_of, read, words_of
from tests.approval.helpers import Approver, ask, receive
from tests.factories import SARA

HOOKS = reverse("admin:platforms_approvalhook_changelist")
ADD = reverse("admin:platforms_approvalhook_add")
URL = "http://127.0.0.1:9/"


def add(operator: Client, platform: Platform, **fields: object) -> str:
    posted = {"platform": platform.pk, "url": URL, "default": "block", "timeout_seconds": 3, **fields}
    return words_of(operator.post(ADD, posted, follow=True))


def test_a_new_hook_shows_its_secret_once(operator: Client, platform: Platform) -> None:
    page = add(operator, platform)
    hook = ApprovalHook.objects.get()
    assert hook.secret in page
    assert Platform.objects.get().asks_for_approval
    for address in (HOOKS, page_of(hook), page_of(hook, "history")):
        assert "whsec" not in operator.get(address).content.decode()


def test_it_is_changed_rotated_and_removed(operator: Client, platform: Platform) -> None:
    add(operator, platform)
    hook = ApprovalHook.objects.get()
    operator.post(page_of(hook), {"url": URL, "default": "relay", "timeout_seconds": 5})
    changed = ApprovalHook.objects.get()
    assert (changed.default, changed.timeout_seconds, changed.secret) == ("relay", 5, hook.secret)
    rotate = {"action": "rotate_secrets", "_selected_action": [str(hook.pk)]}
    asked = words_of(operator.post(HOOKS, rotate, follow=True))
    assert "http://127.0.0.1:9/" in asked and "whsec_" not in asked
    assert "whsec_" in words_of(operator.post(HOOKS, {**rotate, "confirmed": "yes"}, follow=True))
    assert ApprovalHook.objects.get().previous_secret == hook.secret
    operator.post(page_of(hook, "delete"), {"post": "yes"})
    assert not ApprovalHook.objects.exists()
    assert not Platform.objects.get().asks_for_approval


@pytest.mark.parametrize("fields", [{"timeout_seconds": 11}, {"url": "ftp://example.com"}, {"default": ""}])
def test_what_cannot_be_is_refused(operator: Client, platform: Platform, fields: dict[str, object]) -> None:
    add(operator, platform, **fields)
    assert not ApprovalHook.objects.exists()


class TestTranscript:
    def test_changed_words_are_shown_beside_the_ones_that_were_written(self, operator, chat, hook, approver) -> None:
        approver.always({"action": "relay", "text": f"Ask for {SARA}"})
        receive("My name is secret")
        ask()
        page = read(operator, page_of(chat))
        assert "My name is secret" in page and f"Changed by the platform: Ask for {mask(SARA)}" in page
        assert "approval: changed by the platform" in page

    def test_a_block_says_why(self, operator, chat, hook, approver) -> None:
        approver.always({"action": "block", "reason": "an address"})
        receive()
        ask()
        page = read(operator, page_of(chat))
        assert "Not passed on: its platform did not approve of it · approval: blocked: an address" in page

    def test_a_default_says_that_there_was_no_answer(self, operator, chat, hook, approver) -> None:
        approver.always({}, 503)
        receive()
        ask()
        page = read(operator, page_of(chat))
        assert "approval: no answer, so passed on as it wants then: It answered 503." in page
        assert "fails" in read(operator, HOOKS) and "It answered 503." in read(operator, page_of(hook))

    def test_a_text_that_waits_says_so(self, operator, chat, hook, approver: Approver) -> None:
        receive()
        assert "approval: being asked" in read(operator, page_of(chat))
