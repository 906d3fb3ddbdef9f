"""Run the service with demo data, PostgreSQL and a simulated Vonage, and stop all of it: `scripts/run`."""

import contextlib
import errno
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from environ import Env

from proxy_project import embedded_postgres
from scripts import supervisor
from scripts.private_file import write_private

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".data"
DEMO_FILE = DATA / "demo.json"
ENV_FILE = Path(os.environ.get("ENV_FILE") or ROOT / ".env")
PEOPLE = (("Sara", "+14155550123"), ("Omar", "+14155550124"))
VIRTUAL_NUMBERS = ("+14155550100", "+14155550101", "+14155550102")
REAL_VONAGE = "https://api.nexmo.com"
READY_SECONDS = 60


class CannotStart(Exception):
    """Says in one sentence why not, and what to do."""


def main() -> int:
    supervised = supervisor.Supervisor(cwd=ROOT)
    supervisor.adopt_orphans()
    code = 0
    try:
        with supervisor.stop_signals():
            _run(supervised)
    except supervisor.StopRequested:
        pass
    except (CannotStart, embedded_postgres.EmbeddedPostgresError) as error:
        print(error, file=sys.stderr)
        code = 1
    finally:
        supervised.stop()
        embedded_postgres.stop(data_dir=DATA / "postgres")
        supervisor.reap_orphans()
    if supervised.programs:
        with contextlib.suppress(OSError):
            print("Everything is stopped; the next start finds the chats where they are now.", flush=True)
    return code


def _run(supervised: supervisor.Supervisor) -> None:
    """Start everything, tell where it is, and keep it running; raises CannotStart when a program ends."""
    default_url = REAL_VONAGE
    if ENV_FILE.is_file():
        Env.read_env(ENV_FILE)
    else:
        default_url = "http://127.0.0.1"
    simulated = _is_here(os.environ.get("VONAGE_API_URL") or default_url)
    port = _find_port("PORT", 8000, "the service")
    simulator_port = _find_port("SIMULATOR_PORT", 8099, "the simulator") if simulated else 0

    DATA.mkdir(exist_ok=True)
    if not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = embedded_postgres.database_url(data_dir=DATA / "postgres")
    if not ENV_FILE.is_file():
        _make_env_file()
        Env.read_env(ENV_FILE)
    environment = {**os.environ, "PORT": str(port)}
    if _is_here(os.environ.get("PUBLIC_URL") or "http://127.0.0.1"):
        environment["PUBLIC_URL"] = f"http://127.0.0.1:{port}"
    if simulated:
        environment |= {
            "VONAGE_API_URL": f"http://127.0.0.1:{simulator_port}",
            "VONAGE_REST_URL": f"http://127.0.0.1:{simulator_port}",
            "VONAGE_API_SECRET": os.environ.get("VONAGE_API_SECRET") or "simulated",
            "SIMULATOR_PORT": str(simulator_port),
            "SIMULATOR_INBOUND_URL": f"http://127.0.0.1:{port}/webhooks/inbound",
            "SIMULATOR_STATUS_URL": f"http://127.0.0.1:{port}/webhooks/status",
            "SIMULATOR_VIRTUAL_NUMBERS": ",".join(VIRTUAL_NUMBERS),
        }
        # Stopped last: the sender finishes what it is handing over.
        command = [sys.executable, "-m", "simulator"]
        supervised.start(supervisor.Program("simulator", command, environment, stop_wave=1))
    _prepare_database(environment, VIRTUAL_NUMBERS if simulated else ())
    for name, arguments in (
        ("web", ["-m", "gunicorn", "proxy_project.asgi"]),
        ("sender", ["manage.py", "send_texts"]),
        ("worker", ["manage.py", "procrastinate", "worker"]),
    ):
        supervised.start(supervisor.Program(name, [sys.executable, *arguments], environment))

    _wait_until_ready(supervised, [port, *([simulator_port] if simulated else [])])
    with contextlib.suppress(BrokenPipeError):
        print(_describe(port, simulator_port), flush=True)
    _raise_if_ended(supervised.run_until())


