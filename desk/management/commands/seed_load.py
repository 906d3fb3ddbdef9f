"""Fill an empty database with chats and texts, to see how the service fares with many of them."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from desk.seeding import DAYS, CannotSeed, Plan, seed


class Command(BaseCommand):
    help = (
        f"Fill an empty database with open chats, a tenth as many that have ended, and texts of {DAYS} days between "
        "people whose phone numbers nobody has. For measuring how the service grows (docs/scaling.md), never for "
        "production: a database that has chats or virtual numbers is refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--chats", type=int, required=True, help="Open chats.")
        parser.add_argument("--messages", type=int, required=True, help="Texts, with the introductions.")
        parser.add_argument("--numbers", type=int, required=True, help="Virtual numbers.")
        parser.add_argument("--people", type=int, required=True, help="People; each is in several chats.")

    def handle(self, *, chats: int, messages: int, numbers: int, people: int, **options: Any) -> None:
        plan = Plan(chats=chats, messages=messages, numbers=numbers, people=people)
        try:
            seeded = seed(plan, now=timezone.now(), say=self.stdout.write)
        except CannotSeed as error:
            raise CommandError(str(error)) from None
        per_second = seeded.rows / seeded.seconds
        self.stdout.write(f"{seeded.rows:,} rows in {seeded.seconds:,.0f} seconds: {per_second:,.0f} a second.")
        self.stdout.write(f"Key of the platform {seeded.platform.name}, shown only now: {seeded.api_key}")
