"""Processes that nobody can call over HTTP say in the database that they are at work: senders and workers."""

import socket
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

from messaging.models import Heartbeat
from proxy_project.sql import execute_prepared

BEAT_SECONDS = 5.0

# What a process that was killed has left is of interest for an hour.
_BEAT = """
    WITH forgotten AS (
        DELETE FROM messaging_heartbeat WHERE beat_at < now() - interval '1 hour' AND id <> %(id)s::uuid
    )
    INSERT INTO messaging_heartbeat (id, kind, host, started_at, beat_at)
    VALUES (%(id)s::uuid, %(kind)s, %(host)s, now(), now())
    ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at
"""
_REST = "DELETE FROM messaging_heartbeat WHERE id = %(id)s"
_READ = """
    SELECT kind, host, id::text, started_at, beat_at, extract(epoch FROM now() - beat_at)::float
      FROM messaging_heartbeat ORDER BY kind, host, id
"""


class Beat(NamedTuple):
    """The last sign of life of a process; all times are the database's."""

    kind: str
    host: str
    process: str
    started_at: datetime
    beat_at: datetime
    seconds_ago: float


class Heart:
    """The heart of one process."""

    def __init__(self, kind: Heartbeat.Kind) -> None:
        self._row = {"id": uuid4(), "kind": kind.value, "host": find_host()}

    def beat(self) -> None:
        """Say that the process is at work; to be called every BEAT_SECONDS by what does that work."""
        execute_prepared(_BEAT, self._row)

    def rest(self) -> None:
        """Say that it has stopped as it should."""
        execute_prepared(_REST, {"id": self._row["id"]})


def find_host() -> str:
    """Return what this machine or container calls itself."""
    return socket.gethostname()[:100]


def read_beats() -> list[Beat]:
    """Return the last beat of each process that has not stopped as it should."""
    return [Beat(*row) for row in execute_prepared(_READ, {})]
