"""Errands on the internet: many at once, one run at a time that begins them, and none is overlooked."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from proxy_project.errands import Errands
from tests.harness.simulator import wait_until


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


class Desk:
    """A queue of errands in memory, and what came of them; `slow` ones wait to be released."""

    def __init__(self, *errands: str) -> None:
        self.lock = threading.Lock()
        self.waiting = list(errands)
        self.done: list[str] = []
        self.begun = threading.Event()
        self.released = threading.Event()
        self.errands: Errands[str, str] = Errands(claim=self.claim, attempt=self.attempt, record=self.done.extend)

    def add(self, errand: str) -> None:
        with self.lock:
            self.waiting.append(errand)

    def claim(self, limit: int) -> list[str]:
        with self.lock:
            taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return taken

    async def attempt(self, session: object, errand: str) -> str:
        self.begun.set()
        if errand == "slow":
            await asyncio.to_thread(self.released.wait, 10)
        return errand


def test_all_that_is_due_is_done_more_than_fit_at_once():
    desk = Desk(*map(str, range(500)))
    assert not desk.errands.run()
    assert sorted(desk.done) == sorted(map(str, range(500)))


def test_a_second_run_makes_the_first_look_again_and_waits_for_nothing():
    desk = Desk("slow")

    def run_second():
        assert desk.begun.wait(60)
        desk.add("quick")
        assert not desk.errands.run()
        wait_until(lambda: desk.done == ["quick"], waiting_for="the quick one")
        desk.released.set()

    at_once([desk.errands.run, run_second])
    assert desk.done == ["quick", "slow"]


def test_while_a_run_waits_for_slow_answers_the_next_may_begin():
    desk = Desk("slow")

    def run_next():
        assert desk.begun.wait(60)
        desk.add("quick")

        def run_again():
            desk.errands.run()
            return "quick" in desk.done

        wait_until(run_again, waiting_for="the quick one")
        desk.released.set()

    is_more_left, _ = at_once([lambda: desk.errands.run(run_seconds=0), run_next])
    assert is_more_left
    assert desk.done == ["quick", "slow"]


def test_nothing_is_left_however_runs_and_errands_meet():
    desk = Desk()

    def add_and_run():
        for number in range(50):
            desk.add(str(number))
            while desk.errands.run():
                pass

    at_once([add_and_run] * 4)
    assert (len(desk.done), desk.waiting) == (200, [])


def test_a_run_that_breaks_lets_the_next_begin():
    desk = Desk("a")
    broken = Errands(claim=desk.claim, attempt=desk.attempt, record=lambda outcomes: 1 / 0)
    for _ in range(2):
        desk.waiting = ["a"]
        try:
            broken.run()
        except ZeroDivisionError:
            continue
        raise AssertionError("The error is not hidden.")
