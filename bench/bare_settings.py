"""Settings of the floor of a webhook: Django with nothing but one view (bench/bare.py)."""

from proxy_project.settings import *  # noqa: F403

ROOT_URLCONF = "bench.bare"
WSGI_APPLICATION = "bench.bare.application"
MIDDLEWARE = []
