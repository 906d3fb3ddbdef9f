"""Claim due texts for one sender: the conditional updates by which no two senders have the same text in hand.

Any number of senders do this at once. All times are the database's, so that their clocks need not agree.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import transaction

from messaging.gateways import ErrorKind, Media, OutboundText, Outcome, SendError
from messaging.media.links import read_stored_media
from messaging.obstacles import COUNTRIES, QUIET_HOURS, WHAT_STANDS_IN_THE_WAY, Obstacle, make_error
from messaging.pauses import ACCOUNT, IS_PAUSED, is_probe_due, lock_due_probe, start_probe
from messaging.withdrawals import ERASED
from proxy_project.encryption import decrypt
from proxy_project.sql import execute_planned, execute_prepared

# A number that was idle may catch up on this much of its rate at once, and a text may take this much longer to the
# carrier than the next. The rate is taken lower in return, so that no second ever holds more there than it allows.
_CATCH_UP_SECONDS = 0.05
_JITTER_SECONDS = 0.05
_RATE_MARGIN = 1 - _CATCH_UP_SECONDS - _JITTER_SECONDS

# So many busy numbers of each platform are looked at, or two for each text that is wanted.
_NUMBERS_LOOKED_AT = 64

# As in the condition of the index `message_pending_by_person`.
_NOT_YET_GONE = "('preparing', 'queued', 'sending', 'unconfirmed')"


@dataclass(frozen=True, slots=True)
class Claim:
    """A text that is ours to send: nobody else sends it before the lease has ended.

    A probe is the one text that is tried while the account is paused.
    """

    id: UUID
    attempt: int
    virtual_number_id: UUID
    from_number: str
    encrypted_to_number: str
    encrypted_body: str
    leased_until: datetime
    is_probe: bool
    channel: str = "sms"
    media_of: UUID | None = None
    chat_id: UUID | None = None
    media: tuple[Media, ...] = ()
    obstacle: Obstacle = field(default_factory=Obstacle)

    @property
    def is_mms(self) -> bool:
        return self.channel == "mms"

    def decrypt_text(self) -> OutboundText:
        """Return the text to hand over.

        Raises SendError when its recipient was replaced or blocked or has opted out, or it was erased, since it was
        queued, is of a country that is not texted, or the key it was encrypted with is missing; and Hold when it must
        wait for its recipient.
        """
        self.obstacle.refuse()
        if not self.encrypted_to_number or not (self.encrypted_body or self.media):
            raise make_error(ERASED)
        try:
            to_number, body = decrypt(self.encrypted_to_number), decrypt(self.encrypted_body)
        except InvalidToken:
            detail = "The key that encrypted it is not among ENCRYPTION_KEYS."
            raise SendError(Outcome.AGAIN, "key_missing", detail, kind=ErrorKind.CONFIGURATION) from None
        self.obstacle.require_country(to_number)
        self.obstacle.let_sleep(to_number)
        if self.is_mms and self.media:
            return OutboundText(self.id, self.from_number, to_number, body, self.media)
        links = [media.url for media in self.media]
        return OutboundText(self.id, self.from_number, to_number, "\n".join(filter(None, [body, *links])))


# Which platforms have queued texts on which numbers: one probe of the index `message_queued_in_turn` each, however
# long their queues.
_BUSY = """
    WITH RECURSIVE busy (turn_of, number_id) AS (
        (SELECT turn_of, virtual_number_id FROM messaging_message WHERE status = 'queued'
          ORDER BY turn_of, virtual_number_id LIMIT 1)
        UNION ALL
        SELECT next.turn_of, next.virtual_number_id
          FROM busy CROSS JOIN LATERAL (
               SELECT turn_of, virtual_number_id FROM messaging_message
                WHERE status = 'queued' AND (turn_of, virtual_number_id) > (busy.turn_of, busy.number_id)
                ORDER BY turn_of, virtual_number_id LIMIT 1
               ) AS next
    )
"""
# Which platforms have queued texts.
_PLATFORMS = """
    WITH RECURSIVE platform (turn_of) AS (
        (SELECT turn_of FROM messaging_message WHERE status = 'queued' ORDER BY turn_of LIMIT 1)
        UNION ALL
        SELECT next.turn_of
          FROM platform CROSS JOIN LATERAL (
               SELECT turn_of FROM messaging_message
                WHERE status = 'queued' AND turn_of > platform.turn_of ORDER BY turn_of LIMIT 1
               ) AS next
    )
