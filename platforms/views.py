"""The API of events and of the endpoints they are delivered to: each view translates, and makes one call down."""

from contextlib import suppress
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from audit.log import caller_of, record
from audit.models import Action
from platforms import event_schema as docs
from platforms.api import PlatformView, platform_of
from platforms.deliveries import count_by_endpoint
from platforms.endpoints import (
    BadUrl,
    EndpointDisabled,
    NewSecret,
    NoEndpoint,
    TooManyEndpoints,
    add_endpoint,
    change_endpoint,
    check_endpoint_url,
    ping,
    redeliver,
    rotate_secret,
    switch_recording_on,
)
from platforms.event_types import EventType
from platforms.models import Event, WebhookEndpoint
from platforms.polling import UnknownEvent, read_events
from platforms.serializers import (
    ChangeEndpointSerializer,
    EndpointSerializer,
    EndpointWithSecretSerializer,
    EventSerializer,
    EventsSerializer,
    NewEndpointSerializer,
    RedeliveredSerializer,
)
from proxy_project.errors import BoundedJSONParser, Conflict
from proxy_project.pages import TimePages


class EventView(PlatformView, generics.GenericAPIView[Event]):
    """What the views of events have in common: a platform sees only its own."""

    parser_classes = (BoundedJSONParser,)
    serializer_class = EventSerializer
    lookup_url_kwarg = "event_id"
    filter_backends = ()
    pagination_class = None

    def get_queryset(self) -> QuerySet[Event]:
        events = Event.objects.filter(platform=platform_of(self.request))
        return events.select_related("message").prefetch_related("deliveries")


class EventsParameters(serializers.Serializer[Any]):
    """The parameters of GET /events."""

    after = serializers.UUIDField(required=False, help_text="The id of the last event you have seen.")
    type = serializers.ListField(
        child=serializers.ChoiceField(choices=EventType.choices),
        required=False,
        help_text="Only events of this type; repeat it for more.",
    )
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=200, default=50, help_text="How many events at most."
    )


class EventsView(EventView):
    @extend_schema(
        operation_id="list_events",
        tags=["events"],
        summary="List events",
        description=docs.LIST_EVENTS,
        parameters=[EventsParameters],
        responses={200: EventsSerializer, **docs.BAD_PARAMETERS, **docs.EVERY_ERROR},
        examples=[docs.EVENTS],
    )
    def get(self, request: Request) -> Response:
        known = EventsParameters().fields
        if not set(known).issuperset(request.query_params):
            message = f"There is no such parameter; there are {', '.join(known)}."
            raise ValidationError(message, code="unknown_parameter")
        # As JSON, where an empty value is a value, and refused: `?after=` would be everything, to somebody's surprise.
        given: dict[str, Any] = {name: request.query_params[name] for name in request.query_params}
        if "type" in given:
            given["type"] = request.query_params.getlist("type")
        parameters = EventsParameters(data=given)
        parameters.is_valid(raise_exception=True)
        platform = platform_of(request)
        if not platform.records_events:
            switch_recording_on(platform=platform)
        try:
            page = read_events(
                platform=platform,
                after=parameters.validated_data.get("after"),
                types=parameters.validated_data.get("type", []),
                limit=parameters.validated_data["limit"],
                now=timezone.now(),
            )
        except UnknownEvent as error:
            raise ValidationError({"after": [str(error)]}, code="unknown_event") from None
        results = [EventSerializer(event).data for event in page.events]
        return Response({"results": results, "has_more": page.has_more})


class OneEventView(EventView):
    @extend_schema(
        operation_id="get_event",
        tags=["events"],
        summary="Show an event",
        description="The event, and how far it has come on its way to each endpoint.",
        responses={200: EventSerializer, **docs.NO_SUCH_EVENT, **docs.EVERY_ERROR},
        examples=[docs.EVENT],
    )
    def get(self, request: Request, event_id: UUID) -> Response:
        return Response(EventSerializer(self.get_object()).data)


