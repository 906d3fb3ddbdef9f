"""Choose the virtual numbers of a new chat."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from proxy_project.sql import execute_prepared

# The pool is read once; of the chats, only the rows of these two people, by the index participant_by_phone.
# A rank is 0 for the platform's own number of the person's country, 1 for its own of another country, 2 for a
# shared one of the country, 3 for any other; 4 more for one that the account has lost, or that is not linked to us.
# Whoever can get a lower rank gets it, and among equals chance spreads the chats over the pool.
_CHOOSE = """
WITH history AS MATERIALIZED (
    SELECT phone_digest = %(first)s AS is_first, virtual_number_id, ended_at, chat_id
    FROM chats_participant
    WHERE phone_digest IN (%(first)s, %(second)s)
),
together AS MATERIALIZED (
    SELECT one.chat_id, one.virtual_number_id AS first_id, two.virtual_number_id AS second_id
    FROM history AS one JOIN history AS two USING (chat_id)
    WHERE one.is_first AND NOT two.is_first
),
taken AS MATERIALIZED (
    -- What they cool down from together is theirs to use again: a late text still goes to the same person.
    SELECT virtual_number_id, bool_or(is_first) AS by_first, bool_or(NOT is_first) AS by_second
    FROM history
    WHERE ended_at IS NULL
       OR (ended_at > %(cooling_since)s AND chat_id NOT IN (SELECT chat_id FROM together))
    GROUP BY virtual_number_id
),
pool AS MATERIALIZED (
    SELECT number.id,
           by_first IS NOT TRUE AS first_free,
           by_second IS NOT TRUE AS second_free,
           flagged,
           flagged::int * 4 + (platform_id IS NULL)::int * 2 + (country <> %(first_country)s)::int AS first_rank,
           flagged::int * 4 + (platform_id IS NULL)::int * 2 + (country <> %(second_country)s)::int AS second_rank
    FROM chats_virtualnumber AS number LEFT JOIN taken ON taken.virtual_number_id = number.id
    CROSS JOIN LATERAL (SELECT missing_since IS NOT NULL OR unlinked_since IS NOT NULL) AS problem (flagged)
    WHERE state = 'active' AND can_sms
      AND (number.platform_id = %(platform)s OR number.platform_id IS NULL)
),
best AS MATERIALIZED (
    SELECT count(*) AS size,
           min(first_rank) FILTER (WHERE first_free) AS first_rank,
           min(second_rank) FILTER (WHERE second_free) AS second_rank
    FROM pool
)
SELECT best.size,
       coalesce(previous.first_id, same.id, one.id),
       coalesce(previous.second_id, same.id, two.id)
FROM best
LEFT JOIN LATERAL (
    SELECT first_id, second_id
    FROM together JOIN chats_chat AS chat ON chat.id = chat_id AND chat.platform_id = %(platform)s
    JOIN pool AS one ON one.id = first_id AND one.first_free AND NOT one.flagged
    JOIN pool AS two ON two.id = second_id AND two.second_free AND NOT two.flagged
    ORDER BY chat.created_at DESC LIMIT 1
) AS previous ON true
LEFT JOIN LATERAL (
    SELECT id FROM pool
    WHERE previous.first_id IS NULL AND first_free AND second_free
      AND pool.first_rank = best.first_rank AND pool.second_rank = best.second_rank
    ORDER BY random() LIMIT 1
) AS same ON true
LEFT JOIN LATERAL (
    SELECT id FROM pool
    WHERE previous.first_id IS NULL AND same.id IS NULL AND first_free AND pool.first_rank = best.first_rank
    ORDER BY random() LIMIT 1
) AS one ON true
LEFT JOIN LATERAL (
    SELECT id FROM pool
    WHERE previous.first_id IS NULL AND same.id IS NULL AND second_free AND pool.second_rank = best.second_rank
    ORDER BY random() LIMIT 1
) AS two ON true
"""


class NoFreeNumber(Exception):
    """There is no virtual number for the people at the indexes `people`; without any, the pool is empty."""

    def __init__(self, *people: int) -> None:
        super().__init__(f"no free virtual number for {people}" if people else "no active virtual number")
        self.people = people


@dataclass(frozen=True, kw_only=True)
class Seeker:
    """Somebody who needs a virtual number: the digest of their phone number, and their country."""

    phone_digest: bytes
    country: str


def choose_virtual_numbers(
    *, platform_id: UUID, first: Seeker, second: Seeker, cooling_since: datetime
) -> tuple[UUID, UUID]:
    """Return the ids of the virtual numbers for a chat of `first` and `second`, usually the same one twice.

    They get what they had in their latest chat with each other on this platform, where it is still free.
    Otherwise each gets a number that they neither hold in an open chat nor held, for somebody else, since
    `cooling_since`: rather the platform's own than a shared one, then rather of their country than of
    another, then rather the same one. One with a problem at the gateway is taken only when there is no other.

    Raises NoFreeNumber. Callers hold a lock on each person; the constraint open_chat_is_named_by_both_numbers
    refuses what slips through.
    """
    [(size, first_id, second_id)] = execute_prepared(
        _CHOOSE,
        {
            "platform": platform_id,
            "first": first.phone_digest,
            "second": second.phone_digest,
            "first_country": first.country,
            "second_country": second.country,
            "cooling_since": cooling_since,
        },
    )
    if size == 0:
        raise NoFreeNumber
    if first_id is None or second_id is None:
        raise NoFreeNumber(*(index for index, found in enumerate((first_id, second_id)) if found is None))
    return first_id, second_id
