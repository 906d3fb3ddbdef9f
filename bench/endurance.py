"""A long time at a steady pace: whether texts take as long in the end as in the beginning."""

from itertools import chain

from bench.gateway import Gateway
from bench.inbound import make_inbounds
from bench.load import percentile, run_schedule
from bench.processor import find_cost, make_cost_row, read_processor_times
from bench.sending import THREADS
from bench.stack import Stack
from bench.table import Row
from bench.world import World

SEGMENT_SECONDS = 20
# How much longer than in the first minutes a text may take in the last ones.
FLAT = 1.5


def measure_endurance(stack: Stack, world: World, scale: float, *, minutes: float, per_second: int) -> list[Row]:
    """Post `per_second` texts a second for `minutes` times `scale`; each is relayed, sent and gets its two receipts.

    They come in segments, between which the next is signed. Compares the last quarter of them with the first.
    """
    gateway = Gateway(stack.simulator)
    if not stack.runs("sender"):
        stack.start_sender(threads=THREADS)
    if not stack.runs("worker"):
        stack.start_worker()
    count = round(per_second * SEGMENT_SECONDS)
    gateway.start_afresh()
    # What has just been started takes its time once.
    _time_segment(stack, gateway, world, count, per_second)
    segments: list[list[float]] = []
    before = read_processor_times(stack)
    for _ in range(max(4, round(scale * minutes * 60 / SEGMENT_SECONDS))):
        gateway.start_afresh()
        segments.append(_time_segment(stack, gateway, world, count, per_second))
    cost = find_cost(before, read_processor_times(stack), texts=count * len(segments))
    quarter = len(segments) // 4
    first, last = (list(chain.from_iterable(some)) for some in (segments[:quarter], segments[-quarter:]))
    what = f"{per_second}/s for {len(segments) * SEGMENT_SECONDS / 60:.0f} min"
    rows = [
        Row(
            figure=f"{what}, webhook to gateway, p{percent}, last quarter",
            measured=percentile(last, percent), unit="ms", target=FLAT * percentile(first, percent),
            floor=percentile(first, percent), floor_name="first quarter",
        )
        for percent in (50, 99)
    ]  # fmt: skip
    what = f"{what}, processor time of a text"
    return [*rows, make_cost_row(stack, world.people, cost, what=what, per_second=per_second, scale=scale)]


def _time_segment(stack: Stack, gateway: Gateway, world: World, count: int, per_second: int) -> list[float]:
    inbounds = make_inbounds(world.people, count)
    load = run_schedule(address=stack.web, requests=[inbound.request for inbound in inbounds], per_second=per_second)
    load.require(200)
    gateway.wait_for_texts(count, seconds=60)
    gateway.wait_for_receipts(2 * count, seconds=60)
    stack.check_running()
    due_at = dict(zip((inbound.text for inbound in inbounds), load.due_at, strict=True))
    return [(at - due_at[text]) * 1000 for _, text, at in gateway.arrivals()]
