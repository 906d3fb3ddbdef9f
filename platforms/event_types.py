"""What platforms can be told, with an example of each: the table that the API's documentation is made of."""

from dataclasses import dataclass
from typing import Any

from django.db.models import TextChoices


class EventType(TextChoices):
    """The names of events."""

    CHAT_STARTED = "chat.started"
    CHAT_ENDED = "chat.ended"
    CHAT_REOPENED = "chat.reopened"
    CHAT_EXPIRING = "chat.expiring"
    MESSAGE_RECEIVED = "message.received"
    MESSAGE_BLOCKED = "message.blocked"
    MESSAGE_DELIVERED = "message.delivered"
    MESSAGE_FAILED = "message.failed"
    MESSAGE_UNMATCHED = "message.unmatched"
    PARTICIPANT_OPTED_OUT = "participant.opted_out"
    PARTICIPANT_OPTED_IN = "participant.opted_in"
    PARTICIPANT_REPLACED = "participant.replaced"
    PARTICIPANT_REPORTED = "participant.reported"
    NUMBER_RUNNING_OUT = "number.running_out"
    NUMBER_PROBLEM = "number.problem"
    PING = "ping"


@dataclass(frozen=True, kw_only=True)
class Description:
    """When an event of a type is recorded, and an example of its data, which has every key there ever is."""

    when: str
    data: dict[str, Any]


_CHAT_ID = "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11"
_SARA_ID = "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a12"
_OMAR_ID = "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a13"
_VIRTUAL_NUMBER = "+14155550100"
_SARA = {
    "id": _SARA_ID,
    "name": "Sara",
    "language": "es",
    "phone_number": "+1••••••••23",
    "virtual_number": _VIRTUAL_NUMBER,
    "muted_at": None,
    "blocked_at": None,
}
_OMAR = {**_SARA, "id": _OMAR_ID, "name": "Omar", "language": None, "phone_number": "+1••••••••24"}
_CHAT: dict[str, Any] = {
    "id": _CHAT_ID,
    "status": "open",
    "reference": "booking-8812",
    "end_reason": None,
    "virtual_numbers": [_VIRTUAL_NUMBER],
    "participants": [_SARA, _OMAR],
    "former_participants": [],
    "metadata": {"booking": 8812},
    "disclosures": {"phone_numbers": "redact", "emails": None, "links": None, "handles": None},
    "starts_at": None,
    "expires_at": "2030-01-31T18:00:00Z",
    "idle_timeout_seconds": None,
    "idle_ends_at": None,
    "created_at": "2030-01-30T09:12:44.512307Z",
    "ended_at": None,
}
_CHAT_OF = {"id": _CHAT_ID, "reference": "booking-8812"}
_RECEIVED: dict[str, Any] = {
    "id": "0198f2c5-01aa-7b01-8c11-7c2a90d3e670",
    "direction": "in",
    "kind": "text",
    "participant": _SARA_ID,
    "status": "relayed",
    "text": "I am at the north exit",
    "attachments": [],
    "disclosures": [],
    "error": None,
    "segments": None,
    "price": None,
    "currency": None,
    "created_at": "2030-01-30T09:15:10.004518Z",
    "send_at": None,
    "sent_at": None,
    "delivered_at": None,
    "failed_at": None,
}
_DELIVERED = {
    **_RECEIVED,
    "id": "0198f2c5-01aa-7b01-8c11-7c2a90d3e671",
    "direction": "out",
    "kind": "relay",
    "participant": _OMAR_ID,
    "status": "delivered",
    "segments": 1,
    "price": "0.008100",
    "currency": "EUR",
    "sent_at": "2030-01-30T09:15:10.120311Z",
    "delivered_at": "2030-01-30T09:15:12.730920Z",
}
_FAILED = {
    **_DELIVERED,
    "status": "failed",
    "error": {"code": "1240", "detail": "The number does not exist."},
    "segments": None,
    "price": None,
    "currency": None,
    "delivered_at": None,
    "failed_at": "2030-01-30T09:15:12.730920Z",
}

