"""A database in which everything has happened: every status, every kind, names and texts with markup and numbers."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from chats.models import Chat, Participant, VirtualNumber
from chats.services import end_chat
from messaging.models import Message
from platforms.models import ApiKey, Platform
from proxy_project.encryption import digest_number
from tests.factories import (
    ALICE,
    BOB,
    CHARLIE,
    JACK_IN_AUSTRALIA,
    OLIVIA_IN_AUSTRALIA,
    OMAR,
    SARA,
    make_api_key,
    make_chat,
    make_platform,
    make_pool,
    make_virtual_number,
)

# All the people there are, and somebody who is in no chat.
STRANGER = "+14155550129"
PEOPLE = (SARA, OMAR, ALICE, BOB, CHARLIE, OLIVIA_IN_AUSTRALIA, JACK_IN_AUSTRALIA, STRANGER)

Kind = Message.Kind
Status = Message.Status


@dataclass(frozen=True, kw_only=True)
class Population:
    open_chat: Chat
    ended_chat: Chat
    platforms: list[Platform]
    keys: list[ApiKey]
    numbers: list[VirtualNumber]


def populate() -> Population:
    rides, rentals = make_platform("Rides"), make_platform("Rentals")
    make_api_key(rides)
    make_api_key(rentals, revoked=True)
    numbers = [
        *make_pool(2),
        make_virtual_number("+14155550101", platform=rentals, state="reserved", messages_per_second=0.5),
        make_virtual_number("+14155550102", state="draining", country="CA", can_mms=True),
        make_virtual_number("+14155550103", state="retired", can_sms=False),
    ]
    open_chat = make_chat(rides, names=("<b>Sara</b>", "Omar"), reference=f"booking {SARA}")
    Chat.objects.filter(pk=open_chat.pk).update(metadata={"driver": OMAR, "note": "<script>alert(1)</script>"})
    _talk(open_chat)
    ended_chat = make_chat(rentals, (ALICE, BOB), names=("Alice", ""), reference="rental-17")
    end_chat(chat_id=ended_chat.pk, reason="trip over", now=timezone.now() - timedelta(hours=1))
    alice = ended_chat.participants.get(position=1)
    log_inbound(alice, "Are you still there?", status=Status.LATE)
    log_answer(alice, "This chat has ended, so your text was not passed on.", status=Status.SENT)
    make_chat(rides, (CHARLIE, OLIVIA_IN_AUSTRALIA), names=("", ""))
    make_chat(rides, (JACK_IN_AUSTRALIA, SARA), names=("Jack", "Sara"), reference="booking-9")
    log_stranger(numbers[0], f"Who is this? Call {STRANGER}")
    log_stranger(None, "to a number that is not ours")
    return Population(
        open_chat=Chat.objects.get(pk=open_chat.pk),
        ended_chat=Chat.objects.get(pk=ended_chat.pk),
        platforms=[rides, rentals],
        keys=list(ApiKey.objects.all()),
        numbers=numbers,
    )


def log_inbound(writer: Participant, body: str, **fields: Any) -> Message:
    return Message.objects.create(
        **{
            "direction": "in",
            "kind": Kind.TEXT,
            "status": Status.RELAYED,
            "virtual_number_id": writer.virtual_number_id,
            "chat_id": writer.chat_id,
            "participant": writer,
            "body": body,
            **fields,
        }
    )


def log_relay(writer: Participant, body: str, *, status: str = Status.DELIVERED, **fields: Any) -> Message:
    """Log a text from `writer` and return its relay to the counterpart, in `status`."""
    recipient = Participant.objects.exclude(pk=writer.pk).get(chat=writer.chat_id)
    inbound = log_inbound(writer, body)
    return log_answer(recipient, body, kind=Kind.RELAY, relays=inbound, status=status, **fields)


def log_answer(recipient: Participant, body: str, **fields: Any) -> Message:
    status = fields.get("status", Status.DELIVERED)
    return Message.objects.create(
        **{
            "direction": "out",
            "kind": Kind.AUTO_REPLY,
            "status": status,
            "virtual_number_id": recipient.virtual_number_id,
            "chat_id": recipient.chat_id,
            "participant": recipient,
            "body": body,
            "due_at": timezone.now() + timedelta(hours=1) if status in Message.PENDING_STATUSES else None,
            **fields,
        }
    )


def log_stranger(virtual_number: VirtualNumber | None, body: str) -> Message:
    return Message.objects.create(
        direction="in",
        kind=Kind.TEXT,
        status=Status.UNMATCHED,
        virtual_number=virtual_number,
        stranger_number=STRANGER,
        stranger_digest=digest_number(STRANGER),
        body=body,
    )


def _talk(chat: Chat) -> None:
    """Both people text: one text for each state a relay can be in."""
    sara, omar = chat.participants.order_by("position")
    Message.objects.filter(chat=chat).update(status=Status.DELIVERED, due_at=None, delivered_at=timezone.now())
    log_relay(sara, "Hi <i>Omar</i>, I am at the north gate.", segments=1, price="0.00710000", currency="EUR")
    log_relay(omar, "Coming!\nThree minutes.", status=Status.SENT)
    log_relay(sara, f"Call me: {SARA} or (415) 555-0123", status=Status.DELIVERED)
    log_relay(omar, "Still there?", status=Status.UNCONFIRMED, attempts=1)
    log_relay(
        omar,
        "I cannot see you",
        status=Status.FAILED,
        error_code="1320",
        error_detail=f"The recipient {SARA[1:]} is unreachable",
        failed_at=timezone.now(),
    )
    log_relay(sara, "مرحبا، أنا هنا", status=Status.QUEUED)
    log_relay(sara, "Blue coat", status=Status.SENDING, attempts=1)
    log_inbound(omar, "", status=Status.BLOCKED, error_code="media")
    log_answer(omar, "Pictures and files cannot be passed on here. Please send it as a text.")
