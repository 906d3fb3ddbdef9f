"""Run a sender."""

import signal
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.backends.signals import connection_created

from messaging.gateways.vonage import VonageGateway
from messaging.sender import Sender
from proxy_project.sql import plan_by_indexes_alone


class Command(BaseCommand):
    help = (
        "Send queued texts until stopped. Any number of senders may run, on any number of machines. "
        "SIGTERM or Ctrl-C lets it finish the texts on the wire and give back the rest."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--threads",
            type=int,
            default=settings.SENDER_THREADS,
            help="How many texts may be on the wire at once (default: SENDER_THREADS, %(default)s).",
        )

    def handle(self, *, threads: int, **options: Any) -> None:
        if threads < 1:
            raise CommandError("--threads must be at least 1.")
        try:
            VonageGateway()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        connection_created.connect(plan_by_indexes_alone)
        # Whoever has connected so far did so without it.
        connection.close()
        sender = Sender(threads=threads, make_gateway=VonageGateway)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sender.stop())
        sender.run()
