"""Say which texts are too many: too fast, the same again and again, or machines that answer each other."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from chats.lookup import Match, Recent
from messaging import wording
from messaging.gateways import InboundText

# Error codes of texts that are not passed on.
TOO_MANY = "too_many"
TOO_MANY_A_DAY = "too_many_a_day"
REPEATED = "repeated"
LOOP = "loop"

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_NOTHING = timedelta(0)
# Longer than a webhook takes and than clocks differ.
_LATE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Pacing:
    """Whether a text is too many, as the error code says; and what `messaging.inbox` counts when it is passed on."""

    obstacle: str = ""
    counted: Mapping[str, Any] | None = None
    # Our own words that came back.
    is_echo: bool = False


def judge_pace(text: InboundText, match: Match, now: datetime) -> Pacing:
    """Return what the texts of the sender before this one make of it.

    What is not passed on does not count: a loop ends with the first text that is stopped, and who waits is heard again.
    """
    if text.body.strip() in wording.OURS:
        return Pacing(LOOP, is_echo=True)
    recent = match.recent
    minute_cost = _find_cost(match.texts_per_minute, settings.TEXTS_PER_MINUTE, _MINUTE)
    day_cost = _find_cost(match.texts_per_day, settings.TEXTS_PER_DAY, _DAY)
    if not (minute_cost or day_cost or settings.REPEATED_TEXTS or settings.QUICK_ANSWERS):
        return Pacing()
    digest = _digest(text)
    is_same = _is_same(digest, recent, now)
    quick_answers = 0 if _is_late(text, now) else _count_quick_answers(recent, now)
    if _is_used_up(recent.day_whole_at, day_cost, _DAY, now):
        obstacle = TOO_MANY_A_DAY
    elif _is_used_up(recent.minute_whole_at, minute_cost, _MINUTE, now):
        obstacle = TOO_MANY
    elif settings.QUICK_ANSWERS and quick_answers > settings.QUICK_ANSWERS:
        obstacle = LOOP
    elif is_same and 0 < settings.REPEATED_TEXTS <= (recent.same_texts or 0):
        obstacle = REPEATED
    else:
        obstacle = ""
    counted = {
        "now": now,
        "minute_cost": minute_cost,
        "day_cost": day_cost,
        "text_digest": digest,
        "is_same": is_same,
        "quick_answers": quick_answers,
    }
    return Pacing(obstacle, counted)


def _find_cost(own: int | None, default: int, window: timedelta) -> timedelta:
    """Return how much of its window a text uses up; nothing when there is no limit."""
    limit = default if own is None else own
    return window / limit if limit else _NOTHING


def _is_used_up(whole_at: datetime | None, cost: timedelta, window: timedelta, now: datetime) -> bool:
    # Half a text, since the costs are rounded to microseconds.
    return bool(cost) and whole_at is not None and whole_at - now > window - cost / 2


def _is_same(digest: bytes, recent: Recent, now: datetime) -> bool:
    lately = timedelta(minutes=settings.REPEATED_TEXTS_MINUTES)
    return recent.last_text == digest and recent.same_since is not None and now - recent.same_since < lately


def _is_late(text: InboundText, now: datetime) -> bool:
    """Return whether the carrier has kept a text for a while: then what it answers, and how fast, cannot be told."""
    return bool(text.written_at) and now.timestamp() - text.written_at > _LATE_SECONDS


def _count_quick_answers(recent: Recent, now: datetime) -> int:
    """Return how many of the sender's texts in a row, with this one, answered one of the counterpart at once."""
    if recent.counterpart_at is None:
        return 0
    last_at = max(recent.counterpart_at, recent.last_at or recent.counterpart_at)
    if now - last_at > timedelta(seconds=settings.QUICK_ANSWER_SECONDS):
        return 0
    is_answer = recent.last_at is None or recent.counterpart_at > recent.last_at
    return (recent.quick_answers or 0) + is_answer


def _digest(text: InboundText) -> bytes:
    """Return what two texts have in common when they are the same; pictures differ by their addresses."""
    said = "\n".join([text.body.strip().casefold(), *(media.url for media in text.media)])
    key = hashlib.blake2b(settings.DIGEST_KEY.encode()).digest()
    return hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=16, key=key).digest()
