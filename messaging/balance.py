"""Know what is left on the account at the gateway, and say once when it is little."""

from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.conf import settings
from django.db.models import F, Q

from messaging.gateways import Account
from messaging.models import GatewayAccount
from messaging.pauses import ACCOUNT

log = structlog.get_logger(__name__)

# A little less than an hour, so that a job which starts some seconds early reads all the same.
_READ_EVERY = timedelta(minutes=55)


def is_balance_due(*, now: datetime) -> bool:
    """Return whether to read the balance: an hour after the last time, and at once while it is low or texts wait."""
    account = GatewayAccount.objects.filter(name=ACCOUNT).first()
    return (
        account is None
        or account.balance_read_at is None
        or account.balance_read_at <= now - _READ_EVERY
        or account.balance_low_since is not None
        or account.paused_at is not None
    )


def read_balance(*, account: Account, now: datetime) -> Decimal:
    """Ask for the balance and keep it; log a warning when it has fallen below BALANCE_WARNING. Raises AccountError."""
    balance = account.read_balance()
    GatewayAccount.objects.bulk_create([GatewayAccount(name=ACCOUNT)], ignore_conflicts=True)
    row = GatewayAccount.objects.filter(name=ACCOUNT)
    row.filter(Q(balance_read_at=None) | Q(balance_read_at__lte=now)).update(
        balance=balance.amount, balance_currency=balance.currency, balance_read_at=now
    )
    # As one statement each, because two workers may read at the same time.
    is_low = Q(balance__lt=settings.BALANCE_WARNING)
    if row.filter(is_low, balance_low_since=None).update(balance_low_since=F("balance_read_at")):
        log.warning(
            "balance low",
            account=ACCOUNT,
            balance=str(balance.amount),
            currency=balance.currency,
            warn_below=settings.BALANCE_WARNING,
        )
    elif row.filter(~is_low, balance_low_since__isnull=False).update(balance_low_since=None):
        log.info("balance is enough again", account=ACCOUNT, balance=str(balance.amount), currency=balance.currency)
    return balance.amount
