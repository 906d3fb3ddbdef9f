"""What is asked for at the same time is done together; tests/messaging/test_webhooks_together.py has the rest."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from proxy_project import together
from proxy_project.together import Together


def test_who_was_just_answered_and_asks_again_is_in_the_next_batch(monkeypatch):
    monkeypatch.setattr(together, "GATHER_SECONDS", 0.5)
    monkeypatch.setattr(together, "PATIENCE_SECONDS", 60)
    batches: list[list[str]] = []
    others_wait = threading.Event()

    def work(items: Sequence[str]) -> Sequence[bool]:
        batches.append([*items])
        assert others_wait.wait(60)
        return [True] * len(items)

    async def ask(*items: str) -> None:
        for item in items:
            async with taking.take(item, key=item) as is_taken:
                assert is_taken
            # As long as it takes the event loop to read what somebody says next.
            for _ in range(5):
                await asyncio.sleep(0)

    async def ask_all() -> None:
        first = asyncio.create_task(ask("a", "c"))
        while not batches:
            await asyncio.sleep(0.001)
        second = asyncio.create_task(ask("b"))
        await asyncio.sleep(0)
        others_wait.set()
        await asyncio.gather(first, second)

    with ThreadPoolExecutor(1) as pool:
        taking = Together(work, pool=pool, at_once=1)
        asyncio.run(ask_all())
    assert batches == [["a"], ["b", "c"]]
