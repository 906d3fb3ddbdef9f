"""Say whether the account at Vonage fits this service."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from messaging.account_check import State, check_account


class Command(BaseCommand):
    help = (
        "Check the account at Vonage against this service's settings, and say of each thing that it is ok, broken (!!) "
        "or cannot be known from here (??), and how to mend it. Changes nothing, sends no text; exit status 1 when "
        "something is broken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help='Print [{"check": …, "state": …, "detail": …}].')

    def handle(self, **options: Any) -> None:
        findings = []
        for finding in check_account():
            findings.append(finding)
            if not options["json"]:
                # Each at once: some have to wait for Vonage.
                self.stdout.write(f"{finding.state.value}  {finding.check:<12} {finding.sentence}")
                self.stdout.flush()
        if options["json"]:
            told = [
                {"check": finding.check, "state": finding.state.name.lower(), "detail": finding.sentence}
                for finding in findings
            ]
            self.stdout.write(json.dumps(told))
        if broken := sum(finding.state is State.BROKEN for finding in findings):
            raise CommandError(f"Broken: {broken} of {len(findings)}.")
