"""What starts and tests the service: scripts/, the Makefile and .env.example."""

import contextlib
import json
import os
import re
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from environ import Env

from scripts import run, supervisor
from tests.harness.service import PLAIN_ENVIRONMENT, find_free_port
from tests.harness.simulator import wait_until

ROOT = Path(__file__).resolve().parent.parent

# A python that can be as old or as incomplete as a test needs, and notes what it is asked to install.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
    *"print(\\"%d.%d\\""*) echo {version} ;;
    *"print(sys.version)"*) echo {version}.1 ;;
    *"sys.exit(not"*) exit {unsupported} ;;
    *"import ensurepip"*) exit {without_venv} ;;
    --version) echo Python {version}.1 ;;
    "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo venv >>calls ;;
    "-m pip --version") ;;
    "-m pip install"*) echo "$@" >>calls; [ ! -e offline ] ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


class Machine:
    """A directory with scripts/bootstrap in it, and a PATH on which only what is put there is found."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "bin").mkdir()
        (path / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "bootstrap", path / "scripts")
        for name in ("requirements.txt", "requirements-dev.txt"):
            (path / name).write_text("something==1.0\n")
        for program in ("cat", "cksum", "cp", "dirname", "mkdir", "rm", "sh"):
            found = shutil.which(program)
            assert found
            (path / "bin" / program).symlink_to(found)

    def add_python(self, name: str, version: str, *, unsupported: bool = False, without_venv: bool = False) -> None:
        python = self.path / "bin" / name
        python.write_text(
            FAKE_PYTHON.format(version=version, unsupported=int(unsupported), without_venv=int(without_venv))
        )
        python.chmod(0o755)

    def bootstrap(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.path / "scripts" / "bootstrap")],
            cwd="/",
            env={"PATH": str(self.path / "bin")},
            capture_output=True,
            text=True,
        )

    @property
    def calls(self) -> list[str]:
        """What was asked of Python since this was last read."""
        calls = self.path / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return lines


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_python_is_one_sentence(machine: Machine) -> None:
    done = machine.bootstrap()
    assert done.returncode != 0
    assert done.stderr == (
        "Python 3.11 to 3.14 is needed, and none was found; on Debian or Ubuntu: apt-get install python3 python3-venv\n"
    )


def test_an_old_python_is_one_sentence(machine: Machine) -> None:
    machine.add_python("python3", "3.9", unsupported=True)
    done = machine.bootstrap()
    assert done.returncode != 0
    assert done.stderr == (
        "Python 3.11 to 3.14 is needed, and only Python 3.9 was found; "
        "install one, or name it: PYTHON=/path/to/python3.11\n"
    )


def test_a_python_that_cannot_make_environments_says_what_to_install(machine: Machine) -> None:
    machine.add_python("python3", "3.11", without_venv=True)
    done = machine.bootstrap()
    assert done.returncode != 0
    assert done.stderr == (
        "Python 3.11 cannot make virtual environments; on Debian or Ubuntu: apt-get install python3.11-venv\n"
    )


def test_a_newer_python_beside_an_old_one_is_taken(machine: Machine) -> None:
    machine.add_python("python3", "3.9", unsupported=True)
    machine.add_python("python3.12", "3.12")
    done = machine.bootstrap()
    assert done.returncode == 0, done.stderr
    assert "with Python 3.12.1" in done.stderr


def test_a_second_start_installs_nothing_and_says_nothing(machine: Machine) -> None:
    machine.add_python("python3", "3.11")
    assert machine.bootstrap().returncode == 0
    venv, install = machine.calls
    assert venv == "venv"
    assert "--require-hashes -r requirements.txt -r requirements-dev.txt" in install
    done = machine.bootstrap()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.calls == []


def test_changed_requirements_are_installed(machine: Machine) -> None:
    machine.add_python("python3", "3.11")
    machine.bootstrap()
    (machine.path / "requirements.txt").write_text("something==2.0\n")
    assert len(machine.calls) == 2
    assert machine.bootstrap().returncode == 0
    assert len(machine.calls) == 1


def test_an_install_that_failed_is_taken_up_again(machine: Machine) -> None:
    machine.add_python("python3", "3.11")
    (machine.path / "offline").touch()
    done = machine.bootstrap()
    assert done.returncode != 0
    assert "the next start tries again" in done.stderr
    (machine.path / "offline").unlink()
    assert machine.bootstrap().returncode == 0
    assert len(machine.calls) == 3
    assert machine.bootstrap().returncode == 0
    assert machine.calls == []


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Machine) -> None:
    machine.add_python("python3", "3.11")
    machine.bootstrap()
    python = machine.path / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3.10")
    assert len(machine.calls) == 2
    assert machine.bootstrap().returncode == 0
    assert machine.calls[0] == "venv"


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("name", ["PORT", "SIMULATOR_PORT"])
def test_a_busy_port_is_one_sentence_that_tells_how_to_choose_another(
    name: str, busy_port: int, tmp_path: Path
) -> None:
    environment = {"PORT": str(find_free_port()), "ENV_FILE": str(tmp_path / ".env"), name: str(busy_port)}
    done = subprocess.run(
        [sys.executable, "-m", "scripts.run"],
        cwd=ROOT,
        env=PLAIN_ENVIRONMENT | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert re.fullmatch(
        rf"Port {busy_port}, for the (service|simulator), cannot be used: another program is using it\. "
        rf"Choose another: {name}={busy_port + 1} make run\n",
        done.stderr,
    )
    assert not (tmp_path / ".env").exists()


def test_a_port_that_is_no_port_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "eighty")
    with pytest.raises(run.CannotStart, match="PORT must be a port number, from 1 to 65535, not 'eighty'"):
        run._find_port("PORT", 8000, "the service")


@pytest.fixture
def demo_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "demo.json"
    path.write_text(json.dumps({"api_key": "a.key", "operator": {"username": "admin", "password": "secret"}}))
    monkeypatch.setattr(run, "DEMO_FILE", path)


@pytest.mark.usefixtures("demo_file")
def test_the_curl_can_be_pasted_as_it_is() -> None:
    shown = run._describe(8000, 8099)
    words = shlex.split(shown[shown.index("curl") : shown.index("  Ctrl-C")].replace("\\\n", ""))
    assert words[:4] == ["curl", "-X", "POST", "http://127.0.0.1:8000/chats"]
    assert "Authorization: Bearer a.key" in words
    assert [person["name"] for person in json.loads(words[-1])["participants"]] == ["Sara", "Omar"]


@pytest.mark.usefixtures("demo_file")
def test_with_a_real_vonage_no_simulator_and_no_demo_numbers_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VONAGE_API_URL", "https://api-us.nexmo.com")
    shown = run._describe(8000, 0)
    assert "texted through api-us.nexmo.com" in shown
    assert "+1415" not in shown


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[supervisor.Supervisor]:
    supervised = supervisor.Supervisor(cwd=tmp_path)
    yield supervised
    supervised.stop()


def start(supervised: supervisor.Supervisor, name: str, script: str, *, stop_wave: int = 0) -> supervisor.Program:
    program = supervisor.Program(name, ["sh", "-c", script], PLAIN_ENVIRONMENT, stop_wave)
    supervised.start(program)
    return program


def wait_for_line(supervised: supervisor.Supervisor, capsys: pytest.CaptureFixture[str], line: str) -> None:
    shown = ""
    while line not in shown:
        assert supervised.run_until(seconds=0.01) is None
        shown += capsys.readouterr().out


def test_a_program_that_ends_is_named_with_its_exit_code(supervised: supervisor.Supervisor) -> None:
    start(supervised, "steady", "exec tail -f /dev/null")
    start(supervised, "brief", "exit 3")
    ended = supervised.run_until()
    assert ended is not None
    assert (ended.name, supervisor.describe_end(ended)) == ("brief", "exit code 3")


def test_of_a_program_that_was_killed_no_child_is_left(supervised: supervisor.Supervisor) -> None:
    program = start(supervised, "web", "tail -f /dev/null & kill -KILL $$")
    assert supervised.run_until() is program
    assert supervisor.describe_end(program) == "killed by SIGKILL"
    supervised.stop()
    wait_until_gone(process_group=program.process.pid)


def test_lines_are_passed_on_whole_with_the_name_of_their_program(
    supervised: supervisor.Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    start(supervised, "web", "printf 'one\\ntw'; printf 'o\\nthree'")
    supervised.run_until()
    supervised.stop()
    assert capsys.readouterr().out == "web | one\nweb | two\nweb | three\n"


def test_what_does_not_stop_is_killed_with_all_its_children(
    supervised: supervisor.Supervisor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.05)
    program = start(supervised, "deaf", "trap '' TERM; (trap '' TERM; exec tail -f /dev/null) & echo ready; wait")
    wait_for_line(supervised, capsys, "ready")
    supervised.stop()
    assert supervisor.describe_end(program) == "killed by SIGKILL"
    wait_until_gone(process_group=program.process.pid)


def test_programs_of_a_later_wave_are_stopped_last(
    supervised: supervisor.Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "trap 'echo bye; exit' TERM; echo ready; while :; do read -r _ <&3; done 3<>pipe"
    os.mkfifo(supervised._cwd / "pipe")
    start(supervised, "simulator", script, stop_wave=1)
    wait_for_line(supervised, capsys, "ready")
    start(supervised, "sender", script)
    wait_for_line(supervised, capsys, "ready")
    supervised.stop()
    assert re.sub(" +", " ", capsys.readouterr().out) == "sender | bye\nsimulator | bye\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_programs_end_when_their_runner_is_killed() -> None:
    runner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os; from pathlib import Path; from scripts.supervisor import *\n"
            "supervised = Supervisor(cwd=Path('/'))\n"
            "script = 'echo $$; exec tail -f /dev/null'\n"
            "supervised.start(Program('program', ['sh', '-c', script], os.environ))\n"
            "supervised.run_until()",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runner.stdout is not None
    with runner.stdout:
        program = os.pidfd_open(int(runner.stdout.readline().split("|")[1]))
    runner.kill()
    runner.wait()
    try:
        assert select.select([program], [], [], 30)[0], "the program is still running"
    finally:
        os.close(program)


def test_tests_get_a_postgresql_of_their_own_and_leave_nothing() -> None:
    command = "import os; print(os.environ['DATABASE_URL']); raise SystemExit(7)"
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "scripts.with_postgres", sys.executable, "-c", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 7, done.stderr
    database = Env.db_url_config(done.stdout.strip())
    assert database["NAME"] == "proxy"
    assert not Path(database["HOST"]).exists()


def test_a_database_that_is_given_is_the_one_that_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.with_postgres", "sh", "-c", "echo $DATABASE_URL"],
        cwd=ROOT,
        env=PLAIN_ENVIRONMENT | {"DATABASE_URL": "postgres://elsewhere/texting"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "postgres://elsewhere/texting\n"


def test_a_first_start_shows_a_chat_that_can_be_opened_and_stops_without_a_trace(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests", "bench"))
    ports = {"PORT": str(find_free_port()), "SIMULATOR_PORT": str(find_free_port())}
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.run"],
        cwd=tree,
        env=PLAIN_ENVIRONMENT | ports,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        shown = ""
        for line in process.stdout:
            shown += line
            if "Ctrl-C stops everything" in line:
                break
        assert "Two people can text each other now" in shown, shown
        words = shlex.split(shown[shown.index("curl") : shown.index("  Ctrl-C")].replace("\\\n", ""))
        headers = dict(word.split(": ") for word in words if re.match(r"[\w-]+: ", word))
        request = urllib.request.Request(words[3], words[-1].encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 201
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.wait(timeout=60) == 0
    assert rest.endswith("Everything is stopped; the next start finds the chats where they are now.\n")
    assert (tree / ".env").stat().st_mode & 0o077 == 0
    assert (tree / ".data" / "demo.json").stat().st_mode & 0o077 == 0
    # The kernel may take its time to clear away the last of a busy machine.
    wait_until(
        lambda: not any(str(tree) in process.command for process in list_processes()),
        waiting_for="all processes to end",
    )


def test_every_picture_that_is_shown_is_there_and_made_by_a_script() -> None:
    from scripts.screenshots import IMAGES, PAGES

    shown = {
        Path(name).stem
        for file in ("README.md", "docs/guide.md")
        for name in re.findall(r"!\[[^]]+\]\(([^)]+)\)", (ROOT / file).read_text())
    }
    there = {path.stem for path in IMAGES.glob("*.png")}
    assert shown and shown <= there == set(PAGES)


def test_every_make_target_is_one_line_over_a_script() -> None:
    rules = re.findall(r"^(\w+):\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {name for name, _ in rules} >= {"run", "test", "lint", "bench", "chaos", "pins"}
    for name, recipe in rules:
        assert recipe == f"\t@scripts/{name}\n"
        assert os.access(ROOT / "scripts" / name, os.X_OK)


def test_env_example_explains_every_name_that_is_read() -> None:
    explained = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    sources = (ROOT / "proxy_project" / "settings.py").read_text() + (ROOT / "gunicorn.conf.py").read_text()
    read = set(re.findall(r"(?:_config|env|environ)\.\w+\(\s*[\"']([A-Z_]+)[\"']", sources)) - {"ENV_FILE"}
    assert {"SECRET_KEY", "WEB_THREADS"} < read
    assert read - explained == set()


def test_a_reload_of_gunicorn_brings_in_what_was_changed_in_the_file(tmp_path: Path, monkeypatch) -> None:
    """Its master reads its settings again, and what workers inherit from it must not win over the file."""
    file = tmp_path / "env"
    monkeypatch.setenv("ENV_FILE", str(file))
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    for name in ("BIND", "PORT"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    for port in ("8001", "8002"):
        file.write_text(f"PORT={port}\nWEB_CONCURRENCY=7\nMETRICS_TOKEN={port}\n")
        read = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
        assert (read["bind"], read["workers"]) == (f"127.0.0.1:{port}", 3)
    assert dict(os.environ) == before


class Process(NamedTuple):
    group: int
    command: str


def wait_until_gone(*, process_group: int) -> None:
    """Return when nobody is left in the group: those who were killed take a moment to go."""
    deadline = time.monotonic() + 30
    while left := [process for process in list_processes() if process.group == process_group]:
        assert time.monotonic() < deadline, left


def list_processes() -> list[Process]:
    """Return what runs on this (Linux) machine, without those that have ended and nobody has collected."""
    processes = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            _, _, status = (path / "stat").read_text().rpartition(") ")
            state, _, group = status.split()[:3]
            if state != "Z":
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                processes.append(Process(int(group), command))
    return processes
