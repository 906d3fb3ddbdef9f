"""An operator's morning in headless Chromium: a text that failed, its chat, and what is done about both."""

import re
import shutil
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from audit.models import AuditEntry
from chats import conversation_admin
from chats.models import Chat
from messaging.models import Message
from tests.admin.pages import page_of
from tests.admin.population import log_relay
from tests.factories import SARA, make_chat, make_platform, make_pool

# Those of its page add up what a browser complains of.
from tests.security.test_browser import browser, page, problems  # noqa: F401 - fixtures

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("chromium") is None, reason="there is no `chromium` here; on Debian: apt-get install chromium"
    ),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Chat:
    """A chat of Sara and Omar that is longer than its page, whose last text has failed."""
    monkeypatch.setattr(conversation_admin, "LIVE_SECONDS", 0.25)
    monkeypatch.setattr(conversation_admin, "TEXTS_AT_ONCE", 15)
    make_pool(2)
    chat = make_chat(make_platform("Rides"), reference="booking-8812")
    Message.objects.update(status="delivered", due_at=None, created_at=timezone.now() - timedelta(days=1))
    sara, omar = chat.participants.order_by("position")
    for index in range(18):
        log_relay(sara if index % 2 else omar, f"text no. {index}")
    log_relay(omar, "I cannot see you", status="failed", error_code="1240", failed_at=timezone.now())
    return chat


def test_an_operators_morning(
    page: Page,  # noqa: F811
    problems: list[str],  # noqa: F811
    live_server,
    chat: Chat,
) -> None:
    User.objects.create_superuser("olga", password="operators-only-1")
    sara, omar = chat.participants.order_by("position")
    page.goto(f"{live_server.url}/admin/")
    page.fill("#id_username", "olga")
    page.fill("#id_password", "operators-only-1")
    page.click("button[type=submit]")

    # The failed text, and from there its chat.
    page.locator("nav, aside, #nav-sidebar").get_by_role("link", name="Failures").first.click()
    page.get_by_role("link", name="One by one").click()
    page.get_by_role("link", name=re.compile("^chat …")).click()
    page.wait_for_url(f"**{page_of(chat)}")
    failed = page.locator(".talk-failed")
    expect(failed).to_contain_text("I cannot see you")
    expect(failed).to_contain_text("Could not be delivered to Sara")
    expect(page.locator("[data-talk-items]")).not_to_contain_text("text no. 3")

    # It is sent again, from its bubble.
    failed.get_by_role("link", name="Send again").click()
    expect(page.locator("body")).to_contain_text("Sara gets this text")
    page.get_by_role("button", name="Send again").click()
    page.wait_for_url(f"**{page_of(chat)}")
    expect(page.locator("[data-talk-items]")).to_contain_text("Waiting to be sent to Sara · sent again")

    # What happens meanwhile is there without reloading, and is said.
    page.evaluate("window.isSamePage = true")
    again = Message.objects.get(status="queued")
    Message.objects.filter(pk=again.pk).update(status="delivered", due_at=None)
    expect(page.locator("[data-talk-items]")).to_contain_text("Delivered to Sara · sent again")
    log_relay(sara, "Now I see you <b>there</b>")
    news = page.locator("[data-talk-items] .talk-text").last
    expect(news).to_contain_text("Now I see you <b>there</b>")
    expect(page.locator("[data-talk-said]")).to_have_text("Sara: Now I see you <b>there</b>")
    relayed = Message.objects.latest("position")
    Message.objects.filter(pk=relayed.pk).update(status="failed", error_code="1240", failed_at=timezone.now())
    expect(page.locator("[data-talk-said]")).to_contain_text("Could not be delivered to Omar")
    is_at_end = "(e) => e.scrollHeight - e.scrollTop - e.clientHeight < 2"
    assert page.locator(".talk-scroll").evaluate(is_at_end)

    # Earlier texts come above what is being read, which stays where it is.
    page.locator(".talk-scroll").evaluate("(e) => { e.scrollTop = 0 }")
    reading = page.locator(".talk-text").first
    text = reading.locator(".talk-body").inner_text()
    before = reading.bounding_box()
    page.get_by_role("link", name="Show earlier").click()
    expect(page.locator("[data-talk-items]")).to_contain_text("text no. 3")
    after = page.locator(".talk-body", has_text=re.compile(f"^{re.escape(text)}$")).locator("..").bounding_box()
    assert before and after and abs(before["y"] - after["y"]) < 60
    expect(page.locator("[data-talk-items]")).to_contain_text("Yesterday")
    expect(page.locator(".talk-day")).to_have_count(2)
    # Whoever reads there is not torn away by news, but told of them.
    top = page.locator(".talk-scroll").evaluate("(e) => e.scrollTop")
    log_relay(omar, "Good")
    expect(page.locator(".talk-down")).to_be_visible()
    assert page.locator(".talk-scroll").evaluate("(e) => e.scrollTop") == top
    page.locator(".talk-down").click()
    expect(page.locator(".talk-down")).to_have_count(0)
    assert page.evaluate("window.isSamePage")

    # Both are texted.
    page.locator("#talk_text").fill("The north gate is closed today.")
    page.get_by_role("button", name="Text …").click()
    expect(page.locator("#id_text")).to_have_value("The north gate is closed today.")
    page.get_by_role("button", name="Send the text").dblclick()
    page.wait_for_url(f"**{page_of(chat)}")
    expect(page.locator(".talk-platform .talk-body")).to_have_text(["The north gate is closed today."] * 2)

    # A number is shown for a reason.
    page.get_by_role("link", name="Show a number").click()
    page.get_by_label("Sara").check()
    page.fill("#id_reason", "the police asked")
    page.get_by_role("button", name="Show the number").click()
    expect(page.get_by_test_id("number")).to_have_text(SARA)
    page.get_by_role("link", name="Back to the chat").click()
    expect(page.locator("[data-talk-items]")).to_contain_text("Number of Sara shown by olga")

    # The chat is ended, with a word to both.
    page.get_by_role("link", name="End chat").click()
    page.get_by_role("button", name="End this chat").click()
    expect(page.locator("body")).to_contain_text("This field is required.")
    page.fill("#id_reason", "trip over")
    page.fill("#id_closing_text", "Thank you for riding with us.")
    page.get_by_role("button", name="End this chat").click()
    expect(page.locator(".talk-closing")).to_have_count(2)
    expect(page.locator(".talk-state")).to_have_text("Ended")
    expect(page.locator("[data-talk-items]")).to_contain_text("Chat ended by olga: trip over")
    expect(page.locator("#talk_text")).to_have_count(0)

    # The numbers.
    page.goto(f"{live_server.url}{reverse('admin:chats_virtualnumber_changelist')}")
    expect(page.locator("#result_list")).to_contain_text(sara.virtual_number.number)
    assert problems == []
    done = AuditEntry.objects.exclude(action="read_chat").order_by("at", "id").values_list("action", flat=True)
    assert list(done) == ["logged_in", "resent_text", "texted_people", "revealed_number", "ended_chat"]
