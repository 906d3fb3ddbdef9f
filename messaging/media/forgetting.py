"""Delete what people attached once its link has expired."""

from datetime import timedelta

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models.functions import Now

from messaging.models import Attachment


def forget_expired_media(*, limit: int = 200) -> int:
    """Delete the files of up to `limit` attachments stored longer than MEDIA_LINK_HOURS ago; return how many.

    A link that was made late, for a text that was sent again, ends with the file.
    """
    expired = Attachment.objects.filter(
        status=Attachment.Status.STORED, stored_at__lt=Now() - timedelta(hours=settings.MEDIA_LINK_HOURS)
    ).order_by("stored_at")[:limit]
    forgotten = 0
    for attachment in expired:
        # First the file: an error leaves the row, and the next run tries again.
        default_storage.delete(attachment.file)
        mine = Attachment.objects.filter(pk=attachment.pk, status=Attachment.Status.STORED)
        forgotten += mine.update(status=Attachment.Status.FORGOTTEN, file="")
    return forgotten
