"""The API of chats: each view translates, and makes one call down."""

from typing import Any, cast
from uuid import UUID

from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from chats import schema as docs
from chats.allocation import NoFreeNumber
from chats.filters import ChatFilter, ChatPages, MessagePages
from chats.introductions import read_introductions
from chats.models import Chat, Participant
from chats.serializers import ChatSerializer, EndChatSerializer, MessageSerializer, StartChatSerializer
from chats.services import (
    AlreadyExpired,
    PersonIsVirtualNumber,
    ReferenceTaken,
    SamePerson,
    end_chat,
    start_chat,
)
from messaging.models import Message
from platforms.models import Platform
from proxy_project.errors import BoundedJSONParser, Conflict

ENDED_BY_PLATFORM = "ended by the platform"

_PARTICIPANTS = Prefetch("participants", Participant.objects.select_related("virtual_number"))


class ChatView(generics.GenericAPIView[Chat]):
    """What the views of chats have in common: a platform sees only its own."""

    parser_classes = (BoundedJSONParser,)
    serializer_class = ChatSerializer
    lookup_url_kwarg = "chat_id"

    def get_queryset(self) -> QuerySet[Chat]:
        return Chat.objects.filter(platform=_platform_of(self.request)).prefetch_related(_PARTICIPANTS)

    def show(self, chats: list[Chat]) -> list[dict[str, Any]]:
        participants = [participant for chat in chats for participant in chat.participants.all()]
        context = {"introductions": read_introductions(participants=participants)}
        return [dict(ChatSerializer(chat, context=context).data) for chat in chats]


class ChatsView(ChatView):
    pagination_class = ChatPages
    filterset_class = ChatFilter

    @extend_schema(
        operation_id="list_chats",
        tags=["chats"],
        summary="List chats",
        description="Your chats, newest first.",
        responses={200: ChatSerializer(many=True), **docs.BAD_PARAMETERS, **docs.EVERY_ERROR},
        examples=[docs.CHAT],
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
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
            409: docs.error("`no_free_number` or `reference_taken`."),
            **docs.BAD_BODY,
            **docs.EVERY_ERROR,
        },
        examples=[
            docs.START_CHAT_REQUEST,
            docs.CHAT,
            docs.BAD_NUMBER,
            docs.NO_FREE_NUMBER,
            docs.REFERENCE_TAKEN,
        ],
    )
    def post(self, request: Request) -> Response:
        serializer = StartChatSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        try:
            started = start_chat(
                platform=_platform_of(request),
                people=asked["participants"],
                reference=asked.get("reference"),
                expires_at=asked.get("expires_at"),
                metadata=asked.get("metadata") or {},
                now=timezone.now(),
            )
        except SamePerson as error:
            raise _of_person(ValidationError, [1], str(error), code="same_person") from None
        except PersonIsVirtualNumber as error:
            raise _of_person(ValidationError, [error.index], str(error), code="virtual_number") from None
        except AlreadyExpired as error:
            raise ValidationError({"expires_at": [str(error)]}, code="in_the_past") from None
        except ReferenceTaken as error:
            raise Conflict({"reference": [str(error)]}, code="reference_taken") from None
        except NoFreeNumber as error:
            raise _no_free_number(error) from None
        prefetch_related_objects([started.chat], _PARTICIPANTS)
        [shown] = self.show([started.chat])
        return Response(shown, status=status.HTTP_201_CREATED if started.created else status.HTTP_200_OK)


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


class EndChatView(ChatView):
    @extend_schema(
        operation_id="end_chat",
        tags=["chats"],
        summary="End a chat",
        description="Nothing more is passed on. A chat that has ended already is returned as it is.",
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
            now=timezone.now(),
        )
        prefetch_related_objects([ended], _PARTICIPANTS)
        [shown] = self.show([ended])
        return Response(shown)


class ChatMessagesView(generics.ListAPIView[Message]):
    serializer_class = MessageSerializer
    pagination_class = MessagePages
    filter_backends = ()

    def get_queryset(self) -> QuerySet[Message]:
        chats = Chat.objects.only("pk").filter(platform=_platform_of(self.request))
        chat = get_object_or_404(chats, pk=self.kwargs["chat_id"])
        return Message.objects.filter(chat=chat).prefetch_related("attachments")

    @extend_schema(
        operation_id="list_messages",
        tags=["chats"],
        summary="List the messages of a chat",
        description="Every text of the chat, in and out, oldest first.",
        responses={
            200: MessageSerializer(many=True),
            **docs.BAD_PARAMETERS,
            **docs.NO_SUCH_CHAT,
            **docs.EVERY_ERROR,
        },
        examples=[docs.MESSAGE],
    )
    def get(self, request: Request, chat_id: UUID) -> Response:
        return self.list(request)


def _platform_of(request: Request) -> Platform:
    # What ApiKeyAuthentication put there, and IsAuthenticated let pass.
    return cast(Platform, request.user)


def _of_person(
    kind: type[ValidationError] | type[Conflict], indexes: list[int], message: str, *, code: str
) -> ValidationError | Conflict:
    """Return an error of the phone numbers of the participants at `indexes`."""
    errors: list[dict[str, Any]] = [{}, {}]
    for index in indexes:
        errors[index] = {"phone_number": [ErrorDetail(message, code=code)]}
    return kind({"participants": errors})


def _no_free_number(error: NoFreeNumber) -> Exception:
    if not error.people:
        return Conflict("There is no active virtual number to give to anybody.", code="no_free_number")
    return _of_person(
        Conflict,
        list(error.people),
        "This person has, or had lately, a chat on every virtual number there is for them.",
        code="no_free_number",
    )
