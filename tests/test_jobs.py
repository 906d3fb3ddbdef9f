"""The worker is woken by one job, however many texts and events there are to look at."""

import pytest
from django.db import connection
from procrastinate.contrib.django import app

from platforms.events import DELIVER
from proxy_project.jobs import wake_worker


def read_last_id() -> int:
    """Return the last id that a job was given, or was refused with: each attempt takes one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM procrastinate_jobs_id_seq")
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_a_worker_that_will_be_woken_is_not_woken_again(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        wake_worker(DELIVER)
    before = read_last_id()
    with django_capture_on_commit_callbacks(execute=True):
        wake_worker(DELIVER)
        wake_worker(DELIVER)
    assert read_last_id() == before
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE queueing_lock = %s", [DELIVER])
        assert cursor.fetchone() == (1,)


# Each as "minute hour day month weekday", or with a second at the end.
EVERY_NIGHT, EVERY_TEN_MINUTES = "23 4 * * *", "*/10 * * * *"


@pytest.mark.parametrize(
    ("job", "cron"),
    [
        ("messaging.tasks.follow_account_numbers", EVERY_NIGHT),
        ("messaging.tasks.watch_balance", EVERY_TEN_MINUTES),
        ("messaging.tasks.forget_media", "23 * * * *"),
        ("messaging.tasks.fetch_overdue_media", "* * * * * */10"),
        ("messaging.tasks.relay_overdue", "* * * * * */10"),
    ],
)
def test_what_nobody_starts_by_hand_is_on_the_workers_schedule(job, cron):
    scheduled = {name: each.cron for (name, _), each in app.periodic_registry.periodic_tasks.items()}
    assert scheduled[job] == cron
