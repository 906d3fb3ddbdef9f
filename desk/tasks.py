"""What the worker does for the desk."""

from django.utils import timezone
from procrastinate.contrib.django import app

from desk.counting import count_figures


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="count_figures", pass_context=False)
def keep_figures(timestamp: int) -> None:
    """Count, every minute, what the desk shows."""
    count_figures(now=timezone.now())
