"""What the worker does about texts."""

import structlog
from django.utils import timezone
from procrastinate.contrib.django import app

from messaging.parts import forget_joined_parts, relay_overdue_parts

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
