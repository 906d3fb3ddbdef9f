"""Texts and examples of the API's documentation."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from proxy_project.errors import ErrorResponseSerializer

START_CHAT = """\
Opens a chat between two people and texts each of them an introduction from a virtual number. Whatever either
of them texts to it is passed on to the other, who never sees their phone number.

The same `reference` again, with the same people, returns the same chat with status 200 and texts nobody, so
that a request whose answer was lost can be repeated; with other people it is refused with 409.
"""


def error(description: str) -> OpenApiResponse:
    """Return the documentation of an error response."""
    return OpenApiResponse(ErrorResponseSerializer, description)


EVERY_ERROR = {
    401: error("There is no API key, or it does not exist, is revoked or has expired."),
    500: error("Something went wrong on our side."),
}
NO_SUCH_CHAT = {404: error("There is no such chat, or it is another platform's.")}
BAD_PARAMETERS = {400: error("A parameter is unknown or has a value that it cannot have.")}
BAD_BODY = {
    400: error("The body is no JSON, or a field is missing, unknown or has a value that it cannot have."),
    413: error("The body is too large."),
    415: error("The body is not `application/json`."),
}

_PEOPLE = [
    {"phone_number": "+14155550123", "name": "Sara"},
    {"phone_number": "+14155550124", "name": "Omar"},
]
_CHAT: dict[str, Any] = {
    "id": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11",
    "status": "open",
    "reference": "booking-8812",
    "end_reason": None,
    "virtual_numbers": ["+14155550100"],
    "participants": [
        {
            "id": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a12",
            "name": "Sara",
            "phone_number": "+1••••••••23",
            "virtual_number": "+14155550100",
            "introduction": {
                "message_id": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a14",
                "status": "delivered",
                "error": None,
            },
        },
        {
            "id": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a13",
            "name": "Omar",
            "phone_number": "+1••••••••24",
            "virtual_number": "+14155550100",
            "introduction": {
                "message_id": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a15",
                "status": "queued",
                "error": None,
            },
        },
    ],
    "metadata": {"booking": 8812},
    "expires_at": "2030-01-31T18:00:00Z",
    "created_at": "2030-01-30T09:12:44.512307Z",
    "ended_at": None,
}

START_CHAT_REQUEST = OpenApiExample(
    "Two people of a booking",
    value={
        "participants": _PEOPLE,
        "reference": "booking-8812",
        "expires_at": "2030-01-31T18:00:00Z",
        "metadata": {"booking": 8812},
    },
    request_only=True,
)
CHAT = OpenApiExample("A chat", value=_CHAT, response_only=True, status_codes=["200", "201"])
END_CHAT_REQUEST = OpenApiExample("With a reason", value={"reason": "trip finished"}, request_only=True)
ENDED_CHAT = OpenApiExample(
    "An ended chat",
    value={
        **_CHAT,
        "status": "ended",
        "end_reason": "trip finished",
        "ended_at": "2030-01-30T10:40:02.120944Z",
    },
    response_only=True,
    status_codes=["200"],
)
MESSAGE = OpenApiExample(
    "A text that was passed on",
    value={
        "id": "0198f2c5-01aa-7b01-8c11-7c2a90d3e671",
        "direction": "out",
        "kind": "relay",
        "participant": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a13",
        "status": "delivered",
        "text": "I am at the north exit",
        "attachments": [],
        "error": None,
        "segments": 1,
        "price": "0.008100",
        "currency": "EUR",
        "created_at": "2030-01-30T09:15:10.004518Z",
        "sent_at": "2030-01-30T09:15:10.120311Z",
        "delivered_at": "2030-01-30T09:15:12.730920Z",
        "failed_at": None,
    },
    response_only=True,
    status_codes=["200"],
)
BAD_NUMBER = OpenApiExample(
    "A number that cannot be used",
    value={
        "type": "validation_error",
        "errors": [
            {
                "code": "not_textable",
                "detail": "This number cannot be sent a text: it is a fixed line.",
                "attr": "participants.1.phone_number",
            }
        ],
    },
    response_only=True,
    status_codes=["400"],
)
NO_FREE_NUMBER = OpenApiExample(
    "No free number",
    value={
        "type": "client_error",
        "errors": [
            {
                "code": "no_free_number",
                "detail": "This person has, or had lately, a chat on every virtual number there is for them.",
                "attr": "participants.0.phone_number",
            }
        ],
    },
    response_only=True,
    status_codes=["409"],
)
REFERENCE_TAKEN = OpenApiExample(
    "Reference taken",
    value={
        "type": "client_error",
        "errors": [
            {
                "code": "reference_taken",
                "detail": "Another chat, of other people, has this reference.",
                "attr": "reference",
            }
        ],
    },
    response_only=True,
    status_codes=["409"],
)
