"""Every page in headless Chromium: nothing on it is refused by the policy it comes with, and it still works."""

import shutil
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect, sync_playwright

from audit.log import command, record
from audit.models import Action, AuditEntry
from messaging.models import Message
from platforms.models import ApprovalHook, Event, Template, WebhookEndpoint
from tests.admin.pages import page_of
from tests.admin.population import populate
from tests.simulator.test_page import _FLAGS as FLAGS

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no `chromium` here; on Debian: apt-get install chromium"),
    pytest.mark.django_db(transaction=True),
]
MODELS = ("chats_chat", "messaging_message", "chats_virtualnumber", "platforms_platform", "platforms_apikey",
          "platforms_webhookendpoint", "platforms_approvalhook", "platforms_event", "messaging_attachment",
          "audit_auditentry", "auth_user", "auth_group")  # fmt: skip
ADDED = ("chats_virtualnumber", "platforms_platform", "platforms_apikey", "platforms_webhookendpoint",
         "platforms_approvalhook", "auth_user", "auth_group")  # fmt: skip


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    # The server's threads outlive the test, and their connections must not.
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    # Playwright runs an event loop in this thread, which Django takes for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
        # Beside its event loop this thread has another connection, which nobody else closes.
        connection.close()


@pytest.fixture
def problems() -> list[str]:
    return []


@pytest.fixture
def page(browser: Browser, problems: list[str]) -> Page:
    page = browser.new_page()
    page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
    page.on("console", lambda line: problems.append(f"{page.url}: {line.text}") if line.type == "error" else None)
    page.on("response", lambda got: problems.append(f"{got.status} {got.url}") if got.status >= 400 else None)
    return page


@pytest.mark.slow
def test_every_page_of_the_admin_works_under_its_policy(page: Page, problems: list[str], live_server) -> None:
    User.objects.create_superuser("olga", password="operators-only-1")
    there = populate()
    endpoint = WebhookEndpoint.objects.create(platform=there.platforms[0], url="https://example.com/x", secret="x")
    hook = ApprovalHook.objects.create(
        platform=there.platforms[0], url="https://example.com/y", secret="x", default="block"
    )
    Template.objects.create(platform=there.platforms[0], kind="not_delivered", language="en", text="Call {name}.")
    event = Event.objects.create(platform=there.platforms[0], type="ping", payload="{}")
    record(action=Action.EXPORTED, by=command("test"))
    page.goto(f"{live_server.url}/admin/")
    page.fill("#id_username", "olga")
    page.fill("#id_password", "operators-only-1")
    page.click("button[type=submit]")
    expect(page.locator("#user-tools, #header-inner, main").first).to_be_visible()

    rows = (there.open_chat, there.ended_chat, Message.objects.first(), there.numbers[0], there.platforms[0],
            there.keys[0], endpoint, hook, event, AuditEntry.objects.get(action="exported"),
            User.objects.get())  # fmt: skip
    addresses = [
        reverse("admin:index"),
        *(reverse(f"admin:{model}_changelist") for model in MODELS),
        *(reverse(f"admin:{model}_add") for model in ADDED),
        *(page_of(row) for row in rows if row),
        page_of(there.open_chat, "history"),
        page_of(endpoint, "delete"),
        page_of(hook, "delete"),
        reverse("admin:chats_chat_end_one_chat", args=[there.open_chat.pk]),
        reverse("admin:chats_chat_reveal_number", args=[there.open_chat.pk]),
        reverse("admin:auth_user_password_change", args=[User.objects.get().pk]),
        reverse("second_factor"),
    ]
    for address in addresses:
        page.goto(f"{live_server.url}{address}")
        assert page.evaluate("Boolean(window.Alpine && Alpine.version)"), address
    assert problems == []

    # What Alpine does on a list: a chosen row offers the actions.
    page.goto(f"{live_server.url}{reverse('admin:chats_chat_changelist')}")
    page.locator("input.action-select").first.check()
    expect(page.locator("select[name=action]")).to_be_visible()
    assert problems == []

    # On a platform's page, another template has a form of its own.
    page.goto(f"{live_server.url}{page_of(there.platforms[0])}")
    page.get_by_role("link", name="Templates").click()
    page.get_by_role("link", name="Add another").click()
    expect(page.locator("[name=templates-1-text]")).to_be_visible()
    assert problems == []


@pytest.mark.slow
def test_the_docs_work_under_their_policy(page: Page, problems: list[str], live_server) -> None:
    page.goto(f"{live_server.url}/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    page.locator(".opblock-summary").first.click()
    expect(page.locator(".opblock-body").first).to_be_visible()
    assert problems == []


@pytest.mark.parametrize("address", ["/admin/login/", "/docs"])
def test_a_script_that_got_into_a_page_does_not_run(page: Page, live_server, address: str) -> None:
    page.goto(f"{live_server.url}{address}")
    refused: list[str] = []
    page.on("console", lambda line: refused.append(line.text))
    page.evaluate(
        """() => {
            const inline = document.createElement("script");
            inline.textContent = "window.got = 1";
            document.body.append(inline);
            document.body.insertAdjacentHTML("beforeend", '<img src=x onerror="window.got = 2">');
            const other = document.createElement("script");
            other.src = "https://evil.example/x.js";
            document.body.append(other);
        }"""
    )
    # Not by page.wait_for_function: what it polls is evaluated in the page, whose policy refuses that.
    expect(page.locator("img[src=x]")).to_have_js_property("complete", True)
    assert page.evaluate("window.got") is None
    assert sum("Content Security Policy" in line for line in refused) >= 3


def test_no_page_can_be_shown_within_another(page: Page, live_server) -> None:
    for address in ("/admin/login/", "/docs"):
        answer = page.goto(f"{live_server.url}{address}")
        assert answer
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
