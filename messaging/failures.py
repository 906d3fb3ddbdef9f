"""Tell people of texts that will not arrive, or wait."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from messaging.events import record_ends
from messaging.models import Message
from messaging.outbox import Recipient
from messaging.writing import queue_automatic_text
from platforms.templates import TemplateKind


def tell_of_failures(message_ids: Sequence[UUID]) -> None:
    """Tell the platforms, and the writers as `tell_sender` does, of texts that failed for good."""
    if message_ids:
        record_ends(message_ids=message_ids)
    for message_id in message_ids:
        tell_sender(message_id)


def tell_sender(message_id: UUID) -> None:
    """Tell the writer of a relayed text that it was not delivered, at most once an hour; of other texts, nobody.

    Of a text that an operator sent again they were told when it failed the first time.
    """
    message = _read_relay(message_id)
    if message is None or message.relays is None or message.relays.participant is None:
        return
    writer, failed_at = message.relays.participant, message.failed_at
    assert failed_at is not None  # a message becomes FAILED at a time
    if writer.muted_at or writer.blocked_at:
        return  # they are told nothing (chats.restrictions)
    if message.error_kind == Message.ErrorKind.OPT_OUT:
        tell_of_opt_out(writer, failed_at)
    elif message.earlier_gateway_ids is None:
        tell_not_delivered(writer, failed_at)


def tell_not_delivered(writer: Recipient, now: datetime) -> bool:
    """Tell a participant that a text of theirs was not delivered; False when they were told so in this hour."""
    once_key = f"not-delivered:{writer.id}:{now:%Y-%m-%dT%H}"
    told = queue_automatic_text(kind=TemplateKind.NOT_DELIVERED, recipient=writer, once_key=once_key)
    return told is not None


def tell_waiting(message_id: UUID) -> None:
    """Tell the writer of a relayed text, once a chat, that it waits for the YES of the other person."""
    message = _read_relay(message_id)
    if message and message.relays and message.relays.participant:
        writer = message.relays.participant
        queue_automatic_text(
            kind=TemplateKind.WAITS_FOR_CONSENT,
            recipient=writer,
            once_key=f"waits:{writer.pk}:{message.participant_id}",
        )


def tell_of_opt_out(writer: Recipient, now: datetime) -> None:
    """Tell a participant that their counterpart gets no texts any more, at most once an hour."""
    queue_automatic_text(
        kind=TemplateKind.COUNTERPART_OPTED_OUT,
        recipient=writer,
        once_key=f"opted-out:{writer.id}:{now:%Y-%m-%dT%H}",
    )


def tell_of_opt_in(writer: Recipient, now: datetime) -> None:
    """Tell a participant, at most once an hour, that texts reach their counterpart again; what was said is past."""
    hour = f"{writer.id}:{now:%Y-%m-%dT%H}"
    Message.objects.filter(once_key=f"opted-out:{hour}").update(once_key=None)
    queue_automatic_text(
        kind=TemplateKind.COUNTERPART_OPTED_IN,
        recipient=writer,
        once_key=f"opted-in:{hour}",
    )


def _read_relay(message_id: UUID) -> Message | None:
    return (
        Message.objects.filter(pk=message_id, kind=Message.Kind.RELAY)
        .select_related("relays__participant")
        # Nothing encrypted: a text whose key is missing fails like any other.
        .only(
            "failed_at",
            "error_kind",
            "earlier_gateway_ids",
            "participant_id",
            "relays__participant__chat_id",
            "relays__participant__virtual_number_id",
            "relays__participant__muted_at",
            "relays__participant__blocked_at",
        )
        .first()
    )
