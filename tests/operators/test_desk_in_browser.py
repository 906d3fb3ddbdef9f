"""The desk in headless Chromium: with the keyboard, on a phone, light and dark, in the browser's own time zone."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from operators.models import Preferences
from platforms.models import Platform
from tests.admin.pages import page_of
from tests.admin.population import Population, populate
from tests.security.test_browser import CHROMIUM, browser

__all__ = ("browser",)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no `chromium` here; on Debian: apt-get install chromium"),
    pytest.mark.django_db(transaction=True),
]
PASSWORD = "operators-only-1"


@pytest.fixture
def there() -> Population:
    User.objects.create_superuser("olga", password=PASSWORD)
    return populate()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(timezone_id="Asia/Tokyo", locale="es-ES", viewport={"width": 1280, "height": 900})
    problems: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    yield page
    context.close()
    assert problems == []


def log_in(page: Page, address: str, name: str = "olga") -> None:
    page.goto(f"{address}/admin/")
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.click("button[type=submit]")
    expect(page.locator("#content")).to_be_visible()


def test_the_first_page_is_in_the_zone_and_language_of_the_browser(page: Page, live_server, there: Population) -> None:
    log_in(page, live_server.url)
    page.goto(f"{live_server.url}{reverse('admin:chats_chat_changelist')}")
    expect(page.locator("#content")).to_contain_text("JST")
    expect(page.locator("html")).to_have_attribute("lang", "es")


@pytest.mark.slow
def test_the_keyboard_skips_the_menu_and_opens_that_of_the_user(page: Page, live_server, there: Population) -> None:
    log_in(page, live_server.url)
    page.goto(f"{live_server.url}{reverse('admin:chats_chat_changelist')}")
    page.keyboard.press("Tab")
    skip = page.locator(".skip-link")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#content') !== null")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    menu = page.locator("[aria-controls=user-menu]")
    menu.focus()
    page.keyboard.press("Enter")
    expect(menu).to_have_attribute("aria-expanded", "true")
    preferences = page.locator(f"#user-menu a[href='{reverse('preferences')}']")
    expect(preferences).to_be_visible()
    preferences.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#id_time_zone")).to_have_value("Asia/Tokyo")
    page.select_option("#id_language", "en")
    page.locator("#content form button[type=submit]").click()
    expect(page.locator("body")).to_contain_text("Your preferences were saved.")
    assert Preferences.objects.get().time_zone == "Asia/Tokyo"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_of_a_chat_can_be_read_light_and_dark(
    browser: Browser, live_server, there: Population, scheme: str
) -> None:
    page = browser.new_context(color_scheme=scheme).new_page()  # type: ignore[arg-type]
    log_in(page, live_server.url)
    page.goto(f"{live_server.url}{page_of(there.open_chat)}")
    expect(page.locator("html")).to_have_class("dark" if scheme == "dark" else "")
    worst = page.evaluate(CONTRAST)
    assert worst["ratio"] >= 4.5, worst
    page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 390])
def test_no_page_is_wider_than_a_phone(browser: Browser, live_server, there: Population, width: int) -> None:
    page = browser.new_context(viewport={"width": width, "height": 780}).new_page()
    log_in(page, live_server.url)
    addresses = [reverse(f"admin:{name}_changelist") for name in ("chats_chat", "messaging_message", "platforms_event")]
    addresses += [reverse("preferences"), reverse("second_factor")]
    addresses += [page_of(row) for row in (there.open_chat, there.platforms[0], there.numbers[0])]
    addresses.append(reverse("admin:chats_chat_end_one_chat", args=[there.open_chat.pk]))
    wide = {}
    for address in addresses:
        page.goto(f"{live_server.url}{address}")
        found = page.evaluate("document.documentElement.scrollWidth")
        if found > width:
            wide[address] = (found, page.evaluate(WIDEST))
    assert wide == {}
    page.context.close()


def test_who_saves_second_sees_both_values_and_saves_again(page: Page, live_server, there: Population) -> None:
    platform = there.platforms[0]
    User.objects.create_user("oscar", password=PASSWORD, is_staff=True).groups.add(Group.objects.get(name="manager"))
    Preferences.objects.create(user=User.objects.get(username="oscar"), time_zone="Europe/Madrid", language="en")
    log_in(page, live_server.url, "oscar")
    page.goto(f"{live_server.url}{page_of(platform)}")
    Platform.objects.filter(pk=platform.pk).update(name="Rides of Paris", language="es")
    page.fill("#id_name", "Rides of Rome")
    page.click("[name=_save]")
    expect(page.locator("#content")).to_contain_text(
        "Since you opened this page, something was changed: Name, Language"
    )
    expect(page.locator("#content")).to_contain_text("“Rides of Paris”. Below is what you typed")
    expect(page.locator("#id_name")).to_have_value("Rides of Rome")
    expect(page.locator("#id_language")).to_have_value("es")
    page.click("[name=_save]")
    expect(page.locator("body")).to_contain_text("was changed successfully")
    platform.refresh_from_db()
    assert (platform.name, platform.language) == ("Rides of Rome", "es")


# The least contrast of a text of a transcript with what is behind it, as WCAG 2 reckons.
CONTRAST = """() => {
  const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const read = color => {
    context.clearRect(0, 0, 1, 1); context.fillStyle = color; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map(each => each / 255)
    .map(each => each <= .03928 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4)
    .reduce((sum, each, i) => sum + each * [.2126, .7152, .0722][i], 0);
  const behind = element => {
    for (let each = element; each; each = each.parentElement) {
      const color = read(getComputedStyle(each).backgroundColor);
      if (color[3] > 250) return color;
    }
    return [255, 255, 255, 255];
  };
  let worst = {ratio: 99};
  const parts = ".transcript :is(.transcript-head, .transcript-body, .transcript-foot, b)";
  for (const element of document.querySelectorAll(parts)) {
    const [a, b] = [light(read(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < worst.ratio) worst = {ratio, text: element.textContent.trim().slice(0, 40), classes: element.className};
  }
  return worst;
}"""
# What sticks out of the page, to be told when something does.
WIDEST = """() => [...document.querySelectorAll('#page *')]
  .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
  .map(each => `${each.tagName} ${each.id || each.className}: ${each.textContent.trim().slice(0, 30)}`).slice(0, 6)"""