class RedeliverView(EventView):
    @extend_schema(
        operation_id="redeliver_event",
        tags=["events"],
        summary="Deliver an event again",
        description=docs.REDELIVER,
        request=None,
        responses={
            202: OpenApiResponse(RedeliveredSerializer, "Queued."),
            409: docs.error("`no_endpoint`: none that is enabled takes this type of event."),
            **docs.NO_SUCH_EVENT,
            **docs.EVERY_ERROR,
        },
        examples=[docs.REDELIVERED, docs.NO_ENDPOINT],
    )
    def post(self, request: Request, event_id: UUID) -> Response:
        event = self.get_object()
        try:
            queued = redeliver(event_ids=[event.pk])
        except NoEndpoint as error:
            raise Conflict(str(error), code="no_endpoint") from None
        return Response({"queued": queued}, status=status.HTTP_202_ACCEPTED)


class EndpointView(PlatformView, generics.GenericAPIView[WebhookEndpoint]):
    """What the views of endpoints have in common: a platform sees only its own."""

    parser_classes = (BoundedJSONParser,)
    serializer_class = EndpointSerializer
    lookup_url_kwarg = "endpoint_id"
    filter_backends = ()
    pagination_class: type[BasePagination] | None = None

    def get_queryset(self) -> QuerySet[WebhookEndpoint]:
        return WebhookEndpoint.objects.filter(platform=platform_of(self.request)).defer("secret", "previous_secret")

    def prepare(self, request: Request) -> None:
        url = request.data.get("url") if isinstance(request.data, dict) else None
        if isinstance(url, str):
            with suppress(BadUrl):
                self.check_url(url.strip())

    def check_url(self, url: str) -> None:
        """Raise BadUrl unless `url` can be called; its host name is resolved once for each request."""
        if url not in self._faults:
            try:
                check_endpoint_url(url)
                self._faults[url] = ""
            except BadUrl as error:
                self._faults[url] = str(error)
        if fault := self._faults[url]:
            raise BadUrl(fault)

    @cached_property
    def _faults(self) -> dict[str, str]:
        return {}

    def show(self, endpoints: list[WebhookEndpoint]) -> list[dict[str, Any]]:
        context = {"counts": count_by_endpoint(endpoint_ids=[endpoint.pk for endpoint in endpoints])}
        return [dict(EndpointSerializer(endpoint, context=context).data) for endpoint in endpoints]

    def show_with_secret(self, new: NewSecret) -> dict[str, Any]:
        context = {"counts": count_by_endpoint(endpoint_ids=[new.endpoint.pk]), "secret": new.secret}
        return dict(EndpointWithSecretSerializer(new.endpoint, context=context).data)


class EndpointPages(TimePages):
    """Oldest first."""

    ordering = "created_at"


class EndpointsView(EndpointView):
    pagination_class = EndpointPages

    @extend_schema(
        operation_id="list_webhook_endpoints",
        tags=["webhook endpoints"],
        summary="List webhook endpoints",
        description="The URLs to which your events are delivered, oldest first, at most ten.",
        responses={200: EndpointSerializer(many=True), **docs.BAD_PARAMETERS, **docs.EVERY_ERROR},
        examples=[docs.ENDPOINT],
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.show(list(page or ())))

    @extend_schema(
        operation_id="add_webhook_endpoint",
        tags=["webhook endpoints"],
        summary="Add a webhook endpoint",
        description=docs.ADD_ENDPOINT,
        request=NewEndpointSerializer,
        responses={
            201: OpenApiResponse(EndpointWithSecretSerializer, "Added; the secret is shown this once."),
            409: docs.error("`too_many_endpoints`: you have ten."),
            **docs.BAD_BODY,
            **docs.EVERY_ERROR,
        },
        examples=[docs.ADD_ENDPOINT_REQUEST, docs.ENDPOINT_WITH_SECRET, docs.BAD_URL, docs.TOO_MANY_ENDPOINTS],
    )
    def post(self, request: Request) -> Response:
        serializer = NewEndpointSerializer(data=request.data, context={"check_url": self.check_url})
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        try:
            with transaction.atomic():
                new = add_endpoint(
                    platform=platform_of(request),
                    url=asked["url"],
                    include_bodies=asked.get("include_bodies", False),
                    event_types=asked.get("event_types", []),
                    is_enabled=asked.get("enabled", True),
                )
                record(action=Action.ADDED, by=caller_of(request), on=new.endpoint)
        except TooManyEndpoints as error:
            raise Conflict(str(error), code="too_many_endpoints") from None
        return Response(self.show_with_secret(new), status=status.HTTP_201_CREATED)


