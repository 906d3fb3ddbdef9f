"""What is remembered of a text, an attachment and an exchange, and how the JSON API shows it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(slots=True, eq=False)
class Attachment:
    """One attachment of an MMS; what was fetched or uploaded is in the media store under `media_id`."""

    type: str  # image, audio, video, vcard or file
    url: str
    caption: str = ""
    name: str = ""
    content_type: str | None = None
    size: int | None = None
    media_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "url": self.url,
            "caption": self.caption or None,
            "name": self.name or None,
            "content_type": self.content_type,
            "size": self.size,
            "content": f"/api/media/{self.media_id}" if self.media_id else None,
        }


@dataclass(slots=True, eq=False)
class Text:
    """One text as a handset sees it; numbers with +."""

    seq: int
    changed: int
    direction: str  # to_handset or from_handset
    handset: str
    virtual_number: str
    text: str
    message_uuid: str
    at: float
    segments: int
    status: str | None = None
    client_ref: str | None = None
    webhook_url: str | None = None
    channel: str = "sms"
    media: list[Attachment] = field(default_factory=list)
    webhook_copies: int = 0
    webhook_attempts: int = 0
    webhook_status: int | None = None
    webhook_done: int = 0
    webhook_lost: int = 0

    def as_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "seq": self.seq,
            "direction": self.direction,
            "handset": self.handset,
            "virtual_number": self.virtual_number,
            "text": self.text,
            "message_uuid": self.message_uuid,
            "client_ref": self.client_ref,
            "at": format_time(self.at),
            "segments": self.segments,
            "status": self.status,
            "channel": self.channel,
            "media": [attachment.as_json() for attachment in self.media],
            "webhook": None,
        }
        if self.direction == "from_handset":
            shown["webhook"] = {
                "copies": self.webhook_copies,
                "attempts": self.webhook_attempts,
                "status": self.webhook_status,
                "done": self.webhook_done + self.webhook_lost >= self.webhook_copies,
                "lost": self.webhook_lost,
            }
        return shown


@dataclass(slots=True, eq=False)
class Exchange:
    """One HTTP request to or from the service; `status` is None when there was no answer."""

    seq: int
    at: float
    direction: str  # request, webhook or fetch
    kind: str  # send, inbound, status or media
    method: str
    url: str
    status: int | None
    ms: float
    attempt: int
    error: str | None
    body: bytes
    answer: bytes

    def as_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "at": format_time(self.at),
            "direction": self.direction,
            "kind": self.kind,
            "method": self.method,
            "url": self.url,
            "status": self.status,
            "ms": round(self.ms, 1),
            "attempt": self.attempt,
            "error": self.error,
            "body": self.body.decode(errors="replace"),
            "answer": self.answer.decode(errors="replace"),
        }


@dataclass(slots=True, eq=False)
class WebhookCounts:
    attempts: int = 0
    delivered: int = 0
    retried: int = 0
    lost: int = 0
    pending: int = 0

    def as_json(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


def format_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
