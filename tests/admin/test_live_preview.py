"""What people will read is shown while a template is being written, in headless Chromium."""

from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, expect

from platforms.models import Template
from tests.admin.pages import page_of
from tests.factories import make_platform
from tests.security.test_browser import browser, pytestmark  # noqa: F401


def test_a_template_is_shown_as_it_will_be_read_while_it_is_written(browser: Browser, live_server) -> None:  # noqa: F811
    platform = make_platform("Rides")
    Template.objects.create(platform=platform, kind="help", language="en", text="Call {platform}.")
    client = Client()
    client.force_login(User.objects.create_superuser("olga", password="operators-only-1"))
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
    )
    page.goto(f"{live_server.url}{page_of(platform)}")
    page.get_by_role("link", name="Templates").click()
    shown = page.locator("#templates-0 [data-preview], [data-inline-formset] [data-preview]").first
    expect(shown).to_contain_text("Call Rides.")
    page.locator("[name=templates-0-text]").fill("Dear {name}, {counterpart} waits.")
    expect(shown).to_contain_text("Dear Sara, Omar waits.")
    expect(shown).to_contain_text("1 segment of GSM-7")
    page.locator("[name=templates-0-text]").fill("Dear {who}" + " \N{PARTY POPPER}" * 60)
    expect(shown).to_contain_text("Use only these fields")
    # One that is new is heard as well.
    page.get_by_role("link", name="Add another").click()
    page.locator("[name=templates-1-kind]").select_option("closing")
    page.locator("[name=templates-1-language]").fill("en")
    page.locator("[name=templates-1-text]").fill("Bye {name}!")
    expect(page.locator("[data-preview]", has_text="Bye Sara!")).to_be_visible()
    # Nothing is kept before it is saved.
    assert Template.objects.get().text == "Call {platform}."
    assert problems == []
    page.close()
