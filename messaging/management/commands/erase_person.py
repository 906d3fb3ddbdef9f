"""Erase one person from everything that is kept."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from audit.log import command, record
from audit.models import Action
from messaging.keeping.asking import ARGUMENT_HELP, ask_for_digest
from messaging.keeping.erasure import erase_person


class Command(BaseCommand):
    help = (
        "Erase whoever has a phone number: names, number, texts and files, in the chats of every platform. Their open "
        "chats end. Rows without them stay. This cannot be undone; export_person shows first what there is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("phone_number", nargs="?", help=ARGUMENT_HELP)

    def handle(self, *, phone_number: str | None, **options: Any) -> str:
        phone_digest = ask_for_digest(phone_number)
        # Before it: it commits in parts.
        record(action=Action.ERASED_PERSON, by=command("erase_person"))
        erased = erase_person(phone_digest=phone_digest, now=timezone.now())
        return f"Erased: {erased.chats} chats, {erased.texts} texts, {erased.files} files."
