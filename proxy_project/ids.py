"""Ids that sort by the time they were made."""

from datetime import datetime
from uuid import UUID

import uuid_utils.compat


def make_id() -> UUID:
    """Return a new UUID version 7 (RFC 9562), so that rows made together lie together in every index."""
    return uuid_utils.compat.uuid7()


def first_id_at(moment: datetime) -> UUID:
    """Return the least id that could have been made at `moment`: those made earlier are less, all others are not."""
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)
