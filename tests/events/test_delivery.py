"""How events reach a platform's receiver: signed, in order, until it has taken them, and never at another's expense."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

from platforms.deliveries import GIVE_UP_AFTER, claim_deliveries, forget_events, give_up_overdue
from platforms.endpoints import add_endpoint, rotate_secret
from platforms.event_types import EVENT_TYPES, EventType
from platforms.models import Event, EventDelivery, Platform, WebhookEndpoint
from tests.events.helpers import deliver, let_time_pass, record, states, text_from
from tests.events.receiver import Answer, Receiver, failing
from tests.factories import SARA, make_chat, make_platform
from tests.messaging.rows import lose_the_key

pytestmark = pytest.mark.django_db


def wait_of(event: Event) -> timedelta:
    """Return how long after its last attempt an event is tried again."""
    row = EventDelivery.objects.get(event=event)
    return row.due_at - row.last_attempt_at


def test_an_event_is_posted_in_the_standard_format_with_a_signature(platform, receiver):
    new = add_endpoint(platform=platform, url=receiver.url, include_bodies=False, event_types=[])
    event = record(platform, EventType.CHAT_EXPIRING)
    deliver()
    [received] = receiver.received
    received.verify(new.secret)
    assert received.id == str(event.pk)
    assert received.event == {
        "type": "chat.expiring",
        "timestamp": event.occurred_at.isoformat().replace("+00:00", "Z"),
        "data": EVENT_TYPES[EventType.CHAT_EXPIRING].data,
    }
    assert received.headers["Content-Type"] == "application/json"
    assert states() == [("delivered", 1)]
    with pytest.raises(WebhookVerificationError):
        received.verify("whsec_" + "A" * 43 + "=")


def test_what_fails_twice_is_delivered_the_third_time_with_the_same_id(platform, endpoint, receiver):
    receiver.decide = failing(2)
    event = record(platform)
    for _ in range(4):
        deliver()
        let_time_pass()
    assert [each.id for each in receiver.received] == [str(event.pk)] * 3
    for each in receiver.received:
        each.verify(endpoint.secret)
    assert states() == [("delivered", 3)]
    endpoint.refresh_from_db()
    assert (endpoint.consecutive_failures, endpoint.last_failure) == (0, "It answered 500.")
    assert endpoint.last_success_at and endpoint.last_failure_at


def test_the_waits_are_those_of_the_specification_and_then_it_has_failed(platform, endpoint, receiver):
    receiver.decide = failing(100)
    event = record(platform)
    waits = []
    while states() != [("failed", 10)]:
        deliver()
        if EventDelivery.objects.get().due_at:
            waits.append(wait_of(event))
        let_time_pass()
    expected = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    for seconds, wait in zip(expected, waits, strict=True):
        assert seconds <= wait.total_seconds() <= seconds * 1.1
    assert timedelta(days=3) < sum(waits, timedelta()) < GIVE_UP_AFTER + timedelta(hours=4)
    deliver()
    assert len(receiver.received) == 10


@pytest.mark.parametrize(
    "header, least, most",
    [
        ("120", 120, 120),
        ("0", 5, 5.5),
        ("999999999999", 86400, 86400),
        ("soon", 5, 5.5),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 86400, 86400),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 5, 5.5),
        ("Wed, 21 Oct 2015 07:28:00", 5, 5.5),
    ],
)
def test_a_receiver_says_how_long_it_wants_to_be_left_alone(platform, endpoint, receiver, header, least, most):
    receiver.decide = failing(1, 429, **{"Retry-After": header})
    event = record(platform)
    deliver()
    assert least <= wait_of(event).total_seconds() <= most


def test_a_receiver_that_is_gone_is_switched_off(platform, endpoint, receiver):
    receiver.decide = failing(1, 410)
    event = record(platform)
    deliver()
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.last_failure) == (False, "It answered 410 (Gone), and was switched off.")
    let_time_pass()
    record(platform)
    deliver()
    assert len(receiver.received) == 1
    # What waited goes out when it is switched on again; what happened meanwhile is only to be polled.
    WebhookEndpoint.objects.update(is_enabled=True)
    deliver()
    assert [each.id for each in receiver.received] == [str(event.pk)] * 2


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(platform, endpoint, receiver, status):
    with Receiver() as elsewhere:
        receiver.decide = failing(1, status, Location=elsewhere.url)
        record(platform)
        deliver()
        assert elsewhere.received == []
    assert EventDelivery.objects.get().error == f"It answered {status}; redirects are not followed."


def test_nobody_listening_is_a_failure_in_words(platform, receiver):
    add_endpoint(platform=platform, url="http://127.0.0.1:9/x", include_bodies=False, event_types=[])
    record(platform)
    deliver()
    assert EventDelivery.objects.get().error == "It cannot be connected to."


def test_a_receiver_that_does_not_answer_is_given_up_after_a_while(platform, endpoint, receiver, monkeypatch):
    monkeypatch.setattr("platforms.delivery.TIMEOUT_SECONDS", 0.2)
    released = threading.Event()
    receiver.decide = lambda received: Answer(204 if released.wait(60) else 500)
    record(platform)
    deliver()
    released.set()
    assert EventDelivery.objects.get().error == "It did not answer within 0.2 seconds."


# --- Order -----------------------------------------------------------------------------------------------------


def test_events_of_a_chat_arrive_in_order_even_when_the_first_fails(platform, endpoint, receiver):
    receiver.decide = failing(2)
    chat_id = uuid4()
    events = [record(platform, chat_id=chat_id) for _ in range(4)]
    deliver()
    deliver()
    assert [each.id for each in receiver.received] == [str(events[0].pk)]
    let_time_pass()
    deliver()
    let_time_pass()
    deliver()
    assert [each.id for each in receiver.received] == [str(event.pk) for event in [events[0]] * 2 + events]


def test_an_event_that_waits_holds_back_no_other_chat_and_no_other_endpoint(platform, endpoint, receiver):
    with Receiver() as other:
        add_endpoint(platform=platform, url=other.url, include_bodies=False, event_types=[])
        chats = [uuid4(), uuid4(), None, None]
        events = [record(platform, chat_id=chat_id) for _ in range(2) for chat_id in chats]
        stuck = {str(event.pk) for event in events if event.chat_id == chats[0]}
        receiver.decide = lambda received: Answer(500 if received.id in stuck else 204)
        deliver()
        assert len(other.received) == 8
    taken = [each.id for each in receiver.received if each.id not in stuck]
    assert sorted(taken) == sorted({str(event.pk) for event in events} - stuck)
    assert len(receiver.received) == 7


def test_what_follows_is_delivered_when_the_one_before_it_has_failed_for_good(platform, endpoint, receiver):
    chat_id = uuid4()
    first, second = (record(platform, chat_id=chat_id) for _ in range(2))
    EventDelivery.objects.filter(event=first).update(attempts=9)
    receiver.decide = failing(1)
    deliver()
    assert states() == [("failed", 10), ("delivered", 1)]
    assert receiver.received[-1].id == str(second.pk)


def test_a_slow_receiver_delays_nobody_else(platform, endpoint, receiver):
    released = threading.Event()
    receiver.decide = lambda received: Answer(204 if released.wait(60) else 500)
    for _ in range(50):
        record(platform)
    rentals = make_platform("Rentals")

    def release(received):
        released.set()
        return Answer()

    with Receiver(release) as other:
        add_endpoint(platform=rentals, url=other.url, include_bodies=False, event_types=[])
        record(rentals)
        deliver()
        assert len(other.received) == 1
    assert states().count(("delivered", 1)) == 51


# --- Workers that die or do the same -----------------------------------------------------------------------------


def test_what_a_killed_worker_had_claimed_is_delivered_when_its_lease_ends(platform, endpoint, receiver):
    event = record(platform, chat_id=(chat_id := uuid4()))
    record(platform, chat_id=chat_id)
    assert [each.event_id for each in claim_deliveries(limit=10)] == [event.pk]
    deliver()
    assert receiver.received == []
    EventDelivery.objects.filter(status="sending").update(due_at=timezone.now() - timedelta(hours=1))
    deliver()
    assert receiver.received[0].id == str(event.pk)
    assert states() == [("delivered", 2), ("delivered", 1)]


def test_an_endpoint_is_called_a_few_times_at_once_at_most(platform, endpoint):
    for _ in range(30):
        record(platform)
    assert [len(claim_deliveries(limit=100)) for _ in range(2)] == [10, 0]


# --- What is in it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("include_bodies, text", [(True, "I am here"), (False, None)])
def test_what_people_wrote_is_there_when_the_platform_wants_it(
    platform, receiver, virtual_number, include_bodies, text
):
    new = add_endpoint(
        platform=platform, url=receiver.url, include_bodies=include_bodies, event_types=["message.received"]
    )
    make_chat(platform)
    text_from(SARA, "I am here")
    deliver()
    [received] = receiver.received
    received.verify(new.secret)
    assert received.event["data"]["message"]["text"] == text
    assert ("I am here" in received.body) is include_bodies
    assert SARA[1:] not in received.body


def test_during_a_rotation_both_secrets_verify_and_then_only_the_new_one(platform, receiver):
    first = add_endpoint(platform=platform, url=receiver.url, include_bodies=False, event_types=[])
    second = rotate_secret(endpoint=first.endpoint, now=timezone.now())
    record(platform)
    deliver()
    assert receiver.received[0].headers["webhook-signature"].count("v1,") == 2
    for secret in (first.secret, second.secret):
        receiver.received[0].verify(secret)
    third = rotate_secret(endpoint=first.endpoint, now=timezone.now() - timedelta(hours=25))
    record(platform)
    deliver()
    receiver.received[1].verify(third.secret)
    for secret in (first.secret, second.secret):
        with pytest.raises(WebhookVerificationError):
            receiver.received[1].verify(secret)


def test_secrets_are_encrypted_at_rest(endpoint):
    rotate_secret(endpoint=endpoint, now=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret || previous_secret FROM platforms_webhookendpoint")
        assert "whsec" not in cursor.fetchone()[0]


def test_an_event_whose_key_is_missing_holds_back_no_other(platform, endpoint, receiver, virtual_number):
    platform.refresh_from_db()
    WebhookEndpoint.objects.update(include_bodies=True)
    make_chat(platform)
    text_from(SARA)
    lose_the_key()
    fine = record(platform)
    deliver()
    assert str(fine.pk) in [each.id for each in receiver.received]
    assert EventDelivery.objects.get(event__type="message.received").error == (
        "The key that encrypted it is not among ENCRYPTION_KEYS."
    )


# --- Time --------------------------------------------------------------------------------------------------------


def test_what_waits_for_an_endpoint_that_stays_off_fails_after_three_days(platform, endpoint):
    record(platform)
    WebhookEndpoint.objects.update(is_enabled=False)
    assert give_up_overdue() == 0
    EventDelivery.objects.update(queued_at=timezone.now() - GIVE_UP_AFTER - timedelta(hours=1))
    assert give_up_overdue() == 1
    assert EventDelivery.objects.get().error == "It waited for three days and was not delivered."


def test_what_waited_for_others_of_its_chat_as_long_is_tried_all_the_same(platform, endpoint, receiver):
    record(platform)
    EventDelivery.objects.update(queued_at=timezone.now() - GIVE_UP_AFTER - timedelta(hours=1))
    assert give_up_overdue() == 0
    deliver()
    assert states() == [("delivered", 1)]


def test_old_events_are_forgotten_in_batches_with_their_deliveries(platform, endpoint):
    with time_machine.travel(timezone.now() - timedelta(days=31), tick=False):
        for _ in range(5):
            record(platform)
    kept = record(platform)
    before = timezone.now() - timedelta(days=30)
    assert [forget_events(before=before, limit=3) for _ in range(3)] == [3, 2, 0]
    assert list(Event.objects.values_list("pk", flat=True)) == [kept.pk]
    assert EventDelivery.objects.count() == 1


def test_another_platforms_events_go_to_its_own_receiver(platform: Platform, endpoint, receiver):
    other = make_platform("Rentals", records_events=True)
    record(other)
    deliver()
    assert receiver.received == []
