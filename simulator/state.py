"""What the simulator remembers: texts, traffic and counters, all bounded and all in memory."""

import asyncio
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, TypeVar

from simulator.records import Exchange, Text, WebhookCounts

KEPT_EXCHANGES = 2_000
KEPT_CHANGES = 4_000
KEPT_BODY = 4_000
KEPT_SECONDS = 3_600

# Every status that is not here is final.
_RANKS = {None: -1, "accepted": 0, "submitted": 1}
_FINAL_RANK = 2


_Numbered = TypeVar("_Numbered", Text, Exchange)


class State:
    """Everything the simulator remembers; one counter numbers texts, traffic and their changes."""

    def __init__(self, *, keep_texts: int) -> None:
        self.run = uuid.uuid4().hex[:8]
        self.counter = 0
        self.texts: deque[Text] = deque(maxlen=keep_texts)
        self.exchanges: deque[Exchange] = deque(maxlen=KEPT_EXCHANGES)
        self.changes: deque[tuple[int, Text | Exchange]] = deque(maxlen=KEPT_CHANGES)
        self.listeners: set[asyncio.Event] = set()
        self.resets = 0
        self.mms_under_way = 0
        self._clear_counters()

    def add_text(self, **values: Any) -> Text:
        self.counter += 1
        text = Text(seq=self.counter, changed=self.counter, **values)
        self.texts.append(text)
        self._note(text)
        return text

    def count_accepted(self, virtual_number: str, second: int) -> None:
        self.accepted += 1
        seconds = self._accepted_per_second.setdefault(virtual_number, {})
        seconds[second] = seconds.get(second, 0) + 1
        if len(seconds) > KEPT_SECONDS:
            del seconds[next(iter(seconds))]

    def count_request(self, status: int | None, *, accepted: bool) -> None:
        self.requests += 1
        self.refused += not accepted
        self.responses[str(status) if status is not None else "none"] += 1

    def touch_text(self, text: Text) -> None:
        """Tell listeners that a text has changed."""
        self.counter += 1
        text.changed = self.counter
        self._note(text)

    def move_status(self, text: Text, status: str) -> None:
        """Move a text's status, never back."""
        if _RANKS.get(status, _FINAL_RANK) > _RANKS.get(text.status, _FINAL_RANK):
            text.status = status
            self.touch_text(text)

    def add_exchange(
        self,
        *,
        direction: str,
        kind: str,
        url: str,
        status: int | None,
        ms: float,
        body: bytes,
        answer: bytes = b"",
        method: str = "POST",
        attempt: int = 1,
        error: str | None = None,
    ) -> None:
        self.counter += 1
        exchange = Exchange(
            self.counter, time.time(), direction, kind, method, url, status, ms, attempt, error,
            body[:KEPT_BODY], answer[:KEPT_BODY],
        )  # fmt: skip
        self.exchanges.append(exchange)
        self._note(exchange)

    def wake_listeners(self) -> None:
        for listener in self.listeners:
            listener.set()

    def reset(self) -> None:
        """Forget texts, traffic and counters; numbering goes on, so that `after` keeps its meaning."""
        self.texts.clear()
        self.exchanges.clear()
        self.changes.clear()
        self.resets += 1
        self.counter += 1
        self._clear_counters()
        self.wake_listeners()

    def list_texts(self, *, after: int = 0, limit: int | None = None) -> list[Text]:
        """Return the texts numbered above `after`, oldest first; the oldest `limit` of them when limited."""
        return _take_newer(self.texts, after, limit)

    def list_exchanges(self, *, after: int = 0, limit: int | None = None) -> list[Exchange]:
        return _take_newer(self.exchanges, after, limit)

    def as_stats(self) -> dict[str, Any]:
        kinds = {kind: counts.as_json() for kind, counts in self.webhooks.items()}
        totals = {name: sum(counts[name] for counts in kinds.values()) for name in WebhookCounts.__slots__}
        return {
            "requests": self.requests,
            "accepted": self.accepted,
            "refused": self.refused,
            "responses": dict(self.responses),
            "texts_from_handsets": self.texts_from_handsets,
            "mms_under_way": self.mms_under_way,
            "webhooks": totals | kinds,
            "accepted_per_second": {
                number: {str(second): count for second, count in seconds.items()}
                for number, seconds in self._accepted_per_second.items()
            },
        }

    def _clear_counters(self) -> None:
        self.requests = 0
        self.accepted = 0
        self.refused = 0
        self.texts_from_handsets = 0
        self.responses: Counter[str] = Counter()
        self.webhooks = {"inbound": WebhookCounts(), "status": WebhookCounts()}
        self._accepted_per_second: dict[str, dict[int, int]] = {}

    def _note(self, changed: Text | Exchange) -> None:
        self.changes.append((self.counter, changed))
        if self.listeners:
            self.wake_listeners()


def _take_newer(numbered: deque[_Numbered], after: int, limit: int | None) -> list[_Numbered]:
    newer = list(_walk_back(numbered, after))
    newer.reverse()
    return newer if limit is None else newer[:limit]


def _walk_back(numbered: deque[_Numbered], after: int) -> Iterator[_Numbered]:
    for item in reversed(numbered):
        if item.seq <= after:
            return
        yield item
