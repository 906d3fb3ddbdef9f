"""What people notice of the erasing of old chats: webhooks beside it, and without it."""

import time

from bench.growth import Grown
from bench.inbound import make_inbounds
from bench.load import Load, run_load
from bench.stack import Stack
from bench.table import BenchError, Row
from bench.world import tidy_database
from chats.models import Chat
from messaging.models import Message

_TURNS = 6
_WEBHOOKS = 100
_KEEP_FOR_DAYS = "20"


def measure_retention(stack: Stack, grown: Grown) -> list[Row]:
    """Take turns: webhooks alone, and webhooks while a worker erases what it can."""
    grown.use()
    tidy_database()
    alone, beside = Load(), Load()
    erasing = 0.0
    for _ in range(_TURNS):
        _text(grown, alone)
        stack.start("erasing", "-m", "bench.erasing", KEEP_FOR_DAYS=_KEEP_FOR_DAYS)
        _wait_for_first(_count_erased())
        started = time.monotonic()
        _text(grown, beside)
        stack.check_running()
        stack.stop("erasing")
        erasing += time.monotonic() - started
    texts = Message.objects.filter(chat__isnull=False).exclude(erased_at=None).count()
    rows = [
        Row(
            figure=f"inbound webhook while old chats are erased, p{percent}, {grown.chats:,} chats",
            measured=beside.percentile_ms(percent), unit="ms",
            floor=alone.percentile_ms(percent), floor_name="while none are",
        )
        for percent in (50, 99)
    ]  # fmt: skip
    return [*rows, Row(figure=f"texts erased meanwhile, {grown.chats:,} chats", measured=texts / erasing, unit="/s")]


def _text(grown: Grown, load: Load) -> None:
    inbounds = make_inbounds(grown.people, _WEBHOOKS)
    part = run_load(address=grown.web, requests=[inbound.request for inbound in inbounds], connections=1)
    part.require(200)
    load.latencies_ms += part.latencies_ms


def _count_erased() -> int:
    return Chat.objects.exclude(erased_at=None).count()


def _wait_for_first(erased: int) -> None:
    """Return when more chats are erased than `erased`."""
    deadline = time.monotonic() + 60
    while _count_erased() == erased:
        if time.monotonic() > deadline:
            raise BenchError("No old chat is erased.")
        time.sleep(0.05)
