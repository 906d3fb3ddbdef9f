"""What a run is told before Django is set up: how much of everything, the environment of its programs, their logs."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.stack import Stack, set_environment


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    seconds: float
    chats: int
    texts_per_second: float
    virtual_numbers: int
    # Something is killed or crashed every so many seconds.
    every_seconds: float
    workers: int
    unconfirmed_wait_seconds: int
    rest_seconds: float


def choose_size(*, minutes: float, chats: int, texts_per_second: float) -> Size:
    return Size(
        seconds=60 * minutes,
        chats=chats,
        texts_per_second=texts_per_second,
        virtual_numbers=20,
        every_seconds=4,
        workers=2,
        unconfirmed_wait_seconds=20,
        rest_seconds=180,
    )


SHORT = Size(
    seconds=9,
    chats=24,
    texts_per_second=12,
    virtual_numbers=6,
    every_seconds=1.8,
    workers=1,
    unconfirmed_wait_seconds=10,
    rest_seconds=60,
)


def prepare_environment(*, database_url: str, stack: Stack, logs: Path, size: Size) -> None:
    """Make this process's environment that of the programs, before Django is set up."""
    set_environment(database_url, stack)
    os.environ |= {
        "LOG_LEVEL": "INFO",
        "GUNICORN_CMD_ARGS": "--log-level info",
        "WEB_CONCURRENCY": "1",
        "ALLOW_PRIVATE_ENDPOINTS": "true",
        "MEDIA_ROOT": str(logs / "media"),
        "SEND_TIMEOUT_SECONDS": "1",
        "SEND_LEASE_SECONDS": "5",
        "UNCONFIRMED_WAIT_SECONDS": str(size.unconfirmed_wait_seconds),
        # These people text like machines.
        **dict.fromkeys(("TEXTS_PER_MINUTE", "TEXTS_PER_DAY", "REPEATED_TEXTS", "QUICK_ANSWERS"), "0"),
        # Nobody is told that numbers run out, which depends on who is in how many chats.
        "WARN_BELOW_FREE_NUMBERS": "0",
        "SIMULATOR_CLOCK_SCALE": "0.02",
    }


@contextlib.contextmanager
def kept_when_wrong() -> Iterator[Path]:
    """Yield a directory for the logs, which stays when something goes wrong within, or when its file `keep` is made."""
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    keep = True
    try:
        yield directory
        keep = (directory / "keep").exists()
    finally:
        if keep:
            print(f"The logs of all programs are in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory)
