"""What arrives when, for tests that count it, and the rates above which the carrier answers 429."""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from simulator.sends import SendRequest
from simulator.wire import add_plus

KEPT_ARRIVALS = 50_000
# A caller that paces itself exactly is not refused because one request was a little faster than the one before it.
SLACK_S = 0.05


class Arrival(NamedTuple):
    """One request to send that was well-formed, when it began to arrive and how it was answered."""

    at_ms: int
    virtual_number: str
    handset: str
    segments: int
    status: int | None
    accepted: bool

    def as_json(self) -> dict[str, Any]:
        return self._asdict()


class Arrivals:
    """The latest requests to send, whatever became of them."""

    def __init__(self) -> None:
        self._kept: deque[Arrival] = deque(maxlen=KEPT_ARRIVALS)

    def clear(self) -> None:
        self._kept.clear()

    def note(self, at: float, sent: SendRequest, status: int | None, *, accepted: bool) -> None:
        numbers = add_plus(sent.sender), add_plus(sent.to)
        self._kept.append(Arrival(int(at * 1000), *numbers, sent.segments, status, accepted))

    def as_json(self) -> dict[str, Any]:
        by_number: dict[str, list[Arrival]] = {}
        arrivals = sorted(self._kept, key=lambda arrival: arrival.at_ms)
        for arrival in arrivals:
            by_number.setdefault(arrival.virtual_number, []).append(arrival)
        return {
            "received": [arrival.as_json() for arrival in arrivals],
            "numbers": {number: _summarise(of_number) for number, of_number in by_number.items()},
            "account": _summarise(arrivals),
        }


class RateLimiter:
    """Refuses what comes faster than a rate; a second's worth may come at once (GCRA, a leaky bucket)."""

    def __init__(self) -> None:
        # By name: when all that was accepted will have been worked off at the rate.
        self._worked_off_at: dict[str, float] = {}

    def clear(self) -> None:
        self._worked_off_at.clear()

    def wait(self, name: str, *, per_second: float, now: float) -> float:
        """Return how many seconds too early the next one is; 0 when it may come."""
        ahead_s = self._worked_off_at.get(name, now) - now
        return max(0.0, ahead_s - max(0.0, 1 - 1 / per_second) - SLACK_S)

    def take(self, name: str, *, per_second: float, amount: int, now: float) -> None:
        self._worked_off_at[name] = max(self._worked_off_at.get(name, now), now) + amount / per_second


def _summarise(arrivals: list[Arrival]) -> dict[str, Any]:
    seconds: dict[int, Counter[str]] = {}
    for arrival in arrivals:
        seconds.setdefault(arrival.at_ms // 1000, Counter()).update(_count(arrival))
    return {
        "total": dict(sum(seconds.values(), Counter())),
        "per_second": {str(second): dict(counts) for second, counts in seconds.items()},
        "most_in_any_second": {
            "requests": _find_most((arrival.at_ms, 1) for arrival in arrivals),
            "segments": _find_most((arrival.at_ms, arrival.segments) for arrival in arrivals),
            "accepted_segments": _find_most(
                (arrival.at_ms, arrival.segments) for arrival in arrivals if arrival.accepted
            ),
        },
    }


def _count(arrival: Arrival) -> dict[str, int]:
    return {
        "requests": 1,
        "segments": arrival.segments,
        "accepted": int(arrival.accepted),
        "accepted_segments": arrival.segments * arrival.accepted,
    }


def _find_most(amounts: Iterable[tuple[int, int]]) -> int:
    """Find the most within any 1,000 ms, wherever they begin; `amounts` are ordered by their milliseconds."""
    window: deque[tuple[int, int]] = deque()
    total = most = 0
    for at_ms, amount in amounts:
        window.append((at_ms, amount))
        total += amount
        while window[0][0] <= at_ms - 1000:
            total -= window.popleft()[1]
        most = max(most, total)
    return most
