"""What the worker does about platforms."""

from datetime import timedelta

import structlog
from django.conf import settings
from django.utils import timezone
from procrastinate.contrib.django import app

from platforms.deliveries import forget_events, give_up_overdue
from platforms.delivery import deliver_due_events
from platforms.events import DELIVER, wake_deliveries
from platforms.idempotency import forget_answers

log = structlog.get_logger(__name__)


@app.periodic(cron="* * * * * */5")
@app.task(name=DELIVER, queueing_lock=DELIVER, pass_context=False)
def deliver_events(timestamp: int | None = None) -> None:
    """Deliver events as soon as one is recorded, and every five seconds those that are to be tried again."""
    if deliver_due_events():
        wake_deliveries()


@app.periodic(cron="23 * * * *")
@app.task(queueing_lock="settle_events", pass_context=False)
def settle_events(timestamp: int) -> None:
    """Give up, every hour, what has waited for three days, and forget old events."""
    while given_up := give_up_overdue():
        log.warning("deliveries given up", deliveries=given_up)
    before = timezone.now() - timedelta(days=settings.EVENT_RETENTION_DAYS)
    while forgotten := forget_events(before=before):
        log.info("events forgotten", events=forgotten)


@app.periodic(cron="*/10 * * * *")
@app.task(queueing_lock="forget_idempotency_keys", pass_context=False)
def forget_idempotency_keys(timestamp: int) -> None:
    """Forget, every ten minutes, the answers that are older than IDEMPOTENCY_KEEP_HOURS."""
    before = timezone.now() - timedelta(hours=settings.IDEMPOTENCY_KEEP_HOURS)
    while forgotten := forget_answers(before=before):
        log.info("idempotency keys forgotten", keys=forgotten)
