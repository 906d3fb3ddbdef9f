"""Tell whether the carrier slows down one number or the whole account, from the answers that a sender gets."""

from dataclasses import replace
from uuid import UUID

from messaging.gateways import Outcome, SendError
from messaging.results import Result

# As many numbers within so many seconds, with no text accepted in between: then it is not the numbers.
_NUMBERS = 3
_WITHIN_SECONDS = 2.0


class Throttling:
    """What one sender has been answered of late; used by one thread.

    A 429 does not say whom it is for. It cools the number that it hit; when several numbers are hit at once it is
    for the account, which is paused then: else each of them would call again and again, with one text after the other.
    """

    def __init__(self) -> None:
        # When each number was hit last.
        self._hit: dict[UUID, float] = {}

    def judge(self, result: Result, *, at: float) -> Result:
        """Return the result, as one that pauses the account when it shows that the account is throttled.

        `at` is when it came, in seconds of a clock that is never set.
        """
        if result.gateway_id is not None:
            self._hit.clear()
        elif result.error and result.error.throttled:
            lately = {number: hit_at for number, hit_at in self._hit.items() if hit_at > at - _WITHIN_SECONDS}
            self._hit = lately | {result.claim.virtual_number_id: at}
            if result.claim.is_probe or len(self._hit) >= _NUMBERS:
                self._hit.clear()
                return replace(result, error=_for_the_account(result.error))
        return result


def _for_the_account(error: SendError) -> SendError:
    # The number cools all the same: if it was for the number, the next one is tried with another.
    return SendError(
        Outcome.PAUSE, error.code, error.detail, kind=error.kind, retry_after=error.retry_after, throttled=True
    )
