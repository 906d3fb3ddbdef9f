"""What the handsets page does on its own, in headless Chromium."""

import base64
import io
import re
import shutil
import wave
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect, sync_playwright

from simulator.fault_kinds import KINDS
from tests.harness.simulator import Simulator, make_attachment, wait_until
from tests.simulator.conftest import ABSENT, SARA, VIRTUAL_NUMBER
from tests.simulator.receiver import Receiver

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no `chromium` here; on Debian: apt-get install chromium"),
]
OMAR = "+14155550124"
CHARLIE = "+14155550127"
VIRTUAL_NUMBERS = (VIRTUAL_NUMBER, "+14155550101", "+14155550102")
# It is run as root in containers, and must not look for anything outside.
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync",
          "--disable-component-update", "--no-first-run"]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shared_simulator(receiver: Receiver) -> Iterator[Simulator]:
    with Simulator.start(
        inbound_url=f"{receiver.url}/inbound",
        status_url=f"{receiver.url}/status",
        SIMULATOR_VIRTUAL_NUMBERS=",".join(VIRTUAL_NUMBERS),
    ) as simulator:
        yield simulator


@pytest.fixture
def page(browser: Browser, simulator: Simulator) -> Iterator[Page]:
    """The page, opened and live; at the end nothing may have gone wrong in it, nor left it for elsewhere."""
    context = browser.new_context()
    page = context.new_page()
    problems: list[str] = []
    urls: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: urls.append(request.url))
    page.goto(simulator.url)
    expect(page.locator("#live")).to_have_text("live")
    yield page
    context.close()
    assert problems == []
    # An id may look like a number; what is drawn from a file that was chosen is a blob.
    named = [re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", url.removeprefix("blob:")) for url in urls]
    assert not [url for url in named if not url.startswith(simulator.url) or re.search(r"\d{7}", url)]


def find_handset(page: Page, number: str) -> Locator:
    return page.locator(f'[data-handset="{number}"]')


def find_bubbles(page: Page, number: str) -> Locator:
    return find_handset(page, number).locator(".bubble")


def add_handset(page: Page, number: str) -> None:
    page.get_by_test_id("add-handset").click()
    page.get_by_test_id("handset-number").fill(number)
    page.get_by_test_id("handset-confirm").click()


# --- Handsets ------------------------------------------------------------------------------------------------


def test_the_empty_page_shows_two_handsets_and_how_to_open_a_chat(page, receiver):
    expect(page.locator("[data-handset]")).to_have_count(2)
    expect(page.get_by_test_id("welcome")).to_be_visible()
    expect(page.locator("#example")).to_contain_text(f"curl {receiver.url}/chats")
    expect(page.locator("#example")).to_contain_text(f'"phone_number": "{OMAR}"')
    expect(find_handset(page, SARA)).to_contain_text(f"No texts with {VIRTUAL_NUMBER} yet.")


def test_the_welcome_goes_when_a_text_arrives_and_comes_back_when_all_is_forgotten(page, caller):
    caller.send_accepted(text="Hello")
    expect(page.get_by_test_id("welcome")).to_be_hidden()
    expect(find_bubbles(page, SARA)).to_have_count(1)
    page.get_by_test_id("start-over").click()
    expect(page.locator("#start-over-dialog")).to_contain_text("forgets all texts")
    page.locator("#start-over-cancel").click()
    expect(find_bubbles(page, SARA)).to_have_count(1)
    page.get_by_test_id("start-over").click()
    page.get_by_test_id("start-over-confirm").click()
    expect(page.get_by_test_id("welcome")).to_be_visible()
    expect(find_bubbles(page, SARA)).to_have_count(0)


def test_a_handset_can_be_added_and_texts_and_is_still_there_after_a_reload(page, simulator, receiver):
    add_handset(page, CHARLIE)
    charlie = find_handset(page, CHARLIE)
    charlie.get_by_test_id("text-input").fill("From a third phone")
    charlie.get_by_test_id("send").click()
    expect(charlie.locator(".bubble.from-handset")).to_contain_text("From a third phone")
    [typed] = simulator.texts()
    assert (typed["handset"], typed["virtual_number"]) == (CHARLIE, VIRTUAL_NUMBER)
    receiver.wait_for(typed["message_uuid"])
    page.reload()
    expect(find_bubbles(page, CHARLIE)).to_have_count(1)


def test_an_added_handset_can_be_removed(page):
    add_handset(page, CHARLIE)
    find_handset(page, CHARLIE).get_by_label("Remove this handset").click()
    expect(page.locator("[data-handset]")).to_have_count(2)
    expect(find_handset(page, SARA).get_by_label("Remove this handset")).to_be_hidden()


def test_what_is_no_phone_number_is_not_added(page):
    add_handset(page, "4155550127")
    expect(page.locator("#handset-dialog")).to_be_visible()
    page.locator("#handset-cancel").click()
    expect(page.locator("#handset-dialog")).to_be_hidden()
    expect(page.locator("[data-handset]")).to_have_count(2)


def test_a_text_to_a_number_nobody_has_opens_its_handset(page, caller):
    caller.send_accepted(to=CHARLIE[1:], text="Who are you?")
    expect(find_bubbles(page, CHARLIE)).to_contain_text("Who are you?")


# --- Threads -------------------------------------------------------------------------------------------------


def find_tab(page: Page, handset: str, virtual_number: str) -> Locator:
    return find_handset(page, handset).locator(f'[data-virtual-number="{virtual_number}"]')


def test_a_text_from_the_second_number_is_shown_at_once_on_a_handset_without_texts(page, caller):
    caller.send_accepted(from_number=VIRTUAL_NUMBERS[1][1:], text="On the second number")
    expect(find_bubbles(page, SARA)).to_contain_text("On the second number")
    expect(find_tab(page, SARA, VIRTUAL_NUMBERS[1])).to_have_attribute("aria-selected", "true")
    expect(find_tab(page, OMAR, VIRTUAL_NUMBER)).to_have_attribute("aria-selected", "true")


def test_a_thread_somebody_reads_or_writes_in_is_not_taken_away(page, caller):
    caller.send_accepted(text="On the first")
    expect(find_bubbles(page, SARA)).to_contain_text("On the first")
    find_handset(page, OMAR).get_by_test_id("text-input").fill("I am just typ")
    for to in (SARA, OMAR):
        caller.send_accepted(to=to[1:], from_number=VIRTUAL_NUMBERS[1][1:], text="On the second")
        expect(find_tab(page, to, VIRTUAL_NUMBERS[1])).to_have_attribute("data-unread", "1")
        expect(find_tab(page, to, VIRTUAL_NUMBER)).to_have_attribute("aria-selected", "true")
    find_tab(page, SARA, VIRTUAL_NUMBERS[1]).click()
    expect(find_bubbles(page, SARA)).to_contain_text("On the second")
    expect(find_tab(page, SARA, VIRTUAL_NUMBERS[1])).to_have_attribute("data-unread", "")


def test_a_text_can_go_to_any_number(page, simulator):
    find_tab(page, SARA, "other").click()
    sara = find_handset(page, SARA)
    sara.get_by_test_id("to-input").fill("+14155550109")
    sara.get_by_test_id("text-input").fill("Is anybody there?")
    sara.get_by_test_id("text-input").press("Enter")
    expect(sara.locator(".bubble.from-handset")).to_contain_text("Is anybody there?")
    assert simulator.texts()[0]["virtual_number"] == "+14155550109"


def test_html_in_a_text_is_shown_as_text(page, caller, simulator):
    markup = '<img src=x onerror="document.title=1"><script>document.title=1</script><b>bold</b> &amp; \'"'
    caller.send_accepted(text=markup)
    simulator.text(SARA, VIRTUAL_NUMBER, markup)
    texts = find_handset(page, SARA).locator(".bubble-text")
    expect(texts).to_have_count(2)
    assert texts.all_inner_texts() == [markup, markup]
    assert page.locator(".bubble img, .bubble script, .bubble b").count() == 0
    expect(page).to_have_title("SMS simulator")


def test_the_ticks_say_what_became_of_a_text(page, caller, simulator, receiver):
    simulator.set_faults(final_status="rejected")
    caller.send_accepted(text="Not wanted")
    expect(find_handset(page, SARA).locator('.bubble-ticks[data-state="bad"]')).to_have_text("!")
    receiver.answer("Nobody takes this", 400)
    simulator.text(SARA, VIRTUAL_NUMBER, "Nobody takes this")
    expect(find_handset(page, SARA).locator('.from-handset .bubble-ticks[data-state="bad"]')).to_have_text("! 400")


# --- Pictures and files --------------------------------------------------------------------------------------


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAEklEQVR4nGNgaPj/nyg8qpC+CgF4c8rBRtMpBgAAAABJRU5ErkJggg=="
)


