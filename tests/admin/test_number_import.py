"""Many virtual numbers at once: a pasted list or a CSV, told line by line before anything is added; and the sync."""

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import AuditEntry
from chats.models import VirtualNumber
from platforms.models import Platform
from tests.admin.pages import NUMBERS, read, words_of
from tests.factories import SARA, make_chat, make_pool, make_virtual_number

ADD_MANY = reverse("admin:chats_virtualnumber_add_many")
SYNC = reverse("admin:chats_virtualnumber_sync")


def check(client: Client, lines: str = "", **fields: Any) -> Any:
    return client.post(ADD_MANY, {"lines": lines, "state": "active", "platform": "", **fields})


def confirm(client: Client, page: Any) -> Any:
    """Press the button of the page that tells each line."""
    found = re.search(r'name="confirmed" value="([^"]+)"', page.content.decode())
    assert found, words_of(page)
    return client.post(ADD_MANY, {"confirmed": found[1]}, follow=True)


def test_pasted_numbers_are_told_and_then_added(operator: Client, platform: Platform) -> None:
    page = check(operator, "+14155550101\n\n+1 (415) 555-0102\n", platform=platform.pk, state="reserved")
    assert "2 will be added" in words_of(page) and "They come in reserved" in words_of(page)
    assert not VirtualNumber.objects.exists()
    assert "Added 2 virtual numbers." in words_of(confirm(operator, page))
    numbers = VirtualNumber.objects.order_by("number")
    assert [number.number for number in numbers] == ["+14155550101", "+14155550102"]
    assert {(each.state, each.platform, each.country, each.paced_by) for each in numbers} == {
        ("reserved", platform, "US", "segments")
    }
    audited = AuditEntry.objects.filter(action="added", object_type="chats.virtualnumber")
    assert {entry.object_id for entry in audited} == {str(number.pk) for number in numbers}


@pytest.mark.parametrize(
    "lines",
    [
        "+14155550101,CA,2.5,texts,rides",
        "number,country,rate,paced_by,platform\n+14155550101,CA,2.5,texts,Rides",
        "Platform;Number;Rate;Country;paced_by\nRides;'+14155550101;2,5;ca;Texts",
        "\ufeffmsisdn\tcountry\trate\tpaced_by\tplatform\r\n14155550101\tCA\t2.5\ttexts\tRides\r\n",
        "0014155550101, CA, 2.5, texts, Rides",
    ],
)
def test_a_csv_says_all_about_a_number(operator: Client, platform: Platform, lines: str) -> None:
    file = SimpleUploadedFile("numbers.csv", lines.encode())
    confirm(operator, check(operator, file=file))
    number = VirtualNumber.objects.get()
    assert (number.number, number.country, number.messages_per_second) == ("+14155550101", "CA", 2.5)
    assert (number.paced_by, number.platform) == ("texts", platform)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("4155550101", "Write the number with + and its country code"),
        ("4155550101,US", "Write the number with + and its country code"),
        ("hello", "Write the number with + and its country code"),
        ("+", "Write the number with + and its country code"),
        (",US", "There is no number."),
        ("+141555", "A number has 7 to 15 digits"),
        ("+14155550101,XX", "The country must be an ISO 3166 code"),
        ("+14155550101,US,fast", "The rate must be a number, such as 10"),
        ("+14155550101,US,0", "The rate must be a number of at least 0.01."),
        ("+14155550101,US,nan", "The rate must be a number of at least 0.01."),
        ("+14155550101,US,1,words", "“paced_by” is texts or segments."),
        ("+14155550101,US,1,texts,Nobody", "There is no platform “Nobody”."),
        ("+14155550101,US,1,texts,Rides,more", "There is more on the line than there are columns."),
        ("+12025550100", "This virtual number exists already."),
        (SARA, "This is the phone number of a person in an open chat."),
    ],
)
def test_what_is_wrong_with_a_line_is_said_and_the_others_are_added(
    operator: Client, platform: Platform, line: str, problem: str
) -> None:
    make_pool(1)
    make_chat(platform)
    page = check(operator, f"+14155550107\n{line}\n+14155550108")
    words = words_of(page)
    assert problem in words and "2 will be added" in words and "1 cannot be added" in words
    assert SARA not in page.content.decode()
    done = words_of(confirm(operator, page))
    assert "Added 2 virtual numbers." in done and "1 line was left out." in done
    assert VirtualNumber.objects.count() == 3


