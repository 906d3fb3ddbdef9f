"""Delete what people attached once its link has expired, and not while its text still waits."""

from datetime import timedelta

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from messaging.models import Attachment, Message

_WAITING = (*Message.PENDING_STATUSES, Message.Status.HELD)


def forget_expired_media(*, limit: int = 200) -> int:
    """Delete the files of up to `limit` attachments stored longer than MEDIA_LINK_HOURS ago; return how many.

    Not of a text that still waits, or that has gone since then: who gets it can follow its link for as long.
    """
    expiry = Now() - timedelta(hours=settings.MEDIA_LINK_HOURS)
    needed = Message.objects.filter(Q(status__in=_WAITING) | Q(sent_at__gte=expiry))
    expired = Attachment.objects.filter(
        # By its primary key, and by inbound_is_relayed_once.
        ~Exists(needed.filter(pk=OuterRef("message"))),
        ~Exists(needed.filter(relays=OuterRef("message"))),
        status=Attachment.Status.STORED,
        stored_at__lt=expiry,
    ).order_by("stored_at")[:limit]
    forgotten = 0
    for attachment in expired:
        # First the file: an error leaves the row, and the next run tries again.
        default_storage.delete(attachment.file)
        mine = Attachment.objects.filter(pk=attachment.pk, status=Attachment.Status.STORED)
        forgotten += mine.update(status=Attachment.Status.FORGOTTEN, file="")
    return forgotten
