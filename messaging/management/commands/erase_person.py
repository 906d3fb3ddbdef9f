"""Erase one person from everything that is kept."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from messaging.keeping.asking import ARGUMENT_HELP, ask_for_digest
from messaging.keeping.erasure import erase_person
from messaging.keeping.recording import record_keeping


class Command(BaseCommand):
    help = (
        "Erase whoever has a phone number: names, number, texts and files, in the chats of every platform. Their open "
        "chats end. Rows without them stay. This cannot be undone; export_person shows first what there is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("phone_number", nargs="?", help=ARGUMENT_HELP)

    def handle(self, *, phone_number: str | None, **options: Any) -> str:
        erased = erase_person(phone_digest=ask_for_digest(phone_number), now=timezone.now())
        record_keeping("person erased", **asdict(erased))
        return f"Erased: {erased.chats} chats, {erased.texts} texts, {erased.files} files."