EVENT_TYPES: dict[EventType, Description] = {
    EventType.CHAT_STARTED: Description(
        when="A chat was started: the chat, as `GET /chats/{id}` shows it but for the introductions.",
        data={"chat": _CHAT},
    ),
    EventType.CHAT_ENDED: Description(
        when="A chat has ended, by a request, by an operator or because its time was over; `end_reason` says why.",
        data={
            "chat": {
                **_CHAT,
                "status": "ended",
                "end_reason": "trip finished",
                "ended_at": "2030-01-30T10:40:02.120944Z",
            }
        },
    ),
    EventType.CHAT_REOPENED: Description(
        when="A chat that had ended goes on, on the same virtual numbers.",
        data={"chat": _CHAT},
    ),
    EventType.CHAT_EXPIRING: Description(
        when="A chat will end soon, at `expires_at`, unless that is moved: 15 minutes before, or as the operator has "
        "set it for you. Once for each `expires_at`.",
        data={"chat": _CHAT},
    ),
    EventType.MESSAGE_RECEIVED: Description(
        when="A participant has texted. `status` says what became of it: `relayed`, `late` (the chat has ended), "
        "`blocked`, or `keyword`: it was for us, such as STOP or HELP; `disclosures` what would have given them away, "
        "and was removed. `text` is null unless the endpoint includes bodies: what was written, also where not all of "
        "it was passed on.",
        data={"chat": _CHAT_OF, "message": _RECEIVED},
    ),
    EventType.MESSAGE_BLOCKED: Description(
        when="A text that was to be passed on was not: your approval hook blocked it, or gave no answer, and its "
        "default is to block.",
        data={
            "chat": _CHAT_OF,
            "message": {
                **_RECEIVED,
                "status": "blocked",
                "error": {"code": "blocked_by_platform", "detail": "The platform's approval hook blocked it."},
            },
        },
    ),
    EventType.MESSAGE_DELIVERED: Description(
        when="A text has arrived at a participant's phone.",
        data={"chat": _CHAT_OF, "message": _DELIVERED},
    ),
    EventType.MESSAGE_FAILED: Description(
        when="A text to a participant will not arrive; `error` says why.",
        data={"chat": _CHAT_OF, "message": _FAILED},
    ),
    EventType.MESSAGE_UNMATCHED: Description(
        when="Somebody in no chat has texted a virtual number that only you use. Nobody got it.",
        data={
            "virtual_number": _VIRTUAL_NUMBER,
            "message": {**_RECEIVED, "participant": None, "status": "unmatched"},
        },
    ),
    EventType.PARTICIPANT_OPTED_OUT: Description(
        when="A participant has opted out: nothing is sent to them any more, on this virtual number or, with the "
        "`scope` `platform`, in any chat of yours. The `source` is a `text`, the `carrier` or an `operator`.",
        data={"chat": _CHAT_OF, "participant": _SARA, "scope": "number", "source": "text"},
    ),
    EventType.PARTICIPANT_OPTED_IN: Description(
        when="A participant who had opted out has texted START, or one who was asked for it YES: texts reach them.",
        data={"chat": _CHAT_OF, "participant": _SARA, "scope": "number", "source": "text"},
    ),
    EventType.PARTICIPANT_REPLACED: Description(
        when="Somebody took the place of a participant, such as another driver, or has another phone.",
        data={
            "chat": _CHAT_OF,
            "participant": {**_OMAR, "id": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a16", "name": "Nora"},
            "replaced": _OMAR,
        },
    ),
    EventType.PARTICIPANT_REPORTED: Description(
        when="A participant has texted REPORT: what their counterpart, `participant`, texts is not passed on any more, "
        "until you or the operator unmute them.",
        data={"chat": _CHAT_OF, "participant": {**_OMAR, "muted_at": "2030-01-30T09:20:00Z"}, "reporter": _SARA},
    ),
    EventType.NUMBER_RUNNING_OUT: Description(
        when="Somebody has few virtual numbers left for new chats with others: `chats_left`, of the `active_numbers` "
        "that your chats can have. `participants` are those of `chat` who have so few, since it took one, or since "
        "numbers went out of use. Each person at most once a day.",
        data={"chat": _CHAT_OF, "participants": [_OMAR_ID], "active_numbers": 12, "chats_left": 1},
    ),
    EventType.NUMBER_PROBLEM: Description(
        when="Something is wrong with a virtual number that only you use: `not_linked`, so that texts to it do not "
        "reach us, or `missing`, when it is no longer rented.",
        data={
            "virtual_number": _VIRTUAL_NUMBER,
            "code": "not_linked",
            "detail": "The number is not linked to the service, so texts to it do not arrive.",
        },
    ),
    EventType.PING: Description(
        when="You asked for it, to see whether an endpoint works. It is tried once.",
        data={"endpoint": "0198f2c6-11b0-7d02-9a10-3f1e5c7b9d20"},
    ),
}
