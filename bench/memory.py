"""How much memory each process has, once it has done its work."""

import re
import time
from pathlib import Path

from bench.sending import THREADS
from bench.stack import Stack
from bench.table import Row
from bench.world import World

LIMIT_MB = 150
WORKER_SECONDS = 4


def measure_memory(stack: Stack, world: World, scale: float) -> list[Row]:
    """Read the resident memory of each process, and its share of it (PSS) where the system tells. Linux only."""
    if not stack.runs("sender"):
        stack.start_sender(threads=THREADS)
    stack.start_worker()
    # It has no load to wait for: it starts, and looks for jobs.
    time.sleep(max(2, WORKER_SECONDS * scale))
    stack.check_running()
    rows = []
    for name, pid in stack.processes():
        resident, share = _read_mb(f"/proc/{pid}/status", "VmRSS"), _read_mb(f"/proc/{pid}/smaps_rollup", "Pss")
        if resident is not None:
            figure = f"memory, {name}" + ("" if share is None else f" (PSS {share:.0f} MB)")
            rows.append(Row(figure=figure, measured=resident, unit="MB", target=LIMIT_MB))
    return rows


def _read_mb(path: str, name: str) -> float | None:
    try:
        text = Path(path).read_text()
    except OSError:
        return None
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else None
