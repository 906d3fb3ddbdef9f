"""Texts and examples of the API's documentation."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from proxy_project.errors import ErrorResponseSerializer

START_CHAT = """\
Opens a chat between two people and texts each of them an introduction from a virtual number. Whatever either
of them texts to it is passed on to the other, who never sees their phone number.

The same `reference` again, with the same people, returns the same chat with status 200 and texts nobody, so
that a request whose answer was lost can be repeated; with other people it is refused with 409.

Who has opted out is shown with `opted_out: true` and gets no introduction, nor anything else until they text START;
the chat is there all the same. Where your platform asks people first, the introduction asks for YES, and texts to
a person who `awaits_consent` wait for it.

With `starts_at` the chat is `scheduled`: its virtual numbers are set aside now, people are introduced then, and
whoever texts before is told that the chat has not started yet.
"""
CHANGE_CHAT = """\
Changes when the chat starts and ends, and its metadata; what is left out stays as it is. A chat that has started
has no start to change (409 `chat_started`), and of one that has ended only the metadata can be changed (409
`chat_ended`). A new `idle_timeout_seconds` counts from now.
"""
END_CHAT = """\
Nothing more is passed on; whoever still texts is told once that the chat has ended. A scheduled chat is called off.
A chat that has ended already is returned as it is, and nobody is texted.
"""
REOPEN_CHAT = """\
The same two people text again on the virtual numbers they know. That is refused with 409 `virtual_number_taken` when
one of them has, or had within the cool-down, a chat with somebody else on the number, since a late text could then
reach the wrong person; and with `takes_no_chats` when the number is draining or retired. Start a new chat then. It is
`country_not_allowed` when phone numbers of the country of one of them are not texted any more.

An `expires_at` that has passed needs a new one, or null. A chat that has not ended is returned as it is.
"""
REPLACE_PARTICIPANT = """\
Another person, or the same one with a new phone, takes a participant's place: `phone_number`, and `name` unless it
stays. From the answer on, nothing that the old phone texts is passed on, and texts that still wait to be sent to it
are not sent; their writer is told. The other person is told who reads their texts now and keeps their virtual
number; the new one is introduced.

The chat shows the new person, with an id of their own, among `participants`, and the old one among
`former_participants`. The same request again changes nothing.
"""
LIST_CHATS = """\
Your chats, newest first. Filters can be combined; `next` and `previous` keep them. The chats of a person are found by
their phone number in the header `Participant-Phone-Number`, since URLs end up in logs; in the links, `person` stands
for it. A scheduled chat starts, for `started_after` and `started_before`, at its `starts_at`.
"""
LIST_MESSAGES = """\
Every text of the chat, in and out, oldest first. A text that waits for its `send_at` is there as `scheduled`, and moves
to its place when that has come. Filters can be combined; `next` and `previous` keep them.
"""
EXPORT_TRANSCRIPT = """\
The texts of the chat, oldest first, one line each, as CSV for a spreadsheet: UTF-8 with a byte order mark, times in
ISO 8601 (UTC), phone numbers masked. What became of a text that was passed on stands in its own line. A cell that a
spreadsheet would take for a formula begins with an apostrophe. Links to attachments expire.
"""
SEND_TEXT = """\
Texts one person of an open chat, or both, from the virtual number they know; each gets a message of their own. It is
sent in order with the texts that are passed on, and its failure is an event (`message.failed`).

With `send_at` it waits until then, without holding up anything else. It fails with `chat_ended` when the chat is not
open at that time, with `recipient_replaced` when somebody took the recipient's place meanwhile, and with `erased` as
soon as somebody in the chat is (`POST /erasures`). Until then, `DELETE` cancels it.

Nobody is texted who has opted out: this is refused with `recipient_opted_out`, and what waits when somebody texts STOP
fails with it. The same goes for who is blocked (`recipient_blocked`), and for phone numbers of countries that are not
texted any more (`country_not_allowed`). In your platform's quiet hours a text is `held` until the recipient's morning,
and fails with `chat_ended` should the chat have ended by then; to who has not said YES yet, until they do.

