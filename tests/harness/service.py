"""Start the service as it is run in production: real processes, a database of their own, a simulator for Vonage."""

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from email.message import Message
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import ProxyHandler, Request, build_opener

import psycopg
from django.conf import settings
from psycopg import sql

from tests.harness.simulator import ROOT, Simulator, wait_until

_START_SECONDS = 30
_STOP_SECONDS = 20
_open = build_opener(ProxyHandler({})).open


class Service:
    """The processes of one deployment; use `with Service(directory) as service:`, and start what the test needs.

    Each process logs everything it ever logs (`LOG_LEVEL=DEBUG`) into a file of `directory`.
    """

    def __init__(
        self, directory: Path, *, deployment: "Deployment", receipts: str = "messages", **environment: str
    ) -> None:
        self._directory = directory
        self._deployment = deployment
        self._database = f"story_{uuid.uuid4().hex}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        port = find_free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.api_key = deployment.api_key
        self.simulator = Simulator.start(
            inbound_url=f"{self.url}/webhooks/inbound",
            status_url=f"{self.url}/webhooks/status",
            SIMULATOR_RECEIPTS=receipts,
        )
        self._environment = {
            **os.environ,
            "DATABASE_URL": _replace_database(os.environ["DATABASE_URL"], self._database),
            "PUBLIC_URL": self.url,
            "MEDIA_ROOT": str(directory / "media"),
            "PORT": str(port),
            "LOG_LEVEL": "DEBUG",
            "VONAGE_API_URL": self.simulator.url,
            "VONAGE_REST_URL": self.simulator.url,
            "VONAGE_API_KEY": self.simulator.api_key,
            "VONAGE_API_SECRET": self.simulator.api_secret,
            "VONAGE_APPLICATION_ID": self.simulator.application_id,
            "VONAGE_SIGNATURE_SECRET": self.simulator.signature_secret,
            "VONAGE_PRIVATE_KEY": self.simulator.private_key,
            **environment,
        }

    def __enter__(self) -> Self:
        _administrate("CREATE DATABASE {} TEMPLATE {}", self._database, self._deployment.database)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_web(self, name: str = "web") -> None:
        """Start gunicorn and wait until it answers; several share the port."""
        self._start(name, str(Path(sys.executable).parent / "gunicorn"), "proxy_project.wsgi")
        wait_until(
            lambda: self.log(name).count("Booting worker") > 1,
            timeout=_START_SECONDS,
            waiting_for="gunicorn to start",
        )
        wait_until(lambda: self._is_healthy(name), timeout=_START_SECONDS, waiting_for="the web process to answer")

    def start_sender(self, name: str = "sender") -> None:
        """Start a sender and wait until it sends."""
        started = self.log(name).count("sender started")
        self._start(name, sys.executable, "manage.py", "send_texts")
        wait_until(
            lambda: self.log(name).count("sender started") > started,
            timeout=_START_SECONDS,
            waiting_for="the sender to start",
        )

    def start_worker(self) -> None:
        self._start("worker", sys.executable, "manage.py", "procrastinate", "worker")

    def reload(self, name: str = "web") -> None:
        """Have gunicorn replace its workers, as a deployment does, and wait until it has."""
        exited, booted = (self.log(name).count(line) for line in ("Worker exiting", "Booting worker"))
        os.kill(self._processes[name].pid, signal.SIGHUP)
        wait_until(
            lambda: (
                self.log(name).count("Worker exiting") >= exited + 2
                and self.log(name).count("Booting worker") >= booted + 2
            ),
            timeout=_START_SECONDS,
            waiting_for="gunicorn to replace its workers",
        )

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as an operator does."""
        return subprocess.run(
            command, cwd=ROOT, env=self._environment | environment, capture_output=True, text=True, timeout=120
        )

    def move_to_an_empty_database(self, *, media: Path) -> None:
        """Have what is run and started from now on use a new database and a new directory of attachments."""
        _administrate("DROP DATABASE {} WITH (FORCE)", self._database)
        self._database = f"story_{uuid.uuid4().hex}"
        _administrate("CREATE DATABASE {}", self._database)
        url = _replace_database(os.environ["DATABASE_URL"], self._database)
        self._environment |= {"DATABASE_URL": url, "MEDIA_ROOT": str(media)}

    def kill(self, name: str) -> None:
        """Kill a process and its children at once, as the kernel does when memory runs out."""
        process = self._processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def terminate(self, name: str) -> int:
        """Ask a process to stop, as a deployment does, and return its exit status."""
        process = self._processes.pop(name)
        process.terminate()
        return process.wait(_STOP_SECONDS)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Call the API as the platform does; return the status and the answer."""
        request = Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"},
        )
        try:
            with _open(request, timeout=30) as response:
                return response.status, json.load(response)
        except HTTPError as error:
            return error.code, json.load(error)

    def fetch(self, url: str) -> tuple[int, Message, bytes]:
        """Open a link as a person does; return status, headers and body."""
        try:
            with _open(url, timeout=30) as response:
                return response.status, response.headers, response.read()
        except HTTPError as error:
            return error.code, error.headers, error.read()

    def start_chat(self, *people: tuple[str, str], **fields: object) -> dict[str, Any]:
        """Start a chat between people given as (phone number, name)."""
        participants = [{"phone_number": phone_number, "name": name} for phone_number, name in people]
        status, chat = self.call("POST", "/chats", {"participants": participants, **fields})
        assert status == 201, chat
        found: dict[str, Any] = chat
        return found

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run SQL in the service's database."""
        with psycopg.connect(**_connection_parameters(self._database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def wait_until_sent(self, *, timeout: float = 60.0) -> None:
        """Wait until no text is on its way any more."""
        pending = (
            "SELECT count(*) FROM messaging_message WHERE status IN ('preparing', 'queued', 'sending', 'unconfirmed')"
        )
        wait_until(lambda: self.query(pending) == [(0,)], timeout=timeout, waiting_for="all texts to be sent")

    def log(self, name: str) -> str:
        """Return what a process has logged."""
        path = self._directory / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def logs(self) -> dict[str, str]:
        """Return what all processes have logged, the simulator's too."""
        return {path.stem: path.read_text() for path in [*self._directory.glob("*.log"), self.simulator.log]}

    def stop(self) -> None:
        for name in list(self._processes):
            self.kill(name)
        self.simulator.stop()
        _administrate("DROP DATABASE IF EXISTS {} WITH (FORCE)", self._database)

    def _start(self, name: str, *command: str) -> None:
        with (self._directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _is_healthy(self, name: str) -> bool:
        assert self._processes[name].poll() is None, self.log(name)
        try:
            return self.call("GET", "/healthz")[0] == 200
        except OSError:
            return False


class Deployment:
    """A database set up by the commands alone, as the README says: what each story starts from."""

    def __init__(self, *virtual_numbers: str) -> None:
        self.database = f"deployment_{uuid.uuid4().hex}"
        _administrate("CREATE DATABASE {}", self.database)
        self._run("migrate", "--verbosity", "0")
        self.api_key: str = json.loads(self._run("create_platform", "Rides", "--json"))["api_key"]
        for number in virtual_numbers:
            self._run("add_virtual_number", number, "--rate", "200")

    def drop(self) -> None:
        _administrate("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database)

    def _run(self, *arguments: str) -> str:
        environment = {**os.environ, "DATABASE_URL": _replace_database(os.environ["DATABASE_URL"], self.database)}
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{arguments[0]} failed: {done.stderr}"
        return done.stdout


def _administrate(statement: str, *databases: str) -> None:
    with psycopg.connect(**_connection_parameters("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, databases)))  # type: ignore[arg-type]


def find_free_port() -> int:
    """Return a port of this machine that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _replace_database(url: str, database: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rpartition('/')[0]}/{database}"))


def _connection_parameters(database: str) -> dict[str, Any]:
    configured = settings.DATABASES["default"]
    options = {name: value for name, value in configured.get("OPTIONS", {}).items() if name == "host"}
    given = {name.lower(): configured[name] for name in ("HOST", "PORT", "USER", "PASSWORD") if configured.get(name)}
    return {**given, **options, "dbname": database}
