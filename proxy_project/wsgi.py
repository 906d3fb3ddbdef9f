"""The WSGI application that gunicorn serves: `gunicorn proxy_project.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_project.settings")

application = get_wsgi_application()
