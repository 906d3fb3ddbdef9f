"""The API of events and webhook endpoints."""

import socket
import threading
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from platforms.delivery import deliver_due_events
from platforms.endpoints import MAX_ENDPOINTS, add_endpoint
from platforms.event_types import EVENT_TYPES, EventType
from platforms.models import Event, EventDelivery, Platform, WebhookEndpoint
from proxy_project.ids import make_id
from tests.chats.helpers import at_once, errors
from tests.events.helpers import record, states, text_from
from tests.events.receiver import Receiver, failing
from tests.factories import SARA, make_chat
from tests.harness.simulator import wait_until

ENDPOINT_KEYS = {
    "id", "url", "event_types", "include_bodies", "enabled", "created_at", "previous_secret_until", "last_success_at",
    "last_failure_at", "last_failure", "consecutive_failures", "waiting", "failed",
}  # fmt: skip


def add(api, **fields):
    response = api.post("/webhook-endpoints", {"url": "http://127.0.0.1:9/events", **fields})
    assert response.status_code == 201, response.json()
    return response.json()


class TestEndpoints:
    def test_the_secret_is_shown_once(self, api, platform):
        added = add(api, event_types=["ping", "chat.ended"], include_bodies=True)
        assert added.keys() == ENDPOINT_KEYS | {"secret"}
        assert added["secret"].startswith("whsec_") and len(added["secret"]) == 6 + 44
        [listed] = api.get("/webhook-endpoints").json()["results"]
        shown = api.get(f"/webhook-endpoints/{added['id']}").json()
        assert listed == shown == {name: value for name, value in added.items() if name != "secret"}
        assert (shown["event_types"], shown["include_bodies"], shown["enabled"]) == (["ping", "chat.ended"], True, True)
        platform.refresh_from_db()
        assert platform.records_events

    def test_what_is_not_given_is_careful(self, api):
        added = add(api)
        assert (added["event_types"], added["include_bodies"], added["waiting"], added["failed"]) == ([], False, 0, 0)

    def test_it_is_changed_in_part(self, api):
        added = add(api, event_types=["ping"])
        address = f"/webhook-endpoints/{added['id']}"
        for change in (
            {"enabled": False},
            {"event_types": []},
            {"include_bodies": True},
            {"url": "http://127.0.0.1:8/"},
        ):
            shown = api.patch(address, change).json()
            assert {name: shown[name] for name in change} == change
        assert shown == api.get(address).json()
        assert "secret" not in shown

    @pytest.mark.parametrize(
        "fields, expected",
        [
            ({}, ("required", "url")),
            ({"url": None}, ("null", "url")),
            ({"url": 5.5}, ("bad_url", "url")),
            ({"url": ""}, ("blank", "url")),
            ({"url": "ftp://example.com"}, ("bad_url", "url")),
            ({"url": "https://a:b@127.0.0.1/"}, ("bad_url", "url")),
            ({"url": "http://127.0.0.1/" + "x" * 500}, ("max_length", "url")),
            ({"url": "http://127.0.0.1/\0"}, ("null_characters_not_allowed", "url")),
            ({"url": "http://127.0.0.1/", "event_types": ["chat.begun"]}, ("invalid_choice", "event_types.0")),
            ({"url": "http://127.0.0.1/", "event_types": "ping"}, ("not_a_list", "event_types")),
            ({"url": "http://127.0.0.1/", "include_bodies": "perhaps"}, ("invalid", "include_bodies")),
            ({"url": "http://127.0.0.1/", "secret": "mine"}, ("unknown_field", "secret")),
        ],
    )
    def test_what_cannot_be_an_endpoint_is_refused(self, api, fields, expected):
        response = api.post("/webhook-endpoints", fields)
        assert (response.status_code, errors(response)) == (400, [expected])
        assert not WebhookEndpoint.objects.exists()

    @pytest.mark.parametrize("url", ["http://93.184.216.34/", "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/"])
    def test_one_within_our_network_is_refused_when_it_is_added_and_when_it_is_changed(self, api, settings, url):
        added = add(api)
        settings.ALLOW_PRIVATE_ENDPOINTS = False
        for response in (
            api.post("/webhook-endpoints", {"url": url}),
            api.patch(f"/webhook-endpoints/{added['id']}", {"url": url}),
        ):
            assert (response.status_code, errors(response)) == (400, [("bad_url", "url")])

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
    @pytest.mark.parametrize("call", ["add", "change", "set hook"])
    def test_its_name_is_resolved_once_and_within_no_transaction(self, api, monkeypatch, headers, call):
        """A name may take seconds; a transaction with a number would keep everybody's events from being polled."""
        added = add(api)
        real, asked = socket.getaddrinfo, []

        def resolve(host, *args, **kwargs):
            if host != "hooks.example.com":
                return real(host, *args, **kwargs)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND backend_type = 'client backend' AND backend_xid IS NOT NULL"
                )
                asked.extend(cursor.fetchone())
            connection.close()
            return real("127.0.0.1", *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        url = {"url": "http://hooks.example.com/events"}
        response = {
            "add": lambda: api.post("/webhook-endpoints", url, headers=headers),
            "change": lambda: api.patch(f"/webhook-endpoints/{added['id']}", url, headers=headers),
            "set hook": lambda: api.put("/approval-hook", url | {"default": "block"}, headers=headers),
        }[call]()
        assert response.status_code in (200, 201)
        assert asked == [0]

    def test_one_within_our_network_is_refused_at_delivery_too(self, api, platform, settings):
        with Receiver() as receiver:
            add(api, url=receiver.url)
            add(api, url=receiver.url.replace("http:", "https:"))
            settings.ALLOW_PRIVATE_ENDPOINTS = False
            record(platform)
            deliver_due_events()
            assert receiver.received == []
        assert set(EventDelivery.objects.values_list("error", flat=True)) == {
            "The URL must begin with https:// and name a host.",
            "Its host is not on the public internet.",
        }

    def test_there_are_ten_at_most(self, api):
        for _ in range(MAX_ENDPOINTS):
            added = add(api)
        response = api.post("/webhook-endpoints", {"url": "http://127.0.0.1:9/"})
        assert (response.status_code, errors(response)) == (409, [("too_many_endpoints", None)])
        assert api.delete(f"/webhook-endpoints/{added['id']}").status_code == 204
        add(api)

    def test_a_deleted_one_gets_nothing_more_and_the_events_stay(self, api, platform):
        added = add(api)
        event = record(platform)
        assert api.delete(f"/webhook-endpoints/{added['id']}").status_code == 204
        assert api.get(f"/webhook-endpoints/{added['id']}").status_code == 404
        assert api.get(f"/events/{event.pk}").json()["deliveries"] == []

    def test_a_new_secret_is_shown_once_and_the_old_one_lives_for_a_day(self, api):
        added = add(api)
        rotated = api.post(f"/webhook-endpoints/{added['id']}/rotate-secret").json()
        assert rotated["secret"] != added["secret"]
        assert rotated.keys() == added.keys()
        endpoint = WebhookEndpoint.objects.get()
        assert (endpoint.secret, endpoint.previous_secret) == (rotated["secret"], added["secret"])
        left = endpoint.previous_secret_until - timezone.now()
        assert timedelta(hours=23.9) < left <= timedelta(hours=24)

    def test_its_health_is_shown(self, api, platform):
        with Receiver(failing(1)) as receiver:
            added = add(api, url=receiver.url)
            record(platform)
            EventDelivery.objects.update(attempts=9)
            deliver_due_events()
            record(platform)
            shown = api.get(f"/webhook-endpoints/{added['id']}").json()
        assert (shown["waiting"], shown["failed"], shown["consecutive_failures"]) == (1, 1, 1)
        assert (shown["last_failure"], shown["last_success_at"]) == ("It answered 500.", None)


class TestPing:
    def test_its_outcome_is_looked_up(self, api):
        with Receiver(failing(1, 503)) as receiver:
            added = add(api, url=receiver.url, event_types=["chat.ended"])
            outcomes = []
            for _ in range(2):
                response = api.post(f"/webhook-endpoints/{added['id']}/ping")
                assert response.status_code == 202
                assert response.json()["deliveries"][0]["status"] == "waiting"
                deliver_due_events()
                [delivery] = api.get(f"/events/{response.json()['id']}").json()["deliveries"]
                outcomes.append((delivery["status"], delivery["attempts"], delivery["error"]))
        assert outcomes == [("failed", 1, "It answered 503."), ("delivered", 1, None)]
        assert receiver.received[1].event["data"] == {"endpoint": added["id"]}
        receiver.received[1].verify(added["secret"])

    def test_one_that_is_switched_off_is_not_pinged(self, api):
        added = add(api, enabled=False)
        response = api.post(f"/webhook-endpoints/{added['id']}/ping")
        assert (response.status_code, errors(response)) == (409, [("endpoint_disabled", None)])


class TestRedelivery:
    def test_an_event_is_delivered_again_with_the_same_id(self, api, platform):
        with Receiver() as receiver:
            add(api, url=receiver.url)
            event = record(platform)
            deliver_due_events()
            response = api.post(f"/events/{event.pk}/redeliver")
            assert (response.status_code, response.json()) == (202, {"queued": 1})
            deliver_due_events()
        assert [each.id for each in receiver.received] == [str(event.pk)] * 2

    def test_one_that_has_failed_begins_anew(self, api, platform):
        with Receiver(failing(1)) as receiver:
            add(api, url=receiver.url)
            event = record(platform, chat_id=make_id())
            EventDelivery.objects.update(attempts=9)
            deliver_due_events()
            assert states() == [("failed", 10)]
            api.post(f"/events/{event.pk}/redeliver")
            deliver_due_events()
        assert states() == [("delivered", 1)]

    def test_what_waits_behind_it_waits_no_longer(self, api, platform):
        with Receiver(failing(1)) as receiver:
            add(api, url=receiver.url)
            first, _ = (record(platform, chat_id=UUID(int=1)) for _ in range(2))
            deliver_due_events()
            api.post(f"/events/{first.pk}/redeliver")
            deliver_due_events()
        assert states() == [("delivered", 1), ("delivered", 1)]

    def test_one_that_was_recorded_before_there_was_an_endpoint_is_delivered(self, api, platform):
        Platform.objects.update(records_events=True)
        event = record(platform)
        add(api)
        assert api.post(f"/events/{event.pk}/redeliver").json() == {"queued": 1}

    @pytest.mark.parametrize("fields", [{"enabled": False}, {"event_types": ["ping"]}])
    def test_without_an_endpoint_that_takes_it_it_is_refused(self, api, platform, fields):
        add(api, **fields)
        event = record(platform)
        response = api.post(f"/events/{event.pk}/redeliver")
        assert (response.status_code, errors(response)) == (409, [("no_endpoint", None)])


def poll(api, **params):
    response = api.get("/events", params)
    assert response.status_code == 200, response.json()
    return response.json()


def poll_until(api, count, **params):
    """Return a page once it holds that many: transactions of other tests may hold it back for a moment."""
    wait_until(lambda: len(poll(api, **params)["results"]) >= count, timeout=30, waiting_for="events to be final")
    return poll(api, **params)


@pytest.mark.django_db(transaction=True)
class TestPolling:
    def test_events_are_recorded_from_the_first_poll_on(self, api, platform, virtual_number):
        make_chat(platform)
        assert poll(api) == {"results": [], "has_more": False}
        platform.refresh_from_db()
        text_from(SARA, "I am here")
        [event] = poll_until(api, 1)["results"]
        assert event.keys() == {"id", "type", "timestamp", "data", "deliveries"}
        assert (event["type"], event["data"]["message"]["text"]) == ("message.received", "I am here")
        assert event["deliveries"] == []
        assert event == api.get(f"/events/{event['id']}").json()
        assert SARA[1:] not in str(event)

    def test_whoever_goes_on_from_the_last_one_sees_each_once_and_in_order(self, api, platform):
        poll(api)
        recorded = [str(record(platform).pk) for _ in range(7)]
        poll_until(api, 7)
        seen = []
        after = {}
        while (page := poll(api, limit=3, **after))["results"]:
            seen += [event["id"] for event in page["results"]]
            after = {"after": seen[-1]}
            assert page["has_more"] is (len(seen) < 7)
        assert seen == recorded

    def test_one_that_is_committed_late_is_not_missed(self, api, platform):
        """The first to be recorded is committed last."""
        poll(api)
        recorded, committed = threading.Event(), threading.Event()
        ids = []

        def slow():
            with transaction.atomic():
                ids.append(record(platform).pk)
                recorded.set()
                assert committed.wait(60)

        def fast():
            assert recorded.wait(60)
            ids.append(record(platform).pk)
            # It is there, and is not shown: one that comes before it may follow.
            assert poll(api)["results"] == []
            committed.set()

        at_once([slow, fast])
        assert [event["id"] for event in poll_until(api, 2)["results"]] == [str(id) for id in ids]

    def test_only_some_types(self, api, platform):
        poll(api)
        for type in (EventType.CHAT_EXPIRING, EventType.CHAT_ENDED, EventType.NUMBER_PROBLEM):
            record(platform, type)
        poll_until(api, 3)
        assert [event["type"] for event in poll(api, type="chat.ended")["results"]] == ["chat.ended"]
        assert len(api.get("/events?type=chat.ended&type=number.problem").json()["results"]) == 2

    def test_after_one_that_was_forgotten_all_that_is_kept_follows(self, api, platform):
        poll(api)
        record(platform)
        poll_until(api, 1)
        forgotten = UUID(int=(int((timezone.now() - timedelta(days=31)).timestamp() * 1000) << 80) | 7 << 76 | 2 << 62)
        assert len(poll(api, after=forgotten)["results"]) == 1

    def test_another_platform_sees_nothing_of_it(self, api, other_api, platform):
        poll(api), poll(other_api)
        event = record(platform)
        poll_until(api, 1)
        assert poll(other_api)["results"] == []
        response = other_api.get("/events", {"after": event.pk})
        assert (response.status_code, errors(response)) == (400, [("unknown_event", "after")])


@pytest.mark.parametrize(
    "params, expected",
    [
        ({"after": "yesterday"}, ("invalid", "after")),
        ({"after": "6b3ee5f0-a13a-4d45-bedb-fc51869baab0"}, ("unknown_event", "after")),
        ({"after": "ffffffff-ffff-7fff-bfff-ffffffffffff"}, ("unknown_event", "after")),
        ({"type": "chat.begun"}, ("invalid_choice", "type.0")),
        ({"limit": 0}, ("min_value", "limit")),
        ({"limit": 201}, ("max_value", "limit")),
        ({"limit": "all"}, ("invalid", "limit")),
        ({"page": 2}, ("unknown_parameter", None)),
    ],
)
def test_a_wrong_parameter_is_an_error(api, params, expected):
    response = api.get("/events", params)
    assert response.status_code == 400
    [(code, attr)] = errors(response)
    assert (code, attr) == expected or (expected[0] == "unknown_parameter" and code == expected[0])


@pytest.mark.parametrize(
    "method, path, body",
    [
        ("get", "/events/{event}", None),
        ("post", "/events/{event}/redeliver", None),
        ("get", "/webhook-endpoints/{endpoint}", None),
        ("patch", "/webhook-endpoints/{endpoint}", {"enabled": False}),
        ("delete", "/webhook-endpoints/{endpoint}", None),
        ("post", "/webhook-endpoints/{endpoint}/rotate-secret", None),
        ("post", "/webhook-endpoints/{endpoint}/ping", None),
    ],
)
def test_another_platforms_key_sees_and_changes_nothing(api, other_api, platform, method, path, body):
    endpoint = add(api)
    event = record(platform)
    before = WebhookEndpoint.objects.values().get(), EventDelivery.objects.values().get()
    address = path.format(event=event.pk, endpoint=endpoint["id"])
    response = getattr(other_api, method)(address, body)
    assert (response.status_code, errors(response)) == (404, [("not_found", None)])
    assert (WebhookEndpoint.objects.values().get(), EventDelivery.objects.values().get()) == before
    assert other_api.get("/webhook-endpoints").json()["results"] == []
    assert Event.objects.count() == 1


def test_the_documentation_has_a_webhook_for_each_type(client):
    schema = client.get("/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    assert schema["openapi"].startswith("3.1")
    assert schema["webhooks"].keys() == {type.value for type in EventType} | {"message.approval"}
    for type, description in EVENT_TYPES.items():
        webhook = schema["webhooks"][type.value]["post"]
        [example] = webhook["requestBody"]["content"]["application/json"]["examples"].values()
        assert example["value"].keys() == {"type", "timestamp", "data"}
        assert example["value"]["data"] == description.data
        assert webhook["description"] == description.when


def test_the_examples_are_what_the_api_shows(client, api, platform):
    schema = client.get("/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()

    def example(path, method, status):
        content = schema["paths"][path][method]["responses"][status]["content"]["application/json"]
        return next(iter(content["examples"].values()))["value"]

    added = add(api)
    assert example("/webhook-endpoints", "post", "201").keys() == added.keys()
    pinged = api.post(f"/webhook-endpoints/{added['id']}/ping").json()
    for shown, promised in (
        (pinged, example("/webhook-endpoints/{endpoint_id}/ping", "post", "202")),
        (pinged, example("/events/{event_id}", "get", "200")),
    ):
        assert shown.keys() == promised.keys()
        assert shown["deliveries"][0].keys() == promised["deliveries"][0].keys()


@pytest.mark.django_db(transaction=True)
class TestWorkers:
    def test_two_at_once_deliver_each_event_once_and_in_order(self, platform):
        with Receiver() as receiver:
            add_endpoint(platform=platform, url=receiver.url, include_bodies=False, event_types=[])
            chats = [uuid4() for _ in range(5)]
            events = [record(platform, chat_id=chat_id) for _ in range(6) for chat_id in chats]
            at_once([deliver_due_events] * 3)
            deliver_due_events()
        for chat_id in chats:
            expected = [str(event.pk) for event in events if event.chat_id == chat_id]
            assert [each.id for each in receiver.received if each.id in expected] == expected
        assert len(receiver.received) == 30

    def test_the_worker_is_woken_once_however_many_events_there_are(self, platform):
        add_endpoint(platform=platform, url="http://127.0.0.1:9/", include_bodies=False, event_types=[])
        for _ in range(3):
            record(platform)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            record(platform)
            raise ZeroDivisionError
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'deliver_events'")
            assert cursor.fetchone() == (1,)

    def test_ten_endpoints_added_at_once_are_no_more_than_ten(self, platform, api):
        for _ in range(MAX_ENDPOINTS - 1):
            add(api)
        statuses = at_once([lambda: api.post("/webhook-endpoints", {"url": "http://127.0.0.1:9/"}).status_code] * 4)
        assert sorted(statuses) == [201, 409, 409, 409]
