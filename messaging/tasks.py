"""What the worker does about texts."""

from functools import cache

import structlog
from django.conf import settings
from django.utils import timezone
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from chats.number_sync import SuspiciousAnswer, sync_virtual_numbers
from chats.pool import look_at_pools
from chats.services import tell_of_shortages
from messaging.approvals import ASK
from messaging.asking import ask_platforms
from messaging.balance import is_balance_due, read_balance
from messaging.gateways import AccountError
from messaging.gateways.vonage_account import NO_SECRET, VonageAccount
from messaging.gateways.vonage_media import fetch_media as fetch_from_vonage
from messaging.keeping.retention import erase_old_chats, erase_opt_outs_of_strangers, erase_strangers
from messaging.media.fetching import fetch_due_media
from messaging.media.forgetting import forget_expired_media
from messaging.number_health import note_health
from messaging.parts import forget_joined_parts, relay_overdue_parts
from messaging.usage import count_usage
from proxy_project.jobs import wake_worker

log = structlog.get_logger(__name__)


@app.periodic(cron="* * * * * */10")
@app.task(queueing_lock="relay_overdue_parts", pass_context=False)
def relay_overdue(timestamp: int) -> None:
    """Relay, every ten seconds, what came of texts whose other parts did not come in time."""
    if relayed := relay_overdue_parts(now=timezone.now()):
        log.warning("texts relayed with parts missing", texts=relayed)


@app.periodic(cron="41 * * * *")
@app.task(queueing_lock="forget_joined_parts", pass_context=False)
def forget_joined(timestamp: int) -> None:
    """Forget, every hour, the ids of parts that the carrier repeats no more."""
    if parts := forget_joined_parts(now=timezone.now()):
        log.info("parts forgotten", parts=parts)


@app.periodic(cron="* * * * * */10")
@app.task(queueing_lock="fetch_overdue_media", pass_context=False)
def fetch_overdue_media(timestamp: int) -> None:
    """Fetch, every ten seconds, the attachments whose next try is due, or whose worker died."""
    fetch_due_media(fetch=fetch_from_vonage)


# Known by this name to messaging.media.intake.
@app.task(pass_context=False)
def fetch_media() -> None:
    """Fetch what has just come; several of these fetch several attachments at once."""
    fetch_due_media(fetch=fetch_from_vonage)


@app.periodic(cron="* * * * * */5")
@app.task(name=ASK, queueing_lock=ASK, pass_context=False)
def ask_for_approval(timestamp: int | None = None) -> None:
    """Ask platforms as soon as a text comes, and every five seconds about those whose worker died."""
    if ask_platforms():
        wake_worker(ASK)


@app.periodic(cron="23 * * * *")
@app.task(queueing_lock="forget_media", pass_context=False)
def forget_media(timestamp: int) -> None:
    """Delete, every hour, the attachments whose links have expired."""
    while forgotten := forget_expired_media():
        log.info("attachments deleted", attachments=forgotten)


@app.periodic(cron="7,37 * * * *")
@app.task(queueing_lock="erase_what_is_old", pass_context=False)
def erase_what_is_old(timestamp: int) -> None:
    """Erase, every half hour, the people and texts that have been kept for long enough."""
    now = timezone.now()
    while chats := erase_old_chats(now=now):
        log.info("chats erased", chats=chats)
    while texts := erase_strangers(now=now):
        log.info("texts of strangers erased", texts=texts)
    while opt_outs := erase_opt_outs_of_strangers(now=now):
        log.info("opt-outs of strangers without their words", opt_outs=opt_outs)


@app.periodic(cron="*/10 * * * *")
@app.task(queueing_lock="count_usage", pass_context=False)
def keep_books(timestamp: int) -> None:
    """Count, every ten minutes, the texts that are older than an hour into the books of GET /usage."""
    count_usage()


@app.periodic(cron="*/5 * * * *")
@app.task(queueing_lock="look_at_numbers", pass_context=False)
def look_at_numbers(timestamp: int) -> None:
    """Note, every five minutes, how virtual numbers fare and how far they reach; tell of whom few are left."""
    now = timezone.now()
    note_health(now=now)
    look_at_pools(now=now)
    tell_of_shortages(now=now)


@app.periodic(cron="*/10 * * * *")
@app.task(queueing_lock="watch_balance", pass_context=False)
def watch_balance(timestamp: int) -> None:
    """Read the account's balance, every hour, and every ten minutes while it is low."""
    now = timezone.now()
    if not (_can_ask_for_account() and is_balance_due(now=now)):
        return
    try:
        read_balance(account=VonageAccount(), now=now)
    except AccountError as error:
        log.warning("balance not read", code=error.code, reason=error.detail)


@app.periodic(cron="23 4 * * *")
@app.task(
    queueing_lock="follow_account_numbers",
    pass_context=False,
    # After 8 seconds, 1, 9 and 68 minutes; then tomorrow.
    retry=RetryStrategy(max_attempts=4, exponential_wait=8, retry_exceptions=[AccountError]),
)
def follow_account_numbers(timestamp: int) -> None:
    """Make the virtual numbers follow those of the account, every night."""
    if not _can_ask_for_account():
        return
    try:
        sync_virtual_numbers(account=VonageAccount(), now=timezone.now())
    except SuspiciousAnswer as error:
        log.error("virtual numbers not synced", reason=str(error))
    except AccountError as error:
        log.error("virtual numbers not synced", code=error.code, reason=error.detail, again=error.again)
        if error.again:
            raise


def _can_ask_for_account() -> bool:
    return bool(settings.VONAGE_API_SECRET) or _say_what_to_set()


@cache
def _say_what_to_set() -> bool:
    """Say once, in each worker, why nothing is known of the account."""
    log.warning("account not watched", reason=NO_SECRET)
    return False
