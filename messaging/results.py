"""Record what became of the texts that a sender had claimed: sent, queued again, held, failed or unconfirmed.

All times are the database's, so that the clocks of senders need not agree.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.conf import settings
from django.db import transaction

from messaging.claims import Claim
from messaging.failures import tell_of_failures
from messaging.gateways import Outcome, SendError
from messaging.holds import Held, hold_texts
from messaging.obstacles import Hold
from messaging.pauses import end_probe, pause_account
from proxy_project.sql import execute_prepared

_PENDING = "('queued', 'sending', 'unconfirmed')"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a claim: the gateway's id, or why there is none, or that it waits; else it is given back."""

    claim: Claim
    gateway_id: str | None = None
    error: SendError | None = None
    hold: Hold | None = None
    # How long the gateway took to answer, when it was asked.
    seconds: float | None = None


# A receipt may have come before the answer was written down: what it said stays, also that the text waits again, by
# the id that it named or because its attempt does not count.
_ACCEPTED = f"""
    UPDATE messaging_message AS message
       SET status = CASE WHEN status IN {_PENDING} THEN 'sent' ELSE status END,
           due_at = NULL, gateway_id = result.gateway_id, sent_at = COALESCE(sent_at, now()),
           error_code = CASE WHEN status IN {_PENDING} THEN '' ELSE error_code END,
           error_detail = CASE WHEN status IN {_PENDING} THEN '' ELSE error_detail END,
           error_kind = CASE WHEN status IN {_PENDING} THEN '' ELSE error_kind END
      FROM unnest(%(ids)s::uuid[], %(gateway_ids)s::text[], %(attempts)s::int[]) AS result (id, gateway_id, attempt)
     WHERE message.id = result.id AND attempts >= result.attempt
       AND NOT COALESCE(result.gateway_id = ANY (rejected_gateway_ids), false)
    RETURNING CASE WHEN kind = 'relay' THEN extract(epoch FROM now() - created_at)::float END
"""
# Only of the attempt that this result is of: the row may have moved on since. An attempt that does not count is
# repeated under the same number, so the lease has to be the same as well. COALESCE makes PostgreSQL find, and lock, the
# rows by their id, in the order in which they are given.
_NOT_ACCEPTED = """
    UPDATE messaging_message AS message
       SET status = result.status, attempts = attempts - result.unused,
           due_at = CASE WHEN result.status <> 'failed' THEN now() + result.wait * interval '1 second' END,
           failed_at = CASE WHEN result.status = 'failed' THEN now() END,
           error_code = result.error_code, error_detail = result.error_detail, error_kind = result.error_kind,
           channel = result.channel,
           may_have_arrived = may_have_arrived OR result.status = 'unconfirmed'
      FROM unnest(%(ids)s::uuid[], %(attempts)s::int[], %(statuses)s::text[], %(waits)s::float[],
                  %(codes)s::text[], %(details)s::text[], %(kinds)s::text[], %(unused)s::int[],
                  %(leases)s::timestamptz[], %(channels)s::text[])
           AS result (id, attempt, status, wait, error_code, error_detail, error_kind, unused, leased_until, channel)
     WHERE message.id = result.id AND COALESCE(message.status, '') = 'sending' AND message.attempts = result.attempt
       AND message.due_at = result.leased_until
    RETURNING message.id, message.status
"""
_COOL_DOWN = """
    UPDATE chats_virtualnumber AS number
       SET next_send_at = GREATEST(next_send_at, now() + throttled.wait * interval '1 second'),
           throttled_times = times + CASE WHEN throttled_at > now() - interval '1 day' THEN throttled_times ELSE 0 END,
           throttled_at = now()
      FROM (SELECT id, max(wait) AS wait, count(*) AS times
              FROM unnest(%(ids)s::uuid[], %(waits)s::float[]) AS t (id, wait) GROUP BY id ORDER BY id) AS throttled
     WHERE number.id = throttled.id
"""


@dataclass(frozen=True, slots=True)
class _NotAccepted:
    claim: Claim
    status: str
    wait: float = 0.0
    code: str = ""
    detail: str = ""
    kind: str = ""
    throttled: bool = False
    unused: int = 0
    channel: str = ""


