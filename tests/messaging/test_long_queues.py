"""What long queues cost a claim: nothing, however many texts wait, for whomever, and on however many numbers."""

import threading

import pytest
from django.db import connection, transaction

from chats.models import Chat, Participant, VirtualNumber
from messaging.claims import claim_texts, seconds_until_due
from messaging.models import Message
from platforms.models import Platform
from proxy_project.encryption import digest_number, encrypt
from tests.messaging.rows import ago, make_queued, make_strangers_queued
from tests.messaging.senders import running_sender, session_of_a_sender
from tests.messaging.test_claim_plans import count_rows_read

pytestmark = pytest.mark.django_db

# A claim of a few texts reads fewer rows of the log, and entries of its indexes, than this.
FEW = 3_000

_QUEUE = """
    INSERT INTO messaging_message (id, direction, kind, status, due_at, virtual_number_id, chat_id, participant_id,
                                   body, turn_of)
    SELECT gen_random_uuid(), 'out', 'relay', 'queued', now() - interval '1 minute', virtual_number_id, chat_id, id,
           %(body)s, %(turn_of)s
      FROM chats_participant CROSS JOIN generate_series(1, %(count)s) WHERE id = ANY(%(ids)s)
"""


def queue(people: list[Participant], count: int) -> None:
    """Queue so many texts for each of these people, from numbers that are free."""
    VirtualNumber.objects.update(next_send_at=ago(hours=1))
    turn_of = people[0].chat.platform_id
    params = {"ids": [each.pk for each in people], "count": count, "body": encrypt("hello"), "turn_of": turn_of}
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE, params)


def make_people(platform: Platform, numbers: list[VirtualNumber]) -> list[Participant]:
    """Make a chat on each of these numbers, and return the first of its people."""
    chats = Chat.objects.bulk_create(Chat(platform=platform) for _ in numbers)
    return Participant.objects.bulk_create(
        Participant(
            chat=chat,
            position=1,
            phone_number="+14155550199",
            phone_digest=digest_number("+14155550199"),
            virtual_number=number,
        )
        for chat, number in zip(chats, numbers, strict=True)
    )


def make_numbers(count: int) -> list[VirtualNumber]:
    return VirtualNumber.objects.bulk_create(
        VirtualNumber(number=f"+1202555{nth:04}", country="US", next_send_at=ago(hours=1)) for nth in range(count)
    )


def recipients(claims) -> list:
    return list(Message.objects.filter(pk__in=[each.id for each in claims]).values_list("participant_id", flat=True))


@pytest.mark.parametrize("status", ["sending", "unconfirmed"])
@pytest.mark.django_db(transaction=True)
def test_nobody_waits_behind_the_texts_of_somebody_whose_first_is_under_way(chat, sara, omar, status):
    with session_of_a_sender():
        make_queued(omar, status=status, turn_of=chat.platform_id)
        queue([omar], 20_000)
        queue([sara], 2)
        with transaction.atomic():
            assert recipients(claim_texts(limit=8)) == [sara.pk]
            assert count_rows_read() < FEW
        # Both of them wait for a text of theirs now.
        with transaction.atomic():
            assert claim_texts(limit=8) == []
            assert count_rows_read() < FEW


@pytest.mark.django_db(transaction=True)
def test_a_stranger_does_not_wait_behind_them_either(chat, omar, virtual_number):
    with session_of_a_sender():
        make_queued(omar, status="unconfirmed")
        queue([omar], 2_000)
        Message.objects.update(turn_of=chat.platform_id)
        make_strangers_queued(virtual_number, 3)
        Message.objects.filter(participant=None).update(turn_of=chat.platform_id)
        with transaction.atomic():
            assert recipients(claim_texts(limit=2)) == [None]
            assert count_rows_read() < 3 * FEW


@pytest.mark.django_db(transaction=True)
def test_a_claim_looks_at_some_of_very_many_numbers(platform):
    with session_of_a_sender():
        queue(make_people(platform, make_numbers(2_000)), 3)
        with transaction.atomic():
            assert len(claim_texts(limit=8)) == 8
            assert count_rows_read() < FEW


def test_every_number_has_its_turn_all_the_same(platform):
    people = make_people(platform, make_numbers(300))
    queue(people, 1)
    claimed: list = []
    while claims := claim_texts(limit=40):
        claimed += recipients(claims)
    assert sorted(claimed) == sorted(each.pk for each in people)


def test_when_the_next_text_may_go_is_known_of_all_numbers(platform):
    *busy, free = make_numbers(300)
    queue(make_people(platform, [*busy, free]), 1)
    VirtualNumber.objects.update(next_send_at=ago(hours=-2))
    VirtualNumber.objects.filter(pk=free.pk).update(next_send_at=ago(minutes=-1))
    # The database has had the time of this test since it began.
    assert all(50 < seconds_until_due() < 90 for _ in range(5))
    VirtualNumber.objects.update(next_send_at=ago(hours=1))
    assert seconds_until_due() <= 0


def test_what_no_claim_has_looked_at_is_found_when_it_looks_everywhere(platform):
    *busy, free = make_numbers(300)
    queue(make_people(platform, [*busy, free]), 1)
    VirtualNumber.objects.exclude(pk=free.pk).update(next_send_at="2999-01-01T00:00:00Z")
    found = [len(claim_texts(limit=1, everywhere=True)) for _ in range(2)]
    assert found == [1, 0]


@pytest.mark.django_db(transaction=True)
def test_a_sender_finds_the_one_text_that_can_go_among_very_many_numbers(platform):
    *busy, free = make_numbers(1_000)
    queue(make_people(platform, [*busy, free]), 1)
    VirtualNumber.objects.exclude(pk=free.pk).update(next_send_at="2999-01-01T00:00:00Z")
    sent = threading.Event()

    class Gateway:
        def send(self, text) -> str:
            sent.set()
            return "gateway-id"

    with running_sender(Gateway(), threads=1):
        assert sent.wait(20)


def test_the_texts_of_one_person_go_one_after_the_other(chat, sara, omar):
    Message.objects.all().delete()
    queue([omar], 50)
    sent = []
    for _ in range(50):
        [claim] = claim_texts(limit=8)
        assert claim_texts(limit=8) == []
        Message.objects.filter(pk=claim.id).update(status="sent", due_at=None)
        VirtualNumber.objects.update(next_send_at="2001-01-01T00:00:00Z")
        sent.append(claim.id)
    assert sent == list(Message.objects.order_by("position").values_list("pk", flat=True))
