"""Create a platform, and print its API key."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from audit.log import command, record
from audit.models import Action
from platforms.services import CannotCreatePlatform, create_platform


class Command(BaseCommand):
    help = (
        "Create a platform that may open chats, and print its API key: it is shown this once, and kept as a "
        "hash. A platform of this name that exists gets a further key; its other keys go on working."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="The platform's name, of up to 100 characters.")
        parser.add_argument(
            "--introduction",
            metavar="TEXT",
            help="What each person is texted first, instead of the service's own wording. It may name "
            "{name}, {counterpart} and {platform}, and must say how to opt out: 'Reply STOP to opt out.'",
        )
        parser.add_argument("--json", action="store_true", help='Print {"id": …, "name": …, "api_key": …}.')

    def handle(self, *, name: str, introduction: str | None, **options: Any) -> str:
        try:
            with transaction.atomic():
                made = create_platform(name=name, introduction=introduction)
                by = command("create_platform")
                # An existing platform gets a further key, and the introduction if one was given.
                if made.created or introduction is not None:
                    record(action=Action.ADDED if made.created else Action.CHANGED, by=by, on=made.platform)
                record(action=Action.MADE_KEY, by=by, on=made.key)
        except CannotCreatePlatform as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            return json.dumps({"id": str(made.platform.pk), "name": made.platform.name, "api_key": made.api_key})
        what = "Created the platform" if made.created else "A further API key for the existing platform"
        return f"{what} {made.platform.name!r}.\nIts API key, shown this once: {made.api_key}"
