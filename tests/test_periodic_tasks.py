"""What the worker does by the clock: it is registered, and does what it is for when the worker runs it."""

from datetime import timedelta

import pytest
from django.utils import timezone
from procrastinate.contrib.django import app

from chats.models import Chat
from chats.number_models import PoolForecast
from messaging.models import Message
from messaging.usage_models import UsageDay
from platforms.endpoints import add_endpoint
from platforms.models import Event, EventDelivery
from tests.events.helpers import read_types, record, text_from
from tests.events.receiver import Receiver
from tests.factories import make_chat, make_platform

pytestmark = pytest.mark.django_db

# By the name under which the worker runs it: the times of crontab(5), with seconds behind them where there are six.
SCHEDULE = {
    "ask_for_approval": "* * * * * */5",
    "chats.tasks.announce_ends": "* * * * * */30",
    "chats.tasks.close_expired_chats": "* * * * * */10",
    "chats.tasks.remove_old_jobs": "17 3 * * *",
    "chats.tasks.start_scheduled_chats": "* * * * * */5",
    "deliver_events": "* * * * * */5",
    "desk.tasks.keep_figures": "* * * * *",
    "messaging.tasks.erase_what_is_old": "7,37 * * * *",
    "messaging.tasks.fetch_overdue_media": "* * * * * */10",
    "messaging.tasks.follow_account_numbers": "23 4 * * *",
    "messaging.tasks.forget_joined": "41 * * * *",
    "messaging.tasks.forget_media": "23 * * * *",
    "messaging.tasks.keep_books": "*/10 * * * *",
    "messaging.tasks.look_at_numbers": "*/5 * * * *",
    "messaging.tasks.relay_overdue": "* * * * * */10",
    "messaging.tasks.watch_balance": "*/10 * * * *",
    "platforms.tasks.forget_idempotency_keys": "*/10 * * * *",
    "platforms.tasks.settle_events": "23 * * * *",
    "see_to_failures": "* * * * *",
}


@pytest.fixture
def platform():
    return make_platform(records_events=True)


def run(name):
    """Run a task as the worker does, which passes the time that it was due at."""
    app.tasks[name](timestamp=int(timezone.now().timestamp()))


def ago(**duration):
    return timezone.now() - timedelta(**duration)


def test_each_has_its_time():
    registered = app.periodic_registry.periodic_tasks.values()
    assert {each.task.name: each.cron for each in registered} == SCHEDULE


@pytest.mark.parametrize("name", sorted(SCHEDULE.keys() - {"chats.tasks.remove_old_jobs"}))
def test_each_runs_when_there_is_nothing_to_do(settings, name):
    """Two that would ask the account do not, without its secret; old jobs are procrastinate's to remove."""
    settings.VONAGE_API_SECRET = ""
    run(name)


def test_a_chat_whose_time_has_come_is_started(platform, virtual_number):
    make_chat(platform, starts_at=timezone.now() + timedelta(hours=1))
    run("chats.tasks.start_scheduled_chats")
    assert Chat.objects.get().status == "scheduled"
    Chat.objects.update(starts_at=ago(seconds=1))
    run("chats.tasks.start_scheduled_chats")
    assert Chat.objects.get().status == "open"
    assert Message.objects.filter(kind="introduction").count() == 2


@pytest.mark.parametrize(("field", "reason"), [("expires_at", "expired"), ("idle_ends_at", "idle")])
def test_a_chat_whose_time_is_over_is_ended(platform, virtual_number, field, reason):
    make_chat(platform, expires_at=timezone.now() + timedelta(hours=1), idle_timeout_seconds=3600)
    run("chats.tasks.close_expired_chats")
    assert Chat.objects.get().status == "open"
    Chat.objects.update(**{field: ago(seconds=1)})
    run("chats.tasks.close_expired_chats")
    assert (Chat.objects.get().status, Chat.objects.get().end_reason) == ("ended", reason)


def test_a_platform_is_told_of_an_end_that_is_near(platform, virtual_number):
    make_chat(platform, expires_at=timezone.now() + timedelta(minutes=10))
    run("chats.tasks.announce_ends")
    assert read_types() == ["chat.started", "chat.expiring"]


def test_old_events_are_given_up_and_forgotten(platform, settings):
    old, waiting = record(platform), record(platform)
    Event.objects.filter(pk=old.pk).update(occurred_at=ago(days=settings.EVENT_RETENTION_DAYS, minutes=1))
    EventDelivery.objects.create(
        event=waiting, endpoint_id=platform.pk, position=waiting.position, attempts=1, queued_at=ago(days=4)
    )
    run("platforms.tasks.settle_events")
    assert list(Event.objects.all()) == [waiting]
    assert EventDelivery.objects.get().status == "failed"


def test_what_is_due_is_delivered(platform):
    with Receiver() as receiver:
        add_endpoint(platform=platform, url=receiver.url, include_bodies=False, event_types=[])
        record(platform)
        run("deliver_events")
    assert [received.event["type"] for received in receiver.received] == ["chat.expiring"]


def test_the_books_are_kept(platform, virtual_number):
    make_chat(platform)
    text_from()
    Message.objects.update(created_at=ago(hours=2))
    run("messaging.tasks.keep_books")
    assert sum(UsageDay.objects.values_list("texts", flat=True)) == 4


def test_numbers_are_looked_at_and_whom_few_are_left_is_told_of(platform, virtual_number, settings):
    make_chat(platform)
    settings.WARN_BELOW_FREE_NUMBERS = 1
    run("messaging.tasks.look_at_numbers")
    assert PoolForecast.objects.get().chats_left == 0
    assert read_types() == ["chat.started", "number.running_out"]
