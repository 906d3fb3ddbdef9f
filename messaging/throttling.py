"""Tell whether the carrier slows down one number or the whole account, from the answers that a sender gets."""

from dataclasses import replace
from uuid import UUID

from messaging.claims import Result
from messaging.gateways import Outcome, SendError

# As many numbers, one after the other, with no text accepted in between: then it is not the numbers.
_NUMBERS = 3


class Throttling:
    """What one sender has been answered of late; used by one thread.

    A 429 does not say whom it is for. It cools the number that it hit; when several numbers are hit in a row it is
    for the account, which is paused then: else each of them would call again and again, with one text after the other.
    """

    def __init__(self) -> None:
        self._hit: set[UUID] = set()

    def judge(self, result: Result) -> Result:
        """Return the result, as one that pauses the account when it shows that the account is throttled."""
        if result.gateway_id is not None:
            self._hit.clear()
        elif result.error and result.error.throttled:
            self._hit.add(result.claim.virtual_number_id)
            if result.claim.is_probe or len(self._hit) >= _NUMBERS:
                self._hit.clear()
                return replace(result, error=_for_the_account(result.error))
        return result


def _for_the_account(error: SendError) -> SendError:
    return SendError(Outcome.PAUSE, error.code, error.detail, kind=error.kind, retry_after=error.retry_after)
