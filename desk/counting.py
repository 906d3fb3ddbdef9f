"""Count what the desk shows of the message log and the chats, by quarter of an hour; docs/decisions/0027-desk.md."""

from datetime import datetime, timedelta

from django.db import transaction

from desk.models import Progress
from proxy_project.ids import first_id_at
from proxy_project.sql import execute_planned

# Held alone by who counts, and shared by who changes a text that may have been counted: the trigger
# desk_keep_late_change (migration 0001) names it too, and the half of these minutes.
LOCK = 7308604927
_COUNTED_AFTER = "10 minutes"
# So many texts are counted in one transaction: about a second, in which changes of older texts wait.
_BATCH = 100_000
# The charts show a week.
KEPT = timedelta(days=90)
_COUNTED_BEFORE_FIRST = timedelta(days=9)

# Durations are kept by length: the bounds of a bucket differ by a fifth, and buckets of any quarters add up.
BUCKETS_PER_DOUBLING = 4


def _bucket(duration: str) -> str:
    milliseconds = f"GREATEST(1, extract(epoch FROM {duration}) * 1000)::float"
    return f"ceil({BUCKETS_PER_DOUBLING} * ln({milliseconds}) / ln(2))::int::text"


# What a text of the log, or of LateChange, counts as. One that waits for its time may still be cancelled.
_FACTS = f"""
    SELECT date_bin('15 minutes', created_at, '2000-01-01 00:00Z') AS at, name, key, sum(sign * amount) AS amount
      FROM ({{texts}}) AS text
     CROSS JOIN LATERAL (
               SELECT direction AS name, status AS key, 1 AS amount
                UNION ALL
               SELECT 'failed', error_code, 1 WHERE status = 'failed'
                UNION ALL
               SELECT 'cost', currency, round(price * 1000000) WHERE price IS NOT NULL
                UNION ALL
               SELECT 'relay', {_bucket("sent_at - created_at")}, 1
                WHERE kind = 'relay' AND sent_at IS NOT NULL AND NOT is_resent
                UNION ALL
               SELECT 'delivery', {_bucket("delivered_at - sent_at")}, 1
                WHERE delivered_at IS NOT NULL AND sent_at IS NOT NULL
           ) AS fact
     WHERE status <> 'scheduled'
     GROUP BY 1, 2, 3
"""
_COLUMNS = "created_at, direction, kind, status, error_code, sent_at, delivered_at, price, currency"
_OF_LOG = f"""
    SELECT 1 AS sign, {_COLUMNS}, earlier_gateway_ids IS NOT NULL AS is_resent
      FROM messaging_message WHERE position >= %(start)s AND position < %(end)s
"""
# The texts that are old enough, up to the first that is not.
_FIND_END = f"""
    SELECT COALESCE(min(position) FILTER (WHERE created_at >= now() - interval '{_COUNTED_AFTER}'), max(position) + 1)
      FROM (SELECT position, created_at FROM messaging_message WHERE position >= %(start)s ORDER BY position
             LIMIT {_BATCH}) AS batch
"""
_COUNT = f"""
    WITH late AS (DELETE FROM desk_latechange RETURNING *)
    INSERT INTO desk_figure AS total (at, name, key, amount, is_recent)
    SELECT at, name, key, amount, false
      FROM ({_FACTS.format(texts=f"SELECT sign, {_COLUMNS}, is_resent FROM late UNION ALL {_OF_LOG}")}) AS counted
     WHERE amount <> 0
    ON CONFLICT (at, name, key, is_recent) DO UPDATE SET amount = total.amount + excluded.amount
"""
_FORGET_RECENT = "DELETE FROM desk_figure WHERE is_recent"
_COUNT_RECENT = f"""
    INSERT INTO desk_figure (at, name, key, amount, is_recent)
    SELECT at, name, key, amount, true FROM ({_FACTS.format(texts=_OF_LOG)}) AS counted
"""
# By chat_newest, and chat_by_end for each platform. What began or ended in a quarter does not change, but a chat may be
# committed a little later than it says.
_COUNT_CHATS = """
    INSERT INTO desk_figure (at, name, key, amount, is_recent)
    SELECT date_bin('15 minutes', moment, '2000-01-01 00:00Z'), 'chats', key, count(*), false
      FROM (SELECT 'opened' AS key, created_at AS moment FROM chats_chat WHERE created_at >= %(since)s
             UNION ALL
            SELECT 'ended', ended_at
              FROM platforms_platform AS platform
             CROSS JOIN LATERAL (SELECT ended_at FROM chats_chat
                                  WHERE platform_id = platform.id AND ended_at >= %(since)s OFFSET 0) AS over) AS moved
     GROUP BY 1, 3
    ON CONFLICT (at, name, key, is_recent) DO UPDATE SET amount = excluded.amount
"""
# The most there was in a quarter; by participant_open_by_number.
_SAMPLE_POOL = """
    INSERT INTO desk_figure AS total (at, name, key, amount, is_recent)
    SELECT date_bin('15 minutes', now(), '2000-01-01 00:00Z'), 'pool', key, amount, false
      FROM (SELECT count(*) AS active, count(*) FILTER (WHERE people > 0) AS used, COALESCE(sum(people), 0) / 2 AS open
              FROM chats_virtualnumber AS number
             CROSS JOIN LATERAL (SELECT count(*) AS people FROM chats_participant
                                  WHERE virtual_number_id = number.id AND ended_at IS NULL) AS held
             WHERE state IN ('active', 'reserved')) AS pool
     CROSS JOIN LATERAL (VALUES ('active', active), ('used', used), ('open', open)) AS sample (key, amount)
    ON CONFLICT (at, name, key, is_recent) DO UPDATE SET amount = GREATEST(total.amount, excluded.amount)
"""
# By the primary key, which is ordered by time.
_FIND_START = """
    SELECT COALESCE((SELECT position FROM messaging_message WHERE id >= %(id)s ORDER BY id LIMIT 1),
                    (SELECT max(position) + 1 FROM messaging_message), 0)
"""


