"""Bring the virtual numbers into line with those of the account at the gateway.

What is new there comes in reserved, what is gone is flagged: nothing is given to anybody, retired or deleted here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

import phonenumbers
import structlog
from django.conf import settings
from django.db import connection, transaction

from chats.models import Participant, VirtualNumber, mask
from chats.services import CannotAddVirtualNumber, VirtualNumberExists, add_virtual_number
from messaging.gateways import Account, OwnedNumber
from messaging.models import GatewayAccount
from messaging.pauses import ACCOUNT
from platforms.event_types import EventType
from platforms.events import record_event

log = structlog.get_logger(__name__)

_LOCK_KEY = int.from_bytes(b"numbers", "big")


# What the platform is told that alone uses a number, by its flag.
_PROBLEMS = {
    "missing_since": ("missing", "The number is no longer rented, so no text goes through it."),
    "unlinked_since": ("not_linked", "The number is not linked to the service, so texts to it do not arrive."),
}


class ChangeKind(Enum):
    ADDED = "added"
    CHANGED = "changed"
    REFUSED = "refused"
    MISSING = "missing"
    BACK = "back"
    UNLINKED = "unlinked"
    LINKED = "linked"


@dataclass(frozen=True, kw_only=True)
class NumberChange:
    """What became of one number, in one sentence. `number` is masked when it is the phone number of a person."""

    kind: ChangeKind
    number: str = field(repr=False)
    sentence: str


class SuspiciousAnswer(Exception):
    """The account is said to have no numbers, and we have some."""


def sync_virtual_numbers(*, account: Account, now: datetime, allow_empty: bool = False) -> list[NumberChange]:
    """Read all numbers of the account, then make ours follow; return what changed.

    One process at a time does it; another that comes meanwhile waits, and then reads anew.
    Raises AccountError when not every number could be read, and SuspiciousAnswer; nothing is changed then.
    """
    with _alone():
        # Ours first: what is rented and added meanwhile must not look as if it were gone.
        ours = {row.number: row for row in VirtualNumber.objects.all()}
        owned = {number.number: number for number in account.list_numbers()}
        if not owned and not allow_empty and any(row.state != VirtualNumber.State.RETIRED for row in ours.values()):
            raise SuspiciousAnswer("The account is said to have no numbers at all, which is not believed.")
        changes: list[NumberChange] = []
        for number in sorted(owned.keys() - ours.keys()):
            changes += _add(owned[number], now=now)
        for number, row in sorted(ours.items()):
            if number in owned:
                changes += _follow(row, owned[number], now=now)
            else:
                changes += _miss(row, now=now)
        GatewayAccount.objects.update_or_create(name=ACCOUNT, defaults={"numbers_read_at": now})
    return changes


def is_linked(owned: OwnedNumber) -> bool:
    """Return whether what people text to the number comes to us.

    An account whose webhooks are those of the SMS API sends them where the account says, not an application.
    """
    if settings.VONAGE_LEGACY_WEBHOOKS:
        return True
    return owned.application_id.lower() == settings.VONAGE_APPLICATION_ID.lower()


@contextmanager
def _alone() -> Iterator[None]:
    """Hold a lock of the database session: a transaction would be open while the network is used."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK_KEY])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK_KEY])


def _add(owned: OwnedNumber, *, now: datetime) -> Iterator[NumberChange]:
    try:
        row = add_virtual_number(
            number=owned.number,
            platform=None,
            country=_read_country(owned),
            messages_per_second=None,
            state=VirtualNumber.State.RESERVED,
            can_sms=owned.can_sms,
            can_mms=owned.can_mms,
        )
    except VirtualNumberExists:
        # Added by somebody else since ours were read; the next sync looks at it.
        return
    except CannotAddVirtualNumber as error:
        log.error("number of the account refused", reason=str(error))
        yield NumberChange(kind=ChangeKind.REFUSED, number=mask(owned.number), sentence=f"Not added: {error}")
        return
    VirtualNumber.objects.filter(pk=row.pk).update(at_gateway=_read_offer(owned))
    log.info("virtual number added", virtual_number=str(row.pk), state=row.state)
    what = " and ".join(name for name, can in (("SMS", row.can_sms), ("MMS", row.can_mms)) if can) or "no texts"
    where = row.country or "no country"
    sentence = f"Added, reserved ({where}, {what}): make it active in the admin to use it."
    yield NumberChange(kind=ChangeKind.ADDED, number=row.number, sentence=sentence)
    yield from _judge_link(row, owned, now=now)


