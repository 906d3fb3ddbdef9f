"""A person at the handsets page: two phones side by side, in headless Chromium."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.factories import OMAR, SARA
from tests.harness.service import Service

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no `chromium` here; on Debian: apt-get install chromium"),
]
# It is run as root in containers, and must not look for anything outside.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        page = browser.new_page()
        yield page
        browser.close()


def find_handset(page: Page, number: str) -> Locator:
    return page.locator(f'[data-handset="{number}"]')


def type_text(handset: Locator, text: str) -> None:
    handset.get_by_test_id("text-input").fill(text)
    handset.get_by_test_id("text-input").press("Enter")


def test_two_people_text_each_other_on_the_page(service: Service, page: Page) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(service.simulator.url)
    sara, omar = find_handset(page, SARA), find_handset(page, OMAR)
    expect(page.get_by_test_id("welcome")).to_contain_text("curl")

    chat = service.start_chat((SARA, "Sara"), (OMAR, "Omar"))
    expect(sara.locator(".bubble.to-handset")).to_contain_text("Omar")
    expect(omar.locator(".bubble.to-handset")).to_contain_text("Sara")

    type_text(sara, "I am at the blue gate <b>now</b>")
    expect(omar.locator(".bubble.to-handset").nth(1)).to_contain_text("I am at the blue gate <b>now</b>")
    type_text(omar, "Two minutes!")
    expect(sara.locator(".bubble.to-handset").nth(1)).to_contain_text("Two minutes!")
    expect(sara.locator('.bubble-ticks[data-status="delivered"]')).to_have_count(2)

    [virtual_number] = chat["virtual_numbers"]
    shown_to_sara = sara.locator(".thread").inner_text()
    assert OMAR not in shown_to_sara
    assert virtual_number in sara.inner_text()
    expect(page.get_by_test_id("traffic")).to_contain_text("202")
    assert problems == []
