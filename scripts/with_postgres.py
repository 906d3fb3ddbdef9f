"""Run a command on an empty PostgreSQL of its own: `python -m scripts.with_postgres COMMAND ...`.

The command finds it in DATABASE_URL; when that is set already, the command just runs.
"""

import contextlib
import fcntl
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from proxy_project import embedded_postgres
from scripts.supervisor import adopt_orphans, reap_orphans

DATA = Path(__file__).resolve().parent.parent / ".data"


def main(command: list[str]) -> int:
    if os.environ.get("DATABASE_URL"):
        return _run(command, os.environ["DATABASE_URL"])
    adopt_orphans()
    with reserved_directory() as directory:
        try:
            return _run(command, embedded_postgres.database_url(data_dir=directory, volatile=True))
        except embedded_postgres.EmbeddedPostgresError as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            embedded_postgres.stop(data_dir=directory)
            reap_orphans()


@contextlib.contextmanager
def reserved_directory(name: str = "test-postgres") -> Iterator[Path]:
    """Yield a directory that no other run is using, empty; what it holds is removed in the end."""
    DATA.mkdir(exist_ok=True)
    for number in itertools.count(1):
        directory = DATA / f"{name}-{number}"
        with directory.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            # What a run that was killed has left there.
            embedded_postgres.stop(data_dir=directory)
            shutil.rmtree(directory, ignore_errors=True)
            try:
                yield directory
            finally:
                shutil.rmtree(directory, ignore_errors=True)
            return


def _run(command: list[str], database_url: str) -> int:
    # The terminal sends Ctrl-C to the command too, which ends in its own way; we then clean up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = subprocess.Popen(
        command,
        env={**os.environ, "DATABASE_URL": database_url},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: process.send_signal(number))
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
