"""The API of chats: each view translates, and makes one call down."""

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from audit.log import caller_of, record
from audit.models import Action
from chats import schema as docs
from chats.allocation import CountryMatch
from chats.csv_export import stream_csv
from chats.fields import read_phone_number_header
from chats.filters import (
    ChatFilter,
    ChatPages,
    VirtualNumberPages,
    filter_by_digest,
    find_person,
)
from chats.models import Chat, Participant, VirtualNumber
from chats.people import read_people
from chats.pool import count_usage, find_pool, forecast_pool
from chats.refusals import at_participants, at_phone_number, nowhere, refusals
from chats.representations import ChatSerializer, VirtualNumberSerializer
from chats.restriction_serializers import RestrictSerializer
from chats.restrictions import block_participant, mute_participant, unblock_participant, unmute_participant
from chats.serializers import (
    ChangeChatSerializer,
    EndChatSerializer,
    ReopenChatSerializer,
    ReplaceParticipantSerializer,
    StartChatSerializer,
)
from chats.services import (
    ANY_NUMBER,
    change_chat,
    end_chat,
    reopen_chat,
    replace_participant,
    start_chat,
)
from platforms.api import PlatformView, platform_of
from platforms.limits import Bucket
from proxy_project.encryption import digest_number
from proxy_project.errors import BoundedJSONParser

ENDED_BY_PLATFORM = "ended by the platform"


class ChatView(PlatformView, generics.GenericAPIView[Chat]):
    """What the views of chats have in common: a platform sees only its own."""

    parser_classes = (BoundedJSONParser,)
    serializer_class = ChatSerializer
    lookup_url_kwarg = "chat_id"

    def get_queryset(self) -> QuerySet[Chat]:
        return Chat.objects.filter(platform=platform_of(self.request))

    def show(self, chats: list[Chat]) -> list[dict[str, Any]]:
        serializer = ChatSerializer(context={"people": read_people([chat.pk for chat in chats])})
        return [serializer.to_representation(chat) for chat in chats]

    def answer(self, chat: Chat, *, status: int = status.HTTP_200_OK) -> Response:
        """Return a chat as a service returned it, with the people it has now."""
        [shown] = self.show([chat])
        return Response(shown, status=status)


class ChatsView(ChatView):
    pagination_class = ChatPages
    filterset_class = ChatFilter
    makes = {"POST": Bucket.CHATS}

    @extend_schema(
        operation_id="list_chats",
        tags=["chats"],
        summary="List chats",
        description=docs.LIST_CHATS,
        parameters=[docs.PARTICIPANT_PHONE_NUMBER],
        responses={200: ChatSerializer(many=True), **docs.BAD_PARAMETERS, **docs.EVERY_ERROR},
        examples=[docs.CHAT],
    )
    def get(self, request: Request) -> Response:
        chats = self.filter_queryset(self.get_queryset())
        number = request.headers.get(docs.PARTICIPANT_PHONE_NUMBER.name)
        if number is None:
            return self._list(chats)
        digest = digest_number(read_phone_number_header(number).e164)
        person_id = find_person(platform=platform_of(request), digest=digest)
        return self._list(filter_by_digest(chats, digest) if person_id else chats.none(), person_id)

    def _list(self, chats: QuerySet[Chat], person_id: UUID | None = None) -> Response:
        page = self.paginate_queryset(chats)
        if person_id:
            # A link holds no phone number, and leads to the chats of the same person all the same.
            pages = cast(ChatPages, self.paginator)
            pages.base_url = replace_query_param(str(pages.base_url), "person", person_id)
        return self.get_paginated_response(self.show(list(page or ())))

    @extend_schema(
        operation_id="start_chat",
        tags=["chats"],
        summary="Start a chat",
        description=docs.START_CHAT,
        request=StartChatSerializer,
        responses={
            201: OpenApiResponse(ChatSerializer, "Started; each person is texted an introduction."),
            200: OpenApiResponse(ChatSerializer, "Started before, with this reference; nobody is texted."),
            409: docs.error("`no_free_number`, `takes_no_chats` or `reference_taken`."),
            **docs.BAD_BODY,
            **docs.EVERY_ERROR,
        },
        examples=[
            docs.START_CHAT_REQUEST,
            docs.SCHEDULE_CHAT_REQUEST,
            docs.CHAT,
            docs.BAD_NUMBER,
            docs.NO_FREE_NUMBER,
            docs.TAKES_NO_CHATS,
            docs.REFERENCE_TAKEN,
        ],
    )
    def post(self, request: Request) -> Response:
        serializer = StartChatSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        with refusals(at_participants):
            started = start_chat(
                platform=platform_of(request),
                people=asked["participants"],
                reference=asked.get("reference"),
                starts_at=asked.get("starts_at"),
                expires_at=asked.get("expires_at"),
                idle_timeout_seconds=asked.get("idle_timeout_seconds"),
                choice=asked.get("virtual_number") or ANY_NUMBER,
                metadata=asked.get("metadata") or {},
                disclosures=asked.get("disclosures") or {},
                now=timezone.now(),
            )
        return self.answer(started.chat, status=status.HTTP_201_CREATED if started.created else status.HTTP_200_OK)