def choose(name: str, content_type: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": content_type, "buffer": content}


def test_pictures_and_files_are_chosen_taken_back_and_sent(page, simulator, receiver):
    sara = find_handset(page, SARA)
    files = [choose("door.png", "image/png", PNG), choose("no.pdf", "application/pdf", b"1"), choose("c.vcf", "", b"2")]
    with page.expect_file_chooser() as chooser:
        sara.get_by_test_id("attach").click()
    chooser.value.set_files(files)
    expect(sara.get_by_test_id("tray").locator("li")).to_have_count(3)
    sara.get_by_label("Do not send no.pdf").click()
    sara.get_by_test_id("text-input").fill("This door")
    sara.get_by_test_id("text-input").press("Enter")
    expect(sara.get_by_test_id("tray")).to_be_hidden()
    [text] = wait_until(simulator.texts)
    assert [(each["type"], each["name"]) for each in text["media"]] == [("image", "door.png"), ("vcard", "c.vcf")]
    assert [simulator.read_media(each) for each in text["media"]] == [PNG, b"2"]
    assert receiver.wait_for(text["message_uuid"])[0].payload["image"]["caption"] == "This door"
    expect(sara.locator(".bubble")).to_contain_text("This door")
    expect(sara.locator(".bubble .chip")).to_contain_text("c.vcf")


def test_a_picture_is_sent_without_a_word(page, simulator):
    sara = find_handset(page, SARA)
    sara.get_by_test_id("attach-input").set_input_files(choose("door.png", "image/png", PNG))
    sara.get_by_test_id("send").click()
    expect(sara.locator(".bubble img")).to_have_count(1)
    assert simulator.texts()[0]["text"] == ""


def test_files_can_be_dropped_on_a_handset(page):
    sara = find_handset(page, SARA)
    dropped = page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(["1"], "rental.pdf", { type: "application/pdf" }));
            return transfer;
        }"""
    )
    sara.dispatch_event("dragenter", {"dataTransfer": dropped})
    expect(sara).to_have_attribute("data-dropping", "yes")
    sara.dispatch_event("drop", {"dataTransfer": dropped})
    expect(sara).to_have_attribute("data-dropping", "")
    expect(sara.get_by_test_id("tray")).to_contain_text("rental.pdf")


def test_a_picture_is_enlarged_and_put_away_by_keyboard(page, simulator):
    simulator.mms(SARA, VIRTUAL_NUMBER, "", make_attachment(PNG, "image/png", name="door.png"))
    picture = find_handset(page, SARA).get_by_role("button", name="Enlarge door.png")
    picture.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#viewer")).to_be_visible()
    expect(page.locator("#viewer-caption")).to_have_text(f"door.png · image/png · {len(PNG)} B")
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()


def test_sounds_and_films_have_players_and_files_a_name_and_size(page, simulator):
    sound = io.BytesIO()
    with wave.open(sound, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(1)
        writer.setframerate(8000)
        writer.writeframes(b"\x80" * 800)
    attachments = [
        make_attachment(sound.getvalue(), "audio/wav", name="memo.wav"),
        make_attachment(b"x" * 340_000, "application/pdf", name="<b>rental</b>.pdf"),
        make_attachment(b"no film", "video/mp4", name="film.mp4"),
        make_attachment(b"no picture", "image/heic", name="IMG_1.heic"),
    ]
    simulator.mms(SARA, VIRTUAL_NUMBER, "", *attachments)
    bubble = find_bubbles(page, SARA)
    expect(bubble.locator("audio")).to_have_attribute("aria-label", "memo.wav")
    # What the browser cannot show is a file too.
    expect(bubble.locator(".chip")).to_have_count(3)
    expect(bubble.locator(".chip").first).to_contain_text("<b>rental</b>.pdf")
    expect(bubble.locator(".chip").first).to_contain_text("340 kB")


def test_a_picture_the_carrier_could_not_fetch_says_so(page, caller):
    image = {"url": "http://127.0.0.1:9/door.jpg", "caption": "Front door"}
    caller.send_accepted(channel="mms", message_type="image", image=image, text=ABSENT)
    expect(find_bubbles(page, SARA)).to_contain_text("could not be fetched")
    expect(find_bubbles(page, SARA)).to_contain_text("Front door")


# --- Faults and traffic --------------------------------------------------------------------------------------


def test_a_fault_switched_on_in_the_panel_is_in_force_until_switched_off(page, simulator):
    faults = page.get_by_test_id("faults")
    faults.locator('[data-fault="drop_after_accept"]').check()
    faults.locator('[data-fault="respond_with"]').select_option("429")
    expected = {
        "drop_after_accept": {"reset": False, "probability": 1.0},
        "respond_with": {"status": 429, "probability": 1.0},
    }
    wait_until(lambda: simulator.call("GET", "/api/faults") == expected)
    expect(page.locator("#faults-hint")).to_have_text("2 in force")
    faults.locator('[data-fault="drop_after_accept"]').uncheck()
    faults.locator('[data-fault="respond_with"]').select_option("")
    wait_until(lambda: simulator.call("GET", "/api/faults") == {})
    expect(page.locator("#faults-hint")).to_have_text("The carrier behaves")


def test_faults_that_are_switched_at_once_do_not_undo_each_other(page, simulator):
    switches = page.locator("input[data-fault]")
    switches.evaluate_all("all => all.forEach((each) => each.click())")
    expect(page.locator("#faults-hint")).to_have_text(f"{switches.count()} in force")
    expect(page.locator("input[data-fault]:checked")).to_have_count(switches.count())
    assert len(simulator.call("GET", "/api/faults")) == switches.count()
    switches.evaluate_all("all => all.forEach((each) => each.click())")
    wait_until(lambda: simulator.call("GET", "/api/faults") == {})


def test_every_fault_is_in_the_panel(page):
    offered = page.locator("[data-fault]").evaluate_all("all => all.map((each) => each.dataset.fault)")
    assert sorted(offered) == sorted(KINDS)


def test_what_a_fault_is_told_can_be_changed_in_the_panel(page, simulator):
    faults = page.get_by_test_id("faults")
    faults.get_by_text("Receipts", exact=True).click()
    faults.locator('[data-fault="final_status"]').select_option("rejected")
    faults.locator('[data-option="final_status.error_code"]').fill("1460")
    faults.locator('[data-option="final_status.error_code"]').press("Enter")
    faults.locator('[data-option="final_status.times"]').select_option("2")
    wait_until(
        lambda: (
            simulator.call("GET", "/api/faults").get("final_status")
            == {"status": "rejected", "error_code": "1460", "probability": 1.0, "times": 2}
        )
    )
    faults.locator('[data-fault="final_status"]').select_option("undeliverable")
    wait_until(lambda: simulator.call("GET", "/api/faults")["final_status"]["error_code"] == "1331")


def test_the_panel_says_in_which_group_faults_are_in_force(page, simulator):
    simulator.set_faults(media_larger={"bytes": 7_000_000, "announced": "all"}, secure_media=True)
    group = page.locator(".fault-group").last
    expect(group.locator(".fault-count")).to_have_text("2 on")
    expect(group.locator('[data-fault="media_larger"]')).to_have_value("7000000")
    expect(group.locator('[data-option="media_larger.announced"]')).to_have_value("all")


def test_a_fault_set_elsewhere_is_shown_in_the_panel(page, simulator):
    simulator.set_faults(latency_ms=250, no_receipts=True)
    expect(page.locator('[data-fault="no_receipts"]')).to_be_checked()
    expect(page.locator('[data-fault="latency_ms"]')).to_have_value("250")


def test_traffic_shows_every_exchange_and_its_body_when_opened(page, caller, simulator):
    caller.send_accepted(text="Look inside")
    simulator.wait_until_quiet()
    rows = page.get_by_test_id("traffic").locator(".exchange")
    expect(rows).to_have_count(3)
    # The answers to the two receipts come in any order.
    expect(rows.filter(has_text="submitted")).to_have_count(1)
    expect(rows.filter(has_text="delivered")).to_have_count(1)
    sent = page.get_by_test_id("traffic").locator('.exchange[data-kind="send"]')
    expect(sent).to_contain_text("202")
    sent.locator("summary").click()
    expect(sent).to_contain_text("POST /v1/messages")
    expect(sent.locator(".exchange-body").first).to_contain_text('"text": "Look inside"')


# --- For whom it is ------------------------------------------------------------------------------------------

# Everything that is said: in sight or in a closed group, to eyes or to a screen reader.
_SAID = """() => {
  const said = new Set();
  const roots = [document.body, ...[...document.querySelectorAll("template")].map((each) => each.content)];
  for (const root of roots) {
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) said.add(texts.currentNode.data.trim());
    for (const element of root.querySelectorAll("*")) {
      for (const name of ["aria-label", "title", "placeholder"]) said.add(element.getAttribute(name) ?? "");
    }
  }
  return [...said].filter((words) => /[a-z]{2}/i.test(words));
}"""
# What is called the same in every language: values of the wire, names of formats, and the example.
_SAME = re.compile(
    r"API|curl .*|make run|RST|FIN|GET|FORM|JSON|Retry-After|inbound|status"
    r"|delivered|submitted|rejected|undeliverable|expired|failed|buffered|unknown"
    r"|md5hash|md5|sha\d+|in order|shuffled|missing|doubled|original|nothing|none|all|last|send"
    r"|[\d.+−]+ (ms|s|min|h|B|kB|MB)"
    r"|(text|application|image)/[a-z+-]+|\d+ MB",
    re.DOTALL,
)


@pytest.fixture
def in_language(browser: Browser, shared_simulator: Simulator) -> Iterator[Callable[..., Page]]:
    """Open the page as a browser with this language and width does."""
    contexts = []

    def open_page(locale: str, *, width: int = 1280, query: str = "") -> Page:
        contexts.append(browser.new_context(locale=locale, viewport={"width": width, "height": 844}))
        page = contexts[-1].new_page()
        page.goto(shared_simulator.url + query)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_all_of_it_is_said_in_spanish_to_a_browser_that_wants_spanish(in_language, caller):
    caller.send_accepted(text="1")
    english, spanish = in_language("en-GB"), in_language("es-MX")
    assert (english.locator("html").get_attribute("lang"), spanish.locator("html").get_attribute("lang")) == (
        "en",
        "es",
    )
    assert spanish.title() == "Simulador de SMS"
    said = english.evaluate(_SAID)
    assert len(said) > 90
    both = set(said) & set(spanish.evaluate(_SAID))
    assert [words for words in both if not _SAME.fullmatch(words)] == []


def test_another_language_is_shown_english_and_the_address_may_ask_for_either(in_language):
    expect(in_language("fr-FR").locator("h1")).to_have_text("SMS simulator")
    expect(in_language("fr-FR", query="/?lang=es").locator("h1")).to_have_text("Simulador de SMS")
    expect(in_language("es-ES", query="/?lang=en").locator("h1")).to_have_text("SMS simulator")


@pytest.mark.parametrize("locale", ["en", "es"])
def test_a_phone_has_nothing_to_scroll_sideways(in_language, locale):
    page = in_language(locale, width=360)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_every_control_has_a_name(in_language):
    page = in_language("en")
    nameless = page.evaluate("""() => [...document.querySelectorAll("button, a[href], input, select, textarea")].filter(
        (each) => !each.hidden && !each.getAttribute("aria-label") && !each.textContent.trim() && !each.labels?.length
    ).map((each) => each.outerHTML)""")
    assert nameless == []


def test_a_text_is_written_and_sent_by_the_keyboard_alone(page, simulator):
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('composer-text')"):
            break
    page.keyboard.type("Without a mouse")
    page.keyboard.press("Enter")
    expect(find_bubbles(page, SARA)).to_contain_text("Without a mouse")
    [text] = simulator.texts()
    assert text["handset"] == SARA


def test_it_links_to_the_desk_of_the_service(page, receiver):
    expect(page.locator("#desk-link")).to_have_attribute("href", f"{receiver.url}/admin/")


def test_when_the_simulator_is_gone_the_page_says_so_keeps_what_is_typed_and_goes_on(browser, receiver):
    settings = {"inbound_url": f"{receiver.url}/inbound", "SIMULATOR_VIRTUAL_NUMBERS": VIRTUAL_NUMBER}
    with Simulator.start(**settings) as gone:
        page = browser.new_page()
        page.goto(gone.url)
        expect(page.locator("#live")).to_have_text("live")
        expect(page.locator("#gone")).to_be_hidden()
        gone.stop()
        expect(page.get_by_role("alert").filter(has_text="does not answer")).to_contain_text("make run")
        writing = find_handset(page, SARA).get_by_test_id("text-input")
        writing.fill("Are you there?")
        writing.press("Enter")
        expect(find_handset(page, SARA)).to_contain_text("Not sent: The simulator does not answer.")
        expect(writing).to_have_value("Are you there?")
        with Simulator.start(port=int(gone.url.rpartition(":")[2]), **settings) as back:
            expect(page.locator("#gone")).to_be_hidden(timeout=15_000)
            writing.press("Enter")
            expect(find_bubbles(page, SARA)).to_have_count(1)
            assert [text["text"] for text in back.texts()] == ["Are you there?"]
        page.close()


# --- The account ---------------------------------------------------------------------------------------------


def test_balance_numbers_and_answers_of_the_account_are_changed_on_the_page(page, simulator):
    account = page.get_by_test_id("account")
    account.locator("[name=balance]").fill("1.5")
    account.locator("[name=balance]").press("Tab")
    account.locator("[name=fail]").select_option("420")
    account.locator("[name=number]").fill("+14155550103")
    account.locator("[name=number]").press("Enter")
    expect(account.locator("li", has_text="+14155550103")).to_be_visible()
    shown = simulator.call("GET", "/api/account")
    assert (shown["balance"], shown["fail"]) == (1.5, {"status": 420})
    assert "+14155550103" in [number["number"] for number in shown["numbers"]]
    account.get_by_label("Take +14155550103 from the account").click()
    expect(account.locator("li", has_text="+14155550103")).to_be_hidden()


def test_what_is_no_number_of_an_account_is_refused_in_words(page):
    page.get_by_test_id("account").locator("[name=number]").fill("nobody")
    page.get_by_test_id("account").get_by_role("button", name="Add").click()
    expect(page.locator("#account-error")).to_contain_text("must be a phone number")


def test_files_grow_old_at_once(page, simulator):
    simulator.mms(SARA, VIRTUAL_NUMBER, "", make_attachment(b"\xff\xd8\xff\xe0", name="photo.jpg"))
    with page.expect_response("**/api/clock") as answered:
        page.get_by_role("button", name="48 h older").click()
    assert answered.value.status == 204