"""
# As many of a platform's busy numbers as a claim can use, from a random one on: with thousands of them, to look at each
# would take longer than to send.
_SOME_BUSY = """
    {platforms},
    start AS MATERIALIZED (
        SELECT COALESCE((SELECT id FROM chats_virtualnumber ORDER BY id
                         OFFSET floor(random() * (SELECT GREATEST(reltuples, 0) FROM pg_class
                                                   WHERE oid = 'chats_virtualnumber'::regclass)) LIMIT 1),
                        '00000000-0000-0000-0000-000000000000') AS id
    ),
    busy AS MATERIALIZED (
        SELECT turn_of, number_id
          FROM platform CROSS JOIN start CROSS JOIN LATERAL (
               ({from_start} UNION ALL {before_start}) LIMIT %(numbers)s
               ) AS number
    )
"""
_WALK = """(
    WITH RECURSIVE number (number_id) AS (
        (SELECT virtual_number_id FROM messaging_message
          WHERE status = 'queued' AND turn_of = platform.turn_of {first}
          ORDER BY virtual_number_id LIMIT 1)
        UNION ALL
        SELECT next.virtual_number_id
          FROM number CROSS JOIN LATERAL (
               SELECT virtual_number_id FROM messaging_message
                WHERE status = 'queued' AND turn_of = platform.turn_of AND virtual_number_id > number.number_id {until}
                ORDER BY virtual_number_id LIMIT 1
               ) AS next
    )
    SELECT number_id FROM number
)"""
_SOME_BUSY = _SOME_BUSY.format(
    platforms=_PLATFORMS,
    from_start=_WALK.format(first="AND virtual_number_id >= start.id", until=""),
    before_start=_WALK.format(first="AND virtual_number_id < start.id", until="AND virtual_number_id < start.id"),
)
# What a platform may have sent from a number now: of each person's texts only the first that still waits. The first
# in the queue are looked at, and only when too few of them can go, the first of each person: somebody with thousands
# of texts, or whose text waits for its receipt, is passed over in one step.
# PostgreSQL expects the queue to be empty, and would join all of it with all of it: OFFSET 0 makes the question for
# an earlier text a probe for each text, and LIMIT in the subqueries made of this the question for a text a probe for
# each number. `attempts >= 0`, which is always so, is for the index message_queued_by_person alone, and that for nobody
# else.
_OF_NUMBER = "status = 'queued' AND turn_of = ready.turn_of AND virtual_number_id = ready.number_id"
_MAY_GO = f"""
    waiting.due_at <= now() AND (expires_at IS NULL OR expires_at > now())
    AND NOT EXISTS (
            SELECT FROM messaging_message AS earlier
             WHERE earlier.participant_id = waiting.participant_id
               AND earlier.position < waiting.position
               AND earlier.direction = 'out' AND earlier.status IN {_NOT_YET_GONE}
               AND (earlier.status <> 'preparing' OR earlier.due_at > now())
            OFFSET 0
        )
"""
_TEXT = "id, due_at, position, segments, channel, expires_at, participant_id"
_WAITING = f"""
    SELECT id, due_at, position, segments, channel
      FROM (SELECT {_TEXT} FROM messaging_message
             WHERE {_OF_NUMBER} AND due_at <= now()
             ORDER BY due_at, position LIMIT 8 + 2 * ready.wanted) AS waiting
     WHERE {_MAY_GO}
     UNION ALL
    SELECT id, due_at, position, segments, channel
      FROM (
           WITH RECURSIVE first_of_person AS (
               (SELECT {_TEXT} FROM messaging_message
                 WHERE {_OF_NUMBER} AND attempts >= 0 AND participant_id IS NOT NULL
                 ORDER BY participant_id, position LIMIT 1)
               UNION ALL
               SELECT next.*
                 FROM first_of_person AS last CROSS JOIN LATERAL (
                      SELECT {_TEXT} FROM messaging_message
                       WHERE {_OF_NUMBER} AND attempts >= 0 AND participant_id IS NOT NULL
                         AND participant_id > last.participant_id
                       ORDER BY participant_id, position LIMIT 1
                      ) AS next
           )
           SELECT * FROM first_of_person
           ) AS waiting
     WHERE {_MAY_GO}
     UNION ALL
    SELECT id, due_at, position, segments, channel
      FROM messaging_message AS waiting
     WHERE {_OF_NUMBER} AND attempts >= 0 AND participant_id IS NULL AND due_at <= now()
       AND (expires_at IS NULL OR expires_at > now())