What stands in `media` is fetched before the text is sent, for each recipient. What cannot be fetched is left out after
a while, and its `status` among the message's `attachments` says so; a text that would be empty then fails with
`media_unavailable`. Contact cards and files are passed on like pictures.
"""
MUTE = """\
Nothing that the participant texts is passed on any more, and what still waits is not sent. They are not told, so that
nothing escalates; their texts are logged as `blocked` with `muted`. The other person can still text them. REPORT from
the other person does the same. A participant who is muted already stays as they are.
"""
UNMUTE = """\
What the participant texts is passed on again; what they texted before is not. Open reports of them count as handled.
"""
BLOCK = """\
Nothing is passed on between the participant and the chat, in either direction, and no other text is sent to them; what
still waits is not sent. They are not told. The other person is told, at most once an hour, when they text. A
participant who is blocked already stays as they are.
"""
UNBLOCK = """\
The participant takes part again, unless they are muted as well.
"""
LIST_VIRTUAL_NUMBERS = """\
The virtual numbers that your chats can have, your own and those shared with other platforms, in the order of the
numbers. Of each number, your own chats only are counted. `forecast` says how many more chats with others the busiest
person of your chats can have before there is no number left for them; on shared numbers, what that person holds by
chats of other platforms counts too. Numbers that have a problem are left out of it.

