"""Texts: how many one sender process hands to the gateway a second."""

import queue
import threading
import time
import uuid

import urllib3
from django.db import connection, transaction
from django.db.models.functions import Now

from bench.gateway import PATH, Gateway, make_body, make_token, require_each_once
from bench.processor import POSTGRESQL, find_cost, read_processor_times
from bench.stack import Stack
from bench.table import BenchError, Row, middle, runs_of
from bench.world import Person, World, tidy_database
from messaging.models import Message
from messaging.outbox import WAKE_CHANNEL

THREADS = 32
WARM_UP = 300
# By the gateway's latency in milliseconds: how many texts a run sends, and how many a second are wanted.
CASES = {0: (2_400, 800), 100: (1_600, 304)}
# Of the sender's own, without PostgreSQL's.
PROCESSOR_MS = 1.5


def measure_sending(stack: Stack, world: World, scale: float) -> list[Row]:
    """Queue texts for many people and let one sender send them; before each run, the same in a bare POST loop."""
    gateway = Gateway(stack.simulator)
    stack.start_sender(threads=THREADS)
    rows = []
    for latency_ms, (texts, target) in CASES.items():
        count = max(THREADS, round(texts * scale))
        gateway.start_afresh(latency_ms=latency_ms, no_receipts=True)
        _send(gateway, world.people, max(THREADS, round(WARM_UP * scale)))
        floors, runs, costs = [], [], []
        for _ in range(runs_of(scale)):
            gateway.start_afresh(latency_ms=latency_ms, no_receipts=True)
            floors.append(_post_in_a_loop(gateway, world.people, count))
            gateway.start_afresh(latency_ms=latency_ms, no_receipts=True)
            before = read_processor_times(stack)
            runs.append(_send(gateway, world.people, count))
            costs.append(find_cost(before, read_processor_times(stack), texts=count))
            stack.check_running()
        rows.append(
            Row(
                figure=f"texts sent, {latency_ms} ms gateway",
                measured=middle(runs), unit="/s", target=target,
                floor=middle(floors), floor_name=f"POST loop, {THREADS} threads",
            )
        )  # fmt: skip
        if latency_ms == 0:
            figure = (
                f"processor time of a text sent (and PostgreSQL {middle([cost[POSTGRESQL] for cost in costs]):.1f})"
            )
            sender_ms = middle([cost["sender"] for cost in costs])
            rows.append(Row(figure=figure, measured=sender_ms, unit="ms", target=PROCESSOR_MS))
    tidy_database()
    return rows


def _send(gateway: Gateway, people: list[Person], count: int) -> float:
    """Return how many texts a second the sender sends, from the commit that queues them to the last arrival."""
    messages = [_make_message(people[index % len(people)]) for index in range(count)]
    with transaction.atomic(), connection.cursor() as cursor:
        Message.objects.bulk_create(messages)
        cursor.execute(f"NOTIFY {WAKE_CHANNEL}")
        started = time.time()
    gateway.wait_for_texts(count, seconds=60 + count / 20)
    wait_until_recorded(count)
    arrivals = gateway.arrivals()
    require_each_once([str(message.pk) for message in messages], [reference for reference, _, _ in arrivals])
    return count / (max(at for _, _, at in arrivals) - started)


def _make_message(person: Person) -> Message:
    return Message(
        direction=Message.Direction.OUTBOUND,
        kind=Message.Kind.RELAY,
        status=Message.Status.QUEUED,
        due_at=Now(),
        virtual_number_id=person.virtual_number_id,
        chat_id=person.chat_id,
        participant_id=person.participant_id,
        body=_make_text(),
    )


def _make_text() -> str:
    return f"I am at the main entrance, where are you? {uuid.uuid4().hex}"


def wait_until_recorded(count: int) -> None:
    """Return when the log says of all `count` texts that they were sent; a sender that lost one would send it again."""
    deadline = time.monotonic() + 30
    waiting = Message.objects.filter(status__in=("queued", "sending", "unconfirmed"))
    while left := waiting.count():
        if time.monotonic() > deadline:
            raise BenchError(f"{left} of {count} texts reached the gateway, and are not recorded as sent.")
        time.sleep(0.05)


def _post_in_a_loop(gateway: Gateway, people: list[Person], count: int) -> float:
    """Return how many texts a second threads post that do nothing else, each on a connection that is kept."""
    bodies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for index in range(count):
        person = people[index % len(people)]
        bodies.put(
            make_body(
                to_number=person.phone_number,
                from_number=person.virtual_number,
                text=_make_text(),
                reference=str(uuid.uuid4()),
            )
        )
    headers = {"Authorization": make_token(), "Content-Type": "application/json"}
    statuses: queue.SimpleQueue[int] = queue.SimpleQueue()
    ready = threading.Barrier(THREADS + 1)

    def post() -> None:
        with urllib3.PoolManager(maxsize=1, retries=False) as pool:
            ready.wait()
            while True:
                try:
                    body = bodies.get_nowait()
                except queue.Empty:
                    return
                statuses.put(pool.request("POST", gateway.url + PATH, body=body, headers=headers).status)

    threads = [threading.Thread(target=post, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if [statuses.get_nowait() for _ in range(statuses.qsize())] != [202] * count:
        raise BenchError("The simulator did not accept every text of the POST loop.")
    return count / seconds
