"""The pages of webhook endpoints and events."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from platforms.delivery import deliver_due_events
from platforms.endpoints import add_endpoint
from platforms.event_types import EventType
from platforms.models import Event, EventDelivery, Platform, WebhookEndpoint
from tests.admin.pages import listed, page_of, read, words_of
from tests.events.helpers import record, states, text_from
from tests.events.receiver import Receiver, failing
from tests.factories import SARA, make_chat

ENDPOINTS = reverse("admin:platforms_webhookendpoint_changelist")
EVENTS = reverse("admin:platforms_event_changelist")
ADD = reverse("admin:platforms_webhookendpoint_add")


@pytest.fixture
def endpoint(platform: Platform) -> WebhookEndpoint:
    return add_endpoint(
        platform=platform, url="http://127.0.0.1:9/events", include_bodies=True, event_types=[]
    ).endpoint


def act(client: Client, address: str, action: str, *rows: Event | WebhookEndpoint, **more: str) -> str:
    fields = {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}
    return words_of(client.post(address, fields, follow=True))


def test_a_new_endpoint_shows_its_secret_once(operator: Client, platform: Platform) -> None:
    fields = {"platform": platform.pk, "url": "http://127.0.0.1:9/", "is_enabled": "on", "event_types": ["ping"]}
    page = words_of(operator.post(ADD, fields, follow=True))
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.secret in page
    assert (endpoint.event_types, endpoint.is_enabled, endpoint.include_bodies) == (["ping"], True, False)
    assert Platform.objects.get().records_events
    for address in (ENDPOINTS, page_of(endpoint), page_of(endpoint, "history")):
        assert "whsec" not in operator.get(address).content.decode()


def test_one_within_our_network_is_refused(operator: Client, platform: Platform, settings) -> None:
    settings.ALLOW_PRIVATE_ENDPOINTS = False
    fields = {"platform": platform.pk, "url": "https://127.0.0.1/", "is_enabled": "on"}
    assert "Its host is not on the public internet." in words_of(operator.post(ADD, fields))
    assert not WebhookEndpoint.objects.exists()


def test_its_health_is_shown_in_words(operator: Client, platform: Platform) -> None:
    with Receiver(failing(1)) as receiver:
        endpoint = add_endpoint(platform=platform, url=receiver.url, include_bodies=False, event_types=[]).endpoint
        record(platform)
        deliver_due_events()
    for address in (ENDPOINTS, page_of(endpoint)):
        assert "fails" in read(operator, address)
    assert "It answered 500." in read(operator, page_of(endpoint))


def test_an_endpoint_is_switched_off_and_keeps_its_secret(operator: Client, endpoint: WebhookEndpoint) -> None:
    operator.post(page_of(endpoint), {"url": endpoint.url, "include_bodies": "on"}, follow=True)
    changed = WebhookEndpoint.objects.get()
    assert (changed.is_enabled, changed.include_bodies, changed.secret) == (False, True, endpoint.secret)
    assert "off" in read(operator, ENDPOINTS)


def test_an_endpoint_is_pinged_and_gets_a_new_secret(operator: Client, endpoint: WebhookEndpoint) -> None:
    assert "a ping is on its way" in act(operator, ENDPOINTS, "ping_endpoints", endpoint)
    assert Event.objects.get().type == "ping"
    asked = act(operator, ENDPOINTS, "rotate_secrets", endpoint)
    assert "signed with the old secret and the new one for a day" in asked and endpoint.url in asked
    assert WebhookEndpoint.objects.get().secret == endpoint.secret
    page = act(operator, ENDPOINTS, "rotate_secrets", endpoint, confirmed="yes")
    assert re.search(r"whsec_\S+", page)
    assert WebhookEndpoint.objects.get().previous_secret == endpoint.secret
    assert "Made a new secret" in read(operator, page_of(endpoint, "history"))


def test_events_are_listed_by_type_and_state_and_delivered_again(operator: Client, platform, endpoint) -> None:
    failed, waiting = record(platform, EventType.CHAT_ENDED), record(platform, EventType.CHAT_EXPIRING)
    EventDelivery.objects.filter(event=failed).update(status="failed", due_at=None, attempts=10)
    assert listed(operator.get(EVENTS)) == [waiting.pk, failed.pk]
    assert listed(operator.get(EVENTS, {"state": "failed"})) == [failed.pk]
    assert listed(operator.get(EVENTS, {"type__exact": "chat.expiring"})) == [waiting.pk]
    assert "Deliveries queued: 1." in act(operator, EVENTS, "redeliver_events", failed)
    assert states(failed.pk) == [("waiting", 0)]
    assert f"{endpoint.url}: waiting" in read(operator, page_of(failed))


def test_no_page_of_events_shows_a_number_or_a_text(operator: Client, platform, endpoint, virtual_number) -> None:
    make_chat(platform, reference="booking-8812")
    text_from(SARA, "I am at the blue gate")
    for address in (EVENTS, *map(page_of, Event.objects.all())):
        page = read(operator, address)
        assert SARA[-7:] not in page and "blue gate" not in page


def test_a_viewer_looks_and_does_nothing(viewer: Client, platform, endpoint) -> None:
    event = record(platform)
    for address in (ENDPOINTS, EVENTS, page_of(endpoint), page_of(event)):
        assert viewer.get(address).status_code == 200
    EventDelivery.objects.update(status="failed", due_at=None)
    act(viewer, EVENTS, "redeliver_events", event)
    act(viewer, ENDPOINTS, "rotate_secrets", endpoint, confirmed="yes")
    assert states() == [("failed", 0)]
    assert WebhookEndpoint.objects.get().secret == endpoint.secret
