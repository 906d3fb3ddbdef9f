"""Add, change and test the URLs to which a platform's events are delivered, and deliver events again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from platforms.event_types import EventType
from platforms.events import event_params, wake_deliveries
from platforms.models import Event, Platform, WebhookEndpoint
from platforms.signing import OLD_SECRET_LIVES, make_secret
from proxy_project import public_http
from proxy_project.sql import execute_prepared

MAX_ENDPOINTS = 10
# So many failed deliveries are queued again at once, the oldest first.
REDELIVERED_AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True)
class NewSecret:
    """An endpoint with its new secret, which is shown this once."""

    endpoint: WebhookEndpoint
    secret: str = field(repr=False)


class BadUrl(Exception):
    """The URL cannot be an endpoint's; the message says why."""


class TooManyEndpoints(Exception):
    """The platform has as many endpoints as it may have."""


class EndpointDisabled(Exception):
    """Nothing is delivered to the endpoint while it is switched off."""


class NoEndpoint(Exception):
    """The platform has no endpoint that is switched on and takes events of this type."""


def check_endpoint_url(url: str) -> None:
    """Raise BadUrl unless `url` can be called: https, and on the public internet; it is checked at delivery again.

    Its host name is resolved, which takes seconds at worst: not to be called within a transaction.
    """
    try:
        public_http.check_url(url)
    except public_http.PublicHttpError as error:
        raise BadUrl(str(error)) from None


def add_endpoint(
    *, platform: Platform, url: str, include_bodies: bool, event_types: Sequence[str], is_enabled: bool = True
) -> NewSecret:
    """Add an endpoint at `url`, which has been checked, and begin to record the platform's events.

    Raises TooManyEndpoints.
    """
    secret = make_secret()
    with transaction.atomic():
        Platform.objects.select_for_update(no_key=True).get(pk=platform.pk)
        if WebhookEndpoint.objects.filter(platform=platform).count() >= MAX_ENDPOINTS:
            raise TooManyEndpoints(f"A platform has at most {MAX_ENDPOINTS} endpoints.")
        endpoint = WebhookEndpoint.objects.create(
            platform=platform,
            url=url,
            secret=secret,
            include_bodies=include_bodies,
            event_types=list(event_types),
            is_enabled=is_enabled,
        )
        switch_recording_on(platform=platform)
    endpoint.refresh_from_db()
    return NewSecret(endpoint=endpoint, secret=secret)


def change_endpoint(*, endpoint: WebhookEndpoint, **fields: Any) -> None:
    """Change an endpoint: any of `url`, which has been checked, `event_types`, `include_bodies` and `is_enabled`."""
    for name, value in fields.items():
        setattr(endpoint, name, value)
    endpoint.save(update_fields=list(fields))
    if fields.get("is_enabled"):
        # What has waited for it.
        wake_deliveries()


def switch_recording_on(*, platform: Platform) -> None:
    """Record the platform's events from now on."""
    Platform.objects.filter(pk=platform.pk, records_events=False).update(records_events=True)
    platform.records_events = True


def rotate_secret(*, endpoint: WebhookEndpoint, now: datetime) -> NewSecret:
    """Give an endpoint a new secret; the one before it signs as well for a day, the one before that no more."""
    with transaction.atomic():
        locked = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        locked.previous_secret = locked.secret
        locked.previous_secret_until = now + OLD_SECRET_LIVES
        locked.secret = secret = make_secret()
        locked.save(update_fields=["secret", "previous_secret", "previous_secret_until"])
    return NewSecret(endpoint=locked, secret=secret)


_PING = """
    WITH event AS (
        INSERT INTO platforms_event (id, platform_id, type, payload, occurred_at)
        VALUES (%(event_id)s, %(event_platform_id)s, %(event_type)s, %(event_payload)s, %(event_at)s)
        RETURNING id, position
    )
    INSERT INTO platforms_eventdelivery (event_id, endpoint_id, position, status, due_at)
    SELECT event.id, %(endpoint_id)s, event.position, 'waiting', now() FROM event
    RETURNING event_id
"""


