"""The balance: kept, warned about once, and read more often while it matters."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from messaging import tasks
from messaging.models import GatewayAccount
from tests.messaging.rows import ago

pytestmark = pytest.mark.django_db


def watch(vonage, balance: float) -> GatewayAccount:
    """Let an hour pass, and the job see this balance."""
    GatewayAccount.objects.update(balance_read_at=ago(hours=1))
    vonage.set_account(balance=balance)
    tasks.watch_balance(timestamp=0)
    return GatewayAccount.objects.get()


def test_the_balance_is_kept(vonage):
    account = watch(vonage, 42.5)
    assert (account.balance, account.balance_currency, account.balance_low_since) == (Decimal("42.5"), "EUR", None)
    assert timezone.now() - account.balance_read_at < timedelta(minutes=1)


def test_falling_below_is_said_once_each_time_it_falls(vonage, caplog):
    lows = []
    for balance in (50, 9.99, 8, -3, 10, 50, 9, 8):
        lows.append(watch(vonage, balance).balance_low_since is not None)
    assert lows == [False, True, True, True, False, False, True, True]
    assert caplog.text.count("balance low") == 2
    assert caplog.text.count("balance is enough again") == 1


def test_the_first_balance_may_be_low(vonage, caplog):
    assert watch(vonage, 3).balance_low_since
    assert "balance low" in caplog.text


def test_it_is_low_since_it_fell(vonage):
    since = watch(vonage, 3).balance_low_since
    assert watch(vonage, 2).balance_low_since == since


def test_a_warning_of_0_is_none(vonage, settings, caplog):
    watch(vonage, 3)
    settings.BALANCE_WARNING = 0
    assert watch(vonage, 2).balance_low_since is None
    assert watch(vonage, 0).balance_low_since is None
    assert caplog.text.count("balance low") == 1


@pytest.mark.parametrize(
    ("fields", "is_read"),
    [
        ({}, True),
        ({"balance_read_at": ago(minutes=20), "balance": 50}, False),
        ({"balance_read_at": ago(minutes=56), "balance": 50}, True),
        ({"balance_read_at": ago(minutes=10), "balance": 5, "balance_low_since": ago(hours=3)}, True),
        ({"balance_read_at": ago(minutes=10), "balance": 50, "paused_at": ago(), "probe_at": ago()}, True),
    ],
)
def test_it_is_read_every_hour_and_every_ten_minutes_while_it_matters(vonage, fields, is_read):
    GatewayAccount.objects.create(name="vonage", **fields)
    vonage.set_account(balance=77)
    tasks.watch_balance(timestamp=0)
    assert (GatewayAccount.objects.get().balance == 77) is is_read


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_balance_that_cannot_be_read_changes_nothing(vonage, caplog, status):
    before = watch(vonage, 42.5)
    GatewayAccount.objects.update(balance_read_at=ago(hours=2))
    vonage.set_account(fail={"status": status})
    tasks.watch_balance(timestamp=0)
    assert GatewayAccount.objects.get().balance == before.balance
    assert "balance not read" in caplog.text and "test-api-secret" not in caplog.text


def test_a_pause_is_left_as_it_is(vonage):
    GatewayAccount.objects.create(name="vonage", paused_at=ago(), probe_at=ago(), pause_code="402")
    account = watch(vonage, 3)
    assert account.paused_at and account.pause_code == "402"


def test_operators_read_it_on_every_page_until_it_is_topped_up(vonage, client):
    client.force_login(User.objects.create_superuser("operator"))
    watch(vonage, 3.456)
    for page in ("/admin/", "/admin/chats/virtualnumber/", "/admin/messaging/message/"):
        html = client.get(page).content.decode()
        assert "The balance of the account at Vonage is low: 3.46 EUR." in html
    watch(vonage, 50)
    assert "balance" not in client.get("/admin/").content.decode()
