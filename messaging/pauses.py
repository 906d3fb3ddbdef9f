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

# For other statements: does nobody but a probe get a text?
IS_PAUSED = f"EXISTS (SELECT FROM messaging_gatewayaccount WHERE name = '{ACCOUNT}' AND paused_at IS NOT NULL)"

_IS_PROBE_DUE = f"""
    SELECT name FROM messaging_gatewayaccount
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
    """Take the right to choose the text to try, until the transaction ends; False when another sender has it."""
    return bool(execute_prepared(_LOCK_DUE_PROBE, {}))


def start_probe(message_id: UUID) -> None:
    """Note which text is tried. When its sender dies, another text is tried after the lease."""
    GatewayAccount.objects.filter(name=ACCOUNT).update(
        probe_message_id=message_id, probe_at=Now() + timedelta(seconds=settings.SEND_LEASE_SECONDS)
    )


def pause_account(*, error: SendError, refused: Collection[UUID]) -> None:
    """Pause the account, or wait longer for the next probe when the last one is among the `refused` texts.

    Belongs into the transaction that queues those texts again, before it does: else they could be claimed at once.
    """
    GatewayAccount.objects.bulk_create([GatewayAccount(name=ACCOUNT)], ignore_conflicts=True)
    account = GatewayAccount.objects.select_for_update().get(name=ACCOUNT)
    why = {"pause_code": error.code[:40], "pause_detail": error.detail[:200]}
    if account.paused_at is None:
        wait = max(probe_wait_seconds(0), error.retry_after or 0)
        _update(paused_at=Now(), probe_at=_in(wait), probe_message_id=None, failed_probes=0, **why)
        transaction.on_commit(
            partial(log.error, "account paused", account=ACCOUNT, code=error.code, reason=error.detail)
        )
    elif account.probe_message_id in refused:
        failed = min(account.failed_probes + 1, 32_000)
        wait = max(probe_wait_seconds(failed), error.retry_after or 0)
        _update(probe_at=_in(wait), probe_message_id=None, failed_probes=failed, **why)
        transaction.on_commit(
            partial(log.info, "account still paused", account=ACCOUNT, code=error.code, probes=failed)
        )


def end_probe(*, message_id: UUID, accepted: bool) -> None:
    """Resume the account when the text that was tried was accepted; else, let the next one be tried at once.

    What was refused for the account's sake is for `pause_account`, and a probe that it has ended is not ended again.
    """
    with transaction.atomic():
        account = GatewayAccount.objects.select_for_update().filter(name=ACCOUNT, probe_message_id=message_id).first()
        if account is None or account.paused_at is None:
            return
        if accepted:
            nothing = {"paused_at": None, "probe_at": None, "pause_code": "", "pause_detail": "", "failed_probes": 0}
            _update(probe_message_id=None, **nothing)
            wake_senders()
            transaction.on_commit(
                partial(log.warning, "account resumed", account=ACCOUNT, paused_since=account.paused_at.isoformat())
            )
        else:
            _update(probe_message_id=None, probe_at=Now())


def probe_wait_seconds(failed_probes: int) -> float:
    """Return how long to wait for the next probe: about 1, 2, 4 … 60 seconds, spread by up to a half."""
    return min(60.0, 2.0 ** min(failed_probes, 6)) * random.uniform(0.5, 1.0)


def _update(**fields: object) -> None:
    GatewayAccount.objects.filter(name=ACCOUNT).update(**fields)


def _in(seconds: float) -> Combinable:
    return Now() + timedelta(seconds=seconds)
