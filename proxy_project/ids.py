"""Ids that sort by the time they were made."""

from uuid import UUID

import uuid_utils.compat


def make_id() -> UUID:
    """Return a new UUID version 7 (RFC 9562), so that rows made together lie together in every index."""
    return uuid_utils.compat.uuid7()
