"""Run a sender in a thread of the test, with a gateway of the test's own, or have the test's session be one."""

import contextlib
import threading
from collections.abc import Iterator

from django.db import connection, connections

from messaging.gateways import Gateway
from messaging.sender import Sender
from proxy_project.sql import plan_by_indexes_alone


@contextlib.contextmanager
def running_sender(gateway: Gateway, *, threads: int) -> Iterator[None]:
    """Run a sender whose threads all share `gateway`; it has stopped at the end."""
    sender = Sender(threads=threads, make_gateway=lambda: gateway)

    def run() -> None:
        try:
            plan_by_indexes_alone(connection=connection)
            sender.run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        sender.stop()
        thread.join(timeout=60)
        # One that was just connecting is hung up on the next time.
        while sender._listener.is_alive():
            _hang_up_listeners()
            sender._listener.join(0.05)


@contextlib.contextmanager
def session_of_a_sender() -> Iterator[None]:
    """Have this session plan as a sender's does that was started when the log was empty; not within a transaction.

    Of what earlier tests have left in tables, indexes and statistics, nothing remains to be counted or planned with.
    """
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE messaging_message CASCADE")
        cursor.execute("VACUUM ANALYZE messaging_message, chats_virtualnumber, chats_participant")
    plan_by_indexes_alone(connection=connection)
    yield
    connection.close()


def _hang_up_listeners() -> None:
    """End the connections on which senders of this database listen: they would be in the way of dropping it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN %'"
        )
