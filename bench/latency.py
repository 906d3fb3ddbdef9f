"""From a webhook to the gateway: how long a text takes through the whole service at a steady pace."""

import uuid

from bench.gateway import Gateway, make_body, make_request, make_token, require_each_once
from bench.inbound import make_inbounds
from bench.load import percentile, run_schedule
from bench.processor import find_cost, make_cost_row, read_processor_times
from bench.sending import THREADS
from bench.stack import Stack
from bench.table import Row
from bench.world import Person, World, tidy_database

PER_SECOND = 100
SECONDS = 20
WARM_UP_SECONDS = 2


def measure_latency(stack: Stack, world: World, scale: float) -> list[Row]:
    """Post 100 texts a second and time each until the simulator has it; two receipts each come back meanwhile.

    The floor is the same pace of POSTs straight to the simulator. Both count from the moment a request was due. Says
    what processor time all of a text took, too: webhook, sending and receipts.
    """
    gateway = Gateway(stack.simulator)
    if not stack.runs("sender"):
        stack.start_sender(threads=THREADS)
    count = max(10, round(PER_SECOND * SECONDS * scale))
    floor = _time_straight(stack, gateway, world.people, count)
    gateway.start_afresh()
    _time_through_service(stack, gateway, world, max(10, round(PER_SECOND * WARM_UP_SECONDS * scale)))
    gateway.start_afresh()
    before = read_processor_times(stack)
    measured = _time_through_service(stack, gateway, world, count)
    gateway.wait_for_receipts(2 * count, seconds=30)
    cost = find_cost(before, read_processor_times(stack), texts=count)
    tidy_database()
    rows = [
        Row(
            figure=f"from webhook to gateway at {PER_SECOND}/s, p{percent}",
            measured=percentile(measured, percent), unit="ms", target=target,
            floor=percentile(floor, percent), floor_name="straight POST",
        )
        for percent, target in ((50, 15), (99, 80))
    ]  # fmt: skip
    what = f"processor time of a text at {PER_SECOND}/s"
    return [*rows, make_cost_row(stack, world.people, cost, what=what, per_second=PER_SECOND, scale=scale)]


def _time_through_service(stack: Stack, gateway: Gateway, world: World, count: int) -> list[float]:
    inbounds = make_inbounds(world.people, count)
    load = run_schedule(address=stack.web, requests=[inbound.request for inbound in inbounds], per_second=PER_SECOND)
    load.require(200)
    gateway.wait_for_texts(count, seconds=30)
    due_at = dict(zip((inbound.text for inbound in inbounds), load.due_at, strict=True))
    arrivals = gateway.arrivals()
    require_each_once(list(due_at), [text for _, text, _ in arrivals])
    stack.check_running()
    return [(at - due_at[text]) * 1000 for _, text, at in arrivals]


def _time_straight(stack: Stack, gateway: Gateway, people: list[Person], count: int) -> list[float]:
    gateway.start_afresh(no_receipts=True)
    token = make_token()
    references = [str(uuid.uuid4()) for _ in range(count)]
    requests = [
        make_request(
            token,
            make_body(
                to_number=person.phone_number,
                from_number=person.virtual_number,
                text="I am at the main entrance, where are you?",
                reference=reference,
            ),
        )
        for reference, person in zip(references, people * (1 + count // len(people)), strict=False)
    ]
    load = run_schedule(address=stack.simulator, requests=requests, per_second=PER_SECOND)
    load.require(202)
    due_at = dict(zip(references, load.due_at, strict=True))
    return [(at - due_at[reference]) * 1000 for reference, _, at in gateway.arrivals()]
