"""What Vonage calls: verify, translate, one call, and an answer that tells it whether to try again."""

import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from messaging.gateways import Forged, Malformed, Unsigned, WebhookError, vonage
from messaging.receipts import record_receipt
from messaging.relay import receive_text
from proxy_project.errors import error_response

log = structlog.get_logger(__name__)

# Vonage tries again for 24 hours after 429 and 5xx, and never after any other error.
# https://api.support.vonage.com/hc/en-us/articles/360028543292
_STATUSES: dict[type[WebhookError], int] = {Unsigned: 503, Forged: 401, Malformed: 400}

# A receipt without our reference can overtake the gateway id it names; this long it is asked for again.
_UNKNOWN_RECEIPT_SECONDS = 300


def _webhook(handle: Callable[[str, bytes], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Make a view of a function of the Authorization header and the body."""

    @csrf_exempt
    @require_POST
    def view(request: HttpRequest) -> HttpResponse:
        try:
            return handle(request.META.get("HTTP_AUTHORIZATION", ""), request.body)
        except WebhookError as error:
            status = _STATUSES[type(error)]
            log.warning("webhook refused", webhook=handle.__name__, status=status, reason=str(error))
            return error_response(status=status, code=type(error).__name__.lower(), detail=str(error))

    return view


@_webhook
def inbound(authorization: str, body: bytes) -> HttpResponse:
    """Take a text that somebody sent to a virtual number: 200 once it is stored, wherever it goes."""
    receive_text(vonage.read_inbound(authorization=authorization, body=body), now=timezone.now())
    return HttpResponse()


@_webhook
def status(authorization: str, body: bytes) -> HttpResponse:
    """Take a delivery receipt: 200 also for a text that is not ours."""
    receipt = vonage.read_receipt(authorization=authorization, body=body)
    if receipt is None or record_receipt(receipt):
        return HttpResponse()
    log.warning("receipt for an unknown text")
    unknown_yet = receipt.reference is None and time.time() - receipt.at < _UNKNOWN_RECEIPT_SECONDS
    return HttpResponse(status=503 if unknown_yet else 200)
