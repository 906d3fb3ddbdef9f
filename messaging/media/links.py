"""Links to attachments: signed, so that nobody guesses one, and good for a while."""

import base64
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, SignatureExpired, TimestampSigner

from messaging.gateways import Media, MediaKind
from messaging.media.cleaning import name_file
from messaging.models import Attachment


class LinkExpired(Exception):
    """The link was one of ours, and its time is over."""


class NoSuchLink(Exception):
    """We never made this link."""


def make_link(*, attachment_id: UUID, content_type: str) -> str:
    """Return a URL under which the attachment can be fetched by whoever has it, for MEDIA_LINK_HOURS from now.

    It ends in a file name, since carriers tell types by it. All links to attachments are of the same length but for
    that name.
    """
    token = _signer().sign(base64.urlsafe_b64encode(attachment_id.bytes).decode().rstrip("="))
    return f"{settings.PUBLIC_URL}/media/{token}/{name_file(content_type)}"


def read_stored_media(message_ids: Sequence[UUID]) -> dict[UUID, tuple[Media, ...]]:
    """Return the attachments of each message that can be fetched, under new links, in one query."""
    stored = Attachment.objects.filter(message__in=message_ids, status=Attachment.Status.STORED)
    found: dict[UUID, tuple[Media, ...]] = {}
    for pk, message, kind, content_type in stored.values_list("pk", "message", "kind", "content_type"):
        link = make_link(attachment_id=pk, content_type=content_type)
        found[message] = (*found.get(message, ()), Media(MediaKind(kind), link))
    return found


def read_link(token: str) -> UUID:
    """Return whose link it is; raises LinkExpired or NoSuchLink."""
    try:
        value = _signer().unsign(token, max_age=timedelta(hours=settings.MEDIA_LINK_HOURS))
        return UUID(bytes=base64.urlsafe_b64decode(value + "=="))
    except SignatureExpired:
        raise LinkExpired from None
    except (BadSignature, ValueError):
        raise NoSuchLink from None


def _signer() -> TimestampSigner:
    # The usual colon would be escaped in some programs' links.
    return TimestampSigner(sep=".", salt="messaging.media")
