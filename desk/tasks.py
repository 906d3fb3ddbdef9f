"""What the worker does for the desk."""

from django.utils import timezone
from procrastinate.contrib.django import app

from desk.counting import count_figures
from desk.failures import SEE_TO_FAILURES, run_errands
from proxy_project.jobs import wake_worker


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="count_figures", pass_context=False)
def keep_figures(timestamp: int) -> None:
    """Count, every minute, what the desk shows."""
    count_figures(now=timezone.now())


@app.periodic(cron="* * * * *")
@app.task(name=SEE_TO_FAILURES, queueing_lock=SEE_TO_FAILURES, pass_context=False)
def see_to_failures(timestamp: int | None = None) -> None:
    """Do what operators want done about many failures, as soon as they say so; and every minute, what was left."""
    if run_errands():
        wake_worker(SEE_TO_FAILURES)
