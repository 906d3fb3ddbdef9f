"""Processor time: what the service's programs and PostgreSQL take of it, in seconds. Linux only."""

import os
from collections.abc import Mapping
from pathlib import Path

from django.db import connection

from bench.stack import Stack, list_children

POSTGRESQL = "PostgreSQL"
_TICKS = os.sysconf("SC_CLK_TCK")


def read_processor_times(stack: Stack) -> dict[str, float]:
    """Return the processor time so far of web, sender and PostgreSQL, each with its processes, the ended ones too."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        directory = Path(cursor.fetchone()[0])
    roots = {POSTGRESQL: int((directory / "postmaster.pid").read_text().split()[0])}
    for name, pid in stack.programs():
        if name in ("web", "sender"):
            roots[name] = pid
    return {name: _read_tree(pid) for name, pid in roots.items()}


def find_cost(before: Mapping[str, float], after: Mapping[str, float], *, texts: int) -> dict[str, float]:
    """Return the milliseconds that each took for a text."""
    return {name: (after[name] - before[name]) / texts * 1000 for name in after}


def _read_tree(pid: int) -> float:
    # utime, stime, and those of children that have ended: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS + sum(_read_tree(child) for child in list_children(pid))
