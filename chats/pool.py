"""What a platform sees of its virtual numbers: how busy its own chats keep them, and how far they reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from chats.models import VirtualNumber
from platforms.models import Platform
from proxy_project.sql import execute_planned, execute_prepared


@dataclass(frozen=True, kw_only=True)
class NumberUsage:
    """Of one virtual number: a platform's chats that have not ended, and people who cool down from it."""

    open_chats: int = 0
    cooling_down: int = 0


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """How many numbers new chats can have, and how many of them the busiest person cannot be given."""

    numbers: int
    held_by_busiest_person: int

    @property
    def chats_left_for_busiest_person(self) -> int:
        return self.numbers - self.held_by_busiest_person


# What new chats are given; a number with a problem is so only when there is no other, and does not count.
_GIVEN = "state = 'active' AND can_sms AND missing_since IS NULL AND unlinked_since IS NULL"

# By the index chat_by_end: nothing of chats that ended long ago, nor of other platforms.
_HELD = """
    WITH held AS (
        SELECT person.virtual_number_id, person.phone_digest, person.chat_id, person.ended_at
          FROM chats_chat AS chat JOIN chats_participant AS person ON person.chat_id = chat.id
         WHERE chat.platform_id = %(platform)s AND (chat.ended_at IS NULL OR chat.ended_at > %(cooling_since)s)
           AND (person.ended_at IS NULL OR person.ended_at > %(cooling_since)s)
    )
"""
# By the index participant_by_number: those of the numbers that are shown, however many chats there are on others.
_USAGE = """
    SELECT virtual_number_id, count(DISTINCT chat_id) FILTER (WHERE person.ended_at IS NULL),
           count(DISTINCT phone_digest) FILTER (WHERE person.ended_at IS NOT NULL)
      FROM chats_participant AS person JOIN chats_chat AS chat ON chat.id = person.chat_id
     WHERE virtual_number_id = ANY(%(numbers)s) AND chat.platform_id = %(platform)s
       AND (chat.ended_at IS NULL OR chat.ended_at > %(cooling_since)s)
       AND (person.ended_at IS NULL OR person.ended_at > %(cooling_since)s)
     GROUP BY virtual_number_id
"""
# What people hold counts whichever platform's chat it is for: an inbound text names no platform. As chats.allocation
# reckons, but that two people who cool down from a number together may have it again.
_FORECAST = f"""
    {_HELD},
    pool AS MATERIALIZED (
        SELECT id FROM chats_virtualnumber
         WHERE {_GIVEN} AND (platform_id = %(platform)s OR platform_id IS NULL)
    ),
    longest AS MATERIALIZED (
        SELECT greatest(%(hours)s::float, max(cool_down_hours)) AS hours FROM platforms_platform
    ),
    everywhere AS MATERIALIZED (
        SELECT one.phone_digest, one.virtual_number_id, one.chat_id, one.ended_at
          FROM (SELECT DISTINCT phone_digest FROM held) AS person
          JOIN chats_participant AS one USING (phone_digest)
         WHERE one.ended_at IS NULL OR one.ended_at > %(now)s - (SELECT hours FROM longest) * interval '1 hour'
    )
    SELECT (SELECT count(*) FROM pool),
           coalesce((SELECT max(numbers) FROM (
               SELECT count(DISTINCT virtual_number_id) AS numbers
                 FROM everywhere JOIN pool ON pool.id = virtual_number_id
                 JOIN chats_chat AS chat ON chat.id = chat_id JOIN platforms_platform AS owner ON owner.id = platform_id
                WHERE everywhere.ended_at IS NULL
                   OR everywhere.ended_at > %(now)s - interval '1 hour' * COALESCE(cool_down_hours, %(hours)s::float)
                GROUP BY phone_digest
           ) AS people), 0)
"""