def _follow(row: VirtualNumber, owned: OwnedNumber, *, now: datetime) -> Iterator[NumberChange]:
    if _clear(row, "missing_since"):
        log.info("virtual number is back", virtual_number=str(row.pk))
        yield NumberChange(kind=ChangeKind.BACK, number=row.number, sentence="The account has the number again.")
    yield from _copy(row, owned)
    yield from _judge_link(row, owned, now=now)


def _miss(row: VirtualNumber, *, now: datetime) -> Iterator[NumberChange]:
    open_chats = (
        Participant.objects.filter(virtual_number=row, ended_at=None).order_by().values("chat").distinct().count()
    )
    # It is linked to nothing of ours any more, which is the smaller problem.
    _clear(row, "unlinked_since")
    # Who retires a number gives it back; only those who still text through it miss it.
    if row.state == VirtualNumber.State.RETIRED and not open_chats:
        _clear(row, "missing_since")
    elif _flag(row, "missing_since", now):
        log.error("virtual number missing", virtual_number=str(row.pk), state=row.state, open_chats=open_chats)
        chats = f"{open_chats} open chat{'' if open_chats == 1 else 's'}"
        sentence = f"The account no longer has the number ({chats}): rent it again, or end its chats and retire it."
        yield NumberChange(kind=ChangeKind.MISSING, number=row.number, sentence=sentence)


def _copy(row: VirtualNumber, owned: OwnedNumber) -> Iterator[NumberChange]:
    """Make of country and capabilities what has changed in the account; else they are as an operator wants them."""
    offer, known = _read_offer(owned), row.at_gateway or {}
    news = {name: value for name, value in offer.items() if name not in known or known[name] != value}
    changed = {name: value for name, value in news.items() if getattr(row, name) != value}
    if news:
        # Only what changed: the sender paces by the row.
        VirtualNumber.objects.filter(pk=row.pk).update(**changed, at_gateway=known | offer)
    if changed:
        log.info("virtual number changed", virtual_number=str(row.pk), **changed)
        told = ", ".join(f"{_WORDS[name]} {_VALUES.get(value, value)}" for name, value in changed.items())
        sentence = f"Now as at the gateway: {told}."
        yield NumberChange(kind=ChangeKind.CHANGED, number=row.number, sentence=sentence)


def _read_offer(owned: OwnedNumber) -> dict[str, str | bool]:
    country = _read_country(owned)
    return ({"country": country} if country else {}) | {"can_sms": owned.can_sms, "can_mms": owned.can_mms}


_WORDS = {"country": "country", "can_sms": "SMS", "can_mms": "MMS"}
_VALUES: dict[object, str] = {True: "on", False: "off"}


def _judge_link(row: VirtualNumber, owned: OwnedNumber, *, now: datetime) -> Iterator[NumberChange]:
    if is_linked(owned) or row.state == VirtualNumber.State.RETIRED:
        if _clear(row, "unlinked_since"):
            log.info("virtual number linked", virtual_number=str(row.pk))
            yield NumberChange(kind=ChangeKind.LINKED, number=row.number, sentence="Its texts reach us again.")
    elif _flag(row, "unlinked_since", now):
        log.error("virtual number not linked to our application", virtual_number=str(row.pk), state=row.state)
        where = "another application" if owned.application_id else "no application"
        sentence = f"Linked to {where}, so its texts do not reach us: link it to that of VONAGE_APPLICATION_ID."
        yield NumberChange(kind=ChangeKind.UNLINKED, number=row.number, sentence=sentence)


def _flag(row: VirtualNumber, name: str, now: datetime) -> bool:
    """Set a flag, and tell the platform that owns the number; return whether it was not set before.

    Nobody else moves it: we are alone.
    """
    if getattr(row, name) is not None:
        return False
    with transaction.atomic():
        is_flagged = bool(VirtualNumber.objects.filter(pk=row.pk).update(**{name: now}))
        if is_flagged and row.platform_id:
            code, detail = _PROBLEMS[name]
            record_event(
                platform_id=row.platform_id,
                type=EventType.NUMBER_PROBLEM,
                data={"virtual_number": row.number, "code": code, "detail": detail},
                now=now,
            )
    return is_flagged


def _clear(row: VirtualNumber, name: str) -> bool:
    """Clear a flag; return whether it was set before."""
    if getattr(row, name) is None:
        return False
    return bool(VirtualNumber.objects.filter(pk=row.pk).update(**{name: None}))


def _read_country(owned: OwnedNumber) -> str:
    return owned.country if owned.country in phonenumbers.SUPPORTED_REGIONS else ""
