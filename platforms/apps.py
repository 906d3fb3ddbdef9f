"""The platforms app."""

from django.apps import AppConfig
from django.core import checks


class PlatformsConfig(AppConfig):
    name = "platforms"

    def ready(self) -> None:
        # Only now are there models.
        from platforms.keys import check_keys

        checks.register(check_keys, "keys")
