"""The least a webhook can be in Django: one INSERT, or the service's statements; served by the service's gunicorn."""

import json
import os

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from bench.bare_paths import ONE_INSERT, SAME_SQL

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.bare_settings"

# What Django's CommonMiddleware adds; without it the answer would be chunked.
_EMPTY = {"Content-Length": "0"}


@csrf_exempt
def insert(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_bare (body) VALUES (%s)", [request.body])
    return HttpResponse(headers=_EMPTY)


@csrf_exempt
def relay(request: HttpRequest) -> HttpResponse:
    """Look the sender up and write both rows as the service does; who sent it is believed, and what it says passed."""
    payload = json.loads(request.body)
    text = InboundText(
        gateway_id=payload["message_uuid"],
        from_number=f"+{payload['from']}",
        to_number=f"+{payload['to']}",
        body=payload["text"],
    )
    match = find_match(from_number=text.from_number, to_number=text.to_number)
    assert match.sender and match.counterpart
    log_and_relay(Relay(text, match, match.sender, match.counterpart, NOTHING_FOUND), timezone.now())
    return HttpResponse(headers=_EMPTY)


urlpatterns = [path(ONE_INSERT[1:], insert), path(SAME_SQL[1:], relay)]
application = get_wsgi_application()

# Once Django is set up: they import models.
from chats.lookup import find_match  # noqa: E402
from messaging.gateways import InboundText  # noqa: E402
from messaging.inbox import Relay, log_and_relay  # noqa: E402
from messaging.screening import NOTHING_FOUND  # noqa: E402
