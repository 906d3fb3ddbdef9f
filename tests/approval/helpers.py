"""Play a platform that approves of texts, ask it, and read what became of them."""

import json
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from messaging.asking import ask_platforms
from messaging.models import Approval, Message
from platforms.models import ApprovalHook
from tests.events.receiver import Answer, Received, Receiver
from tests.messaging.payloads import sms
from tests.messaging.rows import Kind, read_inbound
from tests.messaging.signing import INBOUND, signed_post

RELAY = {"action": "relay"}


def answering(answer: Any, status: int = 200) -> Answer:
    return Answer(status, body=answer if isinstance(answer, str) else json.dumps(answer))


class Approver(Receiver):
    """A receiver that lets every text pass, until `decide` says otherwise."""

    def __init__(self) -> None:
        super().__init__(lambda received: answering(RELAY))

    def always(self, answer: Any, status: int = 200) -> None:
        self.decide = lambda received: answering(answer, status)

    @property
    def texts(self) -> list[str]:
        """What was asked about, in the order in which it came."""
        return [text_of(received) for received in self.received]


def text_of(received: Received) -> str:
    return str(received.event["data"]["message"]["text"])


def receive(text: str = "hello", **fields: Any) -> None:
    """Receive a text of Sara's as the webhook does."""
    assert signed_post(Client(), INBOUND, sms(text=text, **fields)).status_code == 200


def ask() -> None:
    assert not ask_platforms()


def end_leases() -> None:
    """Make all that waits, or is being asked, due now."""
    Approval.objects.filter(settled_at=None).update(due_at=timezone.now() - timedelta(hours=1))


def relays() -> list[tuple[str, str]]:
    """Return (status, body) of each relay."""
    rows = Message.objects.filter(kind=Kind.RELAY).order_by("position")
    return [(row.status, row.body) for row in rows]


def inbound() -> list[tuple[str, str]]:
    """Return (status, error code) of each text that came."""
    return [(row.status, row.error_code) for row in read_inbound()]


def approvals() -> list[tuple[str, str]]:
    """Return (status, why there was no answer) of each question."""
    return [(row.status, row.error) for row in Approval.objects.order_by("position")]


def read_hook() -> ApprovalHook:
    return ApprovalHook.objects.get()
