"""What stands between a queued text and a person's phone: every text passes here, whoever queued it.

A sender asks when it claims a text, with the rows as they are then: what was queued before a STOP is not sent after it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time

from django.conf import settings

from chats.countries import COUNTRY_NOT_ALLOWED, is_allowed
from chats.opted_out import is_opted_out
from messaging.gateways import ErrorKind, Outcome, SendError
from messaging.quiet_hours import find_morning, find_zones
from messaging.withdrawals import BLOCKED, OPTED_OUT, REPLACED, RESTRICTED, Withdrawal

# What people write, and what answers them, goes at any time.
KINDS_FOR_DAYTIME = ("introduction", "platform", "closing")
# Nothing but the question, and answers to what somebody has just written, before they have said YES.
_BEFORE_YES = "('introduction', 'auto_reply', 'consent')"

# For a row `claimed` of the log, its `participant` and the `platform` whose turn it is. What answers STOP and HELP
# always goes; who texts from a phone that was replaced is told so, and nothing else.
WHAT_STANDS_IN_THE_WAY = f"""
    CASE WHEN claimed.kind = 'consent' THEN NULL
         WHEN participant.replaced_at IS NOT NULL AND claimed.kind <> 'auto_reply' THEN 'replaced'
         WHEN {
    is_opted_out(
        digest="COALESCE(participant.phone_digest, claimed.stranger_digest)",
        number_id="claimed.virtual_number_id",
        platform_id="platform.id",
    )
} THEN 'opted_out'
         WHEN participant.blocked_at IS NOT NULL THEN 'blocked'
         WHEN EXISTS (
                  SELECT FROM messaging_message AS inbound
                    JOIN chats_participant AS writer ON writer.id = inbound.participant_id
                   WHERE inbound.id = claimed.relays_id
                     AND (writer.muted_at IS NOT NULL OR writer.blocked_at IS NOT NULL)
              ) THEN 'restricted'
         WHEN participant.awaits_consent AND claimed.kind NOT IN {_BEFORE_YES} THEN 'unconfirmed'
    END
"""
QUIET_HOURS = f"""
    CASE WHEN claimed.kind IN {KINDS_FOR_DAYTIME} THEN platform.quiet_from END,
    platform.quiet_until, COALESCE(participant.time_zone, '')
"""
COUNTRIES = "platform.allowed_countries"

_WITHDRAWALS = {"replaced": REPLACED, "opted_out": OPTED_OUT, "blocked": BLOCKED, "restricted": RESTRICTED}
_ELSEWHERE = Withdrawal(COUNTRY_NOT_ALLOWED, "Phone numbers of its recipient's country are not texted.")


class Hold(Exception):
    """A text must wait: until a time, or, with None, until its recipient says YES."""

    def __init__(self, until: datetime | None) -> None:
        super().__init__("it is night there" if until else "not confirmed yet")
        self.until = until

    @property
    def error(self) -> Withdrawal:
        """Return what the log says of it while it waits."""
        return ASLEEP if self.until else UNCONFIRMED


ASLEEP = Withdrawal("quiet_hours", "It waits for the recipient's morning.")
UNCONFIRMED = Withdrawal("not_confirmed", "Its recipient has not answered YES.")


def make_error(withdrawal: Withdrawal) -> SendError:
    """Return the error of a text that is never sent."""
    return SendError(Outcome.NEVER, withdrawal.code, withdrawal.detail, kind=ErrorKind(withdrawal.kind))


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What a claim has found out; `what` is of WHAT_STANDS_IN_THE_WAY, the rest of QUIET_HOURS and COUNTRIES."""

    what: str | None = None
    quiet_from: time | None = None
    quiet_until: time | None = None
    time_zone: str = ""
    allowed_countries: list[str] | None = None

    def refuse(self) -> None:
        """Raise SendError when the text must never be sent, and Hold when it must wait for a YES."""
        if withdrawal := _WITHDRAWALS.get(self.what or ""):
            raise make_error(withdrawal)
        if self.what:
            raise Hold(None)

    def require_country(self, phone_number: str) -> None:
        """Raise SendError when phone numbers of the recipient's country are not texted, or not any more."""
        if not is_allowed(phone_number, self.allowed_countries or settings.ALLOWED_COUNTRIES):
            raise make_error(_ELSEWHERE)

    def let_sleep(self, phone_number: str) -> None:
        """Raise Hold when it may be night where the recipient is."""
        if self.quiet_from is None or self.quiet_until is None:
            return
        morning = find_morning(
            now=datetime.now(UTC),
            zones=find_zones(phone_number=phone_number, time_zone=self.time_zone),
            quiet_from=self.quiet_from,
            quiet_until=self.quiet_until,
        )
        if morning:
            raise Hold(morning)
