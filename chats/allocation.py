"""Choose the virtual numbers of a new chat."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from proxy_project.sql import execute_prepared


def _choose_any(name: str, condition: str) -> str:
    """Return the join of one number of the pool that meets `condition`, by chance, unless `previous` has been found."""
    # A kind is as likely to be chosen as it is large (https://doi.org/10.1016/j.ipl.2005.11.003).
    return f"""
LEFT JOIN LATERAL (
    SELECT coalesce(chosen.id, (
        SELECT id FROM rented
        WHERE is_active AND platform_id IS NOT DISTINCT FROM chosen.platform_id AND country = chosen.country
          AND flagged = chosen.flagged AND id NOT IN (SELECT id FROM known)
        OFFSET floor(random() * chosen.size) LIMIT 1
    )) AS id
    FROM (
        SELECT id, platform_id, country, flagged, size FROM pool
        WHERE previous.first_id IS NULL AND {condition}
        ORDER BY ln(1 - random()) / size DESC LIMIT 1
    ) AS chosen
) AS {name} ON true"""


# The pool is read once, and numbers that are alike are counted: what they are good for is found out for each kind, and
# for each number that one of the two has or had. Of the chats, only the rows of these two people are read, by the index
# participant_by_phone.
# A rank is 0 for the platform's own number of the person's country, 1 for its own of another country, 2 for a
# shared one of the country, 3 for any other; 4 more for one that the account has lost, or that is not linked to us.
# Whoever can get a lower rank gets it, and among equals chance spreads the chats over the pool.
_CHOOSE = f"""
WITH history AS MATERIALIZED (
    SELECT phone_digest = %(first)s AS is_first, virtual_number_id, ended_at, replaced_at, chat_id
    FROM chats_participant
    WHERE phone_digest IN (%(first)s, %(second)s)
),
together AS MATERIALIZED (
    -- Who was replaced was not the last one the other texted with.
    SELECT one.chat_id, one.virtual_number_id AS first_id, two.virtual_number_id AS second_id
    FROM history AS one JOIN history AS two USING (chat_id)
    WHERE one.is_first AND NOT two.is_first AND one.replaced_at IS NULL AND two.replaced_at IS NULL
),
longest AS MATERIALIZED (
    SELECT greatest(%(cool_down_hours)s::float, max(cool_down_hours)) AS hours FROM platforms_platform
),
taken AS MATERIALIZED (
    -- What they cool down from together is theirs to use again: a late text still goes to the same person.
    -- How long it takes is for the platform of the ended chat to say; that is asked for the latest chats only.
    SELECT virtual_number_id, bool_or(is_first) AS by_first, bool_or(NOT is_first) AS by_second
    FROM history
    WHERE CASE
              WHEN ended_at IS NULL THEN true
              WHEN chat_id IN (SELECT chat_id FROM together) THEN %(fresh)s::bool
              WHEN ended_at <= %(now)s - (SELECT hours FROM longest) * interval '1 hour' THEN false
              ELSE ended_at > %(now)s - interval '1 hour' * coalesce(
                  (SELECT cool_down_hours
                   FROM chats_chat AS ended JOIN platforms_platform AS owner ON owner.id = ended.platform_id
                   WHERE ended.id = history.chat_id),
                  %(cool_down_hours)s::float)
          END
    GROUP BY virtual_number_id
),
rented AS NOT MATERIALIZED (
    SELECT id, platform_id, country, missing_since IS NOT NULL OR unlinked_since IS NOT NULL AS flagged,
           state = 'active' AND can_sms AND (platform_id = %(platform)s OR platform_id IS NULL) AS is_active
    FROM chats_virtualnumber
),
known AS MATERIALIZED (
    SELECT rented.*
    FROM rented
    WHERE id IN (SELECT virtual_number_id FROM taken
                 UNION ALL SELECT first_id FROM together
                 UNION ALL SELECT second_id FROM together
                 UNION ALL VALUES (%(first_number)s::uuid), (%(second_number)s::uuid))
),
alike AS MATERIALIZED (
    SELECT NULL::uuid AS id, platform_id, country, flagged, true AS is_active, count(*)::int AS size
    FROM rented
    WHERE is_active AND id NOT IN (SELECT id FROM known)
    GROUP BY platform_id, country, flagged
    UNION ALL
    -- Each by itself; also those that are named or kept, whether or not they may be, which is the caller's to say.
    SELECT id, platform_id, country, flagged, is_active, 1
    FROM known
    WHERE is_active OR id IN (%(first_number)s::uuid, %(second_number)s::uuid)
),
pool AS MATERIALIZED (
    -- What is left them is what they can be given for others, asking for the same; not what has a problem.
    SELECT id, size, platform_id, country, flagged,
           is_active AND NOT flagged AND by_first IS NOT TRUE
                   AND (%(first_match)s::text <> 'require' OR country = %(first_country)s) AS first_left,
           is_active AND NOT flagged AND by_second IS NOT TRUE
                   AND (%(second_match)s::text <> 'require' OR country = %(second_country)s) AS second_left,
           CASE WHEN %(first_keeps)s::bool THEN id = %(first_number)s::uuid
                ELSE by_first IS NOT TRUE
                     AND CASE WHEN %(first_number)s::uuid IS NULL THEN is_active ELSE id = %(first_number)s::uuid END
                     AND (%(first_match)s::text <> 'require' OR country = %(first_country)s)
           END AS first_free,
           CASE WHEN %(second_keeps)s::bool THEN id = %(second_number)s::uuid
                ELSE by_second IS NOT TRUE
                     AND CASE WHEN %(second_number)s::uuid IS NULL THEN is_active ELSE id = %(second_number)s::uuid END
                     AND (%(second_match)s::text <> 'require' OR country = %(second_country)s)
           END AS second_free,
           flagged::int * 4 + (platform_id IS NULL)::int * 2
               + (%(first_match)s::text <> 'any' AND country <> %(first_country)s)::int AS first_rank,
           flagged::int * 4 + (platform_id IS NULL)::int * 2
               + (%(second_match)s::text <> 'any' AND country <> %(second_country)s)::int AS second_rank
    FROM alike LEFT JOIN taken ON taken.virtual_number_id = alike.id
),
best AS MATERIALIZED (
    SELECT coalesce(sum(size), 0) AS size,
           coalesce(sum(size) FILTER (WHERE first_left), 0) AS first_left,
           coalesce(sum(size) FILTER (WHERE second_left), 0) AS second_left,
           min(first_rank) FILTER (WHERE first_free) AS first_rank,
           min(second_rank) FILTER (WHERE second_free) AS second_rank
    FROM pool
)
SELECT best.size, best.first_left, best.second_left,
       coalesce(previous.first_id, same.id, one.id),
       coalesce(previous.second_id, same.id, two.id)