def ping(*, endpoint: WebhookEndpoint, now: datetime) -> Event:
    """Queue a ping for one endpoint, tried once, and return it. Raises EndpointDisabled."""
    if not endpoint.is_enabled:
        raise EndpointDisabled("The endpoint is switched off.")
    params = event_params(
        platform_id=endpoint.platform_id, type=EventType.PING, data={"endpoint": endpoint.pk}, now=now
    )
    with transaction.atomic():
        [[event_id]] = execute_prepared(_PING, {**params, "endpoint_id": endpoint.pk})
        wake_deliveries()
    return Event.objects.get(pk=event_id)


# What is being delivered at this moment is left alone.
_REDELIVER = """
    INSERT INTO platforms_eventdelivery AS delivery (event_id, endpoint_id, chat_id, position, status, due_at)
    SELECT event.id, endpoint.id, event.chat_id, event.position, 'waiting', now()
      FROM platforms_event AS event
      JOIN platforms_webhookendpoint AS endpoint
        ON endpoint.platform_id = event.platform_id AND endpoint.is_enabled
       AND (endpoint.event_types = '{}' OR event.type = ANY (endpoint.event_types))
     WHERE event.id = ANY (%(ids)s::uuid[])
        ON CONFLICT (event_id, endpoint_id) DO UPDATE
       SET status = 'waiting', attempts = 0, due_at = now(), queued_at = now(), delivered_at = NULL
     WHERE delivery.status <> 'sending'
    RETURNING event_id, endpoint_id, chat_id
"""
_REDELIVER_FAILED = """
    UPDATE platforms_eventdelivery
       SET status = 'waiting', attempts = 0, due_at = now(), queued_at = now(), error = ''
     WHERE status = 'failed' AND id = ANY (ARRAY(
               SELECT id FROM platforms_eventdelivery WHERE endpoint_id = %(endpoint_id)s AND status = 'failed'
                ORDER BY position LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED))
    RETURNING id
"""
# They waited for as long as the one that is delivered again.
_LET_GO = """
    UPDATE platforms_eventdelivery SET due_at = now()
     WHERE endpoint_id = %(endpoint_id)s AND chat_id = %(chat_id)s AND status = 'waiting' AND due_at > now()
"""
_TAKERS = """
    SELECT FROM platforms_event AS event
      JOIN platforms_webhookendpoint AS endpoint
        ON endpoint.platform_id = event.platform_id AND endpoint.is_enabled
       AND (endpoint.event_types = '{}' OR event.type = ANY (endpoint.event_types))
     WHERE event.id = ANY (%(ids)s::uuid[])
"""


def redeliver(*, event_ids: Sequence[UUID]) -> int:
    """Deliver events again, as if they were new, to every endpoint of their platforms that takes them.

    Returns how many deliveries were queued. Raises NoEndpoint when there is no such endpoint.
    """
    with transaction.atomic():
        queued = execute_prepared(_REDELIVER, {"ids": list(event_ids)})
        for _, endpoint_id, chat_id in queued:
            if chat_id:
                execute_prepared(_LET_GO, {"endpoint_id": endpoint_id, "chat_id": chat_id})
        if not queued and not execute_prepared(_TAKERS, {"ids": list(event_ids)}):
            raise NoEndpoint("There is no endpoint that is switched on and takes this type of event.")
        wake_deliveries()
    return len(queued)


def redeliver_failed(*, endpoint: WebhookEndpoint) -> int:
    """Deliver again what this endpoint, and no other, has not taken; return how many deliveries were queued.

    Raises EndpointDisabled.
    """
    if not endpoint.is_enabled:
        raise EndpointDisabled("The endpoint is switched off.")
    with transaction.atomic():
        queued = execute_prepared(_REDELIVER_FAILED, {"endpoint_id": endpoint.pk, "limit": REDELIVERED_AT_ONCE})
        if queued:
            wake_deliveries()
    return len(queued)
