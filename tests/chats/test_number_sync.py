"""sync_virtual_numbers and the nightly job: our numbers follow the account's, and nobody is given or loses one."""

import io
import json
import threading
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from chats.models import VirtualNumber
from chats.services import end_chat
from messaging import tasks
from messaging.gateways import AccountError, OwnedNumber
from messaging.gateways.vonage_account import VonageAccount
from messaging.models import GatewayAccount
from tests.factories import SARA, VIRTUAL_NUMBER, make_chat, make_virtual_number

pytestmark = pytest.mark.django_db

NEW = "+14155550101"
OTHER_APPLICATION = "aaaaaaaa-0000-4000-8000-000000000000"


def sync(*arguments: str) -> str:
    out = io.StringIO()
    call_command("sync_virtual_numbers", *arguments, stdout=out)
    return out.getvalue().strip()


def changes_of(*arguments: str) -> list[tuple[str, str]]:
    return [(change["number"], change["change"]) for change in json.loads(sync("--json", *arguments))]


def read(number: str = VIRTUAL_NUMBER) -> VirtualNumber:
    return VirtualNumber.objects.get(number=number)


# --- New ones ------------------------------------------------------------------------------------------------


def test_a_new_number_comes_in_reserved_with_its_country_and_capabilities(vonage):
    vonage.set_account(
        numbers=[{"number": NEW, "country": "CA", "features": ["SMS"]}, {"number": VIRTUAL_NUMBER, "features": []}]
    )
    assert sync().splitlines() == [
        "+14155550100      Added, reserved (US, no texts): make it active in the admin to use it.",
        "+14155550101      Added, reserved (CA, SMS): make it active in the admin to use it.",
    ]
    new = read(NEW)
    assert (new.state, new.country, new.can_sms, new.can_mms, new.platform) == ("reserved", "CA", True, False, None)
    assert not read().can_sms


def test_a_new_number_is_given_to_nobody(vonage, api):
    vonage.set_account(numbers=[NEW])
    sync()
    answer = api.post("/chats", {"participants": [{"phone_number": SARA}, {"phone_number": "+14155550124"}]})
    assert answer.status_code >= 400 and not read(NEW).participants.exists()


def test_twice_is_once(vonage):
    vonage.set_account(numbers=[NEW, {"number": VIRTUAL_NUMBER, "application_id": ""}])
    make_virtual_number("+14155550109")
    assert len(changes_of()) == 4
    assert changes_of() == []
    assert sync() == "Nothing to change: the virtual numbers are those of the account."


def test_more_numbers_than_a_page_come_in(vonage):
    vonage.set_account(numbers=[f"+1202555{100 + index:04}" for index in range(250)])
    assert len(changes_of()) == 250
    assert VirtualNumber.objects.filter(state="reserved").count() == 250


def test_the_phone_number_of_somebody_in_an_open_chat_is_refused_and_not_shown(vonage, platform, virtual_number):
    chat = make_chat(platform)
    vonage.set_account(numbers=[VIRTUAL_NUMBER, SARA])
    out = sync()
    assert "Not added: This is the phone number of a person in an open chat." in out and SARA not in out
    assert not VirtualNumber.objects.filter(number=SARA).exists()
    end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
    assert changes_of() == [(SARA, "added")]


def test_a_short_code_is_no_virtual_number(vonage):
    vonage.set_account(numbers=["12345", NEW])
    assert changes_of() == [(NEW, "added")]


# --- What follows the account ----------------------------------------------------------------------------------


def test_country_and_capabilities_follow_and_nothing_else(vonage, platform):
    later = timezone.now() + timedelta(minutes=5)
    make_virtual_number(platform=platform, state="draining", messages_per_second=2.5, next_send_at=later)
    vonage.set_account(numbers=[{"number": VIRTUAL_NUMBER, "country": "CA", "features": ["MMS", "VOICE"]}])
    assert sync() == "+14155550100      Now as at the gateway: country CA, SMS off, MMS on."
    row = read()
    assert (row.country, row.can_sms, row.can_mms) == ("CA", False, True)
    assert (row.platform, row.state, row.messages_per_second, row.next_send_at) == (platform, "draining", 2.5, later)


