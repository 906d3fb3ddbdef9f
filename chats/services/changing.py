"""Change what a platform may change of a chat: its times and its metadata."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from chats.models import Chat
from chats.services.locking import HasEnded, lock_chat
from chats.services.times import find_idle_end, refuse_past_times, refuse_wrong_order

_TIMES = ("starts_at", "expires_at", "idle_timeout_seconds")


class HasStarted(Exception):
    """The chat has started, so its start cannot be changed."""


def change_chat(*, chat_id: UUID, changes: Mapping[str, Any], now: datetime) -> Chat:
    """Change times, `metadata` and the rules on disclosures to what `changes` has, by field; return the chat.

    A time that is not in it stays. None takes an end away. A new idle timeout counts from now. Raises
    Chat.DoesNotExist, HasEnded (metadata and rules can still be changed), HasStarted and ImpossibleTime.
    """
    with transaction.atomic():
        chat = lock_chat(chat_id)
        if chat.status == Chat.Status.ENDED and any(field in changes for field in _TIMES):
            raise HasEnded("The chat has ended: only its metadata can be changed. Reopen it first.")
        if chat.status != Chat.Status.SCHEDULED and "starts_at" in changes:
            raise HasStarted("The chat has started already.")
        # What is not changed may have passed: that is the worker's business.
        refuse_past_times(starts_at=changes.get("starts_at"), expires_at=changes.get("expires_at"), now=now)
        times = {"starts_at": chat.starts_at, "expires_at": chat.expires_at, **changes}
        if chat.status == Chat.Status.SCHEDULED:
            refuse_wrong_order(starts_at=times["starts_at"], expires_at=times["expires_at"])
        for field, value in changes.items():
            setattr(chat, field, value)
        if "idle_timeout_seconds" in changes and chat.status == Chat.Status.OPEN:
            chat.idle_ends_at = find_idle_end(chat, now)
        chat.save(update_fields=[*changes, "idle_ends_at"])
    return chat