def test_the_same_number_twice_is_added_once(operator: Client) -> None:
    page = check(operator, "+14155550101\n+14155550102\n+1 415 555 0101")
    assert "The same number as in line 1." in words_of(page)
    confirm(operator, page)
    assert VirtualNumber.objects.count() == 2


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "Paste at least one number, or choose a file."),
        ({"lines": "number,country"}, "There is no number in it."),
        ({"lines": "number,colour\n+14155550101,red"}, "There is no column “colour”"),
        ({"lines": "country,rate\nUS,1"}, "There must be a column “number”."),
        ({"lines": "+14155550101", "file": b"+14155550102"}, "not both"),
        ({"file": b"PK\x03\x04\x00\x00"}, "This is no text file."),
        ({"file": b"+14155550101\n" * 5001}, "At most 5,000 lines at once."),
        ({"file": b"+14155550101\n" * 100_000}, "The file is too large."),
    ],
)
def test_what_is_no_list_is_refused(operator: Client, fields: dict[str, Any], problem: str) -> None:
    if content := fields.get("file"):
        fields = {**fields, "file": SimpleUploadedFile("numbers.csv", content)}
    page = check(operator, **fields)
    assert problem in words_of(page) and 'name="confirmed"' not in page.content.decode()


def test_nothing_is_added_when_something_has_changed_since(operator: Client) -> None:
    page = check(operator, "+14155550101\n+14155550102")
    make_virtual_number("+14155550102")
    again = confirm(operator, page)
    assert "Something has changed since this was shown, so nothing was added." in words_of(again)
    assert "This virtual number exists already." in words_of(again)
    assert VirtualNumber.objects.count() == 1
    assert "Added 1 virtual number." in words_of(confirm(operator, again))


def test_a_double_click_adds_once(operator: Client) -> None:
    page = check(operator, "+14155550101\n+14155550102")
    confirm(operator, page)
    assert "had been added already; nothing was added twice" in words_of(confirm(operator, page))
    assert VirtualNumber.objects.count() == 2
    assert AuditEntry.objects.filter(action="added").count() == 2


def test_a_forged_confirmation_adds_nothing(operator: Client) -> None:
    page = operator.post(ADD_MANY, {"confirmed": "eyJlbnRyaWVzIjpbXX0:forged"}, follow=True)
    assert "Nothing was added" in words_of(page)


@pytest.mark.slow
def test_five_thousand_lines_take_few_queries(operator: Client, platform: Platform) -> None:
    make_pool(1)
    lines = "\n".join(f"+1202{index:07},US,10,segments,Rides" for index in range(5000))
    with CaptureQueriesContext(connection) as checking:
        page = check(operator, lines)
    with CaptureQueriesContext(connection) as adding:
        found = re.search(r'name="confirmed" value="([^"]+)"', page.content.decode())
        assert found
        assert operator.post(ADD_MANY, {"confirmed": found[1]}).status_code == 302
    assert VirtualNumber.objects.count() == 5001
    assert len(checking) <= 8
    assert len(adding) <= 20


def test_who_may_not_add_adds_nothing(viewer: Client) -> None:
    assert viewer.get(ADD_MANY).status_code == 403
    assert check(viewer, "+14155550101").status_code == 403
    assert viewer.post(SYNC).status_code == 403
    page = viewer.get(NUMBERS).content.decode()
    assert ADD_MANY not in page and SYNC not in page


def test_the_sync_says_what_became_of_each_number(operator: Client, vonage: Any) -> None:
    asked = read(operator, SYNC)
    assert "Nothing is given to anybody, retired or deleted by it" in asked and not VirtualNumber.objects.exists()
    gone = make_virtual_number("+14155550109")
    vonage.set_account(numbers=["+14155550101"])
    page = operator.post(SYNC)
    words = words_of(page)
    assert "+14155550101 Added, reserved" in words and "+14155550109 The account no longer has the number" in words
    assert VirtualNumber.objects.get(number="+14155550101").state == "reserved"
    assert VirtualNumber.objects.get(pk=gone.pk).missing_since
    assert AuditEntry.objects.filter(action="synced_numbers", actor_name="olga").count() == 1
    assert "Nothing to change" in words_of(operator.post(SYNC))


def test_an_account_without_numbers_is_believed_only_when_somebody_says_so(operator: Client, vonage: Any) -> None:
    number = make_virtual_number()
    page = operator.post(SYNC)
    assert "Nothing was changed." in words_of(page) and "flagged as gone" in words_of(page)
    assert not VirtualNumber.objects.get().missing_since
    operator.post(SYNC, {"allow_empty": "yes"})
    assert VirtualNumber.objects.get(pk=number.pk).missing_since


def test_a_sync_that_fails_changes_nothing_and_says_why(operator: Client, settings: Any) -> None:
    make_virtual_number()
    settings.VONAGE_REST_URL = "http://127.0.0.1:9"
    assert "Nothing was changed." in words_of(operator.post(SYNC))
    assert not AuditEntry.objects.filter(action="synced_numbers").exists()
