"""Tell platforms, and the metrics, whom few virtual numbers are left, before a chat of theirs is refused."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from chats.allocation import ChosenNumbers
from chats.models import Chat, Participant
from chats.number_models import PoolForecast
from chats.pool import forecast_pool
from chats.services.locking import lock_people
from platforms.event_types import EventType
from platforms.events import record_event
from platforms.models import Platform

log = structlog.get_logger(__name__)

_TELL_AGAIN_AFTER = timedelta(days=1)
# The metric need not be more exact; chats of a platform that start at once need not wait for its row.
_NOTED_EVERY = timedelta(minutes=1)


def warn_of_shortage(*, chat: Chat, people: Sequence[Participant], chosen: ChosenNumbers, now: datetime) -> None:
    """Tell of those of the two `people` whom the numbers that were `chosen` leave few others, each once a day.

    Belongs into the transaction that gives the numbers; callers have locked the people.
    """
    short = {
        person: left
        for person, left in zip(people, chosen.left, strict=True)
        if left < settings.WARN_BELOW_FREE_NUMBERS
    }
    if not short:
        return
    log.warning(
        "virtual numbers are running out for a person",
        platform=str(chat.platform_id),
        chat=str(chat.pk),
        numbers_left=min(short.values()),
    )
    told = _find_told(chat, list(short), now)
    untold = {person: left for person, left in short.items() if bytes(person.phone_digest) not in told}
    if untold:
        _tell(chat, list(untold), left=min(untold.values()), now=now)


def tell_of_shortages(*, now: datetime) -> int:
    """Tell of each platform's busiest person, if few numbers are left them since others went out of use.

    As of the last look at the pools (chats.pool); returns how many were told of.
    """
    short = PoolForecast.objects.filter(
        numbers__lt=F("held_by_busiest_person") + settings.WARN_BELOW_FREE_NUMBERS, busiest_person__isnull=False
    )
    told = 0
    for forecast in short.select_related("busiest_person__chat__platform"):
        person = forecast.busiest_person
        assert person
        with transaction.atomic():
            lock_people(bytes(person.phone_digest))
            if not _find_told(person.chat, [person], now):
                _tell(person.chat, [person], left=forecast.chats_left, now=now)
                told += 1
    return told


def _find_told(chat: Chat, people: Sequence[Participant], now: datetime) -> set[bytes]:
    """Return the digests of those of `people` of whom the chat's platform was told within a day, in whichever chat."""
    told = Participant.objects.filter(
        phone_digest__in=[person.phone_digest for person in people],
        chat__platform=chat.platform_id,
        running_out_at__gt=now - _TELL_AGAIN_AFTER,
    )
    return {bytes(digest) for digest in told.values_list("phone_digest", flat=True)}


def _tell(chat: Chat, people: Sequence[Participant], *, left: int, now: datetime) -> None:
    Participant.objects.filter(pk__in=[person.pk for person in people]).update(running_out_at=now)
    due = Q(running_out_at=None) | Q(running_out_at__lt=now - _NOTED_EVERY)
    Platform.objects.filter(due, pk=chat.platform_id).update(running_out_at=now)
    record_event(
        platform_id=chat.platform_id,
        type=EventType.NUMBER_RUNNING_OUT,
        chat_id=chat.pk,
        data={
            "chat": {"id": chat.pk, "reference": chat.reference},
            "participants": [person.pk for person in people],
            "active_numbers": forecast_pool(platform=chat.platform, now=now).numbers,
            "chats_left": left,
        },
        now=now,
    )
