"""Make and read rows of the message log, and of the account that sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone

from chats.models import Participant, VirtualNumber
from messaging.models import GatewayAccount, Message

Kind = Message.Kind
Status = Message.Status


def forget_introductions() -> None:
    """Delete the introductions that starting a chat queues, so that only the texts of the test are left."""
    Message.objects.filter(kind=Kind.INTRODUCTION).delete()


def make_queued(recipient: Participant, body: str = "hello", **fields: Any) -> Message:
    """Return an introduction in the outbox, due now; other kinds and states by fields."""
    return Message.objects.create(**_outbound(recipient, body, fields))


def make_relay(writer: Participant, recipient: Participant, body: str = "hello", **fields: Any) -> Message:
    """Return a text from one participant that is being passed on to the other."""
    inbound = Message.objects.create(
        direction="in",
        kind=Kind.TEXT,
        status=Status.RELAYED,
        virtual_number_id=writer.virtual_number_id,
        chat_id=writer.chat_id,
        participant=writer,
        body=body,
    )
    return make_queued(recipient, body, kind=Kind.RELAY, relays=inbound, **fields)


def read_inbound() -> list[Message]:
    return list(Message.objects.filter(direction="in").order_by("position"))


def read_outbound(*kinds: Kind) -> list[Message]:
    """Return what was queued, oldest first; the given kinds only."""
    rows = Message.objects.filter(direction="out").order_by("position")
    return list(rows.filter(kind__in=kinds) if kinds else rows)


def read_answers() -> list[tuple[Any, str]]:
    """Return who was told what by the service itself: (participant id, body)."""
    return [(row.participant_id, row.body) for row in read_outbound(Kind.AUTO_REPLY)]


@contextmanager
def next_probe_in(least: float, most: float) -> Iterator[None]:
    """Fail unless what is done in here has the account tried again in that many seconds, by the database's clock."""
    began = _ask_for("clock_timestamp()")
    yield
    probe_at = GatewayAccount.objects.values_list("probe_at", flat=True).get()
    assert began + timedelta(seconds=least) <= probe_at <= _ask_for("clock_timestamp()") + timedelta(seconds=most)


def now() -> datetime:
    """Return the database's time, which stands still in a test's transaction."""
    return _ask_for("now()")


def _ask_for(moment: str) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {moment}")
        [answer] = cursor.fetchone()
    assert isinstance(answer, datetime)
    return answer


def begin_log_anew() -> None:
    """Have the log begin without what other tests left in its pages and indexes, by which plans are chosen."""
    with connection.cursor() as cursor:
        # What is checked at the end of the transaction would be in the way.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("TRUNCATE messaging_message CASCADE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def lose_the_key() -> None:
    """Leave everything encrypted so far under a key that is not among ENCRYPTION_KEYS."""
    token = Fernet(Fernet.generate_key()).encrypt(b"lost").decode()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE messaging_message SET body = %s", [token])
        cursor.execute("UPDATE chats_participant SET phone_number = %s, name = %s", [token, token])


def ago(**duration: float) -> datetime:
    return timezone.now() - timedelta(**duration)


def _outbound(recipient: Participant, body: str, fields: dict[str, Any]) -> dict[str, Any]:
    pending = fields.get("status", Status.QUEUED) in Message.PENDING_STATUSES
    return {
        "direction": "out",
        "kind": Kind.INTRODUCTION,
        "status": Status.QUEUED,
        "virtual_number_id": recipient.virtual_number_id,
        "chat_id": recipient.chat_id,
        "participant": recipient,
        "body": body,
        "due_at": ago(minutes=1) if pending else None,
        **fields,
    }


def make_strangers_queued(virtual_number: VirtualNumber, count: int) -> None:
    """Queue that many texts to different people, none of whom waits for another."""
    Message.objects.bulk_create(
        Message(
            direction="out",
            kind=Kind.AUTO_REPLY,
            status=Status.QUEUED,
            virtual_number=virtual_number,
            stranger_number=f"+1415555{1000 + index:04}",
            body="hello",
            due_at=ago(minutes=1),
        )
        for index in range(count)
    )
