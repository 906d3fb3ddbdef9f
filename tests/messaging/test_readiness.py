"""/readyz and check_heartbeat: what does not work is named, and only that."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.utils import OperationalError
from django.test.utils import CaptureQueriesContext

from messaging import readiness
from messaging.heartbeats import Heart, find_host
from messaging.models import Heartbeat
from tests.messaging.rows import ago, make_queued

pytestmark = pytest.mark.django_db

TOKEN = "token-of-the-metrics"


@pytest.fixture
def hearts():
    """A sender and a worker that are at work."""
    hearts = {kind: Heart(Heartbeat.Kind(kind)) for kind in Heartbeat.Kind.values}
    for heart in hearts.values():
        heart.beat()
    return hearts


def ask(client, *, token=""):
    answer = client.get("/readyz", headers={"Authorization": f"Bearer {token}"} if token else {})
    return answer.status_code, answer.json()


def test_a_service_that_works_is_ready(client, hearts):
    assert ask(client) == (200, {"status": "ready", "problems": []})


def test_each_kind_of_process_is_missed(client):
    assert ask(client) == (503, {"status": "not ready", "problems": ["sender", "worker"]})
    Heart(Heartbeat.Kind.WORKER).beat()
    assert ask(client) == (503, {"status": "not ready", "problems": ["sender"]})


def test_a_process_that_went_silent_is_missed_until_another_is_at_work(client, hearts):
    Heartbeat.objects.filter(kind="worker").update(beat_at=ago(seconds=60))
    assert ask(client)[1]["problems"] == ["worker"]
    Heart(Heartbeat.Kind.WORKER).beat()
    assert ask(client)[0] == 200


def test_a_process_that_stopped_as_it_should_is_gone(client, hearts):
    hearts["sender"].rest()
    assert list(Heartbeat.objects.values_list("kind", flat=True)) == ["worker"]


def test_a_process_beats_in_one_row_and_forgets_those_of_an_hour_ago(hearts):
    for heart in hearts.values():
        heart.beat()
    assert Heartbeat.objects.count() == 2
    Heartbeat.objects.filter(kind="worker").update(beat_at=ago(minutes=61))
    hearts["sender"].beat()
    assert list(Heartbeat.objects.values_list("kind", flat=True)) == ["sender"]


def test_texts_that_are_due_for_too_long_are_named(client, hearts, omar, settings):
    settings.METRICS_TOKEN = TOKEN
    make_queued(omar, due_at=ago(seconds=100))
    assert ask(client)[0] == 200
    make_queued(omar, due_at=ago(seconds=350))
    status, answer = ask(client, token=TOKEN)
    assert (status, answer["problems"]) == (503, ["texts"])
    assert answer["details"]["texts"].startswith("A text has been due for 3")


def test_figures_are_for_who_may_read_the_metrics(client, settings):
    settings.METRICS_TOKEN = TOKEN
    assert "details" not in ask(client)[1]
    assert "details" not in ask(client, token="wrong")[1]
    assert ask(client, token=TOKEN)[1]["details"] == {
        "sender": "No sender is running.",
        "worker": "No worker is running.",
    }


def test_a_migration_that_is_not_applied_is_named(client, hearts, settings):
    settings.METRICS_TOKEN = TOKEN
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'messaging' AND name = '0013_usage'")
    status, answer = ask(client, token=TOKEN)
    assert (status, answer["problems"]) == (503, ["migrations"])
    assert "messaging.0013_usage" in answer["details"]["migrations"]


def test_migrations_of_a_newer_version_do_not_matter(client, hearts):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('messaging', '9999_later', now())")
    assert ask(client)[0] == 200


def test_a_database_that_is_away_is_named(client, hearts, monkeypatch):
    def fail():
        raise OperationalError("could not connect")

    monkeypatch.setattr(readiness, "find_longest_due_seconds", fail)
    assert ask(client) == (503, {"status": "not ready", "problems": ["database"]})


def test_a_long_queue_costs_no_more(client, hearts, omar):
    with CaptureQueriesContext(connection) as queries:
        ask(client)
    assert len(queries) <= 4
    statement = readiness.find_longest_due_seconds
    for _ in range(3):
        make_queued(omar, due_at=ago(seconds=1))
    assert statement() == pytest.approx(1, abs=5)


def test_a_sender_here_is_found(hearts, capsys):
    call_command("check_heartbeat", "sender")
    assert capsys.readouterr().out.startswith("A sender gave a sign of life here")


@pytest.mark.parametrize(
    ("change", "arguments", "sentence"),
    [
        ({"host": "elsewhere"}, [], "No sender is running here."),
        ({"host": "elsewhere"}, ["--any-host"], None),
        ({"beat_at": "old"}, [], "No sender has given a sign of life here for 60 seconds."),
        ({"beat_at": "old"}, ["--seconds", "90"], None),
    ],
)
def test_what_is_elsewhere_or_silent_is_told(hearts, change, arguments, sentence):
    if "beat_at" in change:
        change = {"beat_at": ago(seconds=60)}
    Heartbeat.objects.filter(kind="sender", host=find_host()).update(**change)
    if sentence is None:
        call_command("check_heartbeat", "sender", *arguments)
    else:
        with pytest.raises(CommandError, match=sentence.replace(".", r"\.")):
            call_command("check_heartbeat", "sender", *arguments)
