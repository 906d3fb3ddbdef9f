"""Texts and examples of the documentation of events and their endpoints."""

from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiResponse,
    OpenApiWebhook,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers

from chats.schema import BAD_BODY, BAD_PARAMETERS, EVERY_ERROR, conflict, error
from platforms.event_types import EVENT_TYPES, Description, EventType

__all__ = ["BAD_BODY", "BAD_PARAMETERS", "EVERY_ERROR", "error"]

LIST_EVENTS = """\
Your events, oldest first, from the one after `after`. Keep the id of the last one you have seen, and ask again with it:
you get each event once. Without `after`, from the oldest that is kept (30 days, unless the operator chose otherwise).

Events are recorded from your first webhook endpoint on, or from your first call of this.
"""
REDELIVER = """\
Delivers the event again, as if it were new, to every endpoint that is enabled and takes its type: with the same
`webhook-id`, and retried for three days.
"""
ADD_ENDPOINT = """\
Every event is posted to the URL as JSON, `{"type": …, "timestamp": …, "data": …}`, signed as
[Standard Webhooks](https://www.standardwebhooks.com) says: verify it with one of its libraries and the secret.

Answer with any 2xx status within 15 seconds. Otherwise it is tried again after 5 seconds, 5 and 30 minutes, 2, 5, 10,
14, 20 and 24 hours, and then it has failed; `Retry-After` is respected. Events of one chat arrive in order: a later one
waits for the one before it, those of other chats do not. An event may come more than once: with the same `webhook-id`.
An answer of 410 switches the endpoint off. Redirects are not followed.
"""
ROTATE_SECRET = """\
Webhooks are signed with the new secret and, for 24 hours, with the one before it as well: take it over in that time,
and no webhook is refused.
"""

NO_SUCH_EVENT = {404: error("There is no such event, or it is another platform's.")}
NO_SUCH_ENDPOINT = {404: error("There is no such endpoint, or it is another platform's.")}

_ENDPOINT: dict[str, Any] = {
    "id": "0198f2c6-11b0-7d02-9a10-3f1e5c7b9d20",
    "url": "https://rides.example.com/webhooks/texting",
    "event_types": ["message.received", "message.failed"],
    "include_bodies": False,
    "enabled": True,
    "created_at": "2030-01-30T08:00:00.120394Z",
    "previous_secret_until": None,
    "last_success_at": "2030-01-30T09:15:10.611201Z",
    "last_failure_at": None,
    "last_failure": None,
    "consecutive_failures": 0,
    "waiting": 0,
    "failed": 0,
}
_EVENT: dict[str, Any] = {
    "id": "0198f2c5-01ab-7e21-a0b4-6d2f9c3e1a55",
    "type": "message.delivered",
    "timestamp": "2030-01-30T09:15:12.730920Z",
    "data": EVENT_TYPES[EventType.MESSAGE_DELIVERED].data,
    "deliveries": [
        {
            "endpoint": _ENDPOINT["id"],
            "status": "delivered",
            "attempts": 1,
            "last_attempt_at": "2030-01-30T09:15:12.802113Z",
            "next_attempt_at": None,
            "delivered_at": "2030-01-30T09:15:12.951827Z",
            "error": None,
        }
    ],
}


def _answer(name: str, value: Any, *statuses: str) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=list(statuses))


EVENT = _answer("An event", _EVENT, "200")
EVENTS = _answer("Events", {"results": [_EVENT], "has_more": False}, "200")
ENDPOINT = _answer("An endpoint", _ENDPOINT, "200")
ENDPOINT_WITH_SECRET = _answer(
    "An endpoint with its secret",
    {**_ENDPOINT, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="},
    "200",
    "201",
)
ADD_ENDPOINT_REQUEST = OpenApiExample(
    "An endpoint for two types of events",
    value={"url": _ENDPOINT["url"], "event_types": _ENDPOINT["event_types"]},
    request_only=True,
)
CHANGE_ENDPOINT_REQUEST = OpenApiExample("Switched off", value={"enabled": False}, request_only=True)
REDELIVERED = _answer("Queued for one endpoint", {"queued": 1}, "202")
PING = _answer(
    "A ping",
    {
        **_EVENT,
        "type": "ping",
        "data": EVENT_TYPES[EventType.PING].data,
        "deliveries": [
            {
                **_EVENT["deliveries"][0],
                "status": "waiting",
                "attempts": 0,
                "last_attempt_at": None,
                "next_attempt_at": "2030-01-30T09:15:12.802113Z",
                "delivered_at": None,
            }
        ],
    },
    "202",
)
BAD_URL = _answer(
    "A URL that cannot be called",
    {
        "type": "validation_error",
        "errors": [{"code": "bad_url", "detail": "Its host is not on the public internet.", "attr": "url"}],
    },
    "400",
)

NO_ENDPOINT = conflict(
    "Nobody to deliver it to",
    code="no_endpoint",
    detail="There is no endpoint that is switched on and takes this type of event.",
)
TOO_MANY_ENDPOINTS = conflict("Ten already", code="too_many_endpoints", detail="A platform has at most 10 endpoints.")
ENDPOINT_DISABLED = conflict("It is off", code="endpoint_disabled", detail="The endpoint is switched off.")


def _describe_webhook(type: EventType, description: Description) -> OpenApiWebhook:
    body = inline_serializer(
        f"{''.join(part.title() for part in type.value.replace('_', '.').split('.'))}Webhook",
        {
            "type": serializers.CharField(),
            "timestamp": serializers.DateTimeField(help_text="When it happened."),
            "data": serializers.DictField(),
        },
    )
    example = {"type": type.value, "timestamp": "2030-01-30T09:15:12.730920Z", "data": description.data}
    return OpenApiWebhook(
        name=type.value,
        decorator=extend_schema(
            operation_id=f"on_{type.value.replace('.', '_')}",
            tags=["events"],
            summary=type.value,
            description=description.when,
            request=body,
            # It is signed; your key stays with you.
            auth=[],
            examples=[OpenApiExample(type.value, value=example)],
            responses={"2XX": OpenApiResponse(description="Taken. Anything else: it is tried again.")},
        ),
    )


WEBHOOKS = [_describe_webhook(type, description) for type, description in EVENT_TYPES.items()]
