"""Texts that people type on handsets, with or without pictures: what the service is told of them."""

import random
import time
import uuid
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from simulator.dialects import bend_inbound
from simulator.faults import FaultSet
from simulator.legacy import MOST_PARTS, LegacyFormat, make_inbound_bodies
from simulator.media import MediaStore
from simulator.media_host import MEDIA_PATH
from simulator.opt_outs import OptOuts
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
        self,
        *,
        settings: Settings,
        state: State,
        faults: FaultSet,
        deliverer: Deliverer,
        store: MediaStore,
        opt_outs: OptOuts,
    ) -> None:
        self._settings = settings
        self._state = state
        self._faults = faults
        self._deliverer = deliverer
        self._store = store
        self._opt_outs = opt_outs

    def send(self, typed: Typed, *, media_origin: str) -> Text:
        """Deliver a text to the service, as often as it says at once; its media are at `media_origin`."""
        strike = partial(self._faults.strike, virtual_number=typed.to_number, handset=typed.from_number)
        copies, legacy = typed.copies, typed.legacy
        if self._faults.active:
            copies *= 2 if strike("double_webhooks") is not None else 1
            if legacy is None and typed.channel == "sms" and (options := strike("inbound_format")) is not None:
                legacy = _choose_format(options, count_segments(typed.body))
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
        if legacy is not None:
            bodies = self._make_legacy_bodies(text, legacy, typed.payload)
        else:
            made = make_inbound_body(text, typed.payload)
            bodies = [bend_inbound(made, strike) if self._faults.active else made]
        for body in bodies * copies:
            self._deliverer.schedule(
                Webhook(
                    kind="inbound",
                    url=self._settings.inbound_url,
                    make_body=partial(bytes, body),
                    text=text,
                    sign=typed.sign,
                    wire=legacy.wire if legacy else "",
                )
            )
        if self._faults.look_up("opt_out_assist", typed.to_number, typed.from_number) is not None:
            self._answer_keyword(text)
        return text

    def _answer_keyword(self, text: Text) -> None:
        """Answer STOP, START and HELP from the carrier itself: the service is not told of the answer."""
        answer = self._opt_outs.hear(text.virtual_number, text.handset, text.text)
        if answer is not None:
            self._state.add_text(
                direction="to_handset",
                handset=text.handset,
                virtual_number=text.virtual_number,
                text=answer,
                message_uuid=str(uuid.uuid4()),
                at=time.time(),
                segments=1,
                status="delivered",
            )

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


def _choose_format(options: dict[str, Any], segments: int) -> LegacyFormat:
    """Choose the SMS API's format, and the parts in which a text comes: at least two, unless it comes whole."""
    form = LegacyFormat(wire=options["format"], signature=options["signature"])
    if (parts := options.get("parts")) is None:
        return form
    total = min(max(2, segments), MOST_PARTS)
    order = list(range(1, total + 1))
    if parts == "shuffled":
        # Never in order: the first part comes last.
        order = [*random.sample(order[1:], total - 1), 1]
    elif parts == "missing":
        order.remove(random.choice(order))
    elif parts == "doubled":
        order.append(random.choice(order))
    return replace(form, total=total, order=tuple(order), ref=random.randrange(256))
