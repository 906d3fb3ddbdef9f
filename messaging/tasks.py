"""What the worker does about texts."""

import structlog
from django.utils import timezone
from procrastinate.contrib.django import app

from messaging.gateways.vonage_media import fetch_media as fetch_from_vonage
from messaging.media.fetching import fetch_due_media
from messaging.media.forgetting import forget_expired_media
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


@app.periodic(cron="23 * * * *")
@app.task(queueing_lock="forget_media", pass_context=False)
def forget_media(timestamp: int) -> None:
    """Delete, every hour, the attachments whose links have expired."""
    while forgotten := forget_expired_media():
        log.info("attachments deleted", attachments=forgotten)
