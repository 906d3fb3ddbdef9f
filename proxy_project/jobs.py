"""Have the worker look, soon, at what is due in a table: a job that says no more than that."""

import contextlib

from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from proxy_project.sql import execute_prepared

_IS_QUEUED = "SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = %(lock)s AND status = 'todo'"


def wake_worker(task: str) -> None:
    """Have the worker run `task`, once the transaction is committed; its queueing lock must be its name."""
    transaction.on_commit(lambda: _enqueue(task), robust=True)


def _enqueue(task: str) -> None:
    # The lock alone would do, with an error in PostgreSQL's log for every text or event of a burst.
    if execute_prepared(_IS_QUEUED, {"lock": task}):
        return
    with contextlib.suppress(AlreadyEnqueued):
        app.configure_task(task, queueing_lock=task).defer()
