"""Databases of several sizes in one PostgreSQL, each with a web of its own, and whom the load on them is about."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client
from django.utils import timezone

from bench.load import Address
from bench.stack import HOST, Stack, find_free_port
from bench.world import MESSAGES_PER_SECOND, Person, tidy_database
from chats.models import Participant, VirtualNumber
from chats.pool import look_at_pools
from desk.seeding import DAYS, Plan, phone_numbers, seed
from platforms.models import Event, Platform
from proxy_project.encryption import encrypt

MESSAGES_PER_CHAT = 10
PEOPLE_PER_CHAT = 0.5
# 50 virtual numbers for 1,000 chats, 5,000 for a million.
_NUMBERS, _NUMBERS_GROW = 50, 2 / 3
_SAMPLE = 2_000
_EVENTS_PER_TRANSACTION = 2_000

# What platforms were told of the last texts that came in: as many as there are chats.
_FILL_EVENTS = """
    INSERT INTO platforms_event (id, platform_id, transaction, type, chat_id, message_id, payload, occurred_at)
    SELECT uuidv7(created_at - now()), turn_of, 3 + row_number() OVER (ORDER BY position) / %(at_once)s,
           'message.delivered', chat_id, id, %(payload)s, created_at
      FROM (SELECT * FROM messaging_message WHERE kind = 'relay' ORDER BY position DESC LIMIT %(count)s) AS text
     ORDER BY position
"""
_PAYLOAD = '{"chat": {"id": null, "reference": null}, "message": {"id": null, "text": null}}'


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A database with so many open chats, and the web that works on it."""

    chats: int
    database: str
    web: Address
    api_key: str
    cookie: str
    platform_id: UUID
    people: list[Person]
    number_ids: list[UUID]
    middle_event: UUID
    # Phone numbers of nobody yet.
    fresh_numbers: Iterator[str]

    @property
    def middle_of_log(self) -> datetime:
        return timezone.now() - timedelta(days=DAYS / 2)

    def use(self) -> None:
        """Let this process's connection be to this database."""
        use_database(self.database)

    def drop(self) -> None:
        """Remove the database, to which nothing is connected any more."""
        use_database("bench")
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {self.database} WITH (FORCE)")


def plan_for(chats: int) -> Plan:
    return Plan(
        chats=chats,
        messages=MESSAGES_PER_CHAT * chats,
        numbers=round(_NUMBERS * (chats / 1_000) ** _NUMBERS_GROW),
        people=round(chats * PEOPLE_PER_CHAT),
    )


def grow(stack: Stack, chats: int) -> Grown:
    """Make a database of this size, and start a web on it."""
    database, plan = f"chats_{chats}", plan_for(chats)
    use_database("bench")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {database}")
    os.environ["DATABASE_URL"] = f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{database}"
    stack.manage("migrate", "--verbosity", "0")
    use_database(database)
    seeded = seed(plan, now=timezone.now(), say=lambda line: print(line, file=sys.stderr, flush=True))
    VirtualNumber.objects.update(messages_per_second=MESSAGES_PER_SECOND)
    Platform.objects.filter(pk=seeded.platform.pk).update(records_events=True)
    with connection.cursor() as cursor:
        cursor.execute(_FILL_EVENTS, {"count": chats, "payload": encrypt(_PAYLOAD), "at_once": _EVENTS_PER_TRANSACTION})
        cursor.execute("VACUUM (ANALYZE) platforms_event")
    look_at_pools(now=timezone.now())
    tidy_database()
    web = (HOST, find_free_port())
    stack.start_gunicorn(f"web with {chats}", "proxy_project.asgi", port=web[1], path="/healthz")
    numbers = phone_numbers()
    for _ in range(plan.numbers + plan.people):
        next(numbers)
    return Grown(
        chats=chats,
        database=database,
        web=web,
        api_key=seeded.api_key,
        cookie=log_in(),
        platform_id=seeded.platform.pk,
        people=_sample_people(),
        number_ids=list(VirtualNumber.objects.values_list("pk", flat=True)[:200]),
        middle_event=Event.objects.order_by("position").values_list("pk", flat=True)[chats // 2],
        fresh_numbers=numbers,
    )


def use_database(name: str) -> None:
    connection.close()
    connections["default"].settings_dict["NAME"] = name


def log_in() -> str:
    """Return the cookie of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("bench"), backend="operators.backends.OperatorBackend")
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())


def _sample_people() -> list[Person]:
    """Return people in open chats, from all of the time."""
    found = Participant.objects.filter(ended_at=None).select_related("virtual_number").order_by("?")[:_SAMPLE]
    return [
        Person(each.pk, each.chat_id, each.virtual_number.pk, each.phone_number, each.virtual_number.number)
        for each in found
    ]
