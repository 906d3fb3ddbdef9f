"""Signed inbound webhooks, as the bytes of HTTP requests."""

import time
import uuid
from dataclasses import dataclass

from django.conf import settings

from bench.load import post
from bench.world import Person
from simulator.records import Text
from simulator.tokens import WebhookSigner
from simulator.wire import make_inbound_body


@dataclass(frozen=True, slots=True)
class Inbound:
    """A text of a person to their virtual number. `text` is like no other's."""

    gateway_id: str
    text: str
    request: bytes


def make_inbounds(people: list[Person], count: int, path: str = "/webhooks/inbound") -> list[Inbound]:
    """Make `count` texts, from each of `people` in turn."""
    signer = WebhookSigner(
        api_key=settings.VONAGE_API_KEY,
        application_id=settings.VONAGE_APPLICATION_ID,
        secret=settings.VONAGE_SIGNATURE_SECRET,
    )
    return [_make_inbound(people[index % len(people)], signer, path) for index in range(count)]


def _make_inbound(person: Person, signer: WebhookSigner, path: str) -> Inbound:
    gateway_id = str(uuid.uuid4())
    text = Text(
        seq=0,
        changed=0,
        direction="from_handset",
        handset=person.phone_number,
        virtual_number=person.virtual_number,
        text=f"I am at the main entrance, where are you? {uuid.uuid4().hex}",
        message_uuid=gateway_id,
        at=time.time(),
        segments=1,
    )
    body = make_inbound_body(text, {})
    request = post(path=path, body=body, authorization=signer.sign(body) or "")
    return Inbound(gateway_id, text.text, request)
