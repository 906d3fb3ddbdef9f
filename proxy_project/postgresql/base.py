"""Django's PostgreSQL backend with a check for dead connections that costs nothing, and plans that are made once."""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Notices a connection that the server has closed without asking the server.

    With CONN_HEALTH_CHECKS Django runs `SELECT 1` before each request's first query: a fifth of the time of a
    webhook. A server that stops or crashes closes its connections, which shows as something to read on a
    connection that expects nothing.
    """

    def is_usable(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def init_connection_state(self) -> None:
        """Have each prepared statement planned once.

        PostgreSQL would plan a statement that is given an array each time, since it counts what is in the array: the
        look-up of a text took ten times as long. docs/decisions/0001-prepared-statements.md
        """
        super().init_connection_state()
        with self.cursor() as cursor:
            cursor.execute("SELECT set_config('plan_cache_mode', 'force_generic_plan', false)")