def _find_port(name: str, default: int, what: str) -> int:
    """Return the port chosen by the environment variable `name`; raises CannotStart when it cannot be had."""
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise CannotStart(f"{name} must be a port number, from 1 to 65535, not {text!r}.")
    port = int(text)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = (
                "another program is using it"
                if error.errno == errno.EADDRINUSE
                else (error.strerror or "unknown").lower()
            )
            raise CannotStart(
                f"Port {port}, for {what}, cannot be used: {reason}. Choose another: {name}={port + 1} make run"
            ) from None
    return port


def _make_env_file() -> None:
    """Write the first .env: new secrets, and a Vonage that is simulated."""
    made = subprocess.run(
        [sys.executable, "manage.py", "generate_keys"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    if made.returncode != 0:
        raise CannotStart(f"The secrets for {ENV_FILE.name} could not be made: {_last_line(made.stderr)}")
    settings = {
        "DEBUG": "true",
        "PUBLIC_URL": "http://127.0.0.1:8000",
        "VONAGE_API_URL": "http://127.0.0.1:8099",
    }
    given = {line.partition("=")[0] for line in made.stdout.splitlines()}
    lines = [
        made.stdout.strip(),
        "",
        "# Added by scripts/run, for this machine.",
        *(f"{name}={value}" for name, value in settings.items() if name not in given),
    ]
    write_private(ENV_FILE, "\n".join(lines) + "\n")
    print(f"Made {ENV_FILE.name} with new secrets.", flush=True)


def _prepare_database(environment: dict[str, str], virtual_numbers: Sequence[str]) -> None:
    prepared = subprocess.run(
        [sys.executable, "-m", "scripts.prepare_demo", str(DEMO_FILE), *virtual_numbers],
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    )
    if prepared.returncode != 0:
        raise CannotStart("The database could not be prepared; the reason is above.")


def _wait_until_ready(supervised: supervisor.Supervisor, ports: list[int]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    for port in ports:
        while not _answers(port):
            _raise_if_ended(supervised.run_until(seconds=0.1))
            if time.monotonic() > deadline:
                raise CannotStart(f"Nothing answers on port {port} after {READY_SECONDS} seconds; see the lines above.")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        # Not 200 alone: an ALLOWED_HOSTS without 127.0.0.1 answers 400, and does so in good health.
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _raise_if_ended(program: supervisor.Program | None) -> None:
    if program is not None:
        raise CannotStart(
            f"{program.name} has ended by itself ({supervisor.describe_end(program)}), so all is stopped."
        )


def _describe(port: int, simulator_port: int) -> str:
    """Return what somebody who has just started the service wants to know."""
    here = f"http://127.0.0.1:{port}"
    demo = json.loads(DEMO_FILE.read_text())
    login = f"{demo['operator']['username']} / {demo['operator']['password']}"
    if demo["operator"]["password"] is None:
        login = f"{demo['operator']['username']}; `.venv/bin/python manage.py changepassword` sets a password"
    if simulator_port:
        handsets = f"http://127.0.0.1:{simulator_port}/"
        participants = [{"phone_number": number, "name": name} for name, number in PEOPLE]
    else:
        vonage = urlsplit(os.environ.get("VONAGE_API_URL") or REAL_VONAGE).hostname
        handsets = f"real ones, texted through {vonage}"
        participants = [{"phone_number": f"+NUMBER_OF_{name.upper()}", "name": name} for name, _ in PEOPLE]
    return f"""
  Two people can text each other now.

  Handsets    {handsets}
  Admin       {here}/admin/   {login}
  API docs    {here}/docs

  Open a chat:

curl -X POST {here}/chats \\
  -H 'Authorization: Bearer {demo["api_key"]}' \\
  -H 'Content-Type: application/json' \\
  -d '{json.dumps({"participants": participants, "reference": "booking-8812"})}'

  Ctrl-C stops everything.
"""


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


if __name__ == "__main__":
    sys.exit(main())
