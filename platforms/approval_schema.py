"""Texts and examples of the documentation of the approval hook."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, OpenApiWebhook, extend_schema, inline_serializer
from rest_framework import serializers

from chats.schema import BAD_BODY, EVERY_ERROR, error
from platforms.event_schema import BAD_URL, ROTATE_SECRET
from platforms.event_schema import WEBHOOKS as EVENT_WEBHOOKS

__all__ = ["BAD_BODY", "BAD_URL", "EVERY_ERROR", "ROTATE_SECRET", "error"]

SET_HOOK = """\
You are asked at this URL before a text that people write to each other is passed on, from now on: see the webhook
`message.approval`. A question waits for `timeout_seconds` at most. When you do not answer in time, or not as is
described there, `default` counts: the text is passed on as it is (`relay`), or is not, and its writer is told
(`block`). Texts to one person are asked about one after the other, in their order.

After five failures in a row you are not asked for 30 seconds, and `default` counts at once, so that texts do not all
wait; then one text at a time is tried. You may be asked twice about a text: with the same `webhook-id`.

There is one hook. It is changed by sending all of it again, and keeps its secret.
"""
NO_HOOK = {404: error("You have no approval hook.")}

_HOOK: dict[str, Any] = {
    "url": "https://rides.example.com/texting/approve",
    "timeout_seconds": 3,
    "default": "relay",
    "created_at": "2030-01-30T08:00:00.120394Z",
    "previous_secret_until": None,
    "last_success_at": "2030-01-30T09:15:10.611201Z",
    "last_failure_at": None,
    "last_failure": None,
    "consecutive_failures": 0,
    "skipped_until": None,
}
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="


def _answer(name: str, value: Any, status: str) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=[status])


HOOK = _answer("The hook", _HOOK, "200")
CHANGED_HOOK = _answer("Changed", {**_HOOK, "secret": None}, "200")
NEW_HOOK = _answer("With its secret", {**_HOOK, "last_success_at": None, "secret": _SECRET}, "201")
ROTATED_HOOK = _answer(
    "With its new secret",
    {**_HOOK, "previous_secret_until": "2030-01-31T09:20:00.510044Z", "secret": _SECRET},
    "200",
)
SET_HOOK_REQUEST = OpenApiExample(
    "Three seconds, then texts are passed on",
    value={"url": _HOOK["url"], "timeout_seconds": 3, "default": "relay"},
    request_only=True,
)

_QUESTION = {
    "type": "message.approval",
    "timestamp": "2030-01-30T09:15:10.004518Z",
    "data": {
        "chat": {"id": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11", "reference": "booking-8812"},
        "message": {
            "id": "0198f2c5-01aa-7b01-8c11-7c2a90d3e670",
            "participant": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a12",
            "text": "I am at the north exit",
            "attachments": [],
            "created_at": "2030-01-30T09:15:10.004518Z",
        },
    },
}
_DESCRIPTION = """\
Asks your approval hook (`PUT /approval-hook`) before a text is passed on, signed as
[Standard Webhooks](https://www.standardwebhooks.com) says. `text` is what `participant` wrote; `attachments` are the
kinds of what came with it.

Answer with 2xx and one of these:
- `{"action": "relay"}`: it is passed on as it is.
- `{"action": "relay", "text": "…"}`: your words are passed on instead, with the attachments.
- `{"action": "block", "reason": "…"}`: nothing is passed on, and the writer is told so; the reason, which may be left
  out, is only for the operator.

Anything else, an error or no answer in time is no answer, and the hook's `default` counts. Redirects are not followed.
"""
_ANSWER = inline_serializer(
    "ApprovalAnswer",
    {
        "action": serializers.ChoiceField(choices=["relay", "block"]),
        "text": serializers.CharField(required=False, max_length=3200, help_text="With `relay`: the words to pass on."),
        "reason": serializers.CharField(required=False, help_text="With `block`."),
    },
)
_WEBHOOK = OpenApiWebhook(
    name="message.approval",
    decorator=extend_schema(
        operation_id="on_message_approval",
        tags=["approval hook"],
        summary="message.approval",
        description=_DESCRIPTION,
        request=inline_serializer(
            "MessageApprovalWebhook",
            {
                "type": serializers.CharField(),
                "timestamp": serializers.DateTimeField(help_text="When the text came."),
                "data": serializers.DictField(),
            },
        ),
        examples=[
            OpenApiExample("message.approval", value=_QUESTION, request_only=True),
            _answer("Pass it on", {"action": "relay"}, "2XX"),
            _answer("Pass these words on", {"action": "relay", "text": "I am at the exit"}, "2XX"),
            _answer("Block it", {"action": "block", "reason": "an address"}, "2XX"),
        ],
        responses={"2XX": OpenApiResponse(_ANSWER, "Your answer.")},
    ),
)

# All that a platform is sent, for drf-spectacular.
WEBHOOKS = [*EVENT_WEBHOOKS, _WEBHOOK]