# Of a platform with many chats, as of the last look at them.
_MANY = 2_000
_HAS_MANY = f"""
    (SELECT count(*) FROM (SELECT FROM chats_chat
                            WHERE platform_id = {{platform}} AND ended_at IS NULL
                            LIMIT {_MANY + 1}) AS few) > {_MANY}
"""
_NOTED = f"""
    SELECT (SELECT count(*) FROM chats_virtualnumber
             WHERE {_GIVEN} AND (platform_id = %(platform)s OR platform_id IS NULL)),
           held_by_busiest_person
      FROM chats_poolforecast
     WHERE platform_id = %(platform)s AND {_HAS_MANY.format(platform="%(platform)s")}
"""
# A row for each number, or none at all: a platform that had few chats at the last look has no rows.
_NOTED_USAGE = f"""
    SELECT number_id, COALESCE(open_chats, 0), COALESCE(cooling_down, 0)
      FROM unnest(%(numbers)s::uuid[]) AS number_id
      LEFT JOIN chats_numberuse ON platform_id = %(platform)s AND virtual_number_id = number_id
     WHERE EXISTS (SELECT FROM chats_numberuse WHERE platform_id = %(platform)s)
       AND {_HAS_MANY.format(platform="%(platform)s")}
"""
_LOOK = f"""
    WITH one AS MATERIALIZED (
        SELECT chat.platform_id, person.id, person.phone_digest, person.virtual_number_id, person.chat_id,
               person.ended_at
          FROM platforms_platform AS platform
          JOIN chats_chat AS chat ON chat.platform_id = platform.id
          JOIN chats_participant AS person ON person.chat_id = chat.id
         CROSS JOIN LATERAL (
                   SELECT %(now)s - interval '1 hour' * COALESCE(platform.cool_down_hours, %(hours)s::float) AS since
               ) AS cooling
         WHERE (chat.ended_at IS NULL OR chat.ended_at > since) AND (person.ended_at IS NULL OR person.ended_at > since)
    ),
    usable AS MATERIALIZED (
        SELECT id, platform_id FROM chats_virtualnumber WHERE {_GIVEN}
    ),
    held AS (
        SELECT DISTINCT phone_digest, usable.id, usable.platform_id AS owner_id
          FROM one JOIN usable ON usable.id = virtual_number_id
    ),
    busiest AS (
        SELECT DISTINCT ON (platform_id) platform_id, person_id, count(*) AS numbers
          FROM (SELECT platform_id, phone_digest, (array_agg(id ORDER BY id DESC))[1] AS person_id
                  FROM one GROUP BY 1, 2) AS person
          JOIN held USING (phone_digest)
         WHERE owner_id IS NULL OR owner_id = platform_id
         GROUP BY platform_id, person_id
         ORDER BY platform_id, count(*) DESC, person_id
    ),
    large AS MATERIALIZED (
        SELECT id FROM platforms_platform AS platform WHERE {_HAS_MANY.format(platform="platform.id")}
    ),
    used AS (
        SELECT platform_id, virtual_number_id, count(DISTINCT chat_id) FILTER (WHERE ended_at IS NULL) AS open_chats,
               count(DISTINCT phone_digest) FILTER (WHERE ended_at IS NOT NULL) AS cooling_down
          FROM one
         WHERE platform_id IN (SELECT id FROM large)
         GROUP BY 1, 2
    ),
    unused AS (
        DELETE FROM chats_numberuse AS noted
         WHERE (platform_id, virtual_number_id) NOT IN (SELECT platform_id, virtual_number_id FROM used)
    ),
    noted AS (
        INSERT INTO chats_numberuse AS noted (platform_id, virtual_number_id, open_chats, cooling_down)
        SELECT platform_id, virtual_number_id, open_chats, cooling_down FROM used
        ON CONFLICT (platform_id, virtual_number_id) DO UPDATE
           SET open_chats = excluded.open_chats, cooling_down = excluded.cooling_down
         WHERE (noted.open_chats, noted.cooling_down) IS DISTINCT FROM (excluded.open_chats, excluded.cooling_down)
    )
    INSERT INTO chats_poolforecast (platform_id, numbers, held_by_busiest_person, busiest_person_id, looked_at)
    SELECT platform.id, (SELECT count(*) FROM usable WHERE platform_id IS NULL) + COALESCE(own.numbers, 0),
           COALESCE(busiest.numbers, 0), person_id, %(now)s
      FROM platforms_platform AS platform
      LEFT JOIN busiest ON busiest.platform_id = platform.id
      LEFT JOIN (SELECT platform_id, count(*) AS numbers FROM usable GROUP BY 1) AS own ON own.platform_id = platform.id
     ORDER BY platform.id
    ON CONFLICT (platform_id) DO UPDATE
       SET numbers = excluded.numbers, held_by_busiest_person = excluded.held_by_busiest_person,
           busiest_person_id = excluded.busiest_person_id, looked_at = excluded.looked_at
"""


def find_pool(*, platform: Platform) -> QuerySet[VirtualNumber]:
    """Return the virtual numbers that are or were for chats of `platform`: its own, and those that all share."""
    return VirtualNumber.objects.filter(Q(platform=platform) | Q(platform=None))


def count_usage(*, platform: Platform, numbers: Sequence[VirtualNumber], now: datetime) -> dict[UUID, NumberUsage]:
    """Return how the chats of `platform`, and of nobody else, use `numbers`; those they do not use may be left out.

    Of a platform with many chats it is as of the last look at the pools, a few minutes ago.
    """
    params = _describe(platform, now) | {"numbers": [number.pk for number in numbers]}
    return {
        number_id: NumberUsage(open_chats=open_chats, cooling_down=cooling_down)
        for number_id, open_chats, cooling_down in (
            execute_prepared(_NOTED_USAGE, params) or execute_prepared(_USAGE, params)
        )
    }


def forecast_pool(*, platform: Platform, now: datetime) -> Forecast:
    """Return how far the pool reaches for the people of the platform's chats, whichever platforms' chats they are in.

    Somebody who is in no chat of the platform is not known here, and may hold more. Of a platform with many chats it is
    as of the last look at the pools, a few minutes ago.
    """
    params = _describe(platform, now) | {"now": now, "hours": float(settings.COOL_DOWN_HOURS)}
    [(numbers, held)] = execute_prepared(_NOTED, params) or execute_prepared(_FORECAST, params)
    return Forecast(numbers=numbers, held_by_busiest_person=held)


def look_at_pools(*, now: datetime) -> None:
    """Note how far the numbers reach for each platform, and for whom the least; and how large platforms use each.

    For the pages of operators, and for platforms with many chats.
    """
    execute_planned(_LOOK, {"now": now, "hours": float(settings.COOL_DOWN_HOURS)})


def _describe(platform: Platform, now: datetime) -> dict[str, object]:
    hours = settings.COOL_DOWN_HOURS if platform.cool_down_hours is None else platform.cool_down_hours
    return {"platform": platform.pk, "cooling_since": now - timedelta(hours=hours)}
