"""Serve attachments to whoever has their link: the counterpart, and the carrier that makes an MMS of it."""

import re

import structlog
from cryptography.fernet import InvalidToken
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from messaging.gateways import MediaKind
from messaging.media.cleaning import name_file
from messaging.media.links import LinkExpired, NoSuchLink, read_link
from messaging.models import Attachment
from proxy_project.encryption import decrypt_bytes

log = structlog.get_logger(__name__)

_SHOWN = (MediaKind.IMAGE.value, MediaKind.AUDIO.value, MediaKind.VIDEO.value)
_HEADERS = {
    # What somebody sent is shown by itself, and never runs.
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, noarchive",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_FILE_HEADERS = {**_HEADERS, "Cache-Control": "private, max-age=3600", "Accept-Ranges": "bytes"}


@require_safe
def show_media(request: HttpRequest, token: str, name: str) -> HttpResponse:
    """Show an attachment: 404 for what was never a link, 410 for one whose time is over."""
    try:
        attachment = Attachment.objects.get(pk=read_link(token), status=Attachment.Status.STORED)
    except NoSuchLink:
        return _say("There is nothing here. Was the whole link copied?", status=404)
    except (LinkExpired, Attachment.DoesNotExist):
        return _say("This link has expired. Ask the person who sent it to send it again.", status=410)
    return show_attachment_file(request, attachment)


def show_attachment_file(request: HttpRequest, attachment: Attachment) -> HttpResponse:
    """Show an attachment that is stored; whether somebody may see it is the caller's business."""
    try:
        data = _read(attachment)
    except (OSError, InvalidToken) as error:
        log.error("attachment cannot be read", attachment=str(attachment.pk), error=type(error).__name__)
        return _say("This cannot be shown at the moment. Please try again later.", status=503)
    return _respond(request, attachment, data)


def _read(attachment: Attachment) -> bytes:
    with default_storage.open(attachment.file) as file:
        return decrypt_bytes(file.read())


def _respond(request: HttpRequest, attachment: Attachment, data: bytes) -> HttpResponse:
    disposition = "inline" if attachment.kind in _SHOWN else "attachment"
    headers = {**_FILE_HEADERS, "Content-Disposition": f"{disposition}; filename={name_file(attachment.content_type)}"}
    start, stop = _find_range(request.headers.get("Range", ""), len(data))
    status = 200
    if (start, stop) != (0, len(data)):
        # Phones play films only from servers that give parts of them.
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        status = 206
    return HttpResponse(data[start:stop], status=status, content_type=attachment.content_type, headers=headers)


def _find_range(header: str, size: int) -> tuple[int, int]:
    """Return which bytes are asked for; all of them when that is unclear or more than one range (RFC 9110, 14.2)."""
    match = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", header.strip(), re.ASCII)
    if not match or match[1] == match[2] == "":
        return 0, size
    if not match[1]:
        return max(0, size - int(match[2])), size
    start, stop = int(match[1]), min(size, int(match[2] or size) + 1)
    return (start, stop) if start < stop else (0, size)


def _say(sentence: str, *, status: int) -> HttpResponse:
    return HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8", headers=_HEADERS)
