"""`POST /chats`: how many chats a platform can start a second."""

import json
from itertools import islice
from uuid import uuid4

from bench.load import post, run_load
from bench.stack import Stack
from bench.table import BenchError, Row
from bench.world import World, tidy_database
from chats.models import Chat
from messaging.models import Message

CONNECTIONS = 8
CHATS = 1_500
WARM_UP = 100


def measure_starting(stack: Stack, world: World, scale: float) -> list[Row]:
    """Start chats of people who are in none yet, over 8 connections."""
    count, warm_up = max(8, round(CHATS * scale)), max(16, round(WARM_UP * scale))
    _warm_up = run_load(address=stack.web, requests=_make_requests(world, warm_up), connections=CONNECTIONS)
    _warm_up.require(201)
    tidy_database()
    chats, introductions = Chat.objects.count(), _count_introductions()
    load = run_load(address=stack.web, requests=_make_requests(world, count), connections=CONNECTIONS)
    load.require(201)
    if (Chat.objects.count() - chats, _count_introductions() - introductions) != (count, 2 * count):
        raise BenchError(f"{count} requests to start a chat did not make as many chats and twice the introductions.")
    stack.check_running()
    tidy_database()
    figure = f"chats started, {CONNECTIONS} connections"
    return [
        Row(figure=figure, measured=load.per_second, unit="/s"),
        *(Row(figure=f"{figure}, p{percent}", measured=load.percentile_ms(percent), unit="ms") for percent in (50, 99)),
    ]


def _make_requests(world: World, count: int) -> list[bytes]:
    numbers = list(islice(world.fresh_numbers, 2 * count))
    if len(numbers) < 2 * count:
        raise BenchError("There are no more phone numbers set aside for fiction.")
    return [
        post(
            path="/chats",
            authorization=f"Bearer {world.api_key}",
            body=json.dumps(
                {
                    "participants": [
                        {"phone_number": numbers[2 * index], "name": "Sara"},
                        {"phone_number": numbers[2 * index + 1], "name": "Omar"},
                    ],
                    "reference": f"booking-{uuid4()}",
                }
            ).encode(),
        )
        for index in range(count)
    ]


def _count_introductions() -> int:
    return Message.objects.filter(kind=Message.Kind.INTRODUCTION).count()
