"""Pause the account at the gateway when it takes no text of ours, try one text at a time, and go on by itself.

The account's row is what senders agree by: whoever changes the pause locks it first, before any text. How and why:
docs/decisions/0011-paused-account.md
"""

import random
from collections.abc import Collection
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from messaging.gateways import SendError
from messaging.models import GatewayAccount
from messaging.outbox import wake_senders
from proxy_project.sql import execute_prepared

log = structlog.get_logger(__name__)

ACCOUNT = "vonage"
_LONGEST_WAIT_SECONDS = 60.0

# For other statements: does nobody but a probe get a text?
IS_PAUSED = f"EXISTS (SELECT FROM messaging_gatewayaccount WHERE name = '{ACCOUNT}' AND paused_at IS NOT NULL)"

# Is the text, a row that is called message, a probe that counts by its receipt?
IS_PROBE = f"""EXISTS (SELECT FROM messaging_gatewayaccount
                        WHERE name = '{ACCOUNT}' AND refused_by_receipt AND probe_message_id = message.id)"""

_IS_PROBE_DUE = f"""
    SELECT probe_was_accepted FROM messaging_gatewayaccount
     WHERE name = '{ACCOUNT}' AND paused_at IS NOT NULL AND probe_at <= now()
"""
# Whoever comes second finds the row locked, or the time of the next probe moved.
_LOCK_DUE_PROBE = f"{_IS_PROBE_DUE} FOR NO KEY UPDATE SKIP LOCKED"


def read_pause() -> GatewayAccount | None:
    """Return the account when it is paused."""
    return GatewayAccount.objects.filter(name=ACCOUNT, paused_at__isnull=False).first()


def is_probe_due() -> bool:
    """Return whether the account is paused and it is time to try a text; takes no lock."""
    return bool(execute_prepared(_IS_PROBE_DUE, {}))


def lock_due_probe() -> bool:
    """Take the right to choose the text to try, until the transaction ends; False when another sender has it.

    When the receipt of the last one was awaited and has not come, nothing is tried: the account is resumed.
    """
    rows = execute_prepared(_LOCK_DUE_PROBE, {})
    if rows and rows[0][0]:
        _resume(GatewayAccount.objects.get(name=ACCOUNT))
        return False
    return bool(rows)


def start_probe(message_id: UUID) -> None:
    """Note which text is tried. When its sender dies, another text is tried after the lease."""
    GatewayAccount.objects.filter(name=ACCOUNT).update(
        probe_message_id=message_id,
        probe_at=Now() + timedelta(seconds=settings.SEND_LEASE_SECONDS),
        probe_was_accepted=False,
    )


def lock_account() -> GatewayAccount:
    """Return the account, which nobody else pauses or resumes until the transaction ends."""
    GatewayAccount.objects.bulk_create([GatewayAccount(name=ACCOUNT)], ignore_conflicts=True)
    return GatewayAccount.objects.select_for_update().get(name=ACCOUNT)


def pause_account(*, error: SendError, refused: Collection[UUID]) -> None:
    """Pause the account, or wait longer for the next probe when the last one is among the `refused` texts.

    Belongs into the transaction that queues those texts again, before it does: else they could be claimed at once.
    """
    # A number may be told to wait for longer; one text a minute harms no account, and most pauses end sooner.
    retry_after = min(error.retry_after or 0, _LONGEST_WAIT_SECONDS)
    _pause(code=error.code, detail=error.detail, refused=refused, retry_after=retry_after)


def pause_account_by_receipt(*, code: str, detail: str, refused: UUID) -> None:
    """Pause the account like `pause_account`: it took a text, and a receipt has refused it for the account's sake.

    A request that is accepted says nothing then: from now on a probe counts by its receipt. Belongs into a transaction
    that began with `lock_account`.
    """
    _pause(code=code, detail=detail, refused=[refused])
    _update(refused_by_receipt=True)


def _pause(*, code: str, detail: str, refused: Collection[UUID], retry_after: float = 0) -> None:
    account = lock_account()
    why = {"pause_code": code[:40], "pause_detail": detail[:200]}
    if account.paused_at is None:
        wait = max(probe_wait_seconds(0), retry_after)
        _update(paused_at=Now(), probe_at=_in(wait), probe_message_id=None, failed_probes=0, **why)
        transaction.on_commit(partial(log.error, "account paused", account=ACCOUNT, code=code, reason=detail))
    elif account.probe_message_id in refused:
        failed = min(account.failed_probes + 1, 32_000)
        wait = max(probe_wait_seconds(failed), retry_after)
        _update(probe_at=_in(wait), probe_message_id=None, probe_was_accepted=False, failed_probes=failed, **why)
        transaction.on_commit(partial(log.info, "account still paused", account=ACCOUNT, code=code, probes=failed))


def end_probe(*, message_id: UUID, accepted: bool) -> None:
    """Resume the account when the text that was tried was accepted; else, let the next one be tried at once.

    Where receipts refuse what was accepted, its receipt is awaited, for UNCONFIRMED_WAIT_SECONDS.
    What was refused for the account's sake is for `pause_account`, and a probe that it has ended is not ended again.
    """
    with transaction.atomic():
        account = _lock_probed(message_id)
        if account is None:
            return
        if accepted and account.refused_by_receipt:
            _update(probe_was_accepted=True, probe_at=_in(settings.UNCONFIRMED_WAIT_SECONDS))
        elif accepted:
            _resume(account)
        else:
            _update(probe_message_id=None, probe_at=Now())


def end_probe_by_receipt(*, message_id: UUID, carried: bool) -> None:
    """Resume the account when a receipt says that the text that was tried was carried; else, try the next one at once.

    The text had failed for a reason of its own then. Of a pause that no receipt began, `end_probe` decides alone.
    """
    with transaction.atomic():
        account = _lock_probed(message_id)
        if account is None or not account.refused_by_receipt:
            return
        if carried:
            _resume(account)
        else:
            _update(probe_message_id=None, probe_was_accepted=False, probe_at=Now())


def _lock_probed(message_id: UUID) -> GatewayAccount | None:
    probed = GatewayAccount.objects.filter(name=ACCOUNT, probe_message_id=message_id, paused_at__isnull=False)
    return probed.select_for_update().first()


def _resume(account: GatewayAccount) -> None:
    assert account.paused_at  # whoever resumes it has found it paused
    nothing = {"paused_at": None, "probe_at": None, "pause_code": "", "pause_detail": "", "failed_probes": 0}
    _update(probe_message_id=None, probe_was_accepted=False, refused_by_receipt=False, **nothing)
    wake_senders()
    transaction.on_commit(
        partial(log.warning, "account resumed", account=ACCOUNT, paused_since=account.paused_at.isoformat())
    )


def probe_wait_seconds(failed_probes: int) -> float:
    """Return how long to wait for the next probe: about 1, 2, 4 … 60 seconds, spread by up to a half."""
    return min(_LONGEST_WAIT_SECONDS, 2.0 ** min(failed_probes, 6)) * random.uniform(0.5, 1.0)


def _update(**fields: object) -> None:
    GatewayAccount.objects.filter(name=ACCOUNT).update(**fields)


def _in(seconds: float) -> Combinable:
    return Now() + timedelta(seconds=seconds)
