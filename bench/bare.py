"""A view with one INSERT, which is the least a webhook can be in Django; served by the service's gunicorn."""

import os

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.bare_settings"


@csrf_exempt
def insert(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_bare (body) VALUES (%s)", [request.body])
    # What Django's CommonMiddleware adds; without it the answer would be chunked.
    return HttpResponse(headers={"Content-Length": "0"})


urlpatterns = [path("webhooks/inbound", insert)]
application = get_wsgi_application()
