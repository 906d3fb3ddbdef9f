"""Django as a WSGI application, which proxy_project.asgi serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_project.settings")

application = get_wsgi_application()

# Once Django is set up: they import models.
from django.db import connection  # noqa: E402

from platforms.keys import require_keys  # noqa: E402

require_keys()
# Requests are served by other threads, with connections of their own.
connection.close()
