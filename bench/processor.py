"""Processor time: what programs and PostgreSQL take of it. Linux only."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from django.db import connection

from bench.bare_paths import ONE_INSERT
from bench.bare_web import started_bare_web
from bench.inbound import make_inbounds
from bench.load import run_load, run_schedule
from bench.stack import Stack, list_children
from bench.table import Row
from bench.world import Person

POSTGRESQL = "PostgreSQL"
BARE_SECONDS = 10
# A text comes by one, and gets two receipts.
_WEBHOOKS_OF_A_TEXT = 3
# Of all that the service and PostgreSQL do for one.
TEXT_MS = 5
_TICKS = os.sysconf("SC_CLK_TCK")


def read_processor_times(stack: Stack, names: Sequence[str] = ("web", "sender")) -> dict[str, float]:
    """Return the seconds so far of PostgreSQL and of these programs, each with its processes, the ended ones too."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        directory = Path(cursor.fetchone()[0])
    roots = {POSTGRESQL: int((directory / "postmaster.pid").read_text().split()[0])}
    roots |= {name: pid for name, pid in stack.programs() if name in names}
    return {name: _read_tree(pid) for name, pid in roots.items()}


def find_cost(before: Mapping[str, float], after: Mapping[str, float], *, texts: int) -> dict[str, float]:
    """Return the milliseconds that each took for a text."""
    return {name: (after[name] - before[name]) / texts * 1000 for name in after}


def make_cost_row(
    stack: Stack, people: list[Person], cost: Mapping[str, float], *, what: str, per_second: int, scale: float
) -> Row:
    """Return the row about what all of a text took, and as its floor what its webhooks take of a bare Django.

    That does one INSERT for each and sends nothing, at the same pace: a program that is seldom asked takes more for
    each request, since it has slept in between.
    """
    count = max(10, round(per_second * BARE_SECONDS * scale)) * _WEBHOOKS_OF_A_TEXT
    requests = [inbound.request for inbound in make_inbounds(people, count, ONE_INSERT)]
    with started_bare_web(stack) as address:
        run_load(address=address, requests=requests[: count // 5], connections=4).require(200)
        before = read_processor_times(stack, ["bare web"])
        pace = per_second * _WEBHOOKS_OF_A_TEXT
        run_schedule(address=address, requests=requests, per_second=pace).require(200)
        floor = find_cost(before, read_processor_times(stack, ["bare web"]), texts=count // _WEBHOOKS_OF_A_TEXT)
    parts = ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in cost.items())
    return Row(
        figure=f"{what} ({parts})", measured=sum(cost.values()), unit="ms", target=TEXT_MS,
        floor=sum(floor.values()), floor_name=f"{_WEBHOOKS_OF_A_TEXT} bare views, one INSERT each",
    )  # fmt: skip


def _read_tree(pid: int) -> float:
    # utime, stime, and those of children that have ended: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS + sum(_read_tree(child) for child in list_children(pid))
