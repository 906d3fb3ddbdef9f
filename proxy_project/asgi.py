"""The ASGI application that gunicorn serves: `gunicorn proxy_project.asgi`.

Plain webhooks are taken in the event loop; everything else is Django's, in `WEB_THREADS` threads.
docs/decisions/0033-webhooks-together.md
"""

from typing import Any, cast

from a2wsgi import WSGIMiddleware
from django.conf import settings

from proxy_project.bodies import Receive, Scope, Send, read_body
from proxy_project.wsgi import application as django_application

# Once Django is set up: it imports models.
from messaging.webhooks_together import WebhooksTogether  # isort: skip

# Larger bodies (none of the API's) are read while a thread waits for them.
_MOST_BYTES = 1024 * 1024
# Django's types say less of what it gives than WSGI has it.
_django = WSGIMiddleware(cast(Any, django_application), workers=settings.WEB_THREADS)


async def _serve_django(scope: Scope, receive: Receive, send: Send) -> None:
    # `X_Forwarded_For` would become the same name as `X-Forwarded-For`, which the proxy in front vouches for.
    headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
    # Who sends slowly keeps no thread busy.
    _, receive = await read_body(receive, most_bytes=_MOST_BYTES)
    await _django({**scope, "headers": headers}, receive, send)  # type: ignore[arg-type]


_webhooks = WebhooksTogether(_serve_django)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
    else:
        await _webhooks(scope, receive, send)


async def _live(receive: Receive, send: Send) -> None:
    """Say that we are ready, and when the server stops, that what was at work is done."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    _webhooks.close()
    await send({"type": f"{message['type']}.complete"})
