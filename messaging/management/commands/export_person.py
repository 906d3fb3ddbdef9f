"""Write everything that is held about one person into a file."""

import json
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.log import command, record
from audit.models import Action
from messaging.keeping.asking import ARGUMENT_HELP, ask_for_digest
from messaging.keeping.exporting import gather_person


class Command(BaseCommand):
    help = (
        "Write everything that is held about whoever has a phone number into a new file, as JSON, that only you can "
        "read: for who asks what is known of them. Attachments are listed, not copied."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="The file to write; it must not be there yet.")
        parser.add_argument("phone_number", nargs="?", help=ARGUMENT_HELP)

    def handle(self, *, file: str, phone_number: str | None, **options: Any) -> str:
        phone_digest = ask_for_digest(phone_number)
        record(action=Action.EXPORTED_PERSON, by=command("export_person"))
        found = gather_person(phone_digest=phone_digest)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
        with open(descriptor, "w", encoding="utf-8") as output:
            json.dump(found, output, ensure_ascii=False, indent=2)
        counts = {"chats": len(found["chats"]), "texts_outside_of_chats": len(found["texts_outside_of_chats"])}
        return f"Written to {file}: {counts['chats']} chats, {counts['texts_outside_of_chats']} texts outside of chats."