class OneChatView(ChatView):
    @extend_schema(
        operation_id="get_chat",
        tags=["chats"],
        summary="Show a chat",
        description="The chat, with the state of each introduction.",
        responses={200: ChatSerializer, **docs.NO_SUCH_CHAT, **docs.EVERY_ERROR},
        examples=[docs.CHAT],
    )
    def get(self, request: Request, chat_id: UUID) -> Response:
        [shown] = self.show([self.get_object()])
        return Response(shown)

    @extend_schema(
        operation_id="change_chat",
        tags=["chats"],
        summary="Change a chat",
        description=docs.CHANGE_CHAT,
        request=ChangeChatSerializer,
        responses={
            200: ChatSerializer,
            409: docs.error("`chat_started` or `chat_ended`."),
            **docs.BAD_BODY,
            **docs.NO_SUCH_CHAT,
            **docs.EVERY_ERROR,
        },
        examples=[docs.CHANGE_CHAT_REQUEST, docs.CHAT, docs.CHAT_STARTED, docs.CHAT_ENDED],
    )
    def patch(self, request: Request, chat_id: UUID) -> Response:
        serializer = ChangeChatSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        chat = self.get_object()
        with refusals(nowhere):
            changed = change_chat(chat_id=chat.pk, changes=serializer.validated_data, now=timezone.now())
        return self.answer(changed)


class EndChatView(ChatView):
    @extend_schema(
        operation_id="end_chat",
        tags=["chats"],
        summary="End a chat",
        description=docs.END_CHAT,
        request=EndChatSerializer,
        responses={200: ChatSerializer, **docs.BAD_BODY, **docs.NO_SUCH_CHAT, **docs.EVERY_ERROR},
        examples=[docs.END_CHAT_REQUEST, docs.ENDED_CHAT],
    )
    def post(self, request: Request, chat_id: UUID) -> Response:
        serializer = EndChatSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        chat = self.get_object()
        ended = end_chat(
            chat_id=chat.pk,
            reason=serializer.validated_data.get("reason") or ENDED_BY_PLATFORM,
            closing_text=serializer.validated_data.get("closing_text") or "",
            now=timezone.now(),
        )
        return self.answer(ended)


class ReopenChatView(ChatView):
    @extend_schema(
        operation_id="reopen_chat",
        tags=["chats"],
        summary="Reopen a chat",
        description=docs.REOPEN_CHAT,
        request=ReopenChatSerializer,
        responses={
            200: ChatSerializer,
            409: docs.error("`virtual_number_taken`, `takes_no_chats`, `country_not_allowed` or `chat_erased`."),
            **docs.BAD_BODY,
            **docs.NO_SUCH_CHAT,
            **docs.EVERY_ERROR,
        },
        examples=[
            docs.REOPEN_CHAT_REQUEST,
            docs.CHAT,
            docs.VIRTUAL_NUMBER_TAKEN,
            docs.ITS_NUMBER_TAKES_NO_CHATS,
            docs.COUNTRY_NOT_TEXTED,
            docs.CHAT_ERASED,
        ],
    )
    def post(self, request: Request, chat_id: UUID) -> Response:
        serializer = ReopenChatSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        chat = self.get_object()
        with refusals(nowhere):
            reopened = reopen_chat(chat_id=chat.pk, changes=serializer.validated_data, now=timezone.now())
        return self.answer(reopened)


class ReplaceParticipantView(ChatView):
    @extend_schema(
        operation_id="replace_participant",
        tags=["chats"],
        summary="Replace a participant",
        description=docs.REPLACE_PARTICIPANT,
        request=ReplaceParticipantSerializer,
        responses={
            200: ChatSerializer,
            404: docs.error("There is no such chat of yours, or no such participant in it."),
            409: docs.error("`no_free_number`, `takes_no_chats`, `already_replaced` or `chat_ended`."),
            **docs.BAD_BODY,
            **docs.EVERY_ERROR,
        },
        examples=[
            docs.REPLACE_PARTICIPANT_REQUEST,
            docs.REPLACED_PARTICIPANT,
            docs.NO_FREE_NUMBER,
            docs.TAKES_NO_CHATS,
            docs.ALREADY_REPLACED,
            docs.REPLACE_IN_ENDED_CHAT,
        ],
    )
    def post(self, request: Request, chat_id: UUID, participant_id: UUID) -> Response:
        serializer = ReplaceParticipantSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        chat = self.get_object()
        with refusals(at_phone_number):
            changed = replace_participant(
                chat_id=chat.pk,
                participant_id=participant_id,
                phone_number=asked["phone_number"],
                name=asked.get("name"),
                language=asked.get("language"),
                country_match=asked.get("country_match", CountryMatch.PREFER),
                time_zone=asked.get("time_zone") or "",
                choice=asked.get("virtual_number") or ANY_NUMBER,
                now=timezone.now(),
            )
        return self.answer(changed)


