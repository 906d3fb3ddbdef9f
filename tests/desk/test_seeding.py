"""`manage.py seed_load` fills an empty database as the service would have, and the service goes on from there."""

import io
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count, F, Q
from django.utils import timezone

from chats.models import Chat, Pace, Participant, VirtualNumber
from desk.seeding import CannotSeed, Plan, Seeded, phone_numbers, seed
from messaging.gateways import InboundText
from messaging.models import Message, UsageDay
from messaging.relay import receive_text
from platforms.models import Platform
from proxy_project.encryption import digest_number
from tests.factories import VIRTUAL_NUMBER, make_api_client, make_platform, make_virtual_number

pytestmark = pytest.mark.django_db

PLAN = Plan(chats=100, messages=1_500, numbers=20, people=60)


@pytest.fixture
def seeded() -> Seeded:
    return seed(PLAN, now=timezone.now(), say=lambda line: None)


def read_schema() -> list[Any]:
    """Return every index and constraint of the tables that are filled, without casts, which PostgreSQL may move."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename, indexdef FROM pg_indexes WHERE tablename ~ '^(chats|messaging)_' UNION ALL"
            " SELECT conrelid::regclass::text, conname || pg_get_constraintdef(oid) || convalidated FROM pg_constraint"
            " WHERE conrelid::regclass::text ~ '^(chats|messaging)_' ORDER BY 1, 2"
        )
        return [(table, re.sub(r"::[a-z]+( varying)?|[()\[\]]", "", text)) for table, text in cursor.fetchall()]


def test_there_is_as_much_as_was_asked_for(seeded: Seeded):
    assert Chat.objects.filter(status="open").count() == 100
    assert Chat.objects.filter(status="ended").count() == 10
    assert Message.objects.count() == 1_500
    assert VirtualNumber.objects.count() == 20
    assert 50 < Participant.objects.values("phone_digest").distinct().count() <= 60
    assert seeded.rows == 20 + 110 + 220 + 1_500 + Pace.objects.count()


def test_no_index_or_reference_is_lost():
    before = read_schema()
    seed(PLAN, now=timezone.now(), say=lambda line: None)
    assert read_schema() == before


def test_the_log_is_as_the_service_writes_it(seeded: Seeded):
    inbound = Message.objects.filter(direction="in")
    assert Message.objects.filter(kind="introduction").count() == 2 * 110
    # Each text that came in went on to the other person of the same chat, from the number of the chat.
    relays = Message.objects.filter(kind="relay", relays__chat=F("chat")).exclude(participant=F("relays__participant"))
    assert inbound.count() == relays.count() > 500
    assert not Message.objects.exclude(virtual_number=F("participant__virtual_number")).exists()
    assert not Message.objects.filter(created_at__lt=F("chat__created_at")).exists()
    assert not Message.objects.filter(created_at__gt=F("chat__ended_at")).exists()
    positions = list(Message.objects.order_by("position").values_list("position", "pk", "created_at"))
    assert positions == sorted(positions, key=lambda row: (row[2], row[0]))
    assert [position for position, *_ in positions] == list(range(1, 1_501))
    by_status = dict(Message.objects.filter(direction="out").order_by().values_list("status").annotate(Count("pk")))
    assert by_status["delivered"] > 20 * by_status["failed"] > 0
    assert Message.objects.filter(status="failed").exclude(failed_at=None).count() == by_status["failed"]
    assert {message.body for message in inbound} > {"Thank you!"}


def test_people_are_found_by_their_numbers(seeded: Seeded):
    participant = Participant.objects.select_related("virtual_number").first()
    assert participant.name and bytes(participant.phone_digest) == digest_number(participant.phone_number)
    assert not set(Participant.objects.values_list("ended_at", flat=True)) <= {None}
    assert not Chat.objects.filter(~Q(participants__ended_at=F("ended_at")), status="ended").exists()


def test_what_is_counted_of_the_log_is_counted(seeded: Seeded):
    assert sum(UsageDay.objects.filter(direction="in").values_list("texts", flat=True)) > 500
    assert {day.platform_id for day in UsageDay.objects.all()} == {seeded.platform.pk}
    paced = set(Pace.objects.values_list("participant_id", flat=True))
    assert paced == set(Message.objects.filter(direction="in").values_list("participant_id", flat=True))


def test_a_text_in_a_seeded_chat_is_relayed(seeded: Seeded):
    writer = Participant.objects.filter(ended_at=None).select_related("virtual_number").first()
    text = InboundText(
        gateway_id="a-new-text",
        from_number=writer.phone_number,
        to_number=writer.virtual_number.number,
        body="Where are you?",
    )
    receive_text(text, now=timezone.now())
    relay = Message.objects.get(status="queued")
    assert (relay.chat_id, relay.kind, relay.body) == (writer.chat_id, "relay", "Where are you?")
    assert relay.participant_id != writer.pk and relay.position > PLAN.messages


def test_chats_are_opened_between_seeded_people(seeded: Seeded):
    people = Participant.objects.filter(ended_at=None).order_by("chat", "position")
    first, second = people.filter(position=1).first(), people.filter(position=2).last()
    held = Participant.objects.filter(phone_digest__in=[first.phone_digest, second.phone_digest], ended_at=None)
    taken = set(held.values_list("virtual_number__number", flat=True))
    body = {"participants": [{"phone_number": each.phone_number} for each in (first, second)]}
    response = make_api_client(seeded.platform).post("/chats", body, format="json")
    assert response.status_code == 201, response.json()
    assert {each["virtual_number"] for each in response.json()["participants"]}.isdisjoint(taken)


def test_a_database_that_is_in_use_is_left_as_it_is():
    make_virtual_number()
    with pytest.raises(CannotSeed, match="take an empty one"):
        seed(PLAN, now=timezone.now(), say=lambda line: None)
    assert list(VirtualNumber.objects.values_list("number", flat=True)) == [VIRTUAL_NUMBER]
    assert not Chat.objects.exists() and not Platform.objects.exists()


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (Plan(chats=100, messages=200, numbers=20, people=60), "220 messages at least"),
        (Plan(chats=100, messages=1_500, numbers=2, people=60), "more people or more numbers"),
        (Plan(chats=0, messages=10, numbers=2, people=60), "must be a chat"),
    ],
)
def test_what_cannot_be_is_refused(plan: Plan, why: str):
    with pytest.raises(CannotSeed, match=why):
        seed(plan, now=timezone.now(), say=lambda line: None)


def test_the_command_says_how_fast_it_was_and_which_key_to_use():
    output = io.StringIO()
    arguments = ["--chats", "50", "--messages", "500", "--numbers", "20", "--people", "40"]
    call_command("seed_load", *arguments, stdout=output)
    assert "a second." in output.getvalue() and "Key of the platform Load" in output.getvalue()
    with pytest.raises(CommandError, match="take an empty one"):
        call_command("seed_load", *arguments, stdout=output)


def test_an_existing_platform_of_another_name_is_no_hindrance():
    make_platform("Rides")
    seed(PLAN, now=timezone.now(), say=lambda line: None)
    assert Platform.objects.count() == 2


def test_there_are_numbers_enough_that_nobody_has():
    numbers = list(phone_numbers())
    assert len(numbers) == len(set(numbers)) > 3_000_000
    assert all(number[5:8] == "555" for number in numbers)
