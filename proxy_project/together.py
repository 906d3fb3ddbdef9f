"""Do together what is asked for at the same time: one thread works, and what comes meanwhile is its next batch."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

# More than come within the time of one batch; a statement with so many rows is still a short one.
MOST_AT_ONCE = 100
# What has waited for so long behind a batch, which usually takes milliseconds, need not wait for it any longer.
PATIENCE_SECONDS = 0.02
# How long what has waited for a batch waits on, for those who were answered by it and are about to say more: the next
# batch costs little more with them, and another one nearly as much again.
GATHER_SECONDS = 0.002


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Item]):
    item: Item
    key: Hashable
    done: "asyncio.Future[bool]"
    is_taken: bool = False


class Together(Generic[Item]):
    """Runs `work` in a thread of `pool` for all items that wait, of each key only the first.

    While nothing is at work an item is taken at once: batches grow with what comes while one is at work, and within
    GATHER_SECONDS after it. A second one, and up to `at_once` of them, begins after PATIENCE_SECONDS.

    For one event loop.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[bool]], *, pool: Executor, at_once: int) -> None:
        self._work = work
        self._pool = pool
        self._at_once = at_once
        self._waiting: list[_Waiting[Item]] = []
        self._busy_keys: set[Hashable] = set()
        self._batches = 0
        self._is_starting = False

    @asynccontextmanager
    async def take(self, item: Item, *, key: Hashable) -> AsyncIterator[bool]:
        """Yield what `work` says of this item; raises what it raises, as for every other item of its batch.

        Nothing else of this key is taken before the block ends.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(item, key, loop.create_future())
        self._waiting.append(waiting)
        if not self._batches:
            self._start_soon()
        elif self._batches < self._at_once:
            loop.call_later(PATIENCE_SECONDS, self._start_late, waiting)
        try:
            yield await waiting.done
        finally:
            if waiting.is_taken:
                self._busy_keys.discard(key)
                if self._waiting and not self._batches:
                    self._start_soon()

    def _start_soon(self, *, after: float = 0) -> None:
        """Start when all that the event loop has just read is waiting, too, or `after` so many seconds."""
        if not self._is_starting:
            self._is_starting = True
            loop = asyncio.get_running_loop()
            loop.call_later(after, self._start) if after else loop.call_soon(self._start)

    def _start_late(self, waiting: _Waiting[Item]) -> None:
        if waiting in self._waiting and self._batches < self._at_once:
            self._start()

    def _start(self) -> None:
        self._is_starting = False
        batch: list[_Waiting[Item]] = []
        others: list[_Waiting[Item]] = []
        for waiting in self._waiting:
            if waiting.done.done():
                continue  # whoever asked has gone
            if waiting.key in self._busy_keys or len(batch) == MOST_AT_ONCE:
                others.append(waiting)
                continue
            self._busy_keys.add(waiting.key)
            waiting.is_taken = True
            batch.append(waiting)
        self._waiting = others
        if batch:
            self._batches += 1
            items = [waiting.item for waiting in batch]
            running = asyncio.get_running_loop().run_in_executor(self._pool, self._work, items)
            running.add_done_callback(lambda done: self._finish(batch, done))

    def _finish(self, batch: Sequence[_Waiting[Item]], done: "asyncio.Future[Sequence[bool]]") -> None:
        self._batches -= 1
        error = done.exception()
        for place, waiting in enumerate(batch):
            if waiting.done.done():
                continue
            if error:
                waiting.done.set_exception(error)
            else:
                waiting.done.set_result(done.result()[place])
        if self._waiting:
            self._start_soon(after=GATHER_SECONDS)
