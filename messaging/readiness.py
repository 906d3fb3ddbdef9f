"""Say at /readyz whether all of the service can do its work, and what cannot; /healthz is about one process."""

from functools import cache

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from messaging.claims import find_longest_due_seconds
from messaging.heartbeats import Beat, read_beats
from messaging.metrics import may_read_metrics
from messaging.models import Heartbeat


@require_GET
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when everything works, else 503 with the names of what does not, and why for who may read /metrics."""
    problems = find_problems()
    answer: dict[str, object] = {"status": "not ready" if problems else "ready", "problems": sorted(problems)}
    if may_read_metrics(request):
        answer["details"] = problems
    return JsonResponse(answer, status=503 if problems else 200)


def find_problems() -> dict[str, str]:
    """Return what does not work, by its name, and why: by three statements, however long log and queue are."""
    try:
        if missing := find_missing_migrations():
            # Nothing else can be asked of tables that are not there.
            return {"migrations": f"{len(missing)} not applied, the first is {missing[0]}: run `manage.py migrate`."}
        problems = {kind.value: _judge_beats(kind, read_beats()) for kind in Heartbeat.Kind}
        problems["texts"] = _judge_queue(find_longest_due_seconds())
    except DatabaseError as error:
        return {"database": f"It cannot be asked ({type(error).__name__})."}
    return {name: problem for name, problem in problems.items() if problem}


def find_missing_migrations() -> list[str]:
    """Return which migrations of this version are not applied; those of a newer one do not matter."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
        applied = set()
        if cursor.fetchone()[0]:
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
    return [".".join(migration) for migration in _list_migrations() if migration not in applied]


@cache
def _list_migrations() -> list[tuple[str, str]]:
    """Return the migrations of this version; their files are read once a process."""
    return sorted(MigrationLoader(None, ignore_no_migrations=True).graph.nodes)


def _judge_beats(kind: Heartbeat.Kind, beats: list[Beat]) -> str:
    ages = [beat.seconds_ago for beat in beats if beat.kind == kind.value]
    if not ages:
        return f"No {kind.value} is running."
    if min(ages) > settings.READY_HEARTBEAT_SECONDS:
        return f"No {kind.value} has given a sign of life for {min(ages):.0f} seconds."
    return ""


def _judge_queue(seconds: float) -> str:
    return f"A text has been due for {seconds:.0f} seconds." if seconds > settings.READY_QUEUE_SECONDS else ""
