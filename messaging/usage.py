"""Keep the books: count what is in the log into daily totals, and read both together; docs/decisions/0022-usage.md."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from django.db import transaction

from messaging.models import Message, UsageProgress
from proxy_project.sql import execute_planned

# Held alone by who counts, and shared by who changes a text that may have been counted: the trigger
# messaging_count_late_change (migration 0013) names it too, and the half of this hour. In between, a transaction that
# changes or adds a text has the other half of the hour to end.
LOCK = 7308604895
_COUNTED_AFTER = "1 hour"
# So many texts are counted in one transaction: less than a second, in which changes of old texts wait.
AT_ONCE = 100_000

_COLUMNS = "day, platform_id, virtual_number_id, direction, kind, status, currency"
_SUMS = "sum(texts) AS texts, sum(segments) AS segments, sum(mms) AS mms, sum(attachments) AS attachments"
# What texts of the log count as. The trigger says the same. One that waits for its time may still be cancelled, and
# gets a new position: it counts from then on.
_OF_LOG = """
    SELECT (message.created_at AT TIME ZONE 'UTC')::date AS day,
           COALESCE(
               chat.platform_id, (SELECT platform_id FROM chats_virtualnumber WHERE id = message.virtual_number_id)
           ) AS platform_id,
           message.virtual_number_id, direction, kind, message.status,
           CASE WHEN price IS NULL THEN '' ELSE currency END AS currency,
           1 AS texts, CASE WHEN is_mms THEN 0 ELSE COALESCE(segments, 0) END AS segments, is_mms::int AS mms,
           media_count AS attachments, COALESCE(price, 0) AS price
      FROM messaging_message AS message
      LEFT JOIN chats_chat AS chat ON chat.id = message.chat_id
     CROSS JOIN LATERAL (
               SELECT channel = 'mms' OR (direction = 'in' AND media_count > 0) AS is_mms
                WHERE message.status <> 'scheduled'
           ) AS way
"""
# The texts that are old enough, up to the first that is not.
_FIND_END = f"""
    SELECT COALESCE(min(position) FILTER (WHERE created_at >= now() - interval '{_COUNTED_AFTER}'), max(position) + 1)
      FROM (SELECT position, created_at FROM messaging_message WHERE position >= %(start)s ORDER BY position
             LIMIT %(at_once)s) AS batch
"""
# A trigger on the books keeps UsageTotal (migration 0024).
_COUNT = f"""
    WITH late AS (DELETE FROM messaging_usageday WHERE is_late RETURNING *)
    INSERT INTO messaging_usageday AS total ({_COLUMNS}, texts, segments, mms, attachments, price)
    SELECT {_COLUMNS}, {_SUMS}, sum(price)
      FROM (SELECT {_COLUMNS}, texts, segments, mms, attachments, price FROM late
            UNION ALL
            {_OF_LOG} WHERE position >= %(start)s AND position < %(end)s) AS counted
     GROUP BY {_COLUMNS}
    ON CONFLICT (platform_id, day, virtual_number_id, direction, kind, status, currency) WHERE NOT is_late
    DO UPDATE SET texts = total.texts + excluded.texts, segments = total.segments + excluded.segments,
                  mms = total.mms + excluded.mms, attachments = total.attachments + excluded.attachments,
                  price = total.price + excluded.price
"""
_READ_COLUMNS = "day, virtual_number_id, direction, kind, status, currency, texts, segments, mms, attachments, price"
_IN_RANGE = "platform_id = %(platform_id)s AND day >= %(first)s AND day <= %(last)s"
_BY_NUMBER = f"SELECT {_READ_COLUMNS} FROM messaging_usageday WHERE {_IN_RANGE}"
# With thousands of numbers a few rows instead of a million. What has changed since is beside them for ten minutes: if
# it were in them, receipts would wait for each other.
_WITHOUT_NUMBERS = f"""
        SELECT day, NULL::uuid AS virtual_number_id, direction, kind, status, currency, texts, segments, mms,
               attachments, price
          FROM messaging_usagetotal
         WHERE {_IN_RANGE}
        UNION ALL
        {_BY_NUMBER} AND is_late
