"""When chats start and end."""

from datetime import datetime, timedelta

from chats.models import Chat


class ImpossibleTime(Exception):
    """A chat cannot have this time; the message can be shown to the platform, `field` is where it stands."""

    def __init__(self, field: str, message: str, *, code: str) -> None:
        super().__init__(message)
        self.field = field
        self.code = code


def refuse_past_times(*, starts_at: datetime | None, expires_at: datetime | None, now: datetime) -> None:
    """Raise ImpossibleTime unless the times that are given lie ahead."""
    if starts_at and starts_at <= now:
        raise ImpossibleTime("starts_at", "Must be in the future. Leave it out to start at once.", code="in_the_past")
    if expires_at and expires_at <= now:
        raise ImpossibleTime("expires_at", "Must be in the future.", code="in_the_past")


def refuse_wrong_order(*, starts_at: datetime | None, expires_at: datetime | None) -> None:
    """Raise ImpossibleTime when a chat would be over before it begins."""
    if starts_at and expires_at and expires_at <= starts_at:
        raise ImpossibleTime("expires_at", "Must be later than starts_at.", code="not_after_start")


def find_idle_end(chat: Chat, now: datetime) -> datetime | None:
    """Return when `chat`, open, ends if nobody texts from `now` on; None when silence does not end it."""
    if chat.idle_timeout_seconds is None:
        return None
    return now + timedelta(seconds=chat.idle_timeout_seconds)
