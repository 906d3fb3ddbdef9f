"""Webhooks: how many are accepted a second, and how long each takes."""

from django.db import connection

from bench.bare_paths import ONE_INSERT, SAME_SQL
from bench.bare_web import started_bare_web
from bench.inbound import Inbound, make_inbounds
from bench.load import Load, run_load
from bench.pgbench import relays_per_second
from bench.stack import Stack
from bench.table import BenchError, Row, middle, runs_of
from bench.world import World, tidy_database

CONNECTIONS = 16
REQUESTS = 6_000
PGBENCH_SECONDS = 4
WARM_UP = 400


def measure_webhooks(stack: Stack, world: World, scale: float) -> list[Row]:
    """Post signed texts over 16 connections; before each run, the same to its floors and its peer."""
    requests, seconds = max(16, round(REQUESTS * scale)), max(1, round(PGBENCH_SECONDS * scale))
    floors, bares, peers, runs = [], [], [], []
    with started_bare_web(stack) as bare_address:
        warm_up = max(64, round(WARM_UP * scale))
        for path in (ONE_INSERT, SAME_SQL):
            _post(bare_address, make_inbounds(world.people, warm_up, path))
        _post(stack.web, make_inbounds(world.people, warm_up))
        for _ in range(runs_of(scale)):
            tidy_database()
            inbounds = make_inbounds(world.people, requests)
            floors.append(relays_per_second(connections=CONNECTIONS, seconds=seconds, text=inbounds[0].text))
            bares.append(_post(bare_address, make_inbounds(world.people, requests, ONE_INSERT)))
            peers.append(_post(bare_address, make_inbounds(world.people, requests, SAME_SQL)))
            tidy_database()
            runs.append(_post(stack.web, inbounds))
            _check_rows(inbounds)
            stack.check_running()
    tidy_database()
    return _make_rows(floors, bares, peers, runs)


def _make_rows(floors: list[float], bares: list[Load], peers: list[Load], runs: list[Load]) -> list[Row]:
    what = f"webhooks accepted, {CONNECTIONS} connections"
    per_second = middle([run.per_second for run in runs])
    bare_per_second, peer_per_second = (middle([run.per_second for run in loads]) for loads in (bares, peers))
    rows = [
        Row(
            figure=what, measured=per_second, unit="/s", target=1_000,
            floor=middle(floors), floor_name="same SQL in pgbench",
        ),
        Row(
            figure=f"{what} (again)", measured=per_second, unit="/s",
            floor=bare_per_second, floor_name="bare view, one INSERT",
        ),
        Row(
            figure=f"{what} (and again)", measured=per_second, unit="/s",
            floor=peer_per_second, floor_name="bare view, same SQL",
        ),
    ]  # fmt: skip
    for percent, target in ((50, None), (99, 40)):
        measured, floor = (middle([run.percentile_ms(percent) for run in loads]) for loads in (runs, bares))
        rows.append(
            Row(
                figure=f"{what}, p{percent}", measured=measured, unit="ms", target=target,
                floor=floor, floor_name="bare view, one INSERT",
            )
        )  # fmt: skip
    return rows


def _post(address: tuple[str, int], inbounds: list[Inbound]) -> Load:
    load = run_load(address=address, requests=[inbound.request for inbound in inbounds], connections=CONNECTIONS)
    load.require(200)
    return load


def _check_rows(inbounds: list[Inbound]) -> None:
    """Raise BenchError unless each text is logged once and relayed once."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(DISTINCT inbound.id), count(relay.id), count(DISTINCT relay.relays_id)
              FROM messaging_message AS inbound LEFT JOIN messaging_message AS relay ON relay.relays_id = inbound.id
             WHERE inbound.direction = 'in' AND inbound.gateway_id = ANY(%s)
            """,
            [[inbound.gateway_id for inbound in inbounds]],
        )
        counts = cursor.fetchone()
    if counts != (len(inbounds),) * 3:
        raise BenchError(f"Of {len(inbounds)} texts, {counts[0]} were logged and {counts[1]} relayed.")
