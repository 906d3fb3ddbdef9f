"""The order of a chat's events while several transactions record at once: of webhooks, and of GET /events."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from chats.services import end_chat, reopen_chat
from messaging.restoring import hold_restored
from platforms.event_types import EventType
from platforms.models import Event
from platforms.polling import read_events
from tests.events.helpers import deliver, record, text_from
from tests.factories import make_chat, make_virtual_number
from tests.harness.simulator import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CHAT, OTHER_CHAT = UUID(int=1), UUID(int=2)


@contextmanager
def elsewhere():
    """Yield what runs a function on a database connection of its own, and returns its result."""
    with ThreadPoolExecutor(1) as pool:
        try:
            yield lambda function, *args, **kwargs: pool.submit(function, *args, **kwargs).result(10)
        finally:
            pool.submit(connections.close_all).result(10)


def ids(*events):
    return [str(event.pk) for event in events]


def read_ids(receiver):
    return [received.id for received in receiver.received]


def poll(platform, after=None):
    page = read_events(platform=platform, after=after, types=[], limit=10, now=timezone.now())
    return [event.type for event in page.events]


def poll_all(platform, expected):
    """Poll once there are as many events as expected: other tests' transactions in the cluster delay them."""
    is_seen = f"{expected} events to be seen"
    wait_until(lambda: len(poll(platform)) >= expected, timeout=120, waiting_for=is_seen)
    return poll(platform)


def test_what_is_committed_first_waits_for_what_was_recorded_before_it(platform, endpoint, receiver):
    with elsewhere() as run:
        with transaction.atomic():
            first = record(platform, chat_id=CHAT)
            second = run(record, platform, chat_id=CHAT)
            other = run(record, platform, chat_id=OTHER_CHAT)
            alone = run(record, platform)
            run(deliver)
            assert sorted(read_ids(receiver)) == sorted(ids(other, alone))
        run(deliver)
    assert first.position < second.position
    assert read_ids(receiver)[2:] == ids(first, second)


def test_what_is_rolled_back_is_waited_for_no_longer(platform, endpoint, receiver):
    with elsewhere() as run:
        with transaction.atomic():
            record(platform, chat_id=CHAT)
            second = run(record, platform, chat_id=CHAT)
            run(deliver)
            assert read_ids(receiver) == []
            transaction.set_rollback(True)
        run(deliver)
    assert read_ids(receiver) == ids(second)


def test_chats_that_are_written_of_leave_their_share_to_others(platform, endpoint, receiver):
    """Ten requests to an endpoint are under way at most; the chats that are due first are not ready."""
    with elsewhere() as run:
        with transaction.atomic():
            for number in range(3, 23):
                record(platform, chat_id=UUID(int=number))
                run(record, platform, chat_id=UUID(int=number))
            last = run(record, platform, chat_id=CHAT)
            run(deliver)
            assert read_ids(receiver) == ids(last)
        run(deliver)
    assert len(receiver.received) == 41


def test_a_text_that_is_being_relayed_is_told_of_before_what_follows_it(platform, endpoint, receiver):
    make_virtual_number(platform=platform)
    platform.refresh_from_db()
    chat = make_chat(platform)
    with elsewhere() as run:
        with transaction.atomic():
            text_from()
            run(record, platform, chat_id=chat.pk)
            run(deliver)
            assert read_ids(receiver) == []
        run(deliver)
    types = [received.event["type"] for received in receiver.received]
    assert types == ["chat.started", "message.received", "chat.expiring"]


def test_a_poller_sees_an_end_before_the_reopening_that_waited_for_it(platform):
    """A request with an Idempotency-Key has its number as a transaction long before it locks the chat."""
    platform.records_events = True
    platform.save()
    make_virtual_number(platform=platform)
    chat = make_chat(platform)
    Event.objects.all().delete()

    with elsewhere() as run:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
            run(end_chat, chat_id=chat.pk, reason="over", now=timezone.now())
            reopen_chat(chat_id=chat.pk, changes={}, now=timezone.now())
            assert run(poll, platform) == []
        assert poll_all(platform, 2) == ["chat.ended", "chat.reopened"]


def test_a_poller_goes_on_in_the_same_order_where_transactions_have_lower_numbers(platform):
    """What was restored into another cluster is shown before everything that happens there."""
    platform.records_events = True
    platform.save()
    later, first, last = (
        record(platform, type) for type in (EventType.CHAT_ENDED, EventType.CHAT_STARTED, EventType.PING)
    )
    for event, number in ((first, 10**12), (later, 10**12 + 1), (last, 10**12 + 1)):
        Event.objects.filter(pk=event.pk).update(transaction=number)
    assert poll(platform) == []
    hold_restored()
    record(platform, EventType.CHAT_EXPIRING)
    assert poll_all(platform, 4) == ["chat.started", "chat.ended", "ping", "chat.expiring"]
    assert poll(platform, first.pk) == ["chat.ended", "ping", "chat.expiring"]
