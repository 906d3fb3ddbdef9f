"""Read what somebody wants to type on a handset: JSON, or a form with files."""

import base64
import binascii
import re
from typing import Any

from aiohttp import web

from simulator.handsets import Typed, Upload
from simulator.jsonapi import parse_json
from simulator.legacy import take_format
from simulator.media import name_kind
from simulator.phone_numbers import PHONE_NUMBER
from simulator.sends import EXTENSIONS, LONGEST_CAPTION

MOST_COPIES = 1_000
MOST_UPLOADS = 20
LARGEST_UPLOADS = 20_000_000
_TEXT_KEYS = {"channel", "copies", "from", "media", "message_uuid", "payload", "sign", "text", "to"}
_UPLOAD_KEYS = {"caption", "content_type", "data", "name", "type"}
_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w=.\"-]+)*", re.ASCII)
_CONTENT_TYPE_REASON = "the content_type of an attachment must be one such as image/jpeg"
# Besides full numbers: short codes, and the names that companies text under.
_SENDER = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{5,6}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")


async def read_typed(request: web.Request) -> Typed:
    """Read a text somebody wants to type; raises ValueError saying what is wrong."""
    uploads: list[Upload] = []
    if request.content_type == "multipart/form-data":
        form = await request.post()
        message = form.get("message")
        wanted = parse_json(message.encode()) if isinstance(message, str) else None
        for part in form.getall("media", []):
            if not isinstance(part, web.FileField):
                raise ValueError("each media must be a file")
            uploads.append(Upload(content=part.file.read(), content_type=part.content_type, name=part.filename))
    else:
        wanted = parse_json(await request.read())
    legacy = take_format(wanted)
    typed = _check_text(wanted)
    typed.legacy = legacy
    typed.uploads += uploads
    _check_uploads(typed)
    return typed


def _check_text(wanted: Any) -> Typed:
    if not isinstance(wanted, dict):
        raise ValueError("a text must be a JSON object")
    if unknown := [key for key in wanted if key not in _TEXT_KEYS]:
        raise ValueError(f"unknown key {unknown[0]!r}; there are {', '.join(sorted(_TEXT_KEYS))}")
    from_number, to_number, body = wanted.get("from"), wanted.get("to"), wanted.get("text")
    if not isinstance(from_number, str) or not _SENDER.fullmatch(from_number):
        raise ValueError("from must be a phone number with +, a short code or a sender's name")
    if not isinstance(to_number, str) or not PHONE_NUMBER.fullmatch(to_number):
        raise ValueError("to must be a phone number with +")
    if not isinstance(body, str):
        raise ValueError("text must be a string")
    copies, message_uuid = wanted.get("copies", 1), wanted.get("message_uuid")
    if type(copies) is not int or not 1 <= copies <= MOST_COPIES:
        raise ValueError(f"copies must be a whole number from 1 to {MOST_COPIES}")
    if message_uuid is not None and (not isinstance(message_uuid, str) or not message_uuid):
        raise ValueError("message_uuid must be a string")
    payload, sign = wanted.get("payload") or {}, wanted.get("sign", "good")
    if not isinstance(payload, dict):
        raise ValueError("payload must be an object whose keys replace those of the webhook")
    if sign not in ("good", "wrong", "none"):
        raise ValueError("sign must be good, wrong or none")
    channel, media = wanted.get("channel"), wanted.get("media") or []
    if channel not in (None, "sms", "mms"):
        raise ValueError("channel must be sms or mms")
    if not isinstance(media, list):
        raise ValueError("media must list attachments")
    return Typed(
        from_number=from_number,
        to_number=to_number,
        body=body,
        channel=channel or "",
        uploads=[_read_upload(each) for each in media],
        copies=copies,
        message_uuid=message_uuid,
        payload=payload,
        sign=sign,
    )


def _read_upload(wanted: Any) -> Upload:
    if not isinstance(wanted, dict) or wanted.keys() - _UPLOAD_KEYS:
        raise ValueError(f"each of media must be an object with {', '.join(sorted(_UPLOAD_KEYS))}")
    data, kind, content_type = wanted.get("data"), wanted.get("type"), wanted.get("content_type")
    name, caption = wanted.get("name") or "", wanted.get("caption") or ""
    try:
        content = base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except binascii.Error:
        content = None
    if content is None:
        raise ValueError("the data of an attachment must be base64")
    if not isinstance(name, str) or not isinstance(caption, str):
        raise ValueError("the name and the caption of an attachment must be strings")
    if kind is not None and (not isinstance(kind, str) or kind not in EXTENSIONS):
        raise ValueError(f"the type of an attachment must be one of {', '.join(EXTENSIONS)}")
    if not isinstance(content_type, str):
        raise ValueError(_CONTENT_TYPE_REASON)
    return Upload(content=content, content_type=content_type, name=name, caption=caption, kind=kind or "")


def _check_uploads(typed: Typed) -> None:
    """Check the attachments from wherever they come, and settle the channel."""
    if len(typed.uploads) > MOST_UPLOADS:
        raise ValueError(f"a text has at most {MOST_UPLOADS} attachments")
    if sum(len(upload.content) for upload in typed.uploads) > LARGEST_UPLOADS:
        raise ValueError(f"the attachments of a text are at most {LARGEST_UPLOADS} bytes together")
    for upload in typed.uploads:
        if not _CONTENT_TYPE.fullmatch(upload.content_type):
            raise ValueError(_CONTENT_TYPE_REASON)
        upload.kind = upload.kind or name_kind(upload.content_type)
        if len(upload.caption) > LONGEST_CAPTION:
            raise ValueError(f"a caption has at most {LONGEST_CAPTION} characters")
    if typed.uploads and typed.channel == "sms":
        raise ValueError("a text with media is an MMS: leave channel out")
    typed.channel = typed.channel or ("mms" if typed.uploads else "sms")
    if typed.legacy is not None and typed.channel == "mms":
        raise ValueError("the SMS API has no MMS: leave out format or media")
