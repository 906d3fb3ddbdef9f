"""What the worker does about chats."""

import structlog
from django.utils import timezone
from procrastinate.contrib.django import app

from chats.services import end_expired_chats, start_due_chats, tell_of_ends

log = structlog.get_logger(__name__)


@app.periodic(cron="* * * * * */5")
@app.task(queueing_lock="start_scheduled_chats", pass_context=False)
def start_scheduled_chats(timestamp: int) -> None:
    """Start, every five seconds, the chats whose time has come, and introduce their people."""
    while started := start_due_chats(now=timezone.now()):
        log.info("chats started", chats=started)


@app.periodic(cron="* * * * * */10")
@app.task(queueing_lock="close_expired_chats", pass_context=False)
def close_expired_chats(timestamp: int) -> None:
    """End, every ten seconds, the chats whose time has come; their virtual numbers cool down from then on."""
    while ended := end_expired_chats(now=timezone.now()):
        log.info("chats ended", chats=ended, reason="expired or idle")


@app.periodic(cron="* * * * * */30")
@app.task(queueing_lock="announce_ends", pass_context=False)
def announce_ends(timestamp: int) -> None:
    """Tell platforms, every thirty seconds, of chats that will end soon."""
    while told := tell_of_ends(now=timezone.now()):
        log.info("ends announced", chats=told)


@app.periodic(cron="17 3 * * *")
@app.task(queueing_lock="remove_old_jobs", pass_context=True)
async def remove_old_jobs(context: object, timestamp: int) -> None:
    """Forget, every night, the jobs that went well more than three days ago."""
    await app.job_manager.delete_old_jobs(nb_hours=72)