"""
# Of what was found, platforms take turns, and each gives its turns to its numbers in turn, the one first that has been
# free for longest; `place` is the how manieth of its platform something is, and among equals each has drawn a lot.
# `number` locks the numbers that are served, so that two senders share the work and not its pace; `allowed` is what
# their rates allow: a text goes when those before it are paid for, and, counted in segments, fits into the last
# second, or is alone in it. NO KEY: rows that refer to a number may be written meanwhile.
# COALESCE makes PostgreSQL find the picked rows by their id; whoever locks several texts does so in that order, or two
# could wait for each other.
_CLAIM_FOUND = f"""
    ready AS MATERIALIZED (
        SELECT turn_of, number_id,
               lot + row_number() OVER (PARTITION BY turn_of ORDER BY next_send_at, number_id) AS place
          FROM (SELECT DISTINCT turn_of, number_id, lot, next_send_at FROM found) AS each
    ),
    number AS (
        SELECT free.id, number, messages_per_second * {_RATE_MARGIN} AS rate,
               GREATEST(next_send_at, now() - interval '{_CATCH_UP_SECONDS} seconds') AS since,
               paced_by = 'segments' AS by_segments, ceil(messages_per_second) AS a_second,
               ARRAY(SELECT at FROM unnest(segments_sent_at) AS at
                      WHERE at > now() - interval '{1 + _JITTER_SECONDS} seconds') AS lately
          FROM (SELECT number_id, min(place) AS place FROM ready GROUP BY number_id) AS wanted
          JOIN chats_virtualnumber AS free ON free.id = wanted.number_id
         WHERE next_send_at <= now()
         ORDER BY wanted.place
         LIMIT %(limit)s
           FOR NO KEY UPDATE OF free SKIP LOCKED
    ),
    due AS (
        SELECT found.id, number.id AS number_id, found.turn_of, lot, place,
               CASE WHEN by_segments AND channel = 'sms' THEN GREATEST(segments, 1) ELSE 1 END AS cost,
               row_number() OVER (PARTITION BY found.turn_of, number.id ORDER BY due_at, position) AS turn
          FROM number
          JOIN found ON found.number_id = number.id
          JOIN ready ON ready.number_id = number.id AND ready.turn_of = found.turn_of
    ),
    summed AS (
        SELECT *, sum(cost) OVER (PARTITION BY number_id ORDER BY turn + lot, id) AS total FROM due
    ),
    allowed AS (
        SELECT summed.id, number_id, cost,
               lot + row_number() OVER (PARTITION BY turn_of ORDER BY turn, place, summed.id) AS place
          FROM summed JOIN number ON number.id = number_id
         WHERE since + (total - cost) / rate * interval '1 second' <= now()
           AND (NOT by_segments OR cardinality(lately) + total <= GREATEST(a_second, cost))
    ),
    picked AS (SELECT id, number_id, cost FROM allowed ORDER BY place LIMIT %(limit)s),
    paced AS (
        UPDATE chats_virtualnumber
           SET next_send_at = since + total / rate * interval '1 second',
               segments_sent_at = CASE WHEN by_segments THEN lately || array_fill(now(), ARRAY[total::int]) END
          FROM number JOIN (SELECT number_id, sum(cost) AS total FROM picked GROUP BY 1) AS taken
            ON taken.number_id = number.id
         WHERE chats_virtualnumber.id = number.id
    ),
    claimed AS (
        UPDATE messaging_message AS message
           SET status = 'sending', attempts = attempts + 1, due_at = now() + %(lease)s * interval '1 second'
          FROM (SELECT id FROM picked ORDER BY id) AS picked
         WHERE message.id = picked.id AND COALESCE(message.status, '') = 'queued'
        RETURNING message.id, kind, attempts, virtual_number_id, participant_id, stranger_number, stranger_digest,
                  body, due_at, channel, turn_of, relays_id,
                  CASE WHEN media_count > 0 THEN COALESCE(relays_id, message.id) END AS media_of,
                  chat_id
    )
    SELECT claimed.id, attempts, number.id, number.number,
           COALESCE(participant.phone_number, claimed.stranger_number), body, due_at, %(is_probe)s::bool,
           channel, media_of, claimed.chat_id,
           {WHAT_STANDS_IN_THE_WAY}, {QUIET_HOURS}, {COUNTRIES}
      FROM claimed
      JOIN number ON number.id = claimed.virtual_number_id
      LEFT JOIN chats_participant AS participant ON participant.id = claimed.participant_id
      LEFT JOIN platforms_platform AS platform ON platform.id = claimed.turn_of
