"""`POST /erasures`: a platform has one person erased from its chats."""

from dataclasses import asdict
from typing import Any, cast

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.log import caller_of, record
from audit.models import Action
from chats import schema as docs
from chats.fields import PhoneNumberField, StrictSerializer
from chats.phone_numbers import PhoneNumber
from messaging.keeping.erasure import erase_person
from platforms.api import PlatformView, platform_of
from proxy_project.encryption import digest_number
from proxy_project.errors import BoundedJSONParser

_DESCRIPTION = """
Erases one person from all your chats, as they may ask of you: phone number, name, texts, files, and what was passed on
of these. Chats with them that have not ended end, with the `end_reason` `erased`, and nobody is told by text. The chats
and messages stay as rows without them: ids, times, states and prices. What the other person wrote stays, without this
name and number. The `metadata` of these chats is emptied.

The answer counts what was erased now. Sent again, it erases what is there then, usually nothing. It cannot be undone.
"""
_REQUEST = OpenApiExample("One person", value={"phone_number": "+14155550123"}, request_only=True)
_ERASED = OpenApiExample(
    "Erased", value={"chats": 2, "texts": 17, "files": 1}, response_only=True, status_codes=["200"]
)


class EraseSerializer(StrictSerializer):
    """Who is to be erased."""

    phone_number = PhoneNumberField(help_text="International, with `+`, in any usual spelling.")


class ErasedSerializer(serializers.Serializer[Any]):
    """What was erased."""

    chats = serializers.IntegerField(help_text="Your chats in which they took part.")
    texts = serializers.IntegerField(help_text="Messages that were emptied.")
    files = serializers.IntegerField(help_text="Attachments that were deleted.")


class ErasuresView(PlatformView, generics.GenericAPIView[Any]):
    parser_classes = (BoundedJSONParser,)
    serializer_class = EraseSerializer
    filter_backends = ()
    pagination_class = None

    @extend_schema(
        operation_id="erase_person",
        tags=["privacy"],
        summary="Erase a person",
        description=_DESCRIPTION,
        request=EraseSerializer,
        responses={200: OpenApiResponse(ErasedSerializer, "Erased."), **docs.BAD_BODY, **docs.EVERY_ERROR},
        examples=[_REQUEST, _ERASED],
    )
    def post(self, request: Request) -> Response:
        serializer = EraseSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        number = cast(PhoneNumber, serializer.validated_data["phone_number"])
        platform = platform_of(request)
        # Before it: it commits in parts.
        record(action=Action.ERASED_PERSON, by=caller_of(request))
        erased = erase_person(phone_digest=digest_number(number.e164), platform=platform, now=timezone.now())
        return Response(asdict(erased))
