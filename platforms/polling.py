"""Read a platform's events in an order that is final: whoever has seen one never finds an earlier one later."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import F, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.fields.tuple_lookups import TupleGreaterThan

from platforms.models import Event, Platform

# A transaction that is still open may have an event that comes before those already committed. Its number is not below
# this, and numbers are given in ascending order: all below it have ended, and none of them comes later.
# https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
_OLDEST_OPEN = RawSQL("pg_snapshot_xmin(pg_current_snapshot())::text::bigint", ())

# Run after a restore: another PostgreSQL cluster may be at lower numbers, and would not show these events until it is
# at theirs. Below every number that there can be, and in the order in which they were polled before.
SHOW_RESTORED = """
    UPDATE platforms_event AS event SET transaction = event.transaction - newest.transaction
      FROM (SELECT max(transaction) AS transaction FROM platforms_event) AS newest
     WHERE newest.transaction > 0
"""


class UnknownEvent(Exception):
    """The platform has no event of this id, and never had one as old as that."""


@dataclass(frozen=True, slots=True)
class Page:
    """Events, oldest first, and whether there are more after them."""

    events: list[Event]
    has_more: bool


def read_events(*, platform: Platform, after: UUID | None, types: list[str], limit: int, now: datetime) -> Page:
    """Return up to `limit` events that came after the event `after`, or from the oldest that is kept.

    Events of transactions that are not known to have ended are left for the next time. An `after` that is older than
    what is kept stands for everything that is. Raises UnknownEvent.
    """
    events = Event.objects.filter(platform=platform, transaction__lt=_OLDEST_OPEN)
    if after is not None:
        events = _after(events, platform, after, now)
    if types:
        events = events.filter(type__in=types)
    rows = list(
        events.order_by("transaction", "position").select_related("message").prefetch_related("deliveries")[: limit + 1]
    )
    return Page(rows[:limit], has_more=len(rows) > limit)


def _after(events: QuerySet[Event], platform: Platform, after: UUID, now: datetime) -> QuerySet[Event]:
    place = Event.objects.filter(platform=platform, pk=after).values_list("transaction", "position").first()
    if place is not None:
        # As a pair, by which the index finds where to go on; with OR, it would read all of them up to there.
        return events.filter(TupleGreaterThan((F("transaction"), F("position")), place))
    if (
        after.version == 7
        and _time_of(after) < now.timestamp() - timedelta(days=settings.EVENT_RETENTION_DAYS).total_seconds()
    ):
        return events
    raise UnknownEvent("You have no event of this id. Leave it out to begin with the oldest that is kept.")


def _time_of(event_id: UUID) -> float:
    """Return the time within a UUID of version 7: https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7"""
    return (event_id.int >> 80) / 1000