def record_results(results: Sequence[Result]) -> list[float]:
    """Write down what became of claims: sent, queued again with a backoff, failed, or unconfirmed.

    A number that was throttled waits as a whole, and an account that takes no text is paused. Of a text that failed
    for good, its writer is told. Returns how many seconds each relayed text that was accepted took from its arrival.
    """
    took: list[float] = []
    # The order in which whoever else moves several texts, such as those of many receipts, locks their rows.
    by_id = sorted(results, key=lambda result: result.claim.id)
    accepted = [result for result in by_id if result.gateway_id is not None]
    refused = [_judge(result.claim, result.error) for result in by_id if result.error is not None]
    if throttled := [r for r in refused if r.throttled]:
        execute_prepared(
            _COOL_DOWN,
            {"ids": [r.claim.virtual_number_id for r in throttled], "waits": [float(r.wait) for r in throttled]},
        )
    if accepted:
        rows = execute_prepared(
            _ACCEPTED,
            {
                "ids": [r.claim.id for r in accepted],
                "gateway_ids": [str(r.gateway_id)[:64] for r in accepted],
                "attempts": [r.claim.attempt for r in accepted],
            },
        )
        took = [seconds for (seconds,) in rows if seconds is not None]
    if refused:
        faults = [result for result in results if result.error and result.error.outcome is Outcome.PAUSE]
        _record_not_accepted(refused, faults)
    hold_texts([Held(r.claim.id, r.claim.attempt, r.claim.leased_until, r.hold) for r in by_id if r.hold])
    give_back(result.claim for result in results if not (result.gateway_id is not None or result.error or result.hold))
    for result in results:
        if result.claim.is_probe:
            end_probe(message_id=result.claim.id, accepted=result.gateway_id is not None)
    return took


def give_back(claims: Iterable[Claim]) -> None:
    """Queue claims again that were never on the wire, as if they had not been claimed."""
    returned = [_NotAccepted(claim, "queued", unused=1) for claim in sorted(claims, key=lambda claim: claim.id)]
    if returned:
        _record_not_accepted(returned)
    for each in returned:
        if each.claim.is_probe:
            end_probe(message_id=each.claim.id, accepted=False)


def _record_not_accepted(refused: Sequence[_NotAccepted], faults: Sequence[Result] = ()) -> None:
    with transaction.atomic():
        if faults:
            assert faults[-1].error  # chosen by it
            pause_account(error=faults[-1].error, refused={fault.claim.id for fault in faults})
        rows = execute_prepared(
            _NOT_ACCEPTED,
            {
                "ids": [r.claim.id for r in refused],
                "attempts": [r.claim.attempt for r in refused],
                "statuses": [r.status for r in refused],
                # psycopg refuses a list of both int and float.
                "waits": [float(r.wait) for r in refused],
                "codes": [r.code[:40] for r in refused],
                "details": [r.detail[:200] for r in refused],
                "kinds": [r.kind for r in refused],
                "unused": [r.unused for r in refused],
                "leases": [r.claim.leased_until for r in refused],
                "channels": [r.channel or r.claim.channel for r in refused],
            },
        )
        tell_of_failures([message_id for message_id, status in rows if status == "failed"])


def _judge(claim: Claim, error: SendError) -> _NotAccepted:
    verdict = _NotAccepted(claim, "queued", code=error.code, detail=error.detail, kind=error.kind.value)
    wait = max(backoff_seconds(claim.attempt), error.retry_after or 0)
    match error.outcome:
        case Outcome.AGAIN:
            return replace(verdict, wait=wait, throttled=error.throttled)
        case Outcome.PAUSE:
            # The fault is not the text's: it goes on where it was, and the account waits.
            return replace(verdict, unused=1, wait=wait if error.throttled else 0, throttled=error.throttled)
        case Outcome.NEVER if claim.is_mms:
            # The number, the country or the account takes no MMS: it goes as a text with links.
            return replace(verdict, channel="sms")
        case Outcome.NEVER:
            return replace(verdict, status="failed")
        case Outcome.UNKNOWN:
            return replace(verdict, status="unconfirmed", wait=settings.UNCONFIRMED_WAIT_SECONDS)


def backoff_seconds(attempt: int) -> float:
    """Return how long a text waits after its nth refusal: about 1, 2, 4 … 60 seconds, spread by up to a half."""
    return min(60.0, 2.0 ** min(attempt - 1, 6)) * random.uniform(0.5, 1.0)
