"""The body of POST /v1/messages: everything Vonage checks before it accepts a text or an MMS."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from yarl import URL

from simulator.records import Attachment
from simulator.segments import count_segments
from simulator.wire import DIGITS, SHORT_CODE, make_invalid, make_invalid_json

LONGEST_TEXT = 3200
LONGEST_CLIENT_REF = 100
LONGEST_CAPTION = 3000
_ALPHANUMERIC_SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", re.ASCII)
_URL = re.compile(r"https?://[^\s/?#]+")
# https://developer.vonage.com/en/api/messages-olympus: what the URL of each kind of attachment may end in; a file may
# end in anything.
EXTENSIONS = {
    "image": (".jpg", ".jpeg", ".png", ".gif", ".bmp"),
    "audio": (".mp3", ".amr", ".midi", ".wav", ".ac3"),
    "video": (".mp4", ".3gp", ".3pg", ".avi", ".mpg"),
    "vcard": (".vcf",),
    "file": (),
}
_MESSAGE_TYPES = {"sms": ("text",), "mms": ("text", *EXTENSIONS, "content")}
_TTL_S = {"sms": (20, 604_800), "mms": (300, 259_200)}


@dataclass(slots=True)
class SendRequest:
    """A request to send that passed every check; numbers as on the wire, without +."""

    to: str
    sender: str
    text: str
    segments: int
    channel: str = "sms"
    client_ref: str | None = None
    webhook_url: str | None = None
    media: list[Attachment] = field(default_factory=list)


class Refused(Exception):
    """A request is answered 422; holds the body of the answer."""

    def __init__(self, body: bytes) -> None:
        super().__init__("invalid request")
        self.body = body


def read_send_request(raw: bytes) -> SendRequest:
    """Check the body of a send; raises Refused with everything that is wrong with it."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(make_invalid_json())
    channel, message_type = _read_kind(body)
    invalid: list[dict[str, str]] = []

    def require(name: str, passes: Callable[[Any], object], reason: str, *, optional: bool = False) -> None:
        if name not in body:
            if not optional:
                invalid.append({"name": name, "reason": "is required"})
        elif not passes(body[name]):
            invalid.append({"name": name, "reason": reason})

    least, most = _TTL_S[channel]
    require("to", _is_phone_number, "must be between 7 and 15 characters, digits only")
    require("from", _is_sender, "must be a number of 7 to 15 digits, a short code or an alphanumeric sender")
    require("client_ref", _is_client_ref, f"must be a string of at most {LONGEST_CLIENT_REF}", optional=True)
    require("ttl", lambda v: type(v) is int and least <= v <= most, f"must be {least} to {most}", optional=True)
    require("webhook_url", _is_url, "must be a URL", optional=True)
    sms = body.get("sms", {})
    encoding = sms.get("encoding_type", "auto") if isinstance(sms, dict) else ""
    if encoding not in ("auto", "text", "unicode"):
        invalid.append({"name": "sms.encoding_type", "reason": "must be one of text, unicode, auto"})
    media: list[Attachment] = []
    if message_type != "text":
        invalid += _read_media(message_type, body, media)
    elif channel == "mms":
        require("text", lambda v: isinstance(v, str), "must be a string")
    else:
        require("text", _is_text, f"must be a string of at most {LONGEST_TEXT} characters")
    if invalid:
        raise Refused(make_invalid(invalid))
    text = body["text"] if message_type == "text" else "\n".join(each.caption for each in media if each.caption)
    return SendRequest(
        to=body["to"],
        sender=body["from"],
        text=text,
        segments=count_segments(text, encoding) if channel == "sms" else 1,
        channel=channel,
        client_ref=body.get("client_ref"),
        webhook_url=body.get("webhook_url"),
        media=media,
    )


def _read_kind(body: dict[str, Any]) -> tuple[str, str]:
    channel, message_type = body.get("channel"), body.get("message_type")
    if not isinstance(channel, str) or channel not in _MESSAGE_TYPES:
        raise Refused(make_invalid([{"name": "channel", "reason": "must be one of sms, mms"}]))
    if not isinstance(message_type, str) or message_type not in _MESSAGE_TYPES[channel]:
        reason = f"must be one of {', '.join(_MESSAGE_TYPES[channel])}"
        raise Refused(make_invalid([{"name": "message_type", "reason": reason}]))
    return channel, message_type


def _read_media(message_type: str, body: dict[str, Any], media: list[Attachment]) -> list[dict[str, str]]:
    """Add the attachments of an MMS to `media`, and return what is wrong with them."""
    value = body.get(message_type)
    if message_type == "content" and (not isinstance(value, list) or not value):
        return [{"name": "content", "reason": "must list attachments, each with type and url"}]
    items: list[Any] = value if isinstance(value, list) and message_type == "content" else [value]
    invalid = []
    for place, item in enumerate(items):
        name = f"content[{place}]" if message_type == "content" else message_type
        if not isinstance(item, dict):
            invalid.append({"name": name, "reason": "must be an object with the url of the attachment"})
            continue
        kind = item.get("type") if message_type == "content" else message_type
        caption, url = item.get("caption"), item.get("url")
        if not isinstance(kind, str) or kind not in EXTENSIONS:
            invalid.append({"name": f"{name}.type", "reason": f"must be one of {', '.join(EXTENSIONS)}"})
            continue
        if caption is not None and (not isinstance(caption, str) or not 1 <= len(caption) <= LONGEST_CAPTION):
            invalid.append({"name": f"{name}.caption", "reason": f"must be 1 to {LONGEST_CAPTION} characters"})
        if not _is_url(url):
            invalid.append({"name": f"{name}.url", "reason": "must be a URL"})
        elif EXTENSIONS[kind] and PurePosixPath(URL(str(url)).path).suffix.lower() not in EXTENSIONS[kind]:
            invalid.append({"name": f"{name}.url", "reason": f"must end in one of {', '.join(EXTENSIONS[kind])}"})
        media.append(Attachment(type=kind, url=str(url), caption=caption if isinstance(caption, str) else ""))
    return invalid


def _is_phone_number(value: Any) -> bool:
    return isinstance(value, str) and DIGITS.fullmatch(value) is not None


def _is_sender(value: Any) -> bool:
    return isinstance(value, str) and any(
        shape.fullmatch(value) for shape in (DIGITS, SHORT_CODE, _ALPHANUMERIC_SENDER)
    )


def _is_client_ref(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_CLIENT_REF


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def _is_url(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > 2000 or not _URL.match(value):
        return False
    try:
        URL(value)
    except ValueError:
        return False
    return True
