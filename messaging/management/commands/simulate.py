"""Run the simulator, a stand-in for Vonage."""

import os
import sys

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = (
        "Run the simulator: Vonage on the wire, with handsets in the browser. It takes its credentials from the "
        "same .env as the service; arguments go to it as they are (`simulate --help` lists them)."
    )

    def run_from_argv(self, argv: list[str]) -> None:
        """Become `python -m simulator`, which knows nothing of this service but its addresses."""
        os.chdir(settings.BASE_DIR)
        os.execv(sys.executable, [sys.executable, "-m", "simulator", *argv[2:]])