def test_what_an_operator_has_changed_since_is_kept(vonage, virtual_number):
    vonage.set_account(numbers=[{"number": VIRTUAL_NUMBER, "country": "US", "features": ["SMS", "MMS"]}])
    assert changes_of() == [(VIRTUAL_NUMBER, "changed")] and read().can_mms
    # Its campaign takes no MMS, which no API tells.
    VirtualNumber.objects.update(can_mms=False, country="CA")
    assert changes_of() == [] and (read().can_mms, read().country) == (False, "CA")
    vonage.set_account(numbers=[{"number": VIRTUAL_NUMBER, "country": "US", "features": ["VOICE"]}])
    assert sync() == "+14155550100      Now as at the gateway: SMS off."
    VirtualNumber.objects.update(can_sms=True)
    assert changes_of() == [] and read().can_sms


def test_what_an_operator_makes_of_a_new_number_is_kept(vonage):
    vonage.set_account(numbers=[{"number": NEW, "country": "US", "features": ["SMS", "MMS"]}])
    assert changes_of() == [(NEW, "added")]
    VirtualNumber.objects.update(can_mms=False)
    assert changes_of() == [] and not read(NEW).can_mms


def test_a_country_that_is_none_is_not_taken_over(vonage, virtual_number):
    vonage.set_account(numbers=[{"number": VIRTUAL_NUMBER, "country": "XX", "features": ["SMS"]}])
    assert changes_of() == [] and read().country == "US"


# --- Gone ------------------------------------------------------------------------------------------------------


def test_a_number_that_is_gone_is_flagged_and_left_alone(vonage, platform, virtual_number, caplog):
    make_chat(platform)
    vonage.set_account(numbers=[NEW])
    out = sync()
    assert "+14155550100      The account no longer has the number (1 open chat): rent it again" in out
    row = read()
    assert row.missing_since and row.state == "active"
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "virtual number missing" in record.getMessage() and str(row.pk) in record.getMessage()
    assert VIRTUAL_NUMBER not in caplog.text


def test_it_is_flagged_since_the_first_time(vonage, virtual_number):
    vonage.set_account(numbers=[NEW])
    sync()
    since = read().missing_since
    sync()
    assert read().missing_since == since


def test_one_that_comes_back_is_unflagged(vonage, virtual_number):
    vonage.set_account(numbers=[NEW])
    sync()
    vonage.set_account(numbers=[NEW, {"number": VIRTUAL_NUMBER, "features": ["SMS"]}])
    assert sync() == "+14155550100      The account has the number again."
    assert read().missing_since is None


@pytest.mark.parametrize(
    ("state", "flagged"), [("active", True), ("reserved", True), ("draining", True), ("retired", False)]
)
def test_a_retired_number_is_not_missed(vonage, state, flagged):
    make_virtual_number(state=state)
    vonage.set_account(numbers=[NEW])
    sync()
    assert bool(read().missing_since) is flagged


def test_a_retired_number_is_missed_while_its_chats_are_open(vonage, platform, virtual_number):
    chat = make_chat(platform)
    VirtualNumber.objects.update(state="retired")
    vonage.set_account(numbers=[NEW])
    sync()
    assert read().missing_since
    end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
    sync()
    assert read().missing_since is None


# --- Linked elsewhere --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("application_id", "where"), [(OTHER_APPLICATION, "another application"), ("", "no application")]
)
def test_a_number_whose_texts_do_not_reach_us_is_flagged(vonage, virtual_number, application_id, where):
    number = {"number": VIRTUAL_NUMBER, "features": ["SMS"], "application_id": application_id}
    vonage.set_account(numbers=[number])
    assert sync().startswith(f"+14155550100      Linked to {where}, so its texts do not reach us: link it")
    assert read().unlinked_since and read().missing_since is None
    vonage.set_account(numbers=[{**number, "application_id": vonage.application_id}])
    assert sync() == "+14155550100      Its texts reach us again."
    assert read().unlinked_since is None


def test_a_new_number_that_is_linked_elsewhere_is_flagged_at_once(vonage):
    vonage.set_account(numbers=[{"number": NEW, "application_id": ""}])
    assert changes_of() == [(NEW, "added"), (NEW, "unlinked")]


