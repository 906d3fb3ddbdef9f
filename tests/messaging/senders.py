"""Run a sender in a thread of the test, with a gateway of the test's own."""

import contextlib
import threading
from collections.abc import Iterator

from django.db import connection, connections

from messaging.gateways import Gateway
from messaging.sender import Sender


@contextlib.contextmanager
def running_sender(gateway: Gateway, *, threads: int) -> Iterator[None]:
    """Run a sender whose threads all share `gateway`; it has stopped at the end."""
    sender = Sender(threads=threads, make_gateway=lambda: gateway)

    def run() -> None:
        try:
            sender.run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        sender.stop()
        thread.join(timeout=10)
        _hang_up_listeners()


def _hang_up_listeners() -> None:
    """End the connections on which senders of this database listen: they would be in the way of dropping it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN %'"
        )
