"""Add a virtual number to the pool."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from audit.log import command, record
from audit.models import Action
from chats.models import VirtualNumber
from chats.services import CannotAddVirtualNumber, add_virtual_number
from platforms.models import Platform


class Command(BaseCommand):
    help = "Add a number that you rent from Vonage to the virtual numbers that chats are given."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", help="The number in the E.164 format, such as +14155550100.")
        parser.add_argument(
            "--platform",
            metavar="NAME",
            help="Only this platform's chats use it (default: all platforms share it).",
        )
        parser.add_argument(
            "--country",
            default="",
            metavar="CODE",
            help="The ISO 3166 code of its country, such as US (default: found by the number).",
        )
        parser.add_argument(
            "--rate",
            type=float,
            metavar="N",
            help="How many texts or segments a second Vonage lets this number send (default: 10).",
        )
        parser.add_argument(
            "--paced-by",
            choices=VirtualNumber.PacedBy.values,
            help="What the rate counts (default: segments for long numbers of the US and Canada, else texts).",
        )
        parser.add_argument("--json", action="store_true", help='Print {"id": …, "number": …, …}.')

    def handle(self, *, number: str, country: str, rate: float | None, **options: Any) -> str:
        try:
            platform = Platform.objects.get(name=options["platform"]) if options["platform"] else None
            with transaction.atomic():
                added = add_virtual_number(
                    number=number,
                    platform=platform,
                    country=country,
                    messages_per_second=rate,
                    paced_by=VirtualNumber.PacedBy(options["paced_by"]) if options["paced_by"] else None,
                )
                record(action=Action.ADDED, by=command("add_virtual_number"), on=added)
        except Platform.DoesNotExist:
            raise CommandError("There is no platform of this name; create_platform makes one.") from None
        except CannotAddVirtualNumber as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            return json.dumps(
                {
                    "id": str(added.pk),
                    "number": added.number,
                    "country": added.country,
                    "platform": platform.name if platform else None,
                    "messages_per_second": added.messages_per_second,
                    "paced_by": added.paced_by,
                }
            )
        whose = f"the platform {platform.name!r}" if platform else "all platforms"
        return f"Added {added.number} ({added.country or 'no country'}) for {whose}."