def test_an_account_on_the_sms_api_needs_no_link(vonage, settings, virtual_number):
    settings.VONAGE_LEGACY_WEBHOOKS = "signed:sha256"
    vonage.set_account(numbers=[{"number": VIRTUAL_NUMBER, "features": ["SMS"], "application_id": ""}])
    assert changes_of() == []


# --- What is not believed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        ({"status": 401}, "Vonage refused VONAGE_API_KEY and VONAGE_API_SECRET"),
        ({"status": 429}, "Vonage asked to slow down. Try again later."),
        ({"status": 500}, "Vonage has an internal error. Try again later."),
        ({"status": 500, "path": "numbers", "index": 2}, "internal error"),
        ({"status": 500, "path": "numbers", "index": 3}, "internal error"),
    ],
)
def test_a_page_that_fails_changes_nothing(vonage, virtual_number, fail, said):
    vonage.set_account(numbers=[f"+1202555{100 + index:04}" for index in range(250)], fail=fail)
    with pytest.raises(CommandError, match="Nothing was changed") as raised:
        sync()
    assert said in str(raised.value)
    assert VirtualNumber.objects.count() == 1 and read().missing_since is None


def test_an_account_that_is_suddenly_empty_is_not_believed(vonage, virtual_number):
    with pytest.raises(CommandError, match="--allow-empty"):
        sync()
    assert read().missing_since is None
    assert changes_of("--allow-empty") == [(VIRTUAL_NUMBER, "missing")]


def test_an_empty_account_is_believed_when_we_have_none(vonage):
    make_virtual_number(state="retired")
    assert changes_of() == []


def test_without_a_secret_the_command_says_what_to_set(settings):
    settings.VONAGE_API_SECRET = ""
    with pytest.raises(CommandError, match="Set VONAGE_API_SECRET"):
        sync()


# --- At once -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_it_once(vonage):
    vonage.set_account(numbers=[f"+1202555{100 + index:04}" for index in range(120)])
    make_virtual_number()
    told: list[tuple[str, str]] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            told.extend(changes_of())
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(told) == len(set(told)) == 121
    assert VirtualNumber.objects.count() == 121


def test_a_number_that_is_added_while_the_account_is_read_is_not_missed(vonage, monkeypatch):
    """It was rented a moment ago; the page that was read before does not have it."""

    def read_slowly(account):
        make_virtual_number()
        return [OwnedNumber(NEW, "US", True, False, vonage.application_id)]

    monkeypatch.setattr(VonageAccount, "list_numbers", read_slowly)
    assert changes_of() == [(NEW, "added")]
    assert read().missing_since is None


# --- The job -----------------------------------------------------------------------------------------------------


@pytest.fixture
def said_nothing_yet():
    tasks._say_what_to_set.cache_clear()
    yield
    tasks._say_what_to_set.cache_clear()


def test_the_job_does_the_same_and_notes_when(vonage):
    vonage.set_account(numbers=[NEW])
    tasks.follow_account_numbers(timestamp=0)
    assert read(NEW).state == "reserved"
    assert timezone.now() - GatewayAccount.objects.get().numbers_read_at < timedelta(minutes=1)


@pytest.mark.parametrize(("status", "again"), [(401, False), (429, True), (500, True)])
def test_a_job_that_fails_says_so_and_is_tried_again_when_that_makes_sense(vonage, caplog, status, again):
    vonage.set_account(fail={"status": status})
    if again:
        with pytest.raises(AccountError):
            tasks.follow_account_numbers(timestamp=0)
    else:
        tasks.follow_account_numbers(timestamp=0)
    assert "virtual numbers not synced" in caplog.text
    assert not GatewayAccount.objects.exists()


def test_a_job_that_finds_an_empty_account_says_so(vonage, virtual_number, caplog):
    tasks.follow_account_numbers(timestamp=0)
    assert "is not believed" in caplog.text and read().missing_since is None


def test_without_a_secret_the_jobs_say_once_what_to_set(settings, said_nothing_yet, caplog):
    settings.VONAGE_API_SECRET = ""
    for _ in range(3):
        tasks.follow_account_numbers(timestamp=0)
        tasks.watch_balance(timestamp=0)
    assert caplog.text.count("Set VONAGE_API_SECRET") == 1
    assert not GatewayAccount.objects.exists()
