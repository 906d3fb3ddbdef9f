"""Pictures and other attachments: kept in memory, the oldest dropped, and aged on a clock that tests can move."""

import time
import uuid
from dataclasses import dataclass

# https://developer.vonage.com/en/messages/concepts/mms: the URL of an inbound attachment is good for 48 hours.
VALID_FOR_S = 48 * 3600.0
MOST_BYTES = 64_000_000
MOST_KEPT = 5_000
_VCARD_TYPES = ("text/vcard", "text/x-vcard", "text/directory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What is in one attachment, and between whom it travels."""

    id: str
    content: bytes
    content_type: str
    name: str
    virtual_number: str
    handset: str
    at: float  # on the monotonic clock


class MediaStore:
    """Keeps attachments until there are too many of them; the oldest go first."""

    def __init__(self, *, clock_scale: float, most_bytes: int = MOST_BYTES) -> None:
        self._clock_scale = clock_scale
        self._most_bytes = most_bytes
        self.clear()

    def clear(self) -> None:
        """Forget all media, and set the clock right again."""
        self._kept: dict[str, Media] = {}
        self._bytes = 0
        self._advanced_s = 0.0

    def keep(self, *, content: bytes, content_type: str, name: str, virtual_number: str, handset: str) -> Media:
        media = Media(
            id=str(uuid.uuid4()),
            content=content,
            content_type=content_type,
            name=name,
            virtual_number=virtual_number,
            handset=handset,
            at=time.monotonic() + self._advanced_s * self._clock_scale,
        )
        self._kept[media.id] = media
        self._bytes += len(content)
        while self._bytes > self._most_bytes or len(self._kept) > MOST_KEPT:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._bytes -= len(oldest.content)
        return media

    def find(self, media_id: str) -> Media | None:
        return self._kept.get(media_id)

    def is_expired(self, media: Media) -> bool:
        """Say whether its 48 simulated hours are over."""
        age_s = (time.monotonic() - media.at) / self._clock_scale + self._advanced_s
        return age_s > VALID_FOR_S

    def advance(self, seconds: float) -> None:
        """Make everything that is kept so many simulated seconds older."""
        self._advanced_s += seconds


def name_kind(content_type: str) -> str:
    """Say what Vonage calls an attachment of this content type."""
    main = content_type.partition(";")[0].strip().lower()
    if main in _VCARD_TYPES:
        return "vcard"
    kind = main.partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "file"
