"""Make the virtual numbers follow those of the account at Vonage."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from audit.log import command, record
from audit.models import Action
from chats.number_sync import SuspiciousAnswer, sync_virtual_numbers
from messaging.gateways import AccountError
from messaging.gateways.vonage_account import VonageAccount


class Command(BaseCommand):
    help = (
        "Read the numbers of the Vonage account: new ones come in reserved, for an operator to activate; country, SMS "
        "and MMS follow the account; a number that is gone, or linked to another application, is flagged, and nothing "
        "is ever deleted or retired. The worker does the same every night."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--allow-empty", action="store_true", help="Believe an account that has no numbers at all: all are gone."
        )
        parser.add_argument("--json", action="store_true", help='Print [{"change": …, "number": …, "detail": …}].')

    def handle(self, *, allow_empty: bool, **options: Any) -> str:
        try:
            changes = sync_virtual_numbers(account=VonageAccount(), now=timezone.now(), allow_empty=allow_empty)
        except SuspiciousAnswer as error:
            raise CommandError(f"Nothing was changed. {error} If it is true: --allow-empty.") from None
        except AccountError as error:
            hint = " Try again later." if error.again else ""
            raise CommandError(f"Nothing was changed. {error.detail}{hint}") from None
        # After the change: the sync commits number by number, since it holds no transaction while it asks Vonage.
        record(action=Action.SYNCED_NUMBERS, by=command("sync_virtual_numbers"))
        if options["json"]:
            return json.dumps(
                [
                    {"change": change.kind.value, "number": change.number, "detail": change.sentence}
                    for change in changes
                ]
            )
        lines = [f"{change.number:<16}  {change.sentence}" for change in changes]
        return "\n".join(lines) or "Nothing to change: the virtual numbers are those of the account."
