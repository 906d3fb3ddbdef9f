"""Read the figures of a week, by day in the operator's time zone: never the log."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from django.utils.timezone import localdate, make_aware

from desk.counting import BUCKETS_PER_DOUBLING
from desk.models import Progress
from proxy_project.sql import execute_planned

DAYS = 7

# Of the pool there is a sample in each quarter; of all else, what happened in it.
_READ = """
    SELECT width_bucket(at, %(bounds)s::timestamptz[]) - 1, name, key,
           CASE WHEN name = 'pool' THEN max(amount) ELSE sum(amount) END
      FROM desk_figure
     WHERE at >= %(first)s AND at < %(last)s
     GROUP BY 1, 2, 3
"""


@dataclass(frozen=True)
class Day:
    """What a day came to, so far."""

    date: date
    begins_at: datetime
    ends_at: datetime
    amounts: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def count(self, name: str, *keys: str) -> int:
        """Return how often `name` was so, with one of `keys` if any are given."""
        amounts = self.amounts[name]
        # Of texts from before the first count, only the changes are known.
        return max(0, sum(amounts[key] for key in keys) if keys else sum(amounts.values()))

    def find_percentile(self, name: str, percent: int) -> float | None:
        """Return for how many seconds at most `percent` of what is kept as `name` took; None when there was nothing."""
        return find_percentile([self], name, percent)


@dataclass(frozen=True)
class Week:
    """The last days, today last; `as_of` is None as long as nothing has been counted."""

    days: Sequence[Day]
    as_of: datetime | None

    @property
    def today(self) -> Day:
        return self.days[-1]


def read_week(*, now: datetime) -> Week:
    """Return what the last seven days came to, in two queries."""
    today = localdate(now)
    dates = [today - timedelta(days=ago) for ago in range(DAYS - 1, -2, -1)]
    bounds = [make_aware(datetime.combine(each, time.min)) for each in dates]
    days = [Day(*each) for each in zip(dates, bounds, bounds[1:], strict=False)]
    params = {"bounds": bounds[:-1], "first": bounds[0], "last": bounds[-1]}
    for index, name, key, amount in execute_planned(_READ, params):
        days[index].amounts[name][key] = int(amount)
    progress = Progress.objects.first()
    return Week(days, progress.counted_at if progress else None)


def find_percentile(days: Sequence[Day], name: str, percent: int) -> float | None:
    """Return the percentile of several days in seconds, by buckets that differ by a fifth."""
    counts: dict[int, int] = defaultdict(int)
    for day in days:
        for bucket, amount in day.amounts[name].items():
            counts[int(bucket)] += amount
    total = sum(amount for amount in counts.values() if amount > 0)
    wanted = total * percent / 100
    seen = 0
    for bound, count in sorted(counts.items()):
        if count > 0 and seen + count >= wanted:
            # Within the bucket, as if all lengths were as frequent.
            part = (wanted - seen) / count
            return float(2.0 ** ((bound - 1 + part) / BUCKETS_PER_DOUBLING)) / 1000
        seen += max(0, count)
    return None
