"""Texts that people type on handsets, with or without pictures: what the service is told of them."""

import time
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from simulator.faults import FaultSet
from simulator.legacy import LegacyFormat, make_inbound_bodies
from simulator.media import MediaStore
from simulator.media_host import MEDIA_PATH
from simulator.records import Attachment, Text
from simulator.segments import count_segments
from simulator.settings import Settings
from simulator.state import State
from simulator.webhooks import Deliverer, Webhook
from simulator.wire import make_inbound_body


@dataclass(slots=True, kw_only=True)
class Upload:
    """A file that goes along with a text."""

    content: bytes
    content_type: str
    name: str = ""
    caption: str = ""
    kind: str = ""  # image, audio, video, vcard or file


@dataclass(slots=True, kw_only=True)
class Typed:
    """What somebody types on a handset, and how its webhook is to be wrong."""

    from_number: str
    to_number: str
    body: str
    channel: str = "sms"
    uploads: list[Upload] = field(default_factory=list)
    copies: int = 1
    message_uuid: str | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    sign: str = "good"
    legacy: LegacyFormat | None = None


class Handsets:
    """Hands texts from handsets to the service."""

    def __init__(
        self, *, settings: Settings, state: State, faults: FaultSet, deliverer: Deliverer, store: MediaStore
    ) -> None:
        self._settings = settings
        self._state = state
        self._faults = faults
        self._deliverer = deliverer
        self._store = store

    def send(self, typed: Typed, *, media_origin: str) -> Text:
        """Deliver a text to the service, as often as it says at once; its media are at `media_origin`."""
        numbers = (typed.to_number, typed.from_number)
        copies = typed.copies
        if self._faults.active and self._faults.strike("double_webhooks", *numbers) is not None:
            copies *= 2
        legacy = typed.legacy
        text = self._state.add_text(
            direction="from_handset",
            handset=typed.from_number,
            virtual_number=typed.to_number,
            text=typed.body,
            message_uuid=typed.message_uuid or str(uuid.uuid4()),
            at=time.time(),
            segments=count_segments(typed.body) if typed.channel == "sms" else 1,
            channel=typed.channel,
            media=[self._host(upload, typed, media_origin) for upload in typed.uploads],
            webhook_copies=copies * (len(legacy.order) if legacy else 1),
        )
        if text.media and not text.media[0].caption:
            text.media[0].caption = typed.body
        self._state.texts_from_handsets += 1
        bodies = (
            self._make_legacy_bodies(text, legacy, typed.payload)
            if legacy
            else [make_inbound_body(text, typed.payload)]
        )
        for made in bodies * copies:
            self._deliverer.schedule(
                Webhook(
                    kind="inbound",
                    url=self._settings.inbound_url,
                    make_body=partial(bytes, made),
                    text=text,
                    sign=typed.sign,
                    wire=legacy.wire if legacy else "",
                )
            )
        return text

    def _host(self, upload: Upload, typed: Typed, origin: str) -> Attachment:
        media = self._store.keep(
            content=upload.content,
            content_type=upload.content_type,
            name=upload.name,
            virtual_number=typed.to_number,
            handset=typed.from_number,
        )
        return Attachment(
            type=upload.kind,
            url=f"{origin}{MEDIA_PATH}{media.id}",
            caption=upload.caption,
            name=upload.name,
            content_type=upload.content_type,
            size=len(upload.content),
            media_id=media.id,
        )

    def _make_legacy_bodies(self, text: Text, legacy: LegacyFormat, payload: dict[str, Any]) -> list[bytes]:
        credentials = {"api_key": self._settings.api_key, "secret": self._settings.signature_secret}
        return list(make_inbound_bodies(text, legacy, payload, **credentials))
