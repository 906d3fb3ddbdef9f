"""Create a further API key of a platform, and print it."""

import json
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from audit.log import command, record
from audit.models import Action
from platforms.models import ApiKey, Platform
from platforms.services import CannotCreateApiKey, create_api_key


class Command(BaseCommand):
    help = (
        "Create a further API key of a platform, and print it: it is shown this once, and kept as a hash. The "
        "platform's other keys go on working; revoke_api_key ends one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("platform", help="The platform's name.")
        parser.add_argument("--name", required=True, help="What the key is for, such as 'dispatch server', for you.")
        parser.add_argument(
            "--role",
            choices=ApiKey.Role.values,
            default=ApiKey.Role.WRITE.value,
            help="What it may do: read (GET only) or write (everything, the default).",
        )
        parser.add_argument(
            "--expires",
            metavar="TIME",
            help="When it ends, such as 2030-01-31 (its first moment, UTC) or 2030-01-31T18:00Z (default: never).",
        )
        parser.add_argument("--json", action="store_true", help='Print {"prefix": …, "role": …, "api_key": …}.')

    def handle(self, *, platform: str, name: str, role: str, expires: str | None, **options: Any) -> str:
        try:
            with transaction.atomic():
                key, text = create_api_key(
                    platform=Platform.objects.get(name=platform),
                    name=name,
                    role=ApiKey.Role(role),
                    expires_at=_parse_time(expires) if expires else None,
                    now=timezone.now(),
                )
                record(action=Action.MADE_KEY, by=command("create_api_key"), on=key)
        except Platform.DoesNotExist:
            raise CommandError("There is no platform of this name; create_platform makes one.") from None
        except CannotCreateApiKey as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            return json.dumps(
                {
                    "prefix": key.prefix,
                    "name": key.name,
                    "role": key.role,
                    "expires_at": key.expiry_date and key.expiry_date.isoformat(),
                    "api_key": text,
                }
            )
        until = f", until {key.expiry_date.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if key.expiry_date else ""
        return f"A key of {platform!r} that may {key.role}{until}, shown this once: {text}"


def _parse_time(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError("--expires must be a date or a time, such as 2030-01-31 or 2030-01-31T18:00Z.")
    return moment if timezone.is_aware(moment) else moment.replace(tzinfo=UTC)
