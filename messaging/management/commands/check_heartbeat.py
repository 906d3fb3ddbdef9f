"""Tell a supervisor whether the sender or worker beside it is at work."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError

from messaging.heartbeats import find_host, read_beats
from messaging.models import Heartbeat


class Command(BaseCommand):
    help = (
        "Exit with 0 when a sender (or worker) of this machine or container has given a sign of life lately, else with "
        "1 and a sentence. For health checks; /readyz tells about all of the service."
    )
    # Asked every few seconds by each container: no more than it needs.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", choices=Heartbeat.Kind.values)
        parser.add_argument(
            "--seconds",
            type=float,
            default=settings.READY_HEARTBEAT_SECONDS,
            help="How old the last sign of life may be (default: READY_HEARTBEAT_SECONDS, %(default)g).",
        )
        parser.add_argument("--any-host", action="store_true", help="Take that of any machine or container.")

    def handle(self, *, kind: str, seconds: float, any_host: bool, **options: Any) -> str:
        try:
            beats = read_beats()
        except DatabaseError as error:
            raise CommandError(f"The database cannot be asked ({type(error).__name__}).") from None
        where = "anywhere" if any_host else "here"
        ages = [beat.seconds_ago for beat in beats if beat.kind == kind and (any_host or beat.host == find_host())]
        if not ages:
            raise CommandError(f"No {kind} is running {where}.")
        if min(ages) > seconds:
            raise CommandError(f"No {kind} has given a sign of life {where} for {min(ages):.0f} seconds.")
        return f"A {kind} gave a sign of life {where} {min(ages):.0f} seconds ago."
