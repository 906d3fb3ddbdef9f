"""procrastinate's command, whose worker says in the database that it is at work.

Django takes this one, since `proxy_project` comes before procrastinate in INSTALLED_APPS.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from django.db import Error as DatabaseError
from django.db import connection
from procrastinate import cli
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.management.commands import procrastinate

from messaging.heartbeats import BEAT_SECONDS, Heart
from messaging.models import Heartbeat

log = structlog.get_logger(__name__)


class Command(procrastinate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if options.get("command") != "worker":
            super().handle(*args, **options)
            return
        # As the library's, whose event loop nobody else gets into.
        options = {name: value for name, value in options.items() if name not in self._django_options}
        assert isinstance(app.connector, DjangoConnector)
        with app.replace_connector(app.connector.get_worker_connector()):
            asyncio.run(_work(options | {"app": app}))


async def _work(options: dict[str, Any]) -> None:
    async with _beating():
        await cli.execute_command(options)


@contextlib.asynccontextmanager
async def _beating() -> AsyncIterator[None]:
    """Beat for as long as the event loop goes round, in which the worker finds and starts its jobs."""
    heart = Heart(Heartbeat.Kind.WORKER)
    loop = asyncio.get_running_loop()
    # One thread, with one connection to the database.
    with ThreadPoolExecutor(1, thread_name_prefix="heart") as thread:

        async def beat() -> None:
            while True:
                await loop.run_in_executor(thread, _try, heart.beat)
                await asyncio.sleep(BEAT_SECONDS)

        beats = asyncio.create_task(beat())
        try:
            yield
        finally:
            beats.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beats
            await loop.run_in_executor(thread, _try, heart.rest)
            # `connection` is another in each thread.
            await loop.run_in_executor(thread, lambda: connection.close())


def _try(step: Any) -> None:
    try:
        step()
    except DatabaseError as error:
        log.warning("no heartbeat", error=type(error).__name__)
        connection.close()
