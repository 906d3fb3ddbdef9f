"""Take the locks that moving a chat needs, always in this order: the people, the chat, the virtual numbers."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

import psycopg
from django.db import IntegrityError, connection, transaction

from chats.allocation import NoFreeNumber
from chats.models import Chat, Participant
from proxy_project.sql import execute_prepared

Decided = TypeVar("Decided")

_ATTEMPTS = 5
# Shared by all who lock people, and held alone by who locks everybody.
_EVERYBODY = int.from_bytes(b"everyone", "big")
_LOCK = f"""
    SELECT count(pg_advisory_xact_lock(key)), pg_advisory_xact_lock_shared({_EVERYBODY})::text
      FROM unnest(%(numbers)s::bigint[]) AS keys (key)
"""
_RACES = ("open_chat_is_named_by_both_numbers", "chat_reference_is_unique")


class Raced(Exception):
    """What was decided on is not there any more; deciding anew is safe."""


class HasEnded(Exception):
    """The chat has ended, and what was asked for needs one that has not."""


def decide_until_settled(decide: Callable[[], Decided]) -> Decided:
    """Return what `decide` returns, in a transaction of its own; it is called anew when somebody else was faster.

    Raises NoFreeNumber when that happens time and again.
    """
    for _ in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                return decide()
        except Raced:
            continue
        except IntegrityError as error:
            # Somebody who takes no such lock was first: decide from what is there now.
            if _constraint_of(error) not in _RACES:
                raise
    raise NoFreeNumber(0, 1)


def lock_people(*digests: bytes) -> None:
    """Make other transactions that want one of `digests` wait for this one; sorted, so none deadlock."""
    numbers = sorted({int.from_bytes(digest[:8], "big", signed=True) for digest in digests})
    execute_prepared(_LOCK, {"numbers": numbers})


def lock_everybody() -> None:
    """Make all other transactions that lock people wait for this one, which is to be short.

    For thousands of numbers at once: PostgreSQL has no room for a lock for each.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_EVERYBODY])


def lock_chat(chat_id: UUID) -> Chat:
    """Return the chat as it is now, and let nobody else move it until the transaction ends; raises Chat.DoesNotExist.

    Texts that are being relayed hold the row for as long (messaging.relay): they are stored before this returns,
    or see what this transaction made of the chat. NO KEY: rows that refer to the chat may be written meanwhile.
    """
    return Chat.objects.select_for_update(no_key=True).get(pk=chat_id)


def find_people(chat_id: UUID) -> list[Participant]:
    """Return the two people whose chat it is now, the first one first."""
    return list(
        Participant.objects.filter(chat=chat_id, replaced_at=None).select_related("virtual_number").order_by("position")
    )


# KEY SHARE waits for whoever retires the number (chats.services.numbers), and makes that wait for us.
_HOLD = """
    SELECT id FROM chats_virtualnumber
     WHERE id = ANY(%(ids)s) AND state IN ('active', 'reserved') AND can_sms
       AND (platform_id = %(platform)s OR platform_id IS NULL)
     ORDER BY id FOR KEY SHARE
"""


def hold_numbers(*number_ids: UUID, platform_id: UUID) -> bool:
    """Keep virtual numbers from being retired until the transaction ends; False when one takes no chats any more."""
    rows = execute_prepared(_HOLD, {"ids": list(number_ids), "platform": platform_id})
    return len(rows) == len(set(number_ids))


def _constraint_of(error: IntegrityError) -> str | None:
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None