FROM best
LEFT JOIN LATERAL (
    SELECT first_id, second_id
    FROM together JOIN chats_chat AS chat ON chat.id = chat_id AND chat.platform_id = %(platform)s
    JOIN pool AS one ON one.id = first_id AND one.first_free AND NOT one.flagged
    JOIN pool AS two ON two.id = second_id AND two.second_free AND NOT two.flagged
    WHERE NOT %(fresh)s::bool
    ORDER BY chat.created_at DESC LIMIT 1
) AS previous ON true
{
    _choose_any(
        "same",
        "first_free AND second_free AND pool.first_rank = best.first_rank AND pool.second_rank = best.second_rank",
    )
}
{_choose_any("one", "same.id IS NULL AND first_free AND pool.first_rank = best.first_rank")}
{_choose_any("two", "same.id IS NULL AND second_free AND pool.second_rank = best.second_rank")}
"""


class NoFreeNumber(Exception):
    """There is no virtual number for the people at the indexes `people`; without any, the pool is empty."""

    def __init__(self, *people: int) -> None:
        super().__init__(f"no free virtual number for {people}" if people else "no active virtual number")
        self.people = people


class CountryMatch(StrEnum):
    """Whether a person's virtual number must, should or need not be of the country of their phone number."""

    REQUIRE = "require"
    PREFER = "prefer"
    ANY = "any"


@dataclass(frozen=True, kw_only=True)
class Seeker:
    """Somebody who needs a virtual number: the digest of their phone number, and their country.

    With `number_id` it is this one or none; `keeps_number` says that they hold it by the chat that this is about.
    """

    phone_digest: bytes
    country: str = ""
    country_match: CountryMatch = CountryMatch.PREFER
    number_id: UUID | None = None
    keeps_number: bool = False


@dataclass(frozen=True, kw_only=True)
class ChosenNumbers:
    """The ids of two virtual numbers, usually the same, and how many others each person has left then."""

    first: UUID
    second: UUID
    left: tuple[int, int]


def choose_virtual_numbers(
    *, platform_id: UUID, first: Seeker, second: Seeker, fresh: bool, cool_down_hours: float, now: datetime
) -> ChosenNumbers:
    """Return the virtual numbers for a chat of `first` and `second`.

    They get what they had in their latest chat with each other on this platform, where it is still free; with
    `fresh`, never what they had in any. Otherwise each gets a number that they neither hold in a chat that has not
    ended nor cool down from: rather the platform's own than a shared one, then rather of their country than of
    another, then rather the same one; one with a problem at the gateway only when there is no other.
    `cool_down_hours` is for chats of platforms that have no cool-down of their own.

    Raises NoFreeNumber. Callers hold a lock on each person; the constraint open_chat_is_named_by_both_numbers
    refuses what slips through.
    """
    [(size, first_left, second_left, first_id, second_id)] = execute_prepared(
        _CHOOSE,
        {
            "platform": platform_id,
            "fresh": fresh,
            "cool_down_hours": float(cool_down_hours),
            "now": now,
            **_describe("first", first),
            **_describe("second", second),
        },
    )
    if size == 0:
        raise NoFreeNumber
    if first_id is None or second_id is None:
        raise NoFreeNumber(*(index for index, found in enumerate((first_id, second_id)) if found is None))
    # What somebody keeps was none of those that are left them.
    left = (first_left - (not first.keeps_number), second_left - (not second.keeps_number))
    return ChosenNumbers(first=first_id, second=second_id, left=(max(0, left[0]), max(0, left[1])))


def _describe(side: str, seeker: Seeker) -> dict[str, Any]:
    return {
        side: seeker.phone_digest,
        f"{side}_country": seeker.country,
        f"{side}_match": seeker.country_match.value,
        f"{side}_number": seeker.number_id,
        f"{side}_keeps": seeker.keeps_number,
    }