"""
_CLAIM = f"""
    {_SOME_BUSY},
    lot AS MATERIALIZED (SELECT turn_of, random() AS lot FROM busy GROUP BY turn_of),
    free AS MATERIALIZED (
        SELECT busy.turn_of, number_id, lot, next_send_at,
               LEAST(ceil(2.0 * %(limit)s / count(*) OVER (PARTITION BY busy.turn_of)), 1 + floor(
                   extract(epoch FROM now() - GREATEST(next_send_at, now() - interval '{_CATCH_UP_SECONDS} seconds'))
                   * messages_per_second * {_RATE_MARGIN})) AS wanted
          FROM busy JOIN lot ON lot.turn_of = busy.turn_of JOIN chats_virtualnumber AS number ON number.id = number_id
         WHERE next_send_at <= now() AND (%(is_probe)s::bool OR NOT {IS_PAUSED})
    ),
    found AS MATERIALIZED (
        -- Who is among the first in the queue may be found as the first of somebody too.
        SELECT DISTINCT ON (message.id) message.id, number_id, ready.turn_of, lot, next_send_at, due_at, position,
               channel, segments
          FROM free AS ready CROSS JOIN LATERAL ({_WAITING} LIMIT ready.wanted) AS message
    ),
    {_CLAIM_FOUND}
"""
# Of texts that are known by their ids, those that nothing else that is due waits before on their numbers: whose turn it
# is there, the large claim decides. The ids come from outside, so whatever keeps a text from being found keeps it here.
_CLAIM_HINTED = f"""
    {_PLATFORMS},
    hinted AS MATERIALIZED (
        SELECT id, virtual_number_id AS number_id, turn_of, due_at, position, segments, channel, expires_at,
               participant_id
          FROM messaging_message WHERE id = ANY(%(hints)s::uuid[]) AND COALESCE(status, '') = 'queued'
    ),
    lot AS MATERIALIZED (SELECT turn_of, random() AS lot FROM hinted GROUP BY turn_of),
    found AS MATERIALIZED (
        SELECT waiting.id, number_id, waiting.turn_of, lot, next_send_at, due_at, position, channel, segments
          FROM hinted AS waiting
          JOIN lot ON lot.turn_of = waiting.turn_of
          JOIN chats_virtualnumber AS number ON number.id = number_id
         WHERE {_MAY_GO} AND next_send_at <= now() AND (%(is_probe)s::bool OR NOT {IS_PAUSED})
           AND NOT EXISTS (
                   SELECT FROM platform CROSS JOIN LATERAL (
                          SELECT id FROM messaging_message AS before
                           WHERE status = 'queued' AND turn_of = platform.turn_of
                             AND virtual_number_id = waiting.number_id
                             AND (due_at, position) < (waiting.due_at, waiting.position)
                             AND id <> ALL (%(hints)s::uuid[])
                           LIMIT 1
                          ) AS before
                   OFFSET 0
               )
    ),
    {_CLAIM_FOUND}
"""
_STILL_QUEUED = """
    SELECT true FROM messaging_message WHERE id = ANY(%(hints)s::uuid[]) AND COALESCE(status, '') = 'queued' LIMIT 1
"""


# Locks the account's row, so that senders take their shares one after the other.
_ACCOUNT_SLOTS = f"""
    INSERT INTO messaging_gatewayaccount AS account (name) VALUES (%(account)s)
    ON CONFLICT (name) DO UPDATE SET name = excluded.name
    RETURNING GREATEST(0, 1 + floor(%(rate)s * extract(epoch FROM now() - GREATEST(
                  account.next_send_at, now() - interval '{_CATCH_UP_SECONDS} seconds'))))::int
"""
_PACE_ACCOUNT = f"""
    UPDATE messaging_gatewayaccount
       SET next_send_at = GREATEST(next_send_at, now() - interval '{_CATCH_UP_SECONDS} seconds')
                          + %(texts)s / %(rate)s::float * interval '1 second'
     WHERE name = %(account)s
