"""Text as people do, and see what reaches whom."""

from typing import Any

from django.test import Client
from django.utils import timezone

from chats.models import VirtualNumber
from messaging.claims import claim_texts
from messaging.gateways import OutboundText
from messaging.models import Message, OptOut
from messaging.overdue import settle_overdue
from messaging.results import record_results
from messaging.sender import _send
from tests.factories import SARA, VIRTUAL_NUMBER
from tests.messaging.payloads import sms
from tests.messaging.rows import ago
from tests.messaging.signing import INBOUND, signed_post

TOLL_FREE = "+18005550100"


class RecordingGateway:
    """Takes every text, and remembers it."""

    def __init__(self) -> None:
        self.texts: list[OutboundText] = []

    def send(self, text: OutboundText) -> str:
        self.texts.append(text)
        return f"gateway-{text.reference}"


def text(body: str, from_: str = SARA, to: str = VIRTUAL_NUMBER, **fields: Any) -> None:
    """Deliver the webhook of a text, which must be answered 200."""
    response = signed_post(Client(), INBOUND, sms(text=body, from_=from_[1:], to=to[1:], **fields))
    assert (response.status_code, response.content) == (200, b"")


def send_all() -> list[tuple[str, str]]:
    """Let a sender send all that it may; return (to, words) of what was on the wire.

    Of what it claims at once, which has no order, what was written first is first.
    """
    gateway = RecordingGateway()
    while True:
        VirtualNumber.objects.update(messages_per_second=1000, next_send_at=ago(minutes=1))
        settle_overdue()
        claims = claim_texts(limit=100)
        if not claims:
            return [(sent.to_number, sent.body) for sent in gateway.texts]
        positions = dict(Message.objects.values_list("pk", "position"))
        claims.sort(key=lambda claim: positions[claim.id])
        record_results([_send(gateway, claim, use_before=float("inf")) for claim in claims])


def read_opt_outs(**filters: Any) -> list[tuple[str, str, str, bool]]:
    """Return (number, scope, source, whether it is in force) of opt-outs, oldest first."""
    rows = OptOut.objects.filter(**filters).select_related("virtual_number").order_by("created_at", "pk")
    return [(row.virtual_number.number, row.scope, row.source, row.ended_at is None) for row in rows]


def opt_out_by_text(number: str = SARA, to: str = VIRTUAL_NUMBER) -> None:
    """Let somebody text STOP, and all that follows be sent."""
    text("STOP", number, to)
    send_all()


def hour() -> str:
    return f"{timezone.now():%Y-%m-%dT%H}"
