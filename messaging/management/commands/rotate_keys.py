"""Encrypt everything anew with the newest key."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from audit.log import command, record
from audit.models import Action
from messaging.keeping.rotation import (
    BATCH_SIZE,
    AlreadyRotating,
    Tally,
    look_at_everything,
    rotate_everything,
)
from platforms.keys import give_up_key, note_not_needed
from proxy_project.encryption import find_fingerprint


class Command(BaseCommand):
    help = (
        "Encrypt everything anew with the first of ENCRYPTION_KEYS, while the service runs, and say which keys are not "
        "needed any more. Before that, put the new key behind the old one and restart every process; then put it "
        "first, and restart them again. May be killed and started again at any time."
    )
    # It has to run when a key is missing, too.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Only say what there is under which key.")
        parser.add_argument("--batch-size", type=int, default=BATCH_SIZE, help="Rows at once (default: %(default)s).")
        parser.add_argument(
            "--lost",
            metavar="FINGERPRINT",
            help="Say that this key is lost for good: the service starts without it, and what it encrypted is lost.",
        )

    def handle(self, *, check: bool, batch_size: int, lost: str | None, **options: Any) -> None:
        if batch_size < 1:
            raise CommandError("--batch-size must be at least 1.")
        if lost:
            self._give_up(lost)
            return
        if check:
            self._report(look_at_everything(batch_size=batch_size))
            return
        record(action=Action.ROTATED_KEYS, by=command("rotate_keys"))
        try:
            tally = rotate_everything(batch_size=batch_size, say=self.stdout.write)
        except AlreadyRotating:
            raise CommandError(
                "Another rotate_keys is at work. Let it finish, or stop it; then start this again."
            ) from None
        self._report(tally)
        if tally.left:
            raise CommandError(
                "Something is still being written with an older key, or held by others: see that every process was "
                "restarted with the newest key first, then start this again."
            )
        self._say_what_is_not_needed(tally)

    def _report(self, tally: Tally) -> None:
        for number, key in enumerate(settings.ENCRYPTION_KEYS, start=1):
            fingerprint = find_fingerprint(key)
            self.stdout.write(f"key {number} of ENCRYPTION_KEYS, {fingerprint}: {tally.by_key[fingerprint]} values")
        if tally.in_clear:
            self.stdout.write(f"in clear, from an older version: {tally.in_clear} values")
        for where, count in sorted(tally.unreadable.items()):
            self.stdout.write(f"no key of ENCRYPTION_KEYS reads: {count} values of {where}")

    def _say_what_is_not_needed(self, tally: Tally) -> None:
        older = [find_fingerprint(key) for key in settings.ENCRYPTION_KEYS[1:]]
        unneeded = [fingerprint for fingerprint in older if not tally.by_key[fingerprint]]
        note_not_needed(fingerprints=unneeded, now=timezone.now())
        for fingerprint in unneeded:
            self.stdout.write(f"The key {fingerprint} is not needed any more: take it out of ENCRYPTION_KEYS.")
        if tally.unreadable:
            raise CommandError("Some values cannot be read, see above: put their key back, then start this again.")

    def _give_up(self, fingerprint: str) -> None:
        if fingerprint in map(find_fingerprint, settings.ENCRYPTION_KEYS):
            raise CommandError("This key is in ENCRYPTION_KEYS, so it is not lost.")
        with transaction.atomic():
            if not give_up_key(fingerprint=fingerprint, now=timezone.now()):
                raise CommandError("No key that is needed has this fingerprint.")
            record(action=Action.GAVE_UP_KEY, by=command("rotate_keys"))
        self.stdout.write(f"The service starts without the key {fingerprint} from now on.")
