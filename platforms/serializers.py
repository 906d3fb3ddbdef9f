"""What the API of events takes and shows."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chats.fields import StrictSerializer
from platforms.endpoints import BadUrl, check_endpoint_url
from platforms.event_types import EventType
from platforms.events import read_data
from platforms.models import Event, EventDelivery, WebhookEndpoint


@extend_schema_field(OpenApiTypes.URI)
class EndpointUrlField(serializers.CharField):
    """A URL that may be called, as its host resolves now; the context may hold what knows that already."""

    def to_internal_value(self, data: Any) -> str:
        url: str = super().to_internal_value(data)
        check: Callable[[str], None] = self.context.get("check_url", check_endpoint_url)
        try:
            check(url)
        except BadUrl as error:
            raise serializers.ValidationError(str(error), code="bad_url") from None
        return url


class ChangeEndpointSerializer(StrictSerializer):
    """What can be changed of an endpoint."""

    url = EndpointUrlField(
        max_length=500, required=False, help_text="Where events are posted: https, on the public internet."
    )
    event_types = serializers.ListField(
        child=serializers.ChoiceField(choices=EventType.choices),
        required=False,
        max_length=len(EventType),
        help_text="Which events are delivered. Empty, or not given: all, also those that will be added.",
    )
    include_bodies = serializers.BooleanField(
        required=False, help_text="Whether events hold what people wrote, as `text`. Not given: they do not."
    )
    enabled = serializers.BooleanField(
        required=False,
        help_text="Off: nothing is delivered. What waits goes out if it is switched on within three days; what "
        "happens meanwhile is only in `GET /events`.",
    )


class NewEndpointSerializer(ChangeEndpointSerializer):
    """An endpoint that is to be added."""

    url = EndpointUrlField(max_length=500, help_text="Where events are posted: https, on the public internet.")


class EndpointSerializer(serializers.Serializer[WebhookEndpoint]):
    """A URL to which events are delivered, and how it fares."""

    # Its context must hold `counts`: those of platforms.deliveries.count_by_endpoint.
    id = serializers.UUIDField()
    url = serializers.CharField()
    event_types = serializers.ListField(child=serializers.ChoiceField(choices=EventType.choices))
    include_bodies = serializers.BooleanField()
    enabled = serializers.BooleanField(
        source="is_enabled", help_text="Switched off by you, or because it answered 410."
    )
    created_at = serializers.DateTimeField()
    previous_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until then, webhooks are signed with the secret before this one as well."
    )
    last_success_at = serializers.DateTimeField(allow_null=True)
    last_failure_at = serializers.DateTimeField(allow_null=True)
    last_failure = serializers.SerializerMethodField(help_text="In words.")
    consecutive_failures = serializers.IntegerField()
    waiting = serializers.SerializerMethodField(help_text="Events that are still to be delivered.")
    failed = serializers.SerializerMethodField(help_text="Events that were tried for three days in vain.")

    def get_last_failure(self, endpoint: WebhookEndpoint) -> str | None:
        return endpoint.last_failure or None

    def get_waiting(self, endpoint: WebhookEndpoint) -> int:
        return int(self.context["counts"][endpoint.pk]["waiting"])

    def get_failed(self, endpoint: WebhookEndpoint) -> int:
        return int(self.context["counts"][endpoint.pk]["failed"])


class EndpointWithSecretSerializer(EndpointSerializer):
    """An endpoint with its new secret, which is shown this once."""

    secret = serializers.SerializerMethodField(
        help_text="Verifies webhooks, with any library of standardwebhooks.com. Keep it: it is never shown again."
    )

    def get_secret(self, endpoint: WebhookEndpoint) -> str:
        return str(self.context["secret"])


class DeliverySerializer(serializers.Serializer[EventDelivery]):
    """How far an event has come on its way to one endpoint."""

    endpoint = serializers.UUIDField(source="endpoint_id")
    status = serializers.ChoiceField(choices=EventDelivery.Status.choices)
    attempts = serializers.IntegerField()
    last_attempt_at = serializers.DateTimeField(allow_null=True)
    next_attempt_at = serializers.SerializerMethodField()
    delivered_at = serializers.DateTimeField(allow_null=True)
    error = serializers.SerializerMethodField(help_text="Why the last attempt failed, in words.")

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_next_attempt_at(self, delivery: EventDelivery) -> Any:
        waits = delivery.status == EventDelivery.Status.WAITING
        return serializers.DateTimeField().to_representation(delivery.due_at) if waits and delivery.due_at else None

    def get_error(self, delivery: EventDelivery) -> str | None:
        return delivery.error or None


class EventSerializer(serializers.Serializer[Event]):
    """Something that happened; `type`, `timestamp` and `data` are what the webhook holds."""

    id = serializers.UUIDField(help_text="The `webhook-id` header of each delivery.")
    type = serializers.ChoiceField(choices=EventType.choices)
    timestamp = serializers.DateTimeField(source="occurred_at")
    data = serializers.SerializerMethodField(  # type: ignore[assignment]
        help_text="Depends on `type`: see the webhooks of this document."
    )
    deliveries = DeliverySerializer(many=True)

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_data(self, event: Event) -> dict[str, Any]:
        return read_data(payload=event.payload, text=event.message.body if event.message else None)


class EventsSerializer(serializers.Serializer[Any]):
    """A page of events, oldest first."""

    results = EventSerializer(many=True)
    has_more = serializers.BooleanField(help_text="Whether there are more after the last of these.")


class RedeliveredSerializer(serializers.Serializer[Any]):
    """How many deliveries were queued."""

    queued = serializers.IntegerField(help_text="To how many endpoints it goes. 0: it is being delivered just now.")
