"""Revoke an API key."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from audit.log import command, record
from audit.models import Action
from platforms.models import ApiKey
from platforms.services import revoke_api_key


class Command(BaseCommand):
    help = (
        "Revoke an API key: whoever uses it is refused from now on, by every process. This cannot be undone. Chats "
        "that are open go on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", metavar="KEY", help="The key, or its prefix: the eight characters before the dot.")
        parser.add_argument("--json", action="store_true", help='Print {"prefix": …}.')

    def handle(self, *, key: str, **options: Any) -> str:
        prefix = key.partition(".")[0]
        with transaction.atomic():
            if not revoke_api_key(prefix=prefix):
                raise CommandError("No key in use has this prefix; the admin lists all keys.")
            record(action=Action.REVOKED_KEY, by=command("revoke_api_key"), on=ApiKey.objects.get(prefix=prefix))
        return json.dumps({"prefix": prefix}) if options["json"] else f"Revoked the key {prefix}."
