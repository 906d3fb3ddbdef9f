"""The API of the texts in a chat: they are listed, sent and, while they wait for their time, cancelled."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request
from rest_framework.response import Response

from chats import schema as docs
from chats.filters import MessageFilter, MessagePages
from chats.models import Chat
from chats.refusals import nowhere, refusals
from chats.representations import MessageSerializer, SentTextSerializer
from chats.serializers import SendTextSerializer
from chats.services import send_platform_text
from messaging.models import Message
from messaging.scheduled import cancel_text
from platforms.api import PlatformView, platform_of
from proxy_project.errors import BoundedJSONParser, Conflict


class MessageView(PlatformView, generics.GenericAPIView[Message]):
    """What the views of messages have in common: a platform sees only those of its own chats."""

    parser_classes = (BoundedJSONParser,)
    serializer_class = MessageSerializer
    pagination_class = MessagePages
    filter_backends: Sequence[type[BaseFilterBackend]] = ()
    lookup_url_kwarg = "message_id"
    # For the documentation of the filters.
    queryset = Message.objects.none()

    def get_chat(self) -> Chat:
        chats = Chat.objects.only("pk").filter(platform=platform_of(self.request))
        return get_object_or_404(chats, pk=self.kwargs["chat_id"])

    def get_queryset(self) -> QuerySet[Message]:
        return Message.objects.filter(chat=self.get_chat()).prefetch_related("attachments")


class ChatMessagesView(MessageView, generics.ListAPIView[Message]):
    filter_backends = (DjangoFilterBackend,)
    filterset_class = MessageFilter

    @extend_schema(
        operation_id="list_messages",
        tags=["chats"],
        summary="List the messages of a chat",
        description=docs.LIST_MESSAGES,
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

    @extend_schema(
        operation_id="send_text",
        tags=["chats"],
        summary="Text the people of a chat",
        description=docs.SEND_TEXT,
        request=SendTextSerializer,
        responses={
            201: OpenApiResponse(SentTextSerializer, "Queued, or scheduled."),
            409: docs.error(
                "`chat_not_started`, `chat_ended`, `recipient_opted_out`, `recipient_blocked` or `country_not_allowed`."
            ),
            **docs.BAD_BODY,
            **docs.NO_SUCH_CHAT,
            **docs.EVERY_ERROR,
        },
        examples=[
            docs.SEND_TEXT_REQUEST,
            docs.SEND_PICTURE_REQUEST,
            docs.SENT_TEXT,
            docs.TEXT_IN_SCHEDULED_CHAT,
            docs.TEXT_IN_ENDED_CHAT,
            docs.TEXT_TO_OPTED_OUT,
            docs.TEXT_TO_BLOCKED,
            docs.COUNTRY_NOT_TEXTED,
        ],
    )
    def post(self, request: Request, chat_id: UUID) -> Response:
        serializer = SendTextSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        chat = self.get_chat()
        with refusals(nowhere):
            sent = send_platform_text(
                chat_id=chat.pk,
                text=asked.get("text", ""),
                to=asked.get("to"),
                media=asked.get("media", ()),
                send_at=asked.get("send_at"),
                now=timezone.now(),
            )
        return Response(SentTextSerializer({"messages": sent}).data, status=status.HTTP_201_CREATED)


class OneMessageView(MessageView):
    @extend_schema(
        operation_id="cancel_text",
        tags=["chats"],
        summary="Cancel a scheduled text",
        description="Deletes a text of yours that still waits for its `send_at`. Any other message stays: 409.",
        responses={
            204: OpenApiResponse(description="It is not sent."),
            404: docs.error("There is no such chat of yours, or no such message in it."),
            409: docs.error("`not_scheduled`: it waits no more."),
            **docs.EVERY_ERROR,
        },
        examples=[docs.NOT_SCHEDULED],
    )
    def delete(self, request: Request, chat_id: UUID, message_id: UUID) -> Response:
        message = self.get_object()
        if not cancel_text(message_id=message.pk):
            raise Conflict("This is no text that waits for its time: it cannot be cancelled.", code="not_scheduled")
        return Response(status=status.HTTP_204_NO_CONTENT)
