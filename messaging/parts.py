"""Join long texts that the carrier delivers in parts: each part is kept as it comes, the whole is relayed once."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from messaging import wording
from messaging.gateways import InboundPart, InboundText
from messaging.gateways.fields import find_obstacle
from messaging.models import TextPart
from messaging.relay import receive_text
from proxy_project.encryption import digest_number
from proxy_project.sql import execute_prepared

log = structlog.get_logger(__name__)

# Who joins a text waits for those who write its parts, and they for each other.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%(key)s, 0))"


def receive_part(part: InboundPart, *, now: datetime) -> None:
    """Keep a part; when it is the last one that was missing, relay the text: all of it is stored, or nothing."""
    key = TextPart.Key(digest_number(part.text.from_number), part.text.to_number, part.reference, part.total)
    with transaction.atomic():
        _lock(key)
        if TextPart.objects.filter(gateway_id=part.text.gateway_id).exists():
            log.info("part received again")
            return
        waiting = list(_find_waiting(key))
        same = next((other for other in waiting if other.part == part.part), None)
        if same and same.body == part.text.body:
            # The carrier doubled it under another id. Kept without a word, so that it is known when it comes again.
            _keep(part, key, body="", from_number="", joined_at=now)
            log.info("part received twice")
            return
        if same:
            # Another text already has the same reference.
            _join(waiting, now)
            waiting = []
        waiting.append(_keep(part, key, body=part.text.body, from_number=part.text.from_number))
        if len(waiting) == part.total:
            _join(waiting, now)
        else:
            log.info("part received", parts=len(waiting), total=part.total)


def relay_overdue_parts(*, now: datetime) -> int:
    """Relay each text whose first part came PARTS_WAIT_SECONDS ago, with a mark for what is missing; count them."""
    due_before = now - timedelta(seconds=settings.PARTS_WAIT_SECONDS)
    overdue = TextPart.objects.filter(joined_at=None, received_at__lte=due_before)
    relayed = 0
    for values in list(overdue.values_list(*TextPart.Key._fields).distinct()):
        key = TextPart.Key(*values)
        try:
            with transaction.atomic():
                _lock(key)
                waiting = list(_find_waiting(key))
                # The last part may have come since.
                if any(part.received_at <= due_before for part in waiting):
                    _join(waiting, now)
                    relayed += 1
        except InvalidToken:
            log.error("a text in parts cannot be read: the key that encrypted it is not among ENCRYPTION_KEYS")
    return relayed


def forget_joined_parts(*, now: datetime) -> int:
    """Delete the parts of texts that were relayed so long ago that the carrier repeats them no more; count them."""
    known_until = now - timedelta(hours=settings.WEBHOOK_MAX_AGE_HOURS)
    return TextPart.objects.filter(joined_at__lte=known_until).delete()[0]


def _lock(key: TextPart.Key) -> None:
    execute_prepared(_LOCK, {"key": f"{key.sender_digest.hex()} {key.to_number} {key.reference} {key.total}"})


def _find_waiting(key: TextPart.Key) -> QuerySet[TextPart]:
    return TextPart.objects.filter(joined_at=None, **key._asdict()).order_by("part")


def _keep(part: InboundPart, key: TextPart.Key, **fields: object) -> TextPart:
    undeliverable = part.text.undeliverable
    return TextPart.objects.create(
        **key._asdict(),
        part=part.part,
        gateway_id=part.text.gateway_id,
        # Whether it is empty or too long is a question for the whole.
        undeliverable="" if undeliverable in ("empty", "too_long") else undeliverable,
        **fields,
    )


def _join(parts: Iterable[TextPart], now: datetime) -> None:
    """Relay the text as one row under the id of its first part, and keep of its parts only their ids."""
    ordered = sorted(parts, key=lambda part: part.part)
    first = ordered[0]
    body = _join_bodies(ordered)
    undeliverable = next((part.undeliverable for part in ordered if part.undeliverable), "") or find_obstacle(body)
    log.info("parts joined", parts=len(ordered), total=first.total)
    text = InboundText(first.gateway_id, first.from_number, first.to_number, body, undeliverable, segments=first.total)
    receive_text(text, now=now)
    TextPart.objects.filter(pk__in=[part.pk for part in ordered]).update(joined_at=now, body="", from_number="")


def _join_bodies(ordered: list[TextPart]) -> str:
    total = ordered[0].total
    text = ""
    expected = 1
    for part in ordered:
        text = _mark_missing(text, expected, part.part - 1, total)
        apart = " " if part.part > expected and not part.body[:1].isspace() else ""
        text += apart + part.body
        expected = part.part + 1
    return _mark_missing(text, expected, total, total)


def _mark_missing(text: str, first: int, last: int, total: int) -> str:
    if first > last:
        return text
    apart = " " if text and not text[-1].isspace() else ""
    return text + apart + wording.name_missing_parts(first, last, total)
