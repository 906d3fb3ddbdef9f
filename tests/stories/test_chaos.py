"""Everything at once: programs are killed, PostgreSQL crashes and the carrier misbehaves while people text."""

import os
import subprocess
import sys

from tests.harness.simulator import ROOT

SECONDS = 180


def test_what_is_killed_and_crashed_loses_doubles_and_crosses_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--short", "--seed", "7"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kills = ("kills of a web", "kills of a sender", "kills of a worker", "crashes of PostgreSQL")
    for figure in ("texts written", *kills):
        assert f"\n{figure}: " in done.stdout
    assert "nothing lost, doubled, crossed, overtaken or stuck" in done.stdout
