"""The benchmark itself: all of it runs with very small counts, says what it measured, and leaves nothing running."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from bench.gateway import require_each_once
from bench.table import BenchError, Row, format_table

ROOT = Path(__file__).resolve().parent.parent
MARK = "BENCH_TEST_MARK"
SECONDS = 500


def start_bench(mark: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT, env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def find_processes(mark: str) -> list[str]:
    """Return the command lines of what runs with this mark in its environment, as all that a bench started does."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except (OSError, ValueError):
            continue
    return found


@pytest.mark.slow
def test_every_figure_is_measured_and_nothing_stays_behind(tmp_path: Path) -> None:
    mark, file = uuid.uuid4().hex, tmp_path / "figures.json"
    bench = start_bench(mark, "--scale", "0.005", "--json", str(file))
    output, errors = bench.communicate(timeout=SECONDS)
    assert bench.returncode == 0, errors
    assert "complained" not in errors
    result = json.loads(file.read_text())
    figures = {figure["figure"].partition(" (PSS")[0]: figure for figure in result["figures"]}
    for name in (
        "webhooks accepted, 16 connections",
        "webhooks accepted, 16 connections, p99",
        "chats started, 8 connections",
        "texts sent, 0 ms gateway",
        "texts sent, 100 ms gateway",
        "from webhook to gateway at 100/s, p50",
        "memory, web worker 1",
        "memory, sender",
        "memory, worker",
        "memory, simulator",
        "desk with 5,000 texts: home",
        "encryption, all for a relayed text",
    ):
        assert figures[name]["measured"] > 0
        assert name in output
    assert figures["webhooks accepted, 16 connections"]["ratio"] > 0
    [cost] = [figure for name, figure in figures.items() if name.startswith("processor time of a text at 100/s")]
    # So few requests may take less than a tick of the kernel's books.
    assert cost["measured"] > 0 and "bare view" in cost["floor_name"]
    assert result["PostgreSQL"].startswith("18.")
    assert find_processes(mark) == []


@pytest.mark.slow
def test_stopping_it_in_the_middle_leaves_nothing_behind() -> None:
    mark = uuid.uuid4().hex
    bench = start_bench(mark, "--only", "webhooks")
    assert bench.stderr
    for line in bench.stderr:
        if "measuring" in line:
            break
    time.sleep(0.5)
    assert any("gunicorn" in command for command in find_processes(mark))
    bench.send_signal(signal.SIGTERM)
    bench.communicate(timeout=SECONDS)
    assert bench.returncode == 130
    assert find_processes(mark) == []


def test_a_lost_or_doubled_text_is_an_error() -> None:
    require_each_once(["a", "b"], ["b", "a"])
    for arrived, complaint in ((["a"], "1 of 2 texts did not"), (["a", "b", "b"], "1 texts too many")):
        with pytest.raises(BenchError, match=complaint):
            require_each_once(["a", "b"], arrived)


def test_the_table_marks_what_misses_its_target() -> None:
    table = format_table(
        [
            Row(figure="texts", measured=500, unit="/s", floor=1000, floor_name="loop", target=400),
            Row(figure="wait", measured=61, unit="ms", target=60),
        ]
    )
    assert "500/s | 1,000/s loop |  0.50 | ≥ 400/s ✓" in table
    assert "61.0 ms" in table
    assert "< 60.0 ms ✗" in table
