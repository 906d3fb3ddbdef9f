"""What the OpenAPI document says of every operation, in one place: keys, repeats, limits, and their errors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rest_framework.exceptions import APIException, AuthenticationFailed, NotFound, Throttled, UnsupportedMediaType

from platforms.authentication import NO_SUCH_KEY, ReadKeysOnlyRead
from platforms.idempotency import BAD_KEY, BAD_KEY_CODE, HEADER, METHODS, REPLAYED_HEADER, KeyInUse, KeyReused
from proxy_project.errors import BodyTooLarge

_READING = ("get", "head", "options")
_REPEATABLE = tuple(method.lower() for method in METHODS)

_PARAMETERS = {
    "IdempotencyKey": {
        "name": HEADER,
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
        "description": "Makes a repeat safe: a request with the same key, method, URL and body has its effect once, "
        f"and is answered as it was the first time, with the header `{REPLAYED_HEADER}: true`, for a day at least. "
        "Choose a new one for each request, such as a UUID. A request that was refused (4xx) or failed (5xx) leaves "
        "nothing behind, and its key can be used again.",
        "example": "8e03978e-40d5-43e8-bc93-6894a57f9324",
    },
}
# Of every webhook: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
_SIGNATURE = {
    "WebhookId": {
        "name": "webhook-id",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
        "description": "The event's id: the same, however often it is delivered.",
        "example": "0198f2c5-01ab-7e21-a0b4-6d2f9c3e1a55",
    },
    "WebhookTimestamp": {
        "name": "webhook-timestamp",
        "in": "header",
        "required": True,
        "schema": {"type": "integer"},
        "description": "When it was signed, in seconds since 1970. The libraries refuse what is older than 5 minutes.",
        "example": 1895995512,
    },
    "WebhookSignature": {
        "name": "webhook-signature",
        "in": "header",
        "required": True,
        "schema": {"type": "string"},
        "description": "One signature, or two with a space between them for a day after the secret was rotated.",
        "example": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    },
}
_HEADERS = {
    "RateLimitPolicy": {
        "description": "The limits of your platform that this request counted for: `q` requests in `w` seconds.",
        "schema": {"type": "string"},
        "example": '"writes";q=600;w=60, "chats";q=10000;w=86400',
    },
    "RateLimit": {
        "description": "What is left of each: `r` requests now; in `t` seconds all of them, or one more when none is.",
        "schema": {"type": "string"},
        "example": '"writes";r=599;t=1, "chats";r=9999;t=9',
    },
    "RetryAfter": {
        "description": "Seconds to wait before the request is repeated.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 2,
    },
    "IdempotentReplayed": {
        "description": f"`true` when this is the answer that was kept for the {HEADER}; nothing was done again.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}


@dataclass(frozen=True)
class _Error:
    """An error that any operation of its kind may answer."""

    status: str
    description: str
    code: str
    detail: str
    attr: str | None = None


_OF_EVERY_OPERATION = (
    _Error(
        "401",
        "There is no API key, or it does not exist, is revoked or has expired.",
        AuthenticationFailed.default_code,
        NO_SUCH_KEY,
    ),
    _Error(
        "429",
        "`throttled`: a limit of your platform is used up.",
        Throttled.default_code,
        "This platform may have 600 writes a minute. Wait, then repeat this. Expected available in 1 second.",
    ),
)
_OF_WRITING = (
    _Error("403", "`read_only_key`: the API key may only read.", ReadKeysOnlyRead.code, ReadKeysOnlyRead.message),
)
_OF_REPEATABLE = (
    _Error("400", f"`{BAD_KEY_CODE}`: the {HEADER} is not one.", BAD_KEY_CODE, BAD_KEY, attr=HEADER),
    _Error(
        "409",
        f"`idempotency_key_in_use`: the first request with this {HEADER} is still at work.",
        KeyInUse.default_code,
        KeyInUse.default_detail,
    ),
    _Error(
        "422",
        f"`idempotency_key_reused`: the {HEADER} was used for another request.",
        KeyReused.default_code,
        KeyReused.default_detail,
    ),
)


# What an operation says of these is told by an example, unless it gives one itself.
_BAD_BODY = _Error("400", "", "required", "This field is required.", attr="participants")
_BAD_PARAMETER = _Error("400", "", "unknown_parameter", "There is no such parameter; there are cursor, page_size.")
_WHERE_DOCUMENTED = (
    _Error("404", "", NotFound.default_code, str(NotFound.default_detail)),
    _Error("413", "", BodyTooLarge.default_code, BodyTooLarge.default_detail),
    _Error("415", "", UnsupportedMediaType.default_code, 'Unsupported media type "text/plain" in request.'),
    _Error("500", "", APIException.default_code, str(APIException.default_detail)),
)


def describe_keys_and_limits(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add to each operation what PlatformView does for all of them; a hook of drf-spectacular.

    https://drf-spectacular.readthedocs.io/en/latest/customization.html#step-7-preprocessing-hooks
    """
    components = result.setdefault("components", {})
    components["parameters"] = {**components.get("parameters", {}), **_PARAMETERS, **_SIGNATURE}
    components["headers"] = {**components.get("headers", {}), **_HEADERS}
    for webhook in result.get("webhooks", {}).values():
        webhook["post"]["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in _SIGNATURE]
    for method, operation in _list_operations(result):
        responses = operation["responses"]
        for error in (*_WHERE_DOCUMENTED, _BAD_BODY if "requestBody" in operation else _BAD_PARAMETER):
            if error.status in responses and not _has_examples(responses[error.status]):
                _add_error(responses, error)
        errors = [*_OF_EVERY_OPERATION]
        if method not in _READING:
            errors += _OF_WRITING
        if method in _REPEATABLE:
            errors += _OF_REPEATABLE
            operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/IdempotencyKey"})
        for error in errors:
            _add_error(responses, error)
        for status, response in responses.items():
            response.setdefault("headers", {}).update(_headers_of(method, status))
        operation["responses"] = dict(sorted(responses.items()))
    return result


def _list_operations(result: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in result["paths"].values():
        for method, operation in path.items():
            if isinstance(operation, dict) and "responses" in operation:
                yield method, operation


def _has_examples(response: Mapping[str, Any]) -> bool:
    return any(content.get("examples") for content in response.get("content", {}).values())


def _add_error(responses: dict[str, Any], error: _Error) -> None:
    """Document one error; what the operation says itself of the same status stays."""
    empty = {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
        "description": "",
    }
    response = responses.setdefault(error.status, empty)
    response["description"] = f"{response['description']} {error.description}".strip()
    examples = response["content"]["application/json"].setdefault("examples", {})
    shown = {"code": error.code, "detail": error.detail, "attr": error.attr}
    kind = {"400": "validation_error", "500": "server_error"}.get(error.status, "client_error")
    examples[error.code] = {"value": {"type": kind, "errors": [shown]}}


def _headers_of(method: str, status: str) -> dict[str, Any]:
    names: dict[str, str] = {}
    if status not in ("401", "403"):
        names |= {"RateLimit-Policy": "RateLimitPolicy", "RateLimit": "RateLimit"}
    if status == "429" or (status == "409" and method in _REPEATABLE):
        names["Retry-After"] = "RetryAfter"
    if status.startswith("2") and method in _REPEATABLE:
        names[REPLAYED_HEADER] = "IdempotentReplayed"
    return {header: {"$ref": f"#/components/headers/{component}"} for header, component in names.items()}
