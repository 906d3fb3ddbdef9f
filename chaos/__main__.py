"""Kill, crash and refuse while people text, and see whether anything is lost, doubled or crossed: `python -m chaos`."""

import argparse
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import django

from bench.stack import Stack
from bench.table import BenchError
from chaos.preparing import SHORT, choose_size, kept_when_wrong, prepare_environment
from proxy_project import embedded_postgres
from scripts.supervisor import StopRequested, adopt_orphans, reap_orphans, stop_signals
from scripts.with_postgres import reserved_directory

_SHOWN = 40


def main(arguments: Sequence[str]) -> int:
    options = _make_parser().parse_args(arguments)
    adopt_orphans()
    # The tests' own database is no place to crash.
    os.environ.pop("DATABASE_URL", None)
    try:
        with reserved_directory("chaos-postgres") as data_dir:
            try:
                return _run(options, data_dir)
            finally:
                embedded_postgres.stop(data_dir=data_dir)
    except StopRequested:
        return 130
    except (BenchError, embedded_postgres.EmbeddedPostgresError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        reap_orphans()


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chaos",
        description="Starts the service with a PostgreSQL and a simulator of its own; kills, crashes and refuses while "
        "people text; lets it come to rest, and compares what was written with what arrived, with the log and with "
        "the events. The exit code is 1 on any difference, 2 when there was no run. docs/operations.md says more.",
    )
    parser.add_argument("--minutes", type=float, default=3, help="for how long things go wrong (default: %(default)s)")
    parser.add_argument("--chats", type=int, default=300, help="how many there are in the end (default: %(default)s)")
    parser.add_argument("--texts", type=float, default=12, help="how many a second (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="what is chosen at random is chosen again; timing still differs")
    parser.add_argument("--short", action="store_true", help="ten seconds, 24 chats and one worker instead")
    return parser


def _run(options: argparse.Namespace, data_dir: Path) -> int:
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    size = choose_size(minutes=options.minutes, chats=options.chats, texts_per_second=options.texts)
    if options.short:
        size = SHORT
    print(f"seed {seed}", flush=True)
    with kept_when_wrong() as logs:
        stack = Stack(logs=logs)
        database_url = embedded_postgres.database_url(data_dir=data_dir, database="chaos")
        prepare_environment(database_url=database_url, stack=stack, logs=logs, size=size)
        django.setup()
        # Not at the top: models can be imported once Django is set up.
        from chaos.run import Run

        # Signals are let in only inside, so that nothing interrupts the stopping.
        with stop_signals():
            outcome = Run(seed=seed, size=size, stack=stack, data_dir=data_dir, logs=logs).carry_out()
        for name, figure in outcome.figures.items():
            print(f"{name}: {figure}")
        for difference in outcome.differences[:_SHOWN]:
            print(f"✗ {difference}")
        if not outcome.differences:
            print("✓ nothing lost, doubled, crossed, overtaken or stuck; every receipt and every event counted")
            return 0
        print(f"✗ {len(outcome.differences)} differences; the same choices again: --seed {seed}")
        (logs / "keep").touch()
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
