"""Many virtual numbers are added while others add one, while chats begin: nothing is both a person and a number."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction

from audit.log import command
from chats.models import Chat, VirtualNumber
from chats.number_import import add_list, judge_list, read_list
from chats.services import (
    PersonIsVirtualNumber,
    VirtualNumberExists,
    add_virtual_number,
    adding_many,
    change_number_states,
    describe_virtual_number,
    insert_virtual_numbers,
)
from tests.factories import OMAR, SARA, make_chat, make_platform, make_pool
from tests.harness.simulator import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
State = VirtualNumber.State


def begin(call: Callable[[], Any], pool: ThreadPoolExecutor) -> "Future[Any]":
    """Run `call` in a thread, and return when it waits for a lock of this database."""

    def run() -> Any:
        try:
            return call()
        finally:
            connections.close_all()

    future = pool.submit(run)

    def is_waiting() -> bool:
        with connection.cursor() as cursor:
            # Not pg_stat_activity, which stays as it was first read in a transaction.
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_locks WHERE"
                           " database = (SELECT oid FROM pg_database WHERE datname = current_database()))")  # fmt: skip
            return bool(cursor.fetchone()[0]) or future.done()  # type: ignore[index]

    wait_until(is_waiting, waiting_for="the other to wait")
    return future


def add(number: str) -> VirtualNumber:
    return add_virtual_number(number=number, platform=None, country="", messages_per_second=None)


def describe(number: str) -> VirtualNumber:
    return describe_virtual_number(number=number, platform=None, country="", messages_per_second=None)


def test_who_adds_one_waits_for_who_adds_many() -> None:
    with ThreadPoolExecutor(1) as pool:
        with adding_many():
            other = begin(lambda: add("+14155550101"), pool)
            assert not other.done()
            insert_virtual_numbers([describe("+14155550101")])
        with pytest.raises(VirtualNumberExists):
            other.result(timeout=60)


def test_a_chat_that_begins_meanwhile_finds_that_its_person_is_a_virtual_number() -> None:
    platform = make_platform()
    make_pool(1)
    with ThreadPoolExecutor(1) as pool:
        with adding_many():
            other = begin(lambda: make_chat(platform, (SARA, OMAR)), pool)
            assert not other.done()
            insert_virtual_numbers([describe(SARA)])
        with pytest.raises(PersonIsVirtualNumber):
            other.result(timeout=60)
    assert not Chat.objects.exists()


def test_the_same_list_confirmed_twice_at_once_is_added_once() -> None:
    entries = read_list("+14155550101\n+14155550102")
    fingerprint = judge_list(entries, state=State.ACTIVE, platform=None).fingerprint

    def confirm() -> Any:
        by = command("test")
        return add_list(entries, state=State.ACTIVE, platform=None, fingerprint=fingerprint, by=by)

    with ThreadPoolExecutor(1) as pool:
        with adding_many():
            other = begin(confirm, pool)
            insert_virtual_numbers([describe("+14155550101"), describe("+14155550102")])
        assert type(other.exception(timeout=60)).__name__ == "Changed"
    assert VirtualNumber.objects.count() == 2


def test_a_number_is_not_retired_while_a_chat_begins_on_it() -> None:
    platform = make_platform()
    [number] = make_pool(1)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            make_chat(platform)
            other = begin(lambda: change_number_states(number_ids=[number.pk], state=State.RETIRED), pool)
            assert not other.done()
        assert [each.pk for each in other.result(timeout=60).in_use] == [number.pk]
    number.refresh_from_db()
    assert number.state == "active"
