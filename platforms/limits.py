"""How much of the API a platform may use: so many reads and writes a minute, and new chats a day."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from django.conf import settings

from platforms.models import Platform
from proxy_project.sql import execute_prepared


class Bucket(StrEnum):
    """What is counted."""

    READS = "reads"
    WRITES = "writes"
    CHATS = "chats"


# An allowance is one time, at which it will be whole again (the "generic cell rate algorithm"): what is taken moves
# it on by its share of the window, and it must not lie further ahead than the window is long. So many at once, then
# evenly. The clock is the database's, the same for all processes. Rows are locked in the order of the buckets, and no
# request of a platform waits until what another has taken is on the disk: a crash may forget it.
_TAKE = """
    INSERT INTO platforms_allowance AS kept (platform_id, bucket, whole_at)
    SELECT %(platform_id)s, asked.bucket, now() + asked.cost
    FROM unnest(%(buckets)s::text[], %(costs)s::interval[]) AS asked (bucket, cost),
         set_config('synchronous_commit', 'off', true)
    ON CONFLICT (platform_id, bucket) DO UPDATE
    SET whole_at = greatest(kept.whole_at, now()) + (excluded.whole_at - now())
    WHERE greatest(kept.whole_at, now()) + (excluded.whole_at - now())
        <= now() + (%(windows)s::interval[])[array_position(%(buckets)s::text[], kept.bucket)]
    RETURNING bucket, extract(epoch FROM whole_at - now())::float8
"""
_LOOK = """
    SELECT bucket, extract(epoch FROM whole_at - now())::float8 FROM platforms_allowance
    WHERE platform_id = %(platform_id)s AND bucket = ANY(%(buckets)s::text[])
"""
_GIVE_BACK = """
    UPDATE platforms_allowance SET whole_at = whole_at - %(cost)s::interval
    WHERE platform_id = %(platform_id)s AND bucket = %(bucket)s
"""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """So many of something in a time."""

    bucket: Bucket
    quota: int
    window: timedelta

    @property
    def cost(self) -> timedelta:
        """How long one of them takes to come back; rounded down, so that the whole quota fits into the window."""
        return max(self.window // self.quota, timedelta.resolution)


@dataclass(frozen=True, kw_only=True)
class LimitState:
    """What is left of a limit after a request, and whether the request was within it."""

    limit: Limit
    granted: bool
    whole_in_seconds: float

    @property
    def remaining(self) -> int:
        left = self.limit.window.total_seconds() - self.whole_in_seconds
        return max(0, math.floor(left / self.limit.cost.total_seconds()))

    @property
    def reset_seconds(self) -> int:
        """How long until one more is granted, when this was refused, and else until all of them are there."""
        if self.granted:
            return max(0, math.ceil(self.whole_in_seconds))
        until_one = self.whole_in_seconds + self.limit.cost.total_seconds() - self.limit.window.total_seconds()
        return max(1, math.ceil(until_one))


def find_limits(*, platform: Platform, buckets: Sequence[Bucket]) -> list[Limit]:
    """Return the limits of a platform on `buckets`: its own, or the service's; none where 0 says so."""
    known = {
        Bucket.READS: (platform.reads_per_minute, settings.READS_PER_MINUTE, timedelta(minutes=1)),
        Bucket.WRITES: (platform.writes_per_minute, settings.WRITES_PER_MINUTE, timedelta(minutes=1)),
        Bucket.CHATS: (platform.chats_per_day, settings.CHATS_PER_DAY, timedelta(days=1)),
    }
    limits = []
    for bucket in buckets:
        own, usual, window = known[bucket]
        if quota := usual if own is None else own:
            limits.append(Limit(bucket=bucket, quota=quota, window=window))
    return limits


def take(*, platform_id: UUID, limits: Sequence[Limit]) -> list[LimitState]:
    """Take one from each of `limits`, in one statement that commits at once, and return what is left of each.

    Must not be called within a transaction: others of this platform would wait for its end, and its rollback
    would undo this.
    """
    if not limits:
        return []
    buckets = [limit.bucket.value for limit in limits]
    granted = _run(
        _TAKE,
        platform_id,
        buckets,
        costs=[limit.cost for limit in limits],
        windows=[limit.window for limit in limits],
    )
    refused = [bucket for bucket in buckets if bucket not in granted]
    left = granted | (_run(_LOOK, platform_id, refused) if refused else {})
    return [
        # A row that another has removed in between is an allowance that is whole.
        LimitState(limit=limit, granted=limit.bucket in granted, whole_in_seconds=left.get(limit.bucket, 0.0))
        for limit in limits
    ]


def give_back(*, platform_id: UUID, state: LimitState) -> LimitState:
    """Undo what was taken for something that was not made after all, and return what is left now."""
    limit = state.limit
    execute_prepared(_GIVE_BACK, {"platform_id": platform_id, "bucket": limit.bucket.value, "cost": limit.cost})
    return replace(state, whole_in_seconds=state.whole_in_seconds - limit.cost.total_seconds())


def _run(sql: str, platform_id: UUID, buckets: Sequence[str], **params: object) -> dict[str, float]:
    rows = execute_prepared(sql, {"platform_id": platform_id, "buckets": list(buckets), **params})
    return {bucket: seconds for bucket, seconds in rows}
