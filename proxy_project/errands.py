"""Run errands on the public internet, many at once: claim what is due in a table, call, write down what came of it."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any, Generic, TypeVar

import aiohttp

from proxy_project import public_http

Claim = TypeVar("Claim")
Outcome = TypeVar("Outcome")

# The worker's job comes to its end, so that the worker can be stopped and other jobs have their turn.
RUN_SECONDS = 5.0
_UNDER_WAY = 200
_LOOK_AGAIN_SECONDS = 0.25


class Errands(Generic[Claim, Outcome]):
    """Errands of one kind, of this process.

    `claim` takes up to so many of them, `attempt` returns an outcome whatever happens, `record` writes outcomes down.
    One event loop in a thread of its own calls for all of them; the caller's thread talks to the database.
    """

    def __init__(
        self,
        *,
        claim: Callable[[int], Sequence[Claim]],
        attempt: Callable[[aiohttp.ClientSession, Claim], Coroutine[Any, Any, Outcome]],
        record: Callable[[Sequence[Outcome]], None],
    ) -> None:
        self._claim = claim
        self._attempt = attempt
        self._record = record
        # Held by the one run that begins errands, so that slow hosts do not hold a job of the worker for each wake-up.
        self._beginning = threading.Lock()
        self._is_nudged = False
        self._changed = threading.Event()

    def run(self, *, run_seconds: float = RUN_SECONDS) -> bool:
        """Run errands until none is due, and wait for all answers; return whether some may be left.

        New ones are begun for `run_seconds` at the most. Where another run of this process begins them already, it is
        made to look again, and this one returns. A process that is killed meanwhile loses nothing: what it had
        claimed is taken by others when its leases end.
        """
        # Before the lock is tried: who holds it looks again after this, or sees it when they have let go.
        self._is_nudged = True
        if not self._beginning.acquire(blocking=False):
            self._changed.set()
            return False
        changed = self._changed = threading.Event()
        under_way: set[Future[Outcome]] = set()
        with ExitStack() as beginning:
            beginning.callback(self._beginning.release)
            with _courier() as (loop, session):

                def begin() -> None:
                    self._is_nudged = False
                    room = _UNDER_WAY - len(under_way)
                    for claim in self._claim(room) if room else ():
                        future = asyncio.run_coroutine_threadsafe(self._attempt(session, claim), loop)
                        under_way.add(future)
                        future.add_done_callback(lambda _: changed.set())

                def collect() -> None:
                    changed.wait(_LOOK_AGAIN_SECONDS)
                    changed.clear()
                    done = {future for future in under_way if future.done()}
                    under_way.difference_update(done)
                    self._record([future.result() for future in done])

                ends_at = time.monotonic() + run_seconds
                begin()
                while under_way and time.monotonic() < ends_at:
                    collect()
                    begin()
                # Another run may begin, while this one waits for answers.
                beginning.close()
                may_be_left = self._is_nudged or bool(under_way)
                while under_way:
                    collect()
        return may_be_left


@contextmanager
def _courier() -> Iterator[tuple[asyncio.AbstractEventLoop, aiohttp.ClientSession]]:
    """Run an event loop, with a session of public_http, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    opening = public_http.open_session()
    session = asyncio.run_coroutine_threadsafe(opening.__aenter__(), loop).result()
    try:
        yield loop, session
    finally:
        asyncio.run_coroutine_threadsafe(opening.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
