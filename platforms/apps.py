"""The platforms app."""

from django.apps import AppConfig


class PlatformsConfig(AppConfig):
    name = "platforms"
