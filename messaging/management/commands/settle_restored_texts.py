"""Say what becomes of texts that were on their way when the backup was taken from which the database was restored."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from messaging.restoring import count_restored, fail_restored, hold_restored, send_restored


class Command(BaseCommand):
    help = (
        "After scripts/restore: texts that were on their way when the backup was taken wait for a word, since they may "
        "have gone out since. Without an option, say how many. Texts that a receipt has come for count as sent."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument(
            "--hold",
            action="store_true",
            help="Make them wait, after a restore by other means than scripts/restore and before a sender runs.",
        )
        choice.add_argument("--send", action="store_true", help="Send them: those that had gone out arrive twice.")
        choice.add_argument("--fail", action="store_true", help="Let them fail: those that had not never arrive.")

    def handle(self, *, hold: bool, send: bool, fail: bool, **options: Any) -> str:
        if hold:
            hold_restored()
        if send or fail:
            settled = send_restored() if send else fail_restored()
            return ", ".join(f"{count} {what}" for what, count in settled.items())
        waiting = count_restored()
        return f"{sum(waiting.values())} texts wait: " + (
            ", ".join(f"{count} {kind}" for kind, count in sorted(waiting.items())) or "none"
        )
