"""Erase again who was erased, after a backup has brought them back."""

import json
import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from audit.log import command, record
from audit.models import Action
from messaging.keeping.erasure import list_erasures, reapply_erasures, take_erasures


class Command(BaseCommand):
    help = (
        "Erase again everybody who was erased: run it after a backup was restored, before anything else starts. A "
        "backup knows only the erasures from before it was made, so save the list with --save, after each or every "
        "night, apart from the backups, and give the newest here."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("list", nargs="?", help="A list that --save has written.")
        parser.add_argument("--save", metavar="FILE", help="Write the list there, over an older one; erase nobody.")

    def handle(self, *, list: str | None, save: str | None, **options: Any) -> str:
        if save:
            return self._save(Path(save))
        if list:
            try:
                lines = Path(list).read_text().splitlines()
                take_erasures(json.loads(line) for line in lines)
            except OSError as error:
                raise CommandError(f"{list} cannot be read: {error.strerror}.") from None
            except (ValueError, KeyError, TypeError):
                raise CommandError(f"{list} is no list that --save has written.") from None
        record(action=Action.REAPPLIED_ERASURES, by=command("reapply_erasures"))
        erased = reapply_erasures(now=timezone.now())
        return f"Erased again: {erased.chats} chats, {erased.texts} texts, {erased.files} files."

    def _save(self, file: Path) -> str:
        lines = [json.dumps(each) + "\n" for each in list_erasures()]
        new = file.with_name(f"{file.name}.new")
        try:
            new.unlink(missing_ok=True)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w") as output:
                output.writelines(lines)
            new.replace(file)
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
        return f"Written to {file}: {len(lines)} erasures, without a phone number."
