"""The API of the approval hook: each view translates, and makes one call down."""

from typing import Any, cast

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit.log import caller_of, record
from audit.models import Action
from chats.fields import StrictSerializer
from platforms import approval_schema as docs
from platforms.api import PlatformView, platform_of
from platforms.approval import NoHook, SavedHook, find_hook, remove_hook, rotate_hook_secret, set_hook
from platforms.models import LONGEST_APPROVAL_SECONDS, ApprovalHook
from platforms.serializers import EndpointUrlField
from proxy_project.errors import BoundedJSONParser


class SetHookSerializer(StrictSerializer):
    """An approval hook as it is to be."""

    url = EndpointUrlField(max_length=500, help_text="Where you are asked: https, on the public internet.")
    timeout_seconds = serializers.IntegerField(
        required=False,
        default=3,
        min_value=1,
        max_value=LONGEST_APPROVAL_SECONDS,
        help_text="For so long a text waits for your answer.",
    )
    default = serializers.ChoiceField(
        choices=ApprovalHook.Default.choices,
        help_text="What becomes of a text when you do not answer in time, or not as is described.",
    )


class HookSerializer(serializers.Serializer[ApprovalHook]):
    """An approval hook, and how it fares."""

    url = serializers.CharField()
    timeout_seconds = serializers.IntegerField()
    default = serializers.ChoiceField(choices=ApprovalHook.Default.choices)
    created_at = serializers.DateTimeField()
    previous_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until then, you are asked with a signature by the secret before this one as well."
    )
    last_success_at = serializers.DateTimeField(allow_null=True)
    last_failure_at = serializers.DateTimeField(allow_null=True)
    last_failure = serializers.SerializerMethodField(help_text="In words.")
    consecutive_failures = serializers.IntegerField()
    skipped_until = serializers.DateTimeField(
        allow_null=True, help_text="Five failures in a row: until then you are not asked, and `default` counts."
    )

    def get_last_failure(self, hook: ApprovalHook) -> str | None:
        return hook.last_failure or None


class HookWithSecretSerializer(HookSerializer):
    """An approval hook; its secret is shown when it is new, and never again."""

    secret = serializers.SerializerMethodField(
        help_text="Verifies that it is we who ask, with any library of standardwebhooks.com. Null unless it is new."
    )

    def get_secret(self, hook: ApprovalHook) -> str | None:
        return cast("str | None", self.context["secret"])


class ApprovalHookView(PlatformView, generics.GenericAPIView[ApprovalHook]):
    """What the views of the hook have in common: a platform has one, and sees only its own."""

    parser_classes = (BoundedJSONParser,)
    serializer_class = HookSerializer
    filter_backends = ()
    pagination_class = None

    def show(self, saved: SavedHook) -> dict[str, Any]:
        return dict(HookWithSecretSerializer(saved.hook, context={"secret": saved.secret}).data)


class OneApprovalHookView(ApprovalHookView):
    @extend_schema(
        operation_id="get_approval_hook",
        tags=["approval hook"],
        summary="Show the approval hook",
        description="Your approval hook, and how it fares.",
        responses={200: HookSerializer, **docs.NO_HOOK, **docs.EVERY_ERROR},
        examples=[docs.HOOK],
    )
    def get(self, request: Request) -> Response:
        try:
            hook = find_hook(platform=platform_of(request))
        except NoHook as error:
            raise NotFound(str(error)) from None
        return Response(HookSerializer(hook).data)

    @extend_schema(
        operation_id="set_approval_hook",
        tags=["approval hook"],
        summary="Set the approval hook",
        description=docs.SET_HOOK,
        request=SetHookSerializer,
        responses={
            200: OpenApiResponse(HookWithSecretSerializer, "Changed; its secret stays."),
            201: OpenApiResponse(HookWithSecretSerializer, "Set; the secret is shown this once."),
            **docs.BAD_BODY,
            **docs.EVERY_ERROR,
        },
        examples=[docs.SET_HOOK_REQUEST, docs.CHANGED_HOOK, docs.NEW_HOOK, docs.BAD_URL],
    )
    def put(self, request: Request) -> Response:
        serializer = SetHookSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        with transaction.atomic():
            saved = set_hook(platform=platform_of(request), **asked)
            if saved.secret:
                record(action=Action.ADDED, by=caller_of(request), on=saved.hook)
            else:
                record(action=Action.CHANGED, by=caller_of(request), on=saved.hook, fields=asked)
        return Response(self.show(saved), status=status.HTTP_201_CREATED if saved.secret else status.HTTP_200_OK)

    @extend_schema(
        operation_id="remove_approval_hook",
        tags=["approval hook"],
        summary="Remove the approval hook",
        description="You are asked no more. Texts that wait for your answer are passed on as they are.",
        responses={204: None, **docs.NO_HOOK, **docs.EVERY_ERROR},
    )
    def delete(self, request: Request) -> Response:
        try:
            with transaction.atomic():
                remove_hook(platform=platform_of(request))
                # Its id is its platform's.
                record(action=Action.DELETED, by=caller_of(request), on=ApprovalHook(platform=platform_of(request)))
        except NoHook as error:
            raise NotFound(str(error)) from None
        return Response(status=status.HTTP_204_NO_CONTENT)


class RotateHookSecretView(ApprovalHookView):
    @extend_schema(
        operation_id="rotate_approval_hook_secret",
        tags=["approval hook"],
        summary="Make a new secret",
        description=docs.ROTATE_SECRET,
        request=None,
        responses={200: HookWithSecretSerializer, **docs.NO_HOOK, **docs.EVERY_ERROR},
        examples=[docs.ROTATED_HOOK],
    )
    def post(self, request: Request) -> Response:
        try:
            with transaction.atomic():
                saved = rotate_hook_secret(platform=platform_of(request), now=timezone.now())
                record(action=Action.MADE_SECRET, by=caller_of(request), on=saved.hook)
        except NoHook as error:
            raise NotFound(str(error)) from None
        return Response(self.show(saved))
