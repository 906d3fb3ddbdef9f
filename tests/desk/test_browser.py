"""An operator at the desk, in headless Chromium: light and dark, on a desk and on a phone."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Browser, expect

from messaging.models import Message
from tests.desk.population import populate_week
from tests.security.test_browser import browser, pytestmark  # noqa: F401

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_an_operator_sees_what_failed_and_sends_it_again(browser: Browser, live_server, scheme, size) -> None:  # noqa: F811
    User.objects.create_superuser("olga", password="operators-only-1")
    populate_week(texts_a_day=25)
    problems: list[str] = []
    page = browser.new_context(color_scheme=scheme, viewport=size).new_page()
    page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
    page.on("console", lambda line: problems.append(f"{page.url}: {line.text}") if line.type == "error" else None)
    page.on("response", lambda got: problems.append(f"{got.status} {got.url}") if got.status >= 400 else None)

    def check_page() -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
        assert page.evaluate("document.documentElement.classList.contains('dark')") is (scheme == "dark")

    page.goto(f"{live_server.url}{reverse('admin:index')}")
    page.fill("#id_username", "olga")
    page.fill("#id_password", "operators-only-1")
    page.click("button[type=submit]")
    expect(page.get_by_role("heading", name="Needs a person now")).to_be_visible()
    check_page()

    # The same in words, for whoever cannot see the bars.
    chart = page.locator("article", has=page.get_by_role("heading", name="Texts to people"))
    chart.get_by_text("As a table").click()
    expect(chart.get_by_role("columnheader", name="delivered")).to_be_visible()
    expect(chart.get_by_role("row")).to_have_count(8)
    check_page()

    page.get_by_role("link", name="See failures").click()
    expect(page.get_by_role("heading", name="The recipient's phone cannot be reached for now.")).to_be_visible()
    check_page()
    group = page.locator(".desk-group", has_text="cannot be reached")
    count = int(group.locator(".desk-group-count").inner_text())
    group.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Send these texts again?")).to_be_visible()
    check_page()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text(f"{count} texts are on their way again.")).to_be_visible()
    assert Message.objects.filter(status="queued").count() == count

    page.goto(f"{live_server.url}{reverse('desk_setup')}")
    expect(page.get_by_role("heading", name="Send yourself a text")).to_be_visible()
    check_page()
    assert problems == []
