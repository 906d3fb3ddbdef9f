"""A week of a busy desk: texts of every outcome on seven days, prices, times, a failing endpoint, an ailing number."""

import random
import secrets
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from chats.models import Chat, Participant
from desk.counting import count_figures
from messaging.models import Message
from platforms.models import Platform, WebhookEndpoint
from proxy_project.ids import first_id_at
from tests.factories import make_api_key, make_chat, make_platform, make_pool

_FAILURES = (
    ("1180", "recipient", "The recipient's phone cannot be reached for now. It may work later."),
    ("1210", "carrier", "The carrier's spam filter refused the text."),
    ("expired", "unknown", "It could not be handed over for too long; the last reason: Vonage has an internal error."),
    ("1070", "money", "The credit or the quota of the Vonage account is used up."),
)


def populate_week(*, texts_a_day: int = 40) -> Platform:
    """Make texts of a week, count them, and return the platform whose they are."""
    chance = random.Random(27)
    now = timezone.now()
    rides = make_platform("Rides")
    make_api_key(rides)
    numbers = make_pool(4)
    chats = [
        make_chat(rides, (f"+1415555013{index}", f"+1415555014{index}"), names=("Sara", "Omar")) for index in range(6)
    ]
    Message.objects.all().delete()
    people = list(Participant.objects.order_by("chat_id", "position"))
    times = sorted(
        now - timedelta(days=ago, minutes=chance.randrange(20, 200))
        for ago in range(7)
        for _ in range(texts_a_day - 3 * ago + chance.randrange(9))
    )
    for index, at in enumerate(times):
        _log_pair(chance, chance.choice(people), at, index)
    for chat in chats:
        Chat.objects.filter(pk=chat.pk).update(created_at=now - timedelta(hours=chance.randrange(0, 100)))
    numbers[3].unlinked_since = now - timedelta(hours=2)
    numbers[3].save()
    WebhookEndpoint.objects.create(
        platform=rides, url="https://example.com/hooks", secret="x", consecutive_failures=12, last_failure_at=now,
        last_failure="500 Internal Server Error",
    )  # fmt: skip
    Platform.objects.update(running_out_at=now - timedelta(hours=1))
    count_figures(now=now)
    return rides


def _log_pair(chance: random.Random, writer: Participant, at: datetime, index: int) -> None:
    inbound = Message.objects.create(
        pk=make_id_at(at), direction="in", kind="text", status="relayed" if index % 17 else "late",
        virtual_number_id=writer.virtual_number_id, chat_id=writer.chat_id, participant=writer, body="hello",
    )  # fmt: skip
    Message.objects.filter(pk=inbound.pk).update(created_at=at)
    if inbound.status == "late":
        return
    recipient = Participant.objects.exclude(pk=writer.pk).get(chat=writer.chat_id)
    fields: dict[str, object] = {"status": "delivered", "price": Decimal("0.0072"), "currency": "EUR"}
    sent_at = at + timedelta(seconds=chance.lognormvariate(-0.7, 0.6))
    fields |= {"sent_at": sent_at, "delivered_at": sent_at + timedelta(seconds=chance.lognormvariate(1.1, 0.7))}
    if index % 11 == 3:
        code, kind, detail = _FAILURES[chance.choice((0, 0, 0, 1, 1, 2, 3))]
        fields = {"status": "failed", "error_code": code, "error_kind": kind, "error_detail": detail}
        fields |= {"failed_at": at + timedelta(seconds=40), "sent_at": sent_at if code.isdigit() else None}
    elif index % 13 == 5:
        fields = {"status": "sent", "sent_at": sent_at}
    relay = Message.objects.create(
        pk=make_id_at(at), direction="out", kind="relay", virtual_number_id=recipient.virtual_number_id,
        chat_id=recipient.chat_id, participant=recipient, relays=inbound, body="hello", **fields,
    )  # fmt: skip
    Message.objects.filter(pk=relay.pk).update(created_at=at)


def make_id_at(moment: datetime) -> UUID:
    """Return an id as it would have been made then."""
    return UUID(int=first_id_at(moment).int + secrets.randbits(62))