class OneEndpointView(EndpointView):
    @extend_schema(
        operation_id="get_webhook_endpoint",
        tags=["webhook endpoints"],
        summary="Show a webhook endpoint",
        description="The endpoint, and how it fares.",
        responses={200: EndpointSerializer, **docs.NO_SUCH_ENDPOINT, **docs.EVERY_ERROR},
        examples=[docs.ENDPOINT],
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        return Response(self.show([self.get_object()])[0])

    @extend_schema(
        operation_id="change_webhook_endpoint",
        tags=["webhook endpoints"],
        summary="Change a webhook endpoint",
        description="Changes what is given, and leaves the rest.",
        request=ChangeEndpointSerializer,
        responses={200: EndpointSerializer, **docs.BAD_BODY, **docs.NO_SUCH_ENDPOINT, **docs.EVERY_ERROR},
        examples=[docs.CHANGE_ENDPOINT_REQUEST, docs.ENDPOINT],
    )
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        endpoint = self.get_object()
        serializer = ChangeEndpointSerializer(data=request.data, context={"check_url": self.check_url})
        serializer.is_valid(raise_exception=True)
        asked = dict(serializer.validated_data)
        if "enabled" in asked:
            asked["is_enabled"] = asked.pop("enabled")
        with transaction.atomic():
            change_endpoint(endpoint=endpoint, **asked)
            record(action=Action.CHANGED, by=caller_of(request), on=endpoint, fields=asked)
        return Response(self.show([endpoint])[0])

    @extend_schema(
        operation_id="delete_webhook_endpoint",
        tags=["webhook endpoints"],
        summary="Delete a webhook endpoint",
        description="Nothing more is delivered to it. The events stay, for `GET /events`.",
        responses={204: None, **docs.NO_SUCH_ENDPOINT, **docs.EVERY_ERROR},
    )
    def delete(self, request: Request, endpoint_id: UUID) -> Response:
        endpoint = self.get_object()
        with transaction.atomic():
            record(action=Action.DELETED, by=caller_of(request), on=endpoint)
            endpoint.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class RotateSecretView(EndpointView):
    @extend_schema(
        operation_id="rotate_webhook_secret",
        tags=["webhook endpoints"],
        summary="Make a new secret",
        description=docs.ROTATE_SECRET,
        request=None,
        responses={200: EndpointWithSecretSerializer, **docs.NO_SUCH_ENDPOINT, **docs.EVERY_ERROR},
        examples=[docs.ENDPOINT_WITH_SECRET],
    )
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        endpoint = self.get_object()
        with transaction.atomic():
            new = rotate_secret(endpoint=endpoint, now=timezone.now())
            record(action=Action.MADE_SECRET, by=caller_of(request), on=endpoint)
        return Response(self.show_with_secret(new))


class PingView(EndpointView):
    @extend_schema(
        operation_id="ping_webhook_endpoint",
        tags=["webhook endpoints"],
        summary="Send a ping",
        description="Queues an event of type `ping` for this endpoint, whatever types it takes. It is tried once; "
        "`GET /events/{id}` shows the outcome within seconds.",
        request=None,
        responses={
            202: OpenApiResponse(EventSerializer, "Queued."),
            409: docs.error("`endpoint_disabled`: switch it on first."),
            **docs.NO_SUCH_ENDPOINT,
            **docs.EVERY_ERROR,
        },
        examples=[docs.PING, docs.ENDPOINT_DISABLED],
    )
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        try:
            event = ping(endpoint=self.get_object(), now=timezone.now())
        except EndpointDisabled as error:
            raise Conflict(str(error), code="endpoint_disabled") from None
        return Response(EventSerializer(event).data, status=status.HTTP_202_ACCEPTED)
