"""The API of templates: what the service texts to the people of a platform, in the platform's words."""

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from audit.log import caller_of, record
from audit.models import Action
from chats.fields import LanguageField, LineField, StrictSerializer
from chats.schema import BAD_BODY, EVERY_ERROR, error
from messaging.segments import find_costly, measure
from messaging.wording import BUILT_IN
from messaging.writing import preview
from platforms import template_schema as docs
from platforms.api import PlatformView, platform_of
from platforms.models import Platform, Template
from platforms.templates import LONGEST_TEMPLATE, LONGEST_VALUE, TemplateKind, list_fields, validate_template
from proxy_project.errors import BoundedJSONParser, Conflict

# So that all of them are listed at once.
MAX_TEMPLATES = 1000


class SideField(serializers.ChoiceField):
    """1 or 2; JSON may write them as 1.0 and 2.0."""

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(int(data) if isinstance(data, float) and data.is_integer() else data)


class _AddressedSerializer(StrictSerializer):
    """To whom a template speaks, and of what."""

    kind = serializers.ChoiceField(choices=TemplateKind.choices)
    language = LanguageField(required=False, help_text="BCP 47. Left out: your platform's.")
    side = SideField(
        choices=Template.Side.choices,
        required=False,
        allow_null=True,
        help_text="Only for the first or the second participant of a chat. Left out: for both.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        text = attrs.get("text")
        if text is not None:
            try:
                validate_template(TemplateKind(attrs["kind"]), text)
            except DjangoValidationError as refused:
                raise serializers.ValidationError({"text": refused.messages}, code=refused.code) from None
        return attrs


class SaveTemplateSerializer(_AddressedSerializer):
    """A template that is to be saved."""

    text = serializers.CharField(max_length=LONGEST_TEMPLATE, trim_whitespace=False)


class PreviewTemplateSerializer(_AddressedSerializer):
    """A text that is to be shown, and what stands in for its fields."""

    text = serializers.CharField(
        max_length=LONGEST_TEMPLATE, trim_whitespace=False, required=False, allow_null=True, help_text="Checked too."
    )
    fields = serializers.DictField(  # type: ignore[assignment]
        child=LineField(max_length=LONGEST_VALUE, allow_blank=True),
        required=False,
        help_text="What fields hold, by name. What is not given is not known.",
    )


class TemplateSerializer(serializers.Serializer[Template]):
    """A template of yours."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=TemplateKind.choices)
    language = serializers.CharField()
    side = serializers.ChoiceField(choices=Template.Side.choices, allow_null=True)
    text = serializers.CharField()


class KindSerializer(serializers.Serializer[Any]):
    """Something that the service says to people."""

    kind = serializers.ChoiceField(choices=TemplateKind.choices)
    when = serializers.CharField(help_text="When it is said.")
    fields = serializers.ListField(  # type: ignore[assignment]
        child=serializers.CharField(), help_text="What a template may name in braces."
    )
    wordings = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="The service's own, by language: of several, the first whose fields are all known.",
    )


class TemplatesSerializer(serializers.Serializer[Any]):
    """Your templates, and what there is to be worded."""

    results = TemplateSerializer(many=True)
    kinds = KindSerializer(many=True)


class PreviewSerializer(serializers.Serializer[Any]):
    """A text as it would be sent."""

    text = serializers.CharField()
    encoding = serializers.ChoiceField(choices=["GSM-7", "UCS-2"])
    segments = serializers.IntegerField(help_text="What it costs.")
    characters_left = serializers.IntegerField(help_text="Before another segment begins.")
    costly_characters = serializers.CharField(help_text="Because of which it is UCS-2, with 70 characters a segment.")


class TemplateView(PlatformView, generics.GenericAPIView[Template]):
    """What the views of templates have in common: a platform sees only its own."""

    parser_classes = (BoundedJSONParser,)
    serializer_class = TemplateSerializer
    lookup_url_kwarg = "template_id"
    pagination_class = None
    filter_backends = ()

    def get_queryset(self) -> QuerySet[Template]:
        return Template.objects.filter(platform=platform_of(self.request))


class TemplatesView(TemplateView):
    @extend_schema(
        operation_id="list_templates",
        tags=["templates"],
        summary="List your templates",
        description=docs.LIST_TEMPLATES,
        responses={200: TemplatesSerializer, **EVERY_ERROR},
        examples=[docs.TEMPLATES],
    )
    def get(self, request: Request) -> Response:
        results = [TemplateSerializer(template).data for template in self.get_queryset()]
        return Response({"results": results, "kinds": [_describe(kind) for kind in TemplateKind]})

    @extend_schema(
        operation_id="save_template",
        tags=["templates"],
        summary="Save a template",
        description=docs.SAVE_TEMPLATE,
        request=SaveTemplateSerializer,
        responses={
            200: TemplateSerializer,
            409: error(f"`too_many_templates`: you have {MAX_TEMPLATES}."),
            **BAD_BODY,
            **EVERY_ERROR,
        },
        examples=[docs.SAVE_TEMPLATE_REQUEST, docs.TEMPLATE, docs.TOO_MANY_TEMPLATES],
    )
    def put(self, request: Request) -> Response:
        serializer = SaveTemplateSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked, platform = serializer.validated_data, platform_of(request)
        with transaction.atomic():
            # Of requests at the same time, each sees what the others have added.
            Platform.objects.select_for_update(no_key=True).get(pk=platform.pk)
            template, is_new = Template.objects.update_or_create(
                platform=platform,
                kind=asked["kind"],
                language=asked.get("language") or platform.language,
                side=asked.get("side"),
                defaults={"text": asked["text"]},
            )
            if is_new and Template.objects.filter(platform=platform).count() > MAX_TEMPLATES:
                raise Conflict(f"A platform has at most {MAX_TEMPLATES} templates.", code="too_many_templates")
            by = caller_of(request)
            if is_new:
                record(action=Action.ADDED, by=by, on=template)
            else:
                record(action=Action.CHANGED, by=by, on=template, fields=["text"])
        return Response(TemplateSerializer(template).data)


class OneTemplateView(TemplateView):
    @extend_schema(
        operation_id="delete_template",
        tags=["templates"],
        summary="Delete a template",
        description="What it said is said from now on as `GET /templates` explains.",
        responses={
            204: OpenApiResponse(description="It is gone."),
            404: error("There is no such template, or it is another platform's."),
            **EVERY_ERROR,
        },
    )
    def delete(self, request: Request, template_id: UUID) -> Response:
        template = self.get_object()
        with transaction.atomic():
            record(action=Action.DELETED, by=caller_of(request), on=template)
            template.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class PreviewView(PlatformView, generics.GenericAPIView[Template]):
    parser_classes = (BoundedJSONParser,)
    serializer_class = PreviewSerializer

    @extend_schema(
        operation_id="preview_template",
        tags=["templates"],
        summary="Preview a text",
        description=docs.PREVIEW,
        request=PreviewTemplateSerializer,
        responses={200: PreviewSerializer, **BAD_BODY, **EVERY_ERROR},
        examples=[docs.PREVIEW_REQUEST, docs.PREVIEWED],
    )
    def post(self, request: Request) -> Response:
        serializer = PreviewTemplateSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked, platform = serializer.validated_data, platform_of(request)
        text = preview(
            kind=TemplateKind(asked["kind"]),
            text=asked.get("text"),
            language=asked.get("language") or platform.language,
            side=asked.get("side"),
            platform=platform,
            fields=asked.get("fields", {}),
        )
        measured = measure(text)
        return Response(
            {
                "text": text,
                "encoding": measured.encoding,
                # Nothing is sent when there is nothing to say.
                "segments": measured.segments if text else 0,
                "characters_left": measured.characters_left,
                "costly_characters": find_costly(text),
            }
        )


def _describe(kind: TemplateKind) -> dict[str, Any]:
    return {
        "kind": kind.value,
        "when": kind.label,
        "fields": list_fields(kind),
        "wordings": {language: list(wordings[kind]) for language, wordings in BUILT_IN.items() if wordings[kind]},
    }
