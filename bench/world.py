"""Whom the load is about: virtual numbers, and people in open chats, made in bulk as the service would make them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

import phonenumbers
from django.db import connection
from django.utils import timezone

from chats.models import Chat, Participant, VirtualNumber
from messaging.models import Message
from platforms.models import Platform
from platforms.services import create_platform
from proxy_project.encryption import digest_number, encrypt

VIRTUAL_NUMBERS = 50
MESSAGES_PER_SECOND = 1_000
CHATS = 1_000
TEXTS_PER_PERSON = 20
# Numbers set aside for fiction: 555-0100 to 555-0199 in every area of the United States. The first of them are
# the virtual numbers, in a row, so that pgbench can count them up.
FIRST_VIRTUAL_NUMBER = 12015550100


@dataclass(frozen=True, slots=True)
class Person:
    """One side of an open chat."""

    participant_id: UUID
    chat_id: UUID
    virtual_number_id: UUID
    phone_number: str
    virtual_number: str


@dataclass(frozen=True)
class World:
    api_key: str
    people: list[Person]
    # Phone numbers of nobody yet.
    fresh_numbers: Iterator[str]


def make_world() -> World:
    """Make 50 virtual numbers, 1,000 open chats, and a log in which their people have texted."""
    platform = create_platform(name="Bench")
    unused = _phone_numbers()
    now = timezone.now()
    numbers = VirtualNumber.objects.bulk_create(
        VirtualNumber(number=number, country="US", messages_per_second=MESSAGES_PER_SECOND)
        for number in islice(unused, VIRTUAL_NUMBERS)
    )
    people: list[Person] = []
    participants = []
    for chat, number in _make_chats(platform.platform, numbers):
        for position in (1, 2):
            phone_number = next(unused)
            participant = Participant(
                chat=chat,
                position=position,
                name=f"Person {len(people)}",
                phone_number=phone_number,
                phone_digest=digest_number(phone_number),
                virtual_number=number,
            )
            participants.append(participant)
            people.append(Person(participant.pk, chat.pk, number.pk, phone_number, number.number))
    Participant.objects.bulk_create(participants)
    body = encrypt("See you at the main entrance in ten minutes.")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO messaging_message (id, direction, kind, status, virtual_number_id, chat_id, participant_id,
                                           body, created_at, sent_at, delivered_at)
            SELECT uuidv7(), 'out', 'relay', 'delivered', virtual_number_id, chat_id, id, %s, %s, %s, %s
              FROM chats_participant CROSS JOIN generate_series(1, %s)
            """,
            [body, now, now, now, TEXTS_PER_PERSON],
        )
    _make_countable_chats(platform.platform, numbers)
    tidy_database()
    return World(platform.api_key, people, unused)


def tidy_database() -> None:
    """Take what is queued as delivered, and collect statistics, so that each figure starts from the same."""
    Message.objects.filter(status__in=Message.PENDING_STATUSES).update(status="delivered", due_at=None)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) messaging_message, chats_chat, chats_participant, chats_virtualnumber")
        cursor.execute("CHECKPOINT")


def _make_countable_chats(platform: Platform, numbers: list[VirtualNumber]) -> None:
    """Make as many chats again, whose people pgbench can name: it cannot make digests with a key.

    The phone digest of the nth person is the SHA-256 of n in four bytes, and chat n is on number n modulo 50.
    """
    Participant.objects.bulk_create(
        Participant(
            chat=chat,
            position=position,
            name="Countable",
            phone_number="+12015550199",
            phone_digest=hashlib.sha256((2 * index + position).to_bytes(4, "big")).digest(),
            virtual_number=number,
        )
        for index, (chat, number) in enumerate(_make_chats(platform, numbers))
        for position in (1, 2)
    )


def _make_chats(platform: Platform, numbers: list[VirtualNumber]) -> list[tuple[Chat, VirtualNumber]]:
    chats = Chat.objects.bulk_create(Chat(platform=platform) for _ in range(CHATS))
    return [(chat, numbers[index % len(numbers)]) for index, chat in enumerate(chats)]


def _phone_numbers() -> Iterator[str]:
    for area in range(201, 990):
        first = phonenumbers.parse(f"+1{area}5550100")
        if phonenumbers.region_code_for_number(first) == "US":
            yield from (f"+1{area}5550{number}" for number in range(100, 200))
