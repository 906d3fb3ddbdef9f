"""Measure the service on this machine, each figure beside the least that its work could take: `python -m bench`."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import django

from bench.stack import Stack, find_postgres_programs, started_stack
from bench.table import BenchError, Row, format_table
from proxy_project.embedded_postgres import EmbeddedPostgresError
from scripts.supervisor import StopRequested, adopt_orphans, reap_orphans, stop_signals

FIGURES = ("webhooks", "chats", "sending", "latency", "memory", "encryption", "desk")
# Longer than all of those together; docs/scaling.md.
LONG_FIGURES = ("scale", "drain", "endurance")
QUICK = 0.2


def main(arguments: Sequence[str]) -> int:
    options = _make_parser().parse_args(arguments)
    adopt_orphans()
    try:
        # Signals are let in only inside, so that nothing interrupts the stopping.
        with started_stack() as stack, stop_signals():
            header, rows = _measure(stack, options)
            print(f"\n{'; '.join(f'{name}: {value}' for name, value in header.items())}\n")
            print(format_table(rows))
            stack.show_complaints()
    except StopRequested:
        return 130
    except (BenchError, EmbeddedPostgresError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        reap_orphans()
    if options.json:
        figures = [row.as_json() for row in rows]
        options.json.write_text(json.dumps({**header, "figures": figures}, indent=2, ensure_ascii=False) + "\n")
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Starts the service with a PostgreSQL and a simulator of its own, measures it, and stops all of "
        "it. Takes some ten minutes; docs/performance.md says how to read the table. The exit code is 0 unless "
        "something broke: a target that is missed is marked ✗, a text that is lost or doubled is an error.",
    )
    parser.add_argument("--quick", action="store_true", help="a fifth of the work: rougher figures in under a minute")
    parser.add_argument("--scale", type=float, default=1, help="this much of the work (default: %(default)s)")
    parser.add_argument(
        "--only", action="append", choices=(*FIGURES, *LONG_FIGURES), help="only these figures; repeat for more"
    )
    parser.add_argument(
        "--chats",
        type=lambda text: [int(each) for each in text.split(",")],
        default=[1_000, 10_000, 100_000],
        metavar="N,N,...",
        help="scale: compare databases of so many open chats with the first of them (default: 1000,10000,100000)",
    )
    parser.add_argument(
        "--plans", type=Path, metavar="FILE", help="scale: write the query plans at the last size to FILE"
    )
    parser.add_argument("--minutes", type=float, default=2, help="endurance: for so long (default: %(default)s)")
    parser.add_argument("--pace", type=int, default=250, help="endurance: texts a second (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    return parser


def _measure(stack: Stack, options: argparse.Namespace) -> tuple[dict[str, Any], list[Row]]:
    django.setup()
    figures, scale = options.only or FIGURES, QUICK if options.quick else options.scale
    # Not at the top: models can be imported once Django is set up.
    from bench.desk import measure_desk
    from bench.drain import measure_drain
    from bench.encryption import measure_encryption
    from bench.endurance import measure_endurance
    from bench.latency import measure_latency
    from bench.memory import measure_memory
    from bench.scale import measure_scale
    from bench.sending import measure_sending
    from bench.starting import measure_starting
    from bench.webhooks import measure_webhooks
    from bench.world import make_world

    measures: dict[str, Callable[..., list[Row]]] = {
        "webhooks": measure_webhooks,
        "chats": measure_starting,
        "sending": measure_sending,
        "latency": measure_latency,
        "memory": measure_memory,
        "encryption": measure_encryption,
        "desk": measure_desk,
        "drain": measure_drain,
        "endurance": partial(measure_endurance, minutes=options.minutes, per_second=options.pace),
    }
    rows: list[Row] = []
    if "scale" in figures:
        _say("measuring scale")
        rows += measure_scale(stack, sizes=options.chats, plans=options.plans, scale=scale)
    if set(figures) == {"scale"}:
        return _describe_machine(scale), rows
    _say("starting")
    world = make_world()
    stack.start_simulator()
    stack.start_web()
    for figure in (*FIGURES, "drain", "endurance"):
        if figure in figures:
            _say(f"measuring {figure}")
            rows += measures[figure](stack, world, scale)
    return _describe_machine(scale), rows


def _describe_machine(scale: float) -> dict[str, Any]:
    postgres = subprocess.run([str(find_postgres_programs() / "postgres"), "--version"], capture_output=True, text=True)
    load = f" ({os.getloadavg()[0]:.1f} busy in the last minute)"
    return {
        "measured at": time.strftime("%Y-%m-%d %H:%M %Z"),
        "cores": f"{os.cpu_count()}{load}",
        "PostgreSQL": postgres.stdout.split()[-1],
        "Python": platform.python_version(),
        "scale": scale,
    }


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
