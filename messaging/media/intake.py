"""Take down what came with a text, or is to go with one, for the worker to fetch."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models.functions import Now
from procrastinate.contrib.django import app

from messaging.gateways import Media
from messaging.models import Attachment

# By its name: the task imports what imports this.
FETCH_TASK = "messaging.tasks.fetch_media"


def keep_media(*, message_id: UUID, media: Sequence[Media]) -> None:
    """Note the attachments of a message and wake the worker, in the transaction that logs the message."""
    Attachment.objects.bulk_create(
        Attachment(message_id=message_id, position=position, kind=each.kind.value, source_url=each.url, due_at=Now())
        for position, each in enumerate(media)
    )
    app.configure_task(FETCH_TASK).defer()


def keep_platform_media(*, message_id: UUID, urls: Sequence[str], due_at: datetime | None) -> None:
    """Note what is to go with a text by a platform, in the transaction that queues it; fetched at `due_at`, or now.

    Until it is fetched nobody knows what it is.
    """
    Attachment.objects.bulk_create(
        Attachment(
            message_id=message_id,
            position=position,
            kind=Attachment.Kind.FILE,
            source=Attachment.Source.PLATFORM,
            source_url=url,
            due_at=due_at or Now(),
        )
        for position, url in enumerate(urls)
    )
    if due_at is None:
        app.configure_task(FETCH_TASK).defer()
