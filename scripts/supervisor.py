"""Run several programs as one: one terminal for their lines, one end for all of them.

Written out, where Procfile runners exist, for the sake of the end: programs stop in an order, each leads a
process group of which nothing is left, and none outlives a runner that was killed.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

STOP_SECONDS = 10
_POLL_SECONDS = 0.1
_REAP_SECONDS = 1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_COLOURS = ("36", "32", "33", "35", "34")

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class StopRequested(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP; a BaseException so that no handler of errors on the way takes it for one."""


@dataclass
class Program:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    # Programs of a later wave are stopped after those of an earlier one, which may still need them.
    stop_wave: int = 0
    process: subprocess.Popen[bytes] = field(init=False)


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Within this, Ctrl-C, SIGTERM and SIGHUP raise StopRequested, once."""

    def request_stop(number: int, frame: FrameType | None) -> None:
        _ignore_stop_signals()
        raise StopRequested

    for number in _STOP_SIGNALS:
        # Under nohup a hang-up is ignored, and stays ignored; Ctrl-C, which a shell's background job ignores, is not.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, request_stop)
    try:
        yield
    finally:
        _ignore_stop_signals()


def adopt_orphans() -> None:
    """Become the parent of whatever our programs leave behind, where the system can do that (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Supervisor:
    def __init__(self, *, cwd: Path) -> None:
        self.programs: list[Program] = []
        self._cwd = cwd
        self._selector = selectors.DefaultSelector()
        self._unfinished: dict[str, bytes] = {}

    def start(self, program: Program) -> None:
        # A stop that came between the two would miss the program.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            program.process = subprocess.Popen(
                program.command,
                cwd=self._cwd,
                env={**program.environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # A Ctrl-C of the terminal reaches us alone, and we stop the programs in order.
                start_new_session=True,
                preexec_fn=_become_a_program,
            )
            self.programs.append(program)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        assert program.process.stdout is not None
        os.set_blocking(program.process.stdout.fileno(), False)
        self._selector.register(program.process.stdout, selectors.EVENT_READ, program)

    def run_until(self, *, seconds: float | None = None) -> Program | None:
        """Pass lines on for `seconds`, or for ever; return the first program that has ended, if one has."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while deadline is None or time.monotonic() < deadline:
            self._pass_lines_on()
            for program in self.programs:
                if _has_ended(program):
                    self._pass_lines_on()
                    return program
        return None

    def stop(self) -> None:
        """Stop every program, in order, and return when no process of theirs is left."""
        running = [program for program in self.programs if program.process.returncode is None]
        for wave in sorted({program.stop_wave for program in running}):
            programs = [program for program in running if program.stop_wave == wave]
            for program in programs:
                with contextlib.suppress(ProcessLookupError):
                    program.process.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline and not all(map(_has_ended, programs)):
                self._pass_lines_on()
            for program in programs:
                # While its leader is unreaped a group keeps its number: this cannot hit a stranger.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(program.process.pid, signal.SIGKILL)
                program.process.wait()
                # Those of the group that we have adopted; they may take a moment to be gone.
                with contextlib.suppress(ChildProcessError):
                    while os.waitpid(-program.process.pid, 0):
                        pass
        while self._pass_lines_on():
            pass
        for program in running:
            if program.process.stdout is not None:
                program.process.stdout.close()
        self._selector.close()

    def _pass_lines_on(self) -> bool:
        """Print what programs have written, waiting a moment for it; return whether there was anything."""
        ready = self._selector.select(timeout=_POLL_SECONDS) if self._selector.get_map() else []
        for key, _ in ready:
            program: Program = key.data
            data = os.read(key.fd, 65536)
            if not data:
                self._selector.unregister(key.fileobj)
            *lines, rest = (self._unfinished.pop(program.name, b"") + data).split(b"\n")
            if rest and data:
                self._unfinished[program.name] = rest
            elif rest:
                lines.append(rest)
            for line in lines:
                self._print(program, line.decode(errors="replace"))
        return bool(ready)

    def _print(self, program: Program, line: str) -> None:
        width = max(len(each.name) for each in self.programs)
        label = f"{program.name:<{width}} |"
        if sys.stdout.isatty():
            label = f"\033[{_COLOURS[self.programs.index(program) % len(_COLOURS)]}m{label}\033[0m"
        # Whoever read our lines may have gone (a closed terminal, `| head`); the stop goes on without them.
        with contextlib.suppress(BrokenPipeError, OSError):
            print(label, line, flush=True)


def describe_end(program: Program) -> str:
    """Return how a program that has ended did so, as words."""
    code = program.process.returncode
    if code is None:
        # Unreaped still: the rest of its process group is stopped later, and keeps its number until then.
        end = os.waitid(os.P_PID, program.process.pid, os.WEXITED | os.WNOWAIT)
        assert end is not None
        code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def reap_orphans() -> None:
    """Collect adopted processes that have ended, or are about to; others may use the database still."""
    deadline = time.monotonic() + _REAP_SECONDS
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)


def _has_ended(program: Program) -> bool:
    """Whether it has ended, leaving it unreaped, so that its process group keeps its number."""
    if program.process.returncode is not None:
        return True
    return os.waitid(os.P_PID, program.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _become_a_program() -> None:
    """In a new program: hear signals, and be killed with us when we are (Linux).

    A program asked to stop may wait for a database that is stopping as well; each of them survives a SIGKILL.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _ignore_stop_signals() -> None:
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