def count_figures(*, now: datetime) -> None:
    """Count what is new since the last time. Any number of workers may do this; they take turns."""
    while _count_batch(now=now):
        pass


@transaction.atomic
def _count_batch(*, now: datetime) -> bool:
    """Count a batch, and what changed later; return whether there is more to be counted for good."""
    # Each statement sees what was committed before it: those after this one see all that was under way.
    execute_planned("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": LOCK})
    progress = Progress.objects.first()
    start = progress.counted_to if progress else _find_start(now)
    [(found,)] = execute_planned(_FIND_END, {"start": start})
    end: int = start if found is None else found
    execute_planned(_COUNT, {"start": start, "end": end})
    # Some of them have just been counted for good.
    execute_planned(_FORGET_RECENT, {})
    if end - start >= _BATCH:
        Progress.objects.filter(pk=1).update(counted_to=end) if progress else _begin(end, now)
        return True
    execute_planned(_COUNT_RECENT, {"start": end, "end": 2**63 - 1})
    since = progress.counted_at if progress else now - _COUNTED_BEFORE_FIRST
    execute_planned(_COUNT_CHATS, {"since": _quarter_before(since)})
    execute_planned(_SAMPLE_POOL, {})
    execute_planned("DELETE FROM desk_figure WHERE at < %(before)s", {"before": now - KEPT})
    Progress.objects.update_or_create(pk=1, defaults={"counted_to": end, "counted_at": now})
    return False


def _find_start(now: datetime) -> int:
    """Return from which position on texts are counted at all: nobody looks at figures of long ago."""
    start: int
    [(start,)] = execute_planned(_FIND_START, {"id": first_id_at(now - _COUNTED_BEFORE_FIRST)})
    return start


def _begin(end: int, now: datetime) -> None:
    Progress.objects.create(counted_to=end, counted_at=now - _COUNTED_BEFORE_FIRST)


def _quarter_before(moment: datetime) -> datetime:
    """Return when the quarter before that of `moment` began."""
    quarter = moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)
    return quarter - timedelta(minutes=15)