class RestrictionView(ChatView):
    """Mute or block a participant, or take that back."""

    def restrict(self, request: Request, participant_id: UUID, change: Callable[..., Chat], action: Action) -> Response:
        serializer = RestrictSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        chat = self.get_object()
        reason = serializer.validated_data.get("reason") or ""
        with refusals(nowhere), transaction.atomic():
            changed = change(chat_id=chat.pk, participant_id=participant_id, reason=reason, now=timezone.now())
            # The reason is with the participant, and goes with them.
            record(action=action, by=caller_of(request), on=Participant(pk=participant_id))
        return self.answer(changed)


_RESTRICTION: dict[str, Any] = {
    "tags": ["chats"],
    "request": RestrictSerializer,
    "responses": {
        200: ChatSerializer,
        404: docs.error("There is no such chat of yours, or no such participant in it."),
        **docs.BAD_BODY,
        **docs.EVERY_ERROR,
    },
    "examples": [docs.RESTRICT_REQUEST, docs.CHAT],
}


class MuteView(RestrictionView):
    @extend_schema(operation_id="mute_participant", summary="Mute a participant", description=docs.MUTE, **_RESTRICTION)
    def post(self, request: Request, chat_id: UUID, participant_id: UUID) -> Response:
        return self.restrict(request, participant_id, mute_participant, Action.MUTED_PARTICIPANT)


class UnmuteView(RestrictionView):
    @extend_schema(
        operation_id="unmute_participant", summary="Unmute a participant", description=docs.UNMUTE, **_RESTRICTION
    )
    def post(self, request: Request, chat_id: UUID, participant_id: UUID) -> Response:
        return self.restrict(request, participant_id, unmute_participant, Action.UNMUTED_PARTICIPANT)


class BlockView(RestrictionView):
    @extend_schema(
        operation_id="block_participant", summary="Block a participant", description=docs.BLOCK, **_RESTRICTION
    )
    def post(self, request: Request, chat_id: UUID, participant_id: UUID) -> Response:
        return self.restrict(request, participant_id, block_participant, Action.BLOCKED_PARTICIPANT)


class UnblockView(RestrictionView):
    @extend_schema(
        operation_id="unblock_participant", summary="Unblock a participant", description=docs.UNBLOCK, **_RESTRICTION
    )
    def post(self, request: Request, chat_id: UUID, participant_id: UUID) -> Response:
        return self.restrict(request, participant_id, unblock_participant, Action.UNBLOCKED_PARTICIPANT)


class VirtualNumbersView(PlatformView, generics.GenericAPIView[VirtualNumber]):
    serializer_class = VirtualNumberSerializer
    pagination_class = VirtualNumberPages
    filter_backends = ()

    def get_queryset(self) -> QuerySet[VirtualNumber]:
        return find_pool(platform=platform_of(self.request))

    @extend_schema(
        operation_id="list_virtual_numbers",
        tags=["virtual numbers"],
        summary="List your virtual numbers",
        description=docs.LIST_VIRTUAL_NUMBERS,
        responses={200: VirtualNumberSerializer(many=True), **docs.BAD_PARAMETERS, **docs.EVERY_ERROR},
        examples=[docs.VIRTUAL_NUMBER],
    )
    def get(self, request: Request) -> Response:
        platform, now = platform_of(request), timezone.now()
        numbers = list(self.paginate_queryset(self.get_queryset()) or ())
        usage = count_usage(platform=platform, numbers=numbers, now=now)
        shown = [dict(VirtualNumberSerializer(number, context={"usage": usage}).data) for number in numbers]
        page = self.get_paginated_response(shown)
        forecast = forecast_pool(platform=platform, now=now)
        page.data["forecast"] = {
            "numbers": forecast.numbers,
            "held_by_busiest_person": forecast.held_by_busiest_person,
            "chats_left_for_busiest_person": forecast.chats_left_for_busiest_person,
        }
        return page


class TranscriptView(ChatView):
    filter_backends = ()
    pagination_class = None

    def get_queryset(self) -> QuerySet[Chat]:
        return super().get_queryset().prefetch_related("participants")

    @extend_schema(
        operation_id="export_transcript",
        tags=["chats"],
        summary="Export the transcript of a chat",
        description=docs.EXPORT_TRANSCRIPT,
        responses={
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "The transcript."),
            **docs.NO_SUCH_CHAT,
            **docs.EVERY_ERROR,
        },
        examples=[docs.TRANSCRIPT],
    )
    def get(self, request: Request, chat_id: UUID) -> StreamingHttpResponse:
        return stream_csv(chat=self.get_object())

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        # The URL says what there is, whatever else a client would accept; errors are JSON as everywhere.
        return JSONRenderer(), JSONRenderer.media_type
