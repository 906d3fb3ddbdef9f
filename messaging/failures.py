"""Tell people of texts that will not arrive."""

from uuid import UUID

from messaging.models import Message
from messaging.writing import queue_automatic_text
from platforms.templates import TemplateKind


def tell_sender(message_id: UUID) -> None:
    """Tell the writer of a relayed text that it was not delivered, at most once an hour; of other texts, nobody."""
    message = (
        Message.objects.filter(pk=message_id, kind=Message.Kind.RELAY)
        .select_related("relays__participant")
        # Nothing encrypted: a text whose key is missing fails like any other.
        .only("failed_at", "relays__participant__chat_id", "relays__participant__virtual_number_id")
        .first()
    )
    if message is None or message.relays is None or message.relays.participant is None:
        return
    writer, failed_at = message.relays.participant, message.failed_at
    assert failed_at is not None  # a message becomes FAILED at a time
    queue_automatic_text(
        kind=TemplateKind.NOT_DELIVERED,
        recipient=writer,
        once_key=f"not-delivered:{writer.pk}:{failed_at:%Y-%m-%dT%H}",
    )