"""
# One statement sees one state of the books: what was counted meanwhile is not read twice. `counted_to` as it was just
# before only grows; it is there so that PostgreSQL sees how little of the log is left to read.
_READ = f"""
    WITH used AS (
        {{books}}
        UNION ALL
        SELECT {_READ_COLUMNS}
          FROM ({_OF_LOG}
         WHERE position >= %(counted_to)s
           AND position >= COALESCE((SELECT counted_to FROM messaging_usageprogress), 0)) AS recent
         WHERE {_IN_RANGE}
    )
    SELECT {{group}} AS shown, direction, kind, status, currency, {_SUMS}, sum(price)
      FROM used {{joined}}
     GROUP BY 1, 2, 3, 4, 5
    HAVING sum(texts) <> 0 OR sum(price) <> 0
     ORDER BY 1, 2, 3, 4, 5
"""


class GroupBy(StrEnum):
    """What a line of the books is about."""

    DAY = "day"
    MONTH = "month"
    VIRTUAL_NUMBER = "virtual_number"


# Each with the books that are read for it, and what they are joined with.
_STATEMENTS = {
    GroupBy.DAY: _READ.format(group="to_char(day, 'YYYY-MM-DD')", books=_WITHOUT_NUMBERS, joined=""),
    GroupBy.MONTH: _READ.format(group="to_char(day, 'YYYY-MM')", books=_WITHOUT_NUMBERS, joined=""),
    GroupBy.VIRTUAL_NUMBER: _READ.format(
        group="number.number",
        books=_BY_NUMBER,
        joined="LEFT JOIN chats_virtualnumber AS number ON number.id = virtual_number_id",
    ),
}


@dataclass
class Usage:
    """What texts of one direction come to; `prices` by currency, as far as the carrier has told."""

    texts: int = 0
    segments: int = 0
    mms: int = 0
    attachments: int = 0
    by_kind: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    by_status: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    prices: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


@dataclass
class Line:
    """A line of the books: a day, a month or a virtual number, or all of them together."""

    group: str
    inbound: Usage = field(default_factory=Usage)
    outbound: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Books:
    lines: Sequence[Line]
    total: Line


def count_usage(*, at_once: int = AT_ONCE) -> int:
    """Count the texts that are not counted yet, but for those of the last hour; return how many positions that is.

    Changes of counted texts wait while `at_once` of them are counted in one transaction.
    """
    counted = 0
    while step := _count_batch(at_once):
        counted += step
    return counted


def read_usage(*, platform_id: UUID, first: date, last: date, group_by: GroupBy) -> Books:
    """Return what a platform used from the day `first` to the day `last` (UTC), both included, as of this moment."""
    progress = UsageProgress.objects.values_list("counted_to", flat=True).first()
    rows = execute_planned(
        _STATEMENTS[group_by],
        {"platform_id": platform_id, "first": first, "last": last, "counted_to": progress or 0},
    )
    lines: dict[str, Line] = {}
    total = Line("")
    for group, direction, kind, status, currency, *amounts in rows:
        line = lines.setdefault(group or "", Line(group or ""))
        for each in (line, total):
            usage = each.inbound if direction == Message.Direction.INBOUND else each.outbound
            _add(usage, kind=kind, status=status, currency=currency, amounts=amounts)
    return Books(list(lines.values()), total)


def _add(usage: Usage, *, kind: str, status: str, currency: str, amounts: Sequence[Decimal]) -> None:
    texts, segments, mms, attachments, price = amounts
    usage.texts += int(texts)
    usage.segments += int(segments)
    usage.mms += int(mms)
    usage.attachments += int(attachments)
    usage.by_kind[kind] += int(texts)
    usage.by_status[status] += int(texts)
    if price:
        usage.prices[currency] += price


@transaction.atomic
def _count_batch(at_once: int) -> int:
    """Count a batch, and add up what changed later; return how far that went."""
    # Each statement sees what was committed before it: those after this one see all that was under way.
    execute_planned("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": LOCK})
    progress, _ = UsageProgress.objects.get_or_create(pk=1)
    start = progress.counted_to
    [(found,)] = execute_planned(_FIND_END, {"start": start, "at_once": at_once})
    end: int = start if found is None else found
    execute_planned(_COUNT, {"start": start, "end": end})
    UsageProgress.objects.update(counted_to=end)
    return end - start
