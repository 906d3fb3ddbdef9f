"""The worker is woken by one job, however many texts and events there are to look at."""

import pytest
from django.db import connection

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
