"""Opt-Out Assist: the carrier answers STOP, START and HELP, and blocks the pair of numbers that stopped."""

MOST_PAIRS = 10_000
# https://developer.vonage.com/en/opt-out-assist/technical-details
_STOP = {"STOP", "END", "QUIT", "CANCEL", "UNSUBSCRIBE"}
_START = {"START", "UNSTOP", "JOIN"}
_HELP = {"HELP", "INFO"}


class OptOuts:
    """Which handset wants no more texts from which virtual number."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], None] = {}

    def clear(self) -> None:
        self._pairs.clear()

    def hear(self, virtual_number: str, handset: str, body: str) -> str | None:
        """Take note of what a handset texts to a virtual number; return the carrier's answer if it has one."""
        word, pair = body.strip().upper(), (virtual_number, handset)
        if word in _STOP:
            self._pairs[pair] = None
            if len(self._pairs) > MOST_PAIRS:
                del self._pairs[next(iter(self._pairs))]
            return "You are unsubscribed and will get no more texts from this number. Reply START to resubscribe."
        if word in _START:
            self._pairs.pop(pair, None)
            return "You are subscribed to texts from this number again. Reply STOP to unsubscribe."
        return "Reply STOP to unsubscribe." if word in _HELP else None

    def is_blocked(self, virtual_number: str, handset: str) -> bool:
        return (virtual_number, handset) in self._pairs