"""


def claim_texts(*, limit: int, everywhere: bool = False) -> list[Claim]:
    """Claim up to `limit` texts that may be sent now, within the rates of their numbers and of the account.

    While the account is paused, that is one text from time to time, for all senders together. Where very many numbers
    are busy, only some of them are looked at, and nothing may be found; `everywhere` looks at each.
    """
    numbers = None if everywhere else max(_NUMBERS_LOOKED_AT, 2 * limit)
    return _within_rate(limit, lambda texts: _claim(_CLAIM, texts, numbers=numbers) or _claim_probe())


def claim_hinted(hints: Sequence[UUID], *, limit: int) -> tuple[list[Claim], bool]:
    """Claim of these texts what may be sent now, in a third of the time; return it, and whether some are still queued.

    As `claim_texts` would, and only where no turn can be somebody else's: nothing is claimed unless all of them fit
    into `limit` and the account's rate, nor any before which something else waits on its number.
    """

    def claim(texts: int) -> list[Claim]:
        return _claim(_CLAIM_HINTED, texts, hints=hints) if texts >= len(hints) else []

    claims = _within_rate(limit, claim)
    # Another sender was told of them as well, and may have been first.
    left = len(claims) < len(hints) and bool(execute_prepared(_STILL_QUEUED, {"hints": hints}))
    return claims, left


def _within_rate(limit: int, claim: Callable[[int], list[Claim]]) -> list[Claim]:
    """Have `claim` take as many texts as the account may send now, up to `limit`."""
    rate = settings.VONAGE_MESSAGES_PER_SECOND * _RATE_MARGIN
    if not rate:
        return claim(limit)
    with transaction.atomic():
        account = {"account": ACCOUNT, "rate": rate}
        slots: int = execute_prepared(_ACCOUNT_SLOTS, account)[0][0]
        claims = claim(min(limit, slots)) if slots else []
        if claims:
            execute_prepared(_PACE_ACCOUNT, {**account, "texts": len(claims)})
    return claims


def _claim(statement: str, limit: int, *, is_probe: bool = False, **params: object) -> list[Claim]:
    lease = settings.SEND_LEASE_SECONDS
    rows = execute_prepared(statement, {"limit": limit, "lease": lease, "is_probe": is_probe, **params})
    claims = [replace(Claim(*row[:11]), obstacle=Obstacle(*row[11:])) for row in rows]
    if not any(claim.media_of for claim in claims):
        return claims
    media = read_stored_media([claim.media_of for claim in claims if claim.media_of])
    return [replace(claim, media=media.get(claim.media_of, ())) if claim.media_of else claim for claim in claims]


def _claim_probe() -> list[Claim]:
    """Claim a text to try while the account is paused, unless one is being tried or it is too early."""
    if not is_probe_due():
        return []
    with transaction.atomic():
        claims = _claim(_CLAIM, 1, is_probe=True, numbers=None) if lock_due_probe() else []
        for claim in claims:
            start_probe(claim.id)
    return claims


_NEXT_DUE = f"""
    {_SOME_BUSY}
    SELECT extract(epoch FROM min(GREATEST(
               first.due_at, number.next_send_at,
               (SELECT CASE WHEN paused_at IS NOT NULL THEN GREATEST(probe_at, paced_at) ELSE paced_at END
                  FROM (SELECT *, CASE WHEN %(is_paced)s THEN next_send_at END AS paced_at
                          FROM messaging_gatewayaccount WHERE name = '{ACCOUNT}') AS account)
           )) - now())::float, count(*)
      FROM busy
      JOIN chats_virtualnumber AS number ON number.id = busy.number_id
     CROSS JOIN LATERAL (
               SELECT due_at FROM messaging_message
                WHERE status = 'queued' AND turn_of = busy.turn_of AND virtual_number_id = busy.number_id
                ORDER BY due_at LIMIT 1
           ) AS first
"""


def seconds_until_due() -> float | None:
    """Return in how many seconds the next queued text may be sent, at the earliest; None when none is queued.

    Where something may be sent now on the numbers that are looked at, the others are not asked.
    """
    params = {"is_paced": bool(settings.VONAGE_MESSAGES_PER_SECOND)}
    seconds: float | None
    [(seconds, numbers)] = execute_prepared(_NEXT_DUE, {**params, "numbers": _NUMBERS_LOOKED_AT})
    if seconds is not None and seconds > 0 and numbers >= _NUMBERS_LOOKED_AT:
        [(seconds, _)] = execute_prepared(_NEXT_DUE, {**params, "numbers": None})
    return seconds


_LONGEST_DUE = f"""
    {_BUSY}
    SELECT extract(epoch FROM now() - min(first.due_at))::float
      FROM busy
     CROSS JOIN LATERAL (
               SELECT due_at FROM messaging_message
                WHERE status = 'queued' AND turn_of = busy.turn_of AND virtual_number_id = busy.number_id
                ORDER BY due_at LIMIT 1
           ) AS first
"""


def find_longest_due_seconds() -> float:
    """Return for how many seconds the queued text that has been due for longest has been so; 0 when none is due.

    A look at each virtual number with texts, however many they have.
    """
    seconds: float | None = execute_planned(_LONGEST_DUE, {})[0][0]
    return max(0.0, seconds or 0.0)
