"""How large platforms use their virtual numbers is noted by the worker, and told from there."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chats import pool
from chats.models import Chat, NumberUse, VirtualNumber
from chats.pool import look_at_pools
from chats.services import NumberChoice, end_chat
from platforms.models import Platform
from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA, make_chat, make_pool

pytestmark = pytest.mark.django_db

STRANGERS = ("+14155550131", "+14155550132")


@pytest.fixture
def numbers(platform: Platform, other_platform: Platform) -> list[VirtualNumber]:
    """Two numbers in use by chats of every kind, of which the platform has three that go on; and one that is not."""
    first, second, unused = make_pool(3)
    over = make_chat(platform, (SARA, OMAR), choice=named(first))
    make_chat(platform, (ALICE, BOB), choice=named(first))
    make_chat(platform, (SARA, ALICE), choice=named(second))
    make_chat(platform, (CHARLIE, BOB), choice=named(second), starts_at=timezone.now() + timedelta(days=1))
    make_chat(other_platform, (OMAR, "+14155550133"), choice=named(second))
    end(over)
    return [first, second, unused]


@pytest.fixture
def many_are_three(monkeypatch):
    call_many(2, monkeypatch)


def call_many(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a platform with more than `count` chats have many."""
    for name in ("_NOTED_USAGE", "_LOOK"):
        monkeypatch.setattr(pool, name, getattr(pool, name).replace(f"> {pool._MANY}", f"> {count}"))


def named(number: VirtualNumber) -> NumberChoice:
    return NumberChoice(named=str(number.pk))


def end(chat: Chat) -> None:
    end_chat(chat_id=chat.pk, reason="x", now=timezone.now())


def read_use(api):
    """Return of each virtual number the open chats, and how many people cool down, as the platform is told."""
    return [(row["open_chats"], row["cooling_down"]) for row in api.get("/virtual-numbers").json()["results"]]


def test_what_is_noted_is_what_would_be_counted(api, other_api, numbers, many_are_three, monkeypatch):
    assert read_use(api) == [(1, 2), (2, 0), (0, 0)]
    look_at_pools(now=timezone.now())
    assert NumberUse.objects.count() == 2
    # With nothing to count with.
    monkeypatch.setattr(pool, "_USAGE", "SELECT WHERE false")
    assert read_use(other_api) == [(0, 0), (0, 0), (0, 0)]
    assert read_use(api) == [(1, 2), (2, 0), (0, 0)]


def test_it_is_that_of_the_last_look(api, platform, numbers, many_are_three):
    look_at_pools(now=timezone.now())
    make_chat(platform, STRANGERS, choice=named(numbers[2]))
    end(Chat.objects.get(participants__virtual_number=numbers[0], participants__position=1, status="open"))
    assert read_use(api) == [(1, 2), (2, 0), (0, 0)]
    look_at_pools(now=timezone.now())
    assert read_use(api) == [(0, 4), (2, 0), (1, 0)]
    # When all have cooled down, nobody uses the first one any more.
    look_at_pools(now=timezone.now() + timedelta(days=365))
    assert read_use(api) == [(0, 0), (2, 0), (1, 0)]
    assert NumberUse.objects.count() == 2


def test_a_platform_with_few_chats_is_told_what_is_there_now(api, other_api, platform, numbers, many_are_three):
    look_at_pools(now=timezone.now())
    assert read_use(other_api) == [(0, 0), (1, 0), (0, 0)]
    for chat in Chat.objects.filter(platform=platform, ended_at=None):
        end(chat)
    # What was noted is of when it had many.
    assert NumberUse.objects.exists()
    assert read_use(api) == [(0, 4), (0, 4), (0, 0)]
    look_at_pools(now=timezone.now())
    assert not NumberUse.objects.exists()


def test_so_is_one_with_few_at_the_last_look(api, platform, numbers, monkeypatch):
    call_many(3, monkeypatch)
    look_at_pools(now=timezone.now())
    make_chat(platform, STRANGERS, choice=named(numbers[2]))
    assert read_use(api) == [(1, 2), (2, 0), (1, 0)]
    look_at_pools(now=timezone.now())
    assert NumberUse.objects.count() == 3
    assert read_use(api) == [(1, 2), (2, 0), (1, 0)]


def test_a_look_that_finds_the_same_writes_nothing(numbers, many_are_three):
    look_at_pools(now=timezone.now())
    before = list(NumberUse.objects.extra(select={"version": "xmin::text"}).values_list("pk", "version"))
    look_at_pools(now=timezone.now())
    assert list(NumberUse.objects.extra(select={"version": "xmin::text"}).values_list("pk", "version")) == before
