"""Make events happen, and time pass."""

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from messaging.gateways import InboundText, Progress, Receipt
from messaging.receipts import record_receipt
from messaging.relay import receive_text
from platforms.delivery import deliver_due_events
from platforms.event_types import EVENT_TYPES, EventType
from platforms.events import record_event
from platforms.models import Event, EventDelivery, Platform
from tests.factories import SARA, VIRTUAL_NUMBER


def record(platform: Platform, type: EventType = EventType.CHAT_EXPIRING, **fields: Any) -> Event:
    """Record an event whose data is that of the documentation."""
    record_event(platform_id=platform.pk, type=type, data=EVENT_TYPES[type].data, now=timezone.now(), **fields)
    return Event.objects.latest("position")


def text_from(number: str = SARA, body: str = "hello", *, to: str = VIRTUAL_NUMBER, id: str | None = None) -> None:
    """Receive a text as the webhook does."""
    at = timezone.now()
    text = InboundText(gateway_id=id or f"id-{at.timestamp()}", from_number=number, to_number=to, body=body)
    receive_text(text, now=at)


def read_types() -> list[str]:
    return list(Event.objects.order_by("position").values_list("type", flat=True))


def let_time_pass() -> None:
    """Make all that waits due now."""
    EventDelivery.objects.filter(status="waiting").update(due_at=timezone.now() - timedelta(hours=1))


def deliver() -> None:
    assert not deliver_due_events()


def states(event_id: UUID | None = None) -> list[tuple[str, int]]:
    """Return (status, attempts) of the deliveries, in the order of their events."""
    rows = EventDelivery.objects.order_by("position", "pk")
    rows = rows.filter(event=event_id) if event_id else rows
    return [(row.status, row.attempts) for row in rows]


def receipt_for(reference: UUID, progress: Progress, **fields: Any) -> None:
    assert record_receipt(
        Receipt(reference=reference, gateway_id="gateway-1", progress=progress, at=time.time(), **fields),
        now=timezone.now(),
    )
