"""Photograph the main pages of a service that runs with a believable day in it: `scripts/screenshots [directory]`."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Before Django reads its settings: the service that is started gets the same keys.
import tests.environment  # noqa: F401  isort: skip
import django

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
# What is photographed, by the name of its picture: where it is, `{…}` filled in with what the day has made.
PAGES = {
    "handsets": "{simulator}/",
    "home": "{web}/admin/",
    "failures": "{web}/admin/failures",
    "chats": "{web}/admin/chats/chat/",
    "chat": "{web}/admin/chats/chat/{chat}/change/",
    "numbers": "{web}/admin/chats/virtualnumber/",
    "platform": "{web}/admin/platforms/platform/{platform}/change/",
    "messages": "{web}/admin/messaging/message/",
}
NAME, PASSWORD = "olga", "only-for-the-pictures"
_SIZE = {"width": 1280, "height": 800}
_PEOPLE = (("+14155550123", "Sara"), ("+14155550124", "Omar"))
_TALK = (
    (0, "I am at the blue gate, next to the bakery"),
    (1, "Two minutes, white car"),
    (0, "It is quarter past, is that you honking?"),
    (1, "Yes! Right behind the bus"),
)


def main(directory: Path) -> int:
    if not shutil.which("chromium"):
        print("There is no `chromium` here; on Debian or Ubuntu: apt-get install chromium", file=sys.stderr)
        return 1
    os.environ["DJANGO_SETTINGS_MODULE"] = "proxy_project.settings"
    django.setup()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, _service(Path(scratch)) as service:
        places = _live_through_a_day(service)
        for name in _photograph(service, directory, places):
            print(directory / name)
    return 0


@contextmanager
def _service(scratch: Path) -> Iterator[Any]:
    # Not at the top: it reads the settings.
    from tests.harness.service import Deployment, Service

    deployment = Deployment("+14155550100", "+14155550101", "+14155550102")
    try:
        with Service(scratch, deployment=deployment, MEDIA_FETCH_MINUTES="0") as service:
            service.start_web()
            service.start_sender()
            service.start_worker()
            yield service
    finally:
        deployment.drop()


def _live_through_a_day(service: Any) -> dict[str, str]:
    """Have people text each other, and return what stands in the addresses of PAGES."""
    from tests.harness.simulator import make_attachment
    from tests.messaging.samples import make_jpeg

    service.query("UPDATE chats_virtualnumber SET can_mms = true")
    simulator = service.simulator
    others = [
        (("+14155550125", "Alice"), ("+14155550126", "Bob"), "rental-17"),
        (("+14155550127", "Charlie"), ("+14155550128", "Dana"), "booking-8813"),
    ]
    for one, other, reference in others:
        chat = service.start_chat(one, other, reference=reference)
        service.wait_until_sent()
        [number] = chat["virtual_numbers"]
        simulator.text(one[0], number, "Hello, is everything ready at noon?")
        simulator.wait_for_text(other[0], "ready at noon")
    simulator.set_faults(final_status={"status": "undeliverable", "error_code": "1331"})
    simulator.text(one[0], number, "I cannot find the key")
    service.wait_until_sent()
    simulator.wait_until_quiet()
    simulator.clear_faults()
    service.call("POST", f"/chats/{chat['id']}/end", {"reason": "handed over"})
    chat = service.start_chat(*_PEOPLE, reference="booking-8812", metadata={"from": "Station", "to": "Airport"})
    service.wait_until_sent()
    [number] = chat["virtual_numbers"]
    for writer, words in _TALK:
        simulator.text(_PEOPLE[writer][0], number, words)
        simulator.wait_for_text(_PEOPLE[1 - writer][0], words)
    simulator.mms(_PEOPLE[0][0], number, "", make_attachment(make_jpeg(), name="gate.jpg", caption="this gate"))
    service.wait_until_sent()
    simulator.wait_until_quiet()
    service.run(
        sys.executable, "manage.py", "createsuperuser", "--noinput", "--email=",
        DJANGO_SUPERUSER_USERNAME=NAME, DJANGO_SUPERUSER_PASSWORD=PASSWORD,
    ).check_returncode()  # fmt: skip
    # The worker does it every minute.
    service.run(
        sys.executable, "-c",
        "import django; django.setup(); from desk.counting import count_figures; from django.utils import timezone;"
        " count_figures(now=timezone.now())",
        DJANGO_SETTINGS_MODULE="proxy_project.settings",
    ).check_returncode()  # fmt: skip
    [(platform,)] = service.query("SELECT id FROM platforms_platform")
    return {"web": service.url, "simulator": simulator.url, "chat": chat["id"], "platform": str(platform)}


def _photograph(service: Any, directory: Path, places: dict[str, str]) -> Iterator[str]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_context(viewport=_SIZE, reduced_motion="reduce", locale="en-US").new_page()  # type: ignore[arg-type]
        page.goto(f"{service.url}/admin/login/")
        page.fill("#id_username", NAME)
        page.fill("#id_password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url("**/admin/")
        for name, address in PAGES.items():
            answer = page.goto(address.format(**places))
            if not answer or answer.status != 200:
                raise SystemExit(f"The page of {name}.png answers {answer and answer.status}: mend its line in PAGES.")
            page.evaluate("document.fonts.ready")
            # The handsets' stream never ends, and the texts in it are what is waited for.
            if name == "handsets":
                page.get_by_text("Right behind the bus").first.wait_for()
            else:
                page.wait_for_load_state("networkidle")
            page.screenshot(path=directory / f"{name}.png", animations="disabled")
            yield f"{name}.png"
        browser.close()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES))
