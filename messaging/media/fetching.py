"""Fetch the attachments that are due, keep what can be passed on, and let the text go when none is missing.

Any number of workers do this at once: an attachment is claimed for a while, and its outcome counts only while it is.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from messaging.gateways import MediaError, MediaKind
from messaging.media.cleaning import CleanMedia, UnusableMedia, clean_media
from messaging.media.public_media import fetch_public_media
from messaging.media.release import give_way, release_text
from messaging.models import Attachment, Message
from proxy_project.encryption import encrypt_bytes

log = structlog.get_logger(__name__)

# url, max_bytes, max_seconds
Fetch = Callable[..., bytes]

_FETCH_SECONDS = 60
# Fetching, and storing where the storage is far away.
_LEASE = timedelta(seconds=3 * _FETCH_SECONDS)
_REVEALING = (MediaKind.VCARD, MediaKind.FILE)


@dataclass(frozen=True, slots=True)
class _Claim:
    """An attachment that is ours to fetch until the lease ends."""

    id: UUID
    message_id: UUID
    attempt: int
    source: Attachment.Source


def fetch_due_media(*, fetch: Fetch, fetch_from_platform: Fetch = fetch_public_media) -> int:
    """Fetch every attachment that is due, one after the other, each from its source; return how many were tried."""
    tried = 0
    fetch_by_source = {Attachment.Source.GATEWAY: fetch, Attachment.Source.PLATFORM: fetch_from_platform}
    while claim := _claim():
        _take_care_of(claim, fetch_by_source[claim.source])
        tried += 1
    return tried


def _claim() -> _Claim | None:
    with transaction.atomic():
        due = Attachment.objects.filter(status=Attachment.Status.WAITING, due_at__lte=Now())
        # First the text is released from its schedule: otherwise nothing would release it from waiting for these.
        due = due.exclude(message__status=Message.Status.SCHEDULED).order_by("due_at")
        attachment = (
            due.select_for_update(skip_locked=True, of=("self",)).only("message_id", "attempts", "source").first()
        )
        if attachment is None:
            return None
        Attachment.objects.filter(pk=attachment.pk).update(attempts=F("attempts") + 1, due_at=Now() + _LEASE)
    source = Attachment.Source(attachment.source)
    return _Claim(attachment.pk, attachment.message_id, attachment.attempts + 1, source)


def _take_care_of(claim: _Claim, fetch: Fetch) -> None:
    """Fetch one attachment, or put it off, or give it up."""
    status = Attachment.Status
    try:
        media = _fetch(claim, fetch)
        if _is_withheld(claim, media):
            outcome: dict[str, object] = {"status": status.WITHHELD, "kind": media.kind.value}
        else:
            outcome = {"status": status.STORED, "stored_at": Now(), **_store(claim, media)}
    except UnusableMedia as error:
        outcome = {"status": status.FAILED, "error_code": "unusable", "error_detail": str(error)[:200]}
    except MediaError as error:
        outcome = _put_off(claim, error) if error.again else {"status": status.FAILED}
        outcome |= {"error_code": error.code[:40], "error_detail": error.detail[:200]}
    except Exception as error:  # whatever it is, the attachment is not forgotten, and the next one is fetched
        name = type(error).__name__
        # What it says could quote the address or the file; where it was raised cannot.
        where = traceback.format_tb(error.__traceback__)[-1].strip()
        log.error("attachment not fetched", attachment=str(claim.id), error=name, where=where)
        trouble = MediaError(name, "Fetching or keeping it ended in an unexpected error.", again=True)
        outcome = {**_put_off(claim, trouble), "error_code": name[:40], "error_detail": trouble.detail}
    _settle(claim, outcome)


def _fetch(claim: _Claim, fetch: Fetch) -> CleanMedia:
    try:
        url = Attachment.objects.only("source_url").get(pk=claim.id).source_url
    except InvalidToken:
        detail = "The key that encrypted its address is not among ENCRYPTION_KEYS."
        raise MediaError("key_missing", detail, again=True) from None
    return clean_media(fetch(url, max_bytes=int(settings.MEDIA_MAX_MEGABYTES * 1e6), max_seconds=_FETCH_SECONDS))


def _is_withheld(claim: _Claim, media: CleanMedia) -> bool:
    """Return whether it could give its sender away, and the platform has not said that it may, or sends it itself."""
    if claim.source is Attachment.Source.PLATFORM:
        return False
    return media.kind in _REVEALING and not (
        Attachment.objects.filter(pk=claim.id, message__chat__platform__passes_on_files=True).exists()
    )


def _store(claim: _Claim, media: CleanMedia) -> dict[str, object]:
    # With the attempt in its name, nobody else writes it.
    name = default_storage.save(f"media/{claim.id}-{claim.attempt}", ContentFile(encrypt_bytes(media.data)))
    return {"kind": media.kind.value, "content_type": media.content_type, "size": len(media.data), "file": name}


def _put_off(claim: _Claim, error: MediaError) -> dict[str, object]:
    """Return when it is tried again, unless it has been tried for MEDIA_FETCH_MINUTES."""
    wait = timedelta(seconds=min(300, 5 * 3 ** (claim.attempt - 1)))
    attachment = Attachment.objects.select_related("message").only("created_at", "message__send_at").get(pk=claim.id)
    since = max(attachment.created_at, attachment.message.send_at or attachment.created_at)
    if timezone.now() + wait > since + timedelta(minutes=settings.MEDIA_FETCH_MINUTES):
        return {"status": Attachment.Status.FAILED}
    log.warning("attachment fetched later", attachment=str(claim.id), code=error.code, seconds=wait.total_seconds())
    return {"due_at": Now() + wait}


def _settle(claim: _Claim, outcome: dict[str, object]) -> None:
    """Write down the outcome, unless the lease has ended and somebody else is at it, and let the text go."""
    is_settled = "status" in outcome
    if is_settled:
        outcome = {**outcome, "source_url": "", "due_at": None}
    with transaction.atomic():
        mine = Attachment.objects.filter(pk=claim.id, status=Attachment.Status.WAITING, attempts=claim.attempt)
        is_mine = bool(mine.update(**outcome))
        if is_mine and is_settled:
            release_text(claim.message_id)
        elif is_mine:
            give_way(claim.message_id)
    if not is_mine and (file := outcome.get("file")):
        default_storage.delete(str(file))
    if is_mine and outcome.get("status") == Attachment.Status.FAILED:
        log.error("attachment given up", attachment=str(claim.id), code=str(outcome["error_code"]))
