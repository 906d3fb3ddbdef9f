"""Every error of every URL has one shape: `{"type": …, "errors": [{"code": …, "detail": …, "attr": …}]}`."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser


class Conflict(APIException):
    """409: the request is well-formed, and what is there already stands against it."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "The request conflicts with what is there already."


class BodyTooLarge(APIException):
    """413: more than any request of this API needs."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"
    default_detail = "The body is too large."


class ErrorSerializer(serializers.Serializer[Any]):
    """One thing that is wrong."""

    code = serializers.CharField(help_text="What is wrong, for programs.")
    detail = serializers.CharField(help_text="What is wrong, for people.")
    attr = serializers.CharField(
        allow_null=True, help_text="The part of the request, such as `participants.0.phone_number`."
    )


class ErrorResponseSerializer(serializers.Serializer[Any]):
    """How every error looks."""

    type = serializers.CharField(help_text="`client_error`, `validation_error` or `server_error`.")
    errors = ErrorSerializer(many=True)  # type: ignore[assignment]


class BoundedJSONParser(BaseParser):
    """JSON as RFC 8259 has it, in UTF-8, and no larger than DATA_UPLOAD_MAX_MEMORY_SIZE."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge
        try:
            return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply") from None
        except UnicodeDecodeError:
            raise ParseError("JSON parse error - not UTF-8") from None
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from None


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Answer a request that Django refuses before any view sees it."""
    if isinstance(exception, RequestDataTooBig):
        return error_response(status=413, code="body_too_large", detail=BodyTooLarge.default_detail)
    return error_response(status=400, code="bad_request", detail="The request cannot be understood.")


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Answer a request for a URL that there is not."""
    return error_response(status=404, code="not_found", detail="There is nothing at this URL.")


def server_error(request: HttpRequest) -> JsonResponse:
    """Answer a request that failed in a way nobody foresaw."""
    return error_response(status=500, code="error", detail="Something went wrong on our side.")


def error_response(*, status: int, code: str, detail: str, attr: str | None = None) -> JsonResponse:
    """Return one error as a response, for what is no view of the API."""
    kind = "server_error" if status >= 500 else "client_error"
    return JsonResponse({"type": kind, "errors": [{"code": code, "detail": detail, "attr": attr}]}, status=status)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
