"""Keep and read how virtual numbers fare: from the books and a few columns, never from the whole log."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from proxy_project.ids import first_id_at
from proxy_project.sql import execute_planned

# So far back the log is read, by its primary key, which is ordered by time: a receipt that comes later is not noted.
_SEEN = timedelta(hours=1)
_NOTE = """
    INSERT INTO chats_numberhealth AS health (virtual_number_id, last_inbound_at, last_receipt_at)
    SELECT virtual_number_id, max(created_at) FILTER (WHERE direction = 'in'),
           max(GREATEST(delivered_at, failed_at)) FILTER (WHERE direction = 'out' AND sent_at IS NOT NULL)
      FROM messaging_message
     WHERE id >= %(first_id)s AND virtual_number_id IS NOT NULL
     GROUP BY 1
    HAVING count(*) FILTER (WHERE direction = 'in' OR (sent_at IS NOT NULL AND (delivered_at IS NOT NULL
                                                                               OR failed_at IS NOT NULL))) > 0
     ORDER BY 1
    ON CONFLICT (virtual_number_id) DO UPDATE
       SET last_inbound_at = GREATEST(health.last_inbound_at, excluded.last_inbound_at),
           last_receipt_at = GREATEST(health.last_receipt_at, excluded.last_receipt_at)
"""
# By the index usage_by_number.
_READ = """
    SELECT virtual_number_id, day, direction, status, sum(texts)
      FROM messaging_usageday
     WHERE virtual_number_id = ANY (%(ids)s) AND day >= %(first)s AND day <= %(last)s
     GROUP BY 1, 2, 3, 4
"""


@dataclass
class DayOfNumber:
    """What a day (UTC) came to on a virtual number, as far as it is in the books."""

    day: date
    inbound: int = 0
    outbound: int = 0
    delivered: int = 0
    failed: int = 0


@dataclass
class UseOfNumber:
    """The last days of a virtual number, today last."""

    days: Sequence[DayOfNumber] = field(default_factory=list)

    @property
    def inbound(self) -> int:
        return sum(day.inbound for day in self.days)

    @property
    def outbound(self) -> int:
        return sum(day.outbound for day in self.days)

    @property
    def delivered(self) -> int:
        return sum(day.delivered for day in self.days)

    @property
    def failed(self) -> int:
        return sum(day.failed for day in self.days)

    @property
    def settled(self) -> int:
        """How many texts from it have been delivered or have failed."""
        return self.delivered + self.failed

    @property
    def highest(self) -> int:
        return max((max(day.inbound, day.outbound) for day in self.days), default=0)

    @property
    def last_inbound_day(self) -> date | None:
        return max((day.day for day in self.days if day.inbound), default=None)


def note_health(*, now: datetime) -> None:
    """Note when each virtual number was last texted to, and when there was last a receipt of a text from it."""
    execute_planned(_NOTE, {"first_id": first_id_at(now - _SEEN)})


def read_use(*, number_ids: Sequence[UUID], days: int, today: date) -> dict[UUID, UseOfNumber]:
    """Return the last `days` of each virtual number, in one query; texts of the last hour are not in the books yet."""
    dates = [today - timedelta(days=ago) for ago in range(days - 1, -1, -1)]
    use = {number_id: UseOfNumber([DayOfNumber(each) for each in dates]) for number_id in number_ids}
    params = {"ids": list(number_ids), "first": dates[0], "last": dates[-1]}
    for number_id, day, direction, status, texts in execute_planned(_READ, params):
        found = use[number_id].days[(day - dates[0]).days]
        if direction == "in":
            found.inbound += int(texts)
        else:
            found.outbound += int(texts)
            found.delivered += int(texts) if status == "delivered" else 0
            found.failed += int(texts) if status == "failed" else 0
    return use
