"""Run examples/receiver.py as a platform does: a process of its own, which may be down."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.harness.service import find_free_port
from tests.harness.simulator import ROOT, wait_until


class ExampleReceiver:
    """The receiver of one platform, with a port and a file of its own; it is not running at first."""

    def __init__(self, directory: Path, *, texting_url: str, api_key: str) -> None:
        port = find_free_port()
        self.url = f"http://127.0.0.1:{port}/events"
        self._file = directory / "events.sqlite3"
        self._log = directory / "receiver.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            **os.environ,
            "TEXTING_URL": texting_url,
            "TEXTING_API_KEY": api_key,
            "PORT": str(port),
            "INBOX": str(self._file),
            "NO_PROXY": "*",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *, secret: str) -> None:
        """Start it and wait until it has caught up."""
        before = self.log.count("ready")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "examples" / "receiver.py")],
                env=self._environment | {"WEBHOOK_SECRET": secret},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self.log.count("ready") > before, waiting_for="the receiver to be ready")

    def kill(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def handled(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the (id, event) it has handled, in the order in which they came."""
        if not self._file.exists():
            return []
        database = sqlite3.connect(self._file)
        try:
            rows = database.execute("SELECT id, event FROM events WHERE handled ORDER BY position").fetchall()
        finally:
            database.close()
        return [(event_id, json.loads(event)) for event_id, event in rows]