While more than 2,000 of your chats have not ended, `open_chats`, `cooling_down` and what `forecast` says of the busiest
person are those of the last count, which is taken every five minutes; the numbers themselves, and their state, are
those of now.
"""


def error(description: str) -> OpenApiResponse:
    """Return the documentation of an error response."""
    return OpenApiResponse(ErrorResponseSerializer, description)


PARTICIPANT_PHONE_NUMBER = OpenApiParameter(
    "Participant-Phone-Number",
    str,
    OpenApiParameter.HEADER,
    description="Only chats in which this phone number takes part, or did until it was replaced.",
    examples=[OpenApiExample("Of Sara", value="+14155550123")],
)

_IDS = ("0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a13", "0198f2d1-90b2-7a41-8f6e-51c02b7d9a20")

# Those of keys, repeats and limits are added by platforms.schema.
EVERY_ERROR = {500: error("Something went wrong on our side.")}
NO_SUCH_CHAT = {404: error("There is no such chat, or it is another platform's.")}
BAD_PARAMETERS = {400: error("A parameter is unknown or has a value that it cannot have.")}
BAD_BODY = {
    400: error("The body is no JSON, or a field is missing, unknown or has a value that it cannot have."),
    413: error("The body is too large."),
    415: error("The body is not `application/json`."),
}

_PEOPLE = [
    {"phone_number": "+14155550123", "name": "Sara", "language": "es"},
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
            "language": "es",
            "phone_number": "+1••••••••23",
            "virtual_number": "+14155550100",
            "opted_out": False,
            "awaits_consent": False,
            "introduction": {
                "message_id": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a14",
                "status": "delivered",
                "error": None,
            },
            "muted_at": None,
            "blocked_at": None,
        },
        {
            "id": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a13",
            "name": "Omar",
            "language": None,
            "phone_number": "+1••••••••24",
            "virtual_number": "+14155550100",
            "opted_out": False,
            "awaits_consent": False,
            "introduction": {
                "message_id": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a15",
                "status": "queued",
                "error": None,
            },
            "muted_at": None,
            "blocked_at": None,
        },
    ],
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
SCHEDULE_CHAT_REQUEST = OpenApiExample(
    "Later, on a number that is named",
    value={
        "participants": [{**_PEOPLE[0], "country_match": "require"}, _PEOPLE[1]],
        "reference": "booking-8813",
        "starts_at": "2030-01-31T08:00:00Z",
        "expires_at": "2030-01-31T18:00:00Z",
        "idle_timeout_seconds": 7200,
        "virtual_number": {"named": "+14155550100"},
    },
    request_only=True,
)
CHANGE_CHAT_REQUEST = OpenApiExample(
    "Two hours more, or after half an hour of silence",
    value={"expires_at": "2030-01-31T20:00:00Z", "idle_timeout_seconds": 1800, "metadata": {"booking": 8812}},
    request_only=True,
)
REOPEN_CHAT_REQUEST = OpenApiExample("For a lost item", value={"expires_at": "2030-02-01T18:00:00Z"}, request_only=True)
REPLACE_PARTICIPANT_REQUEST = OpenApiExample(
    "Another driver", value={"phone_number": "+14155550125", "name": "Alice"}, request_only=True
)
REPLACED_PARTICIPANT = OpenApiExample(
    "With another driver",
    value={
        **_CHAT,
        "participants": [
            _CHAT["participants"][0],
            {**_CHAT["participants"][1], "id": _IDS[1], "name": "Alice", "phone_number": "+1••••••••25"},
        ],
        "former_participants": [
            {
                "id": _IDS[0],
                "name": "Omar",
                "phone_number": "+1••••••••24",
                "replaced_at": "2030-01-30T09:30:00.180220Z",
            }
        ],
    },
    response_only=True,
    status_codes=["200"],
)
CHAT = OpenApiExample("A chat", value=_CHAT, response_only=True, status_codes=["200", "201"])
RESTRICT_REQUEST = OpenApiExample("With a reason", value={"reason": "complaint 4711"}, request_only=True)
END_CHAT_REQUEST = OpenApiExample(
    "With a reason",
    value={"reason": "trip finished", "closing_text": "Thank you for riding with us."},
    request_only=True,
)
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
_MESSAGE: dict[str, Any] = {
    "id": "0198f2c5-01aa-7b01-8c11-7c2a90d3e671",
    "direction": "out",
    "kind": "relay",
    "participant": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a13",
    "status": "delivered",
    "text": "I am at the north exit",
    "attachments": [],
    "disclosures": [],
    "error": None,
    "segments": 1,
    "price": "0.008100",
    "currency": "EUR",
    "created_at": "2030-01-30T09:15:10.004518Z",
    "send_at": None,
    "sent_at": "2030-01-30T09:15:10.120311Z",
    "delivered_at": "2030-01-30T09:15:12.730920Z",
    "failed_at": None,
}
MESSAGE = OpenApiExample("A text that was passed on", value=_MESSAGE, response_only=True, status_codes=["200"])
SEND_TEXT_REQUEST = OpenApiExample(
    "To both people",
    value={"text": "Your driver is on the way, in a red Skoda."},
    request_only=True,
)
SEND_PICTURE_REQUEST = OpenApiExample(
    "A picture to one of them, later",
    value={
        "text": "The gate that you will leave by.",
        "to": "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a12",
        "media": ["https://rides.example.com/gates/4.jpg"],
        "send_at": "2030-01-31T07:45:00Z",
    },
    request_only=True,
)
SENT_TEXT = OpenApiExample(
    "On its way to one of them",
    value={
        "messages": [
            {
                **_MESSAGE,
                "id": "0198f2c6-3b1d-7e02-a1f0-9d2f7b6c5e41",
                "kind": "platform",
                "status": "queued",
                "text": "Your driver is on the way, in a red Skoda.",
                "price": None,
                "currency": None,
                "sent_at": None,
                "delivered_at": None,
            }
        ]
    },
    response_only=True,
    status_codes=["201"],
)
TRANSCRIPT = OpenApiExample(
    "A transcript",
    value="Time,From,To,Kind,Text,Attachments,Outcome,Error,Message\r\n"
    "2030-01-30T09:15:10Z,Sara (+1••••••••23),Omar (+1••••••••24),text,I am at the north exit,,delivered to Omar,,"
    "0198f2c5-01aa-7b01-8c11-7c2a90d3e670\r\n",
    response_only=True,
    status_codes=["200"],
    media_type="text/csv",
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
                "detail": "This person has, or had lately, a chat on every virtual number there is for them, "
                "as far as the request allows.",
                "attr": "participants.0.phone_number",
            }
        ],
    },
    response_only=True,
    status_codes=["409"],
)
VIRTUAL_NUMBER = OpenApiExample(
    "A number of your own",
    value={
        "id": "0198f2a0-11d7-7e0c-b1a4-6f2f8d3c5b01",
        "number": "+14155550100",
        "country": "US",
        "state": "active",
        "can_sms": True,
        "can_mms": False,
        "is_shared": False,
        "open_chats": 17,
        "cooling_down": 4,
    },
    response_only=True,
    status_codes=["200"],
)


def conflict(title: str, *, code: str, detail: str, attr: str | None = None) -> OpenApiExample:
    """Return an example of an answer with status 409."""
    return OpenApiExample(
        title,
        value={"type": "client_error", "errors": [{"code": code, "detail": detail, "attr": attr}]},
        response_only=True,
        status_codes=["409"],
    )


TEXT_IN_SCHEDULED_CHAT = conflict(
    "It has not started", code="chat_not_started", detail="The chat has not started yet. Give `send_at`, or wait."
)
TEXT_TO_OPTED_OUT = conflict(
    "They have opted out", code="recipient_opted_out", detail="This person has opted out of texts from this number."
)
TEXT_TO_BLOCKED = conflict("They are blocked", code="recipient_blocked", detail="This person is blocked.")
COUNTRY_NOT_TEXTED = conflict(
    "Their country is not texted any more",
    code="country_not_allowed",
    detail="Phone numbers of this country are not texted: ask the operator of the service to allow it.",
)
TEXT_IN_ENDED_CHAT = conflict("It has ended", code="chat_ended", detail="The chat has ended. Reopen it first.")
NOT_SCHEDULED = conflict(
    "It was sent",
    code="not_scheduled",
    detail="This is no text that waits for its time: it cannot be cancelled.",
)
TAKES_NO_CHATS = conflict(
    "The named number takes no chats",
    code="takes_no_chats",
    detail="This virtual number takes no new chats: name another, or none.",
)
ITS_NUMBER_TAKES_NO_CHATS = conflict(
    "Its number takes no chats",
    code="takes_no_chats",
    detail="The chat's virtual number takes no new chats. Start a new chat instead.",
)
CHAT_ERASED = conflict(
    "It was erased",
    code="chat_erased",
    detail="The phone number of somebody in this chat was erased. Start a new chat.",
)
CHAT_STARTED = conflict(
    "It has started",
    code="chat_started",
    detail="The chat has started already.",
    attr="starts_at",
)
CHAT_ENDED = conflict(
    "It has ended",
    code="chat_ended",
    detail="The chat has ended: only its metadata can be changed. Reopen it first.",
)
VIRTUAL_NUMBER_TAKEN = conflict(
    "Its number is in use",
    code="virtual_number_taken",
    detail="Somebody of this chat has, or had lately, a chat with somebody else on its virtual number. "
    "Start a new chat instead.",
)
REPLACE_IN_ENDED_CHAT = conflict("The chat has ended", code="chat_ended", detail="The chat has ended. Reopen it first.")
ALREADY_REPLACED = conflict(
    "Somebody else was faster",
    code="already_replaced",
    detail="Somebody else has taken this person's place already.",
)
REFERENCE_TAKEN = OpenApiExample(
    "Reference taken",
    value={
        "type": "client_error",
        "errors": [
            {
                "code": "reference_taken",
                "detail": "Another chat, of other people or of people who were erased, has this reference.",
                "attr": "reference",
            }
        ],
    },
    response_only=True,
    status_codes=["409"],
)
