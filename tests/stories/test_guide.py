"""docs/guide.md, block by block, as a reader pastes it: what it says is what happens."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.harness.service import Deployment, Service, find_free_port
from tests.harness.simulator import ROOT, wait_until

GUIDE = (ROOT / "docs" / "guide.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
# A chat may get any of the pool.
VIRTUAL_NUMBERS = ("+14155550100", "+14155550101", "+14155550102")
# What a reader's terminal says before it runs the next command.
_KEEP_ENVIRONMENT = '\nenv -0 > "$ENVIRONMENT_FILE"'


@pytest.fixture
def service(tmp_path: Path, deployment: Deployment) -> Iterator[Service]:
    with Service(tmp_path, deployment=deployment) as service:
        service.start_web()
        service.start_sender()
        service.start_worker()
        yield service


@dataclass
class Reader:
    """Somebody with a terminal, a Python and the handsets page; what the guide shows next is compared with `shown`."""

    service: Service
    directory: Path
    environment: dict[str, str]
    shown: str = ""
    background: list[int] = field(default_factory=list)
    python: dict[str, Any] = field(default_factory=dict)
    receiver_port: int = field(default_factory=find_free_port)

    def follow(self, language: str, block: str) -> None:
        for address, ours in (
            ("http://127.0.0.1:8000", self.service.url),
            ("http://127.0.0.1:8099", self.service.simulator.url),
            ("8001", str(self.receiver_port)),
        ):
            block = block.replace(address, ours)
        {"sh": self.run_shell, "python": self.run_python, "json": self.compare_json, "text": self.find_lines}[language](
            block
        )

    def run_shell(self, block: str) -> None:
        output = self.directory / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", block + _KEEP_ENVIRONMENT],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
            code = process.wait(60)
        self.shown = output.read_text()
        assert code == 0, self.shown
        lines = Path(self.environment["ENVIRONMENT_FILE"]).read_text().split("\0")
        self.environment = dict(line.split("=", 1) for line in lines if line)
        if block.rstrip().endswith("&"):
            wait_until(lambda: "ready" in output.read_text(), waiting_for="the program to be ready")
            self.background.append(process.pid)
            # The next block has another.
            output.rename(self.directory / "background")
        self._let_texts_arrive()

    def run_python(self, block: str) -> None:
        os.environ |= {name: value for name, value in self.environment.items() if name.startswith("TEXTING_")}
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(block, "docs/guide.md", "exec"), self.python)
        self.shown = output.getvalue()
        self._let_texts_arrive()

    def compare_json(self, block: str) -> None:
        assert_within(json.loads(block), json.loads(self.shown))

    def find_lines(self, block: str) -> None:
        def read() -> str:
            background = self.directory / "background"
            texts = [text["text"] for text in self.service.simulator.texts()]
            return "\n".join([self.shown, *texts, background.read_text() if background.exists() else ""])

        for line in block.splitlines():
            wait_until(lambda line=line: line in read(), waiting_for=f"{line!r} to be shown")

    def _let_texts_arrive(self) -> None:
        self.service.simulator.wait_until_quiet()
        self.service.wait_until_sent()
        self.service.simulator.wait_until_quiet()


def assert_within(told: Any, found: Any) -> None:
    """Compare what the guide shows, in part, with what there is."""
    if isinstance(told, dict):
        for key, value in told.items():
            assert_within(value, found[key])
    elif isinstance(told, list):
        assert len(told) == len(found)
        for one, other in zip(told, found, strict=True):
            assert_within(one, other)
    elif told not in VIRTUAL_NUMBERS or found not in VIRTUAL_NUMBERS:
        assert told == found


@pytest.fixture
def reader(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A reader in a directory like that of the repository after `make run`."""
    directory = tmp_path / "repository"
    (directory / ".data").mkdir(parents=True)
    (directory / ".data" / "demo.json").write_text(json.dumps({"api_key": service.api_key}))
    (directory / ".venv").symlink_to(Path(sys.executable).parent.parent)
    (directory / "examples").symlink_to(ROOT / "examples")
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.delitem(sys.modules, "client", raising=False)
    for name in ("TEXTING_URL", "TEXTING_API_KEY"):
        # So that it is undone.
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("NO_PROXY", "*")
    environment = {
        "PATH": os.environ["PATH"],
        "NO_PROXY": "*",
        "ENVIRONMENT_FILE": str(tmp_path / "environment"),
        "INBOX": str(tmp_path / "events.sqlite3"),
    }
    reader = Reader(service, directory, environment)
    yield reader
    for group in reader.background:
        os.killpg(group, signal.SIGKILL)


@pytest.mark.slow
def test_every_block_of_the_guide_does_what_it_says(reader: Reader) -> None:
    for language, block in BLOCKS:
        reader.follow(language, block)


def test_every_link_of_the_guide_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert link.startswith("https://") or (ROOT / "docs" / link).exists(), link
