"""What Vonage calls: verify, translate, one call, and an answer that tells it whether to try again."""

import time

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from messaging.gateways import (
    Forged,
    InboundPart,
    InboundText,
    Malformed,
    NotAccepted,
    Receipt,
    Unsigned,
    WebhookError,
    vonage_legacy,
    vonage_webhooks,
)
from messaging.parts import receive_part
from messaging.receipts import record_receipt
from messaging.relay import receive_text
from messaging.signatures import note_signature
from proxy_project.errors import error_response

log = structlog.get_logger(__name__)

# Vonage tries again for 24 hours after 429 and 5xx, and never after any other error.
# https://api.support.vonage.com/hc/en-us/articles/360028543292
_STATUSES: dict[type[WebhookError], int] = {Unsigned: 503, NotAccepted: 503, Forged: 401, Malformed: 400}

# A receipt without our reference can overtake the gateway id it names; this long it is asked for again.
_UNKNOWN_RECEIPT_SECONDS = 300


@csrf_exempt
@require_http_methods(["GET", "POST"])
def inbound(request: HttpRequest) -> HttpResponse:
    """Take a text that somebody sent to a virtual number: 200 once it is stored, wherever it goes."""
    return _answer(request, InboundText)


@csrf_exempt
@require_http_methods(["GET", "POST"])
def status(request: HttpRequest) -> HttpResponse:
    """Take a delivery receipt: 200 also for a text that is not ours."""
    return _answer(request, Receipt)


def _answer(request: HttpRequest, expected: type[InboundText] | type[Receipt]) -> HttpResponse:
    try:
        news = _read(request, expected)
    except WebhookError as error:
        status = _STATUSES[type(error)]
        log.warning("webhook refused", webhook=request.path, status=status, reason=str(error))
        return error_response(status=status, code=type(error).__name__.lower(), detail=str(error))
    if news is not None and _is_signed(request):
        note_signature()
    match news:
        case InboundText():
            receive_text(news, now=timezone.now())
        case InboundPart():
            receive_part(news, now=timezone.now())
        case Receipt():
            return _take_receipt(news)
    return HttpResponse()


def _is_signed(request: HttpRequest) -> bool:
    """Return whether a webhook that was believed was so by its signature, and not by a token in its URL."""
    return "HTTP_AUTHORIZATION" in request.META or settings.VONAGE_LEGACY_WEBHOOKS != "token"


def _read(
    request: HttpRequest, expected: type[InboundText] | type[Receipt]
) -> InboundText | InboundPart | Receipt | None:
    """Verify and translate a webhook of either format, and say so when the other URL is the one for it."""
    authorization = request.META.get("HTTP_AUTHORIZATION", "")
    news: InboundText | InboundPart | Receipt | None
    # The Messages API signs there; the SMS API never uses the header.
    if authorization[:6].lower() == "bearer" and request.method == "POST":
        news = vonage_webhooks.read_webhook(authorization=authorization, body=request.body, expected=expected)
        wired = vonage_webhooks.WEBHOOK_SETTINGS
    else:
        news = vonage_legacy.read_webhook(
            method=request.method or "", query=request.GET, body=request.body, expected=expected
        )
        wired = vonage_legacy.WEBHOOK_SETTINGS
    if news is not None and isinstance(news, Receipt) is not (expected is Receipt):
        log.warning(
            "webhook at the wrong URL, taken all the same",
            setting=wired[type(news)],
            should_be=settings.PUBLIC_URL + _PATHS[type(news)],
        )
    return news


_PATHS: dict[type, str] = {
    InboundText: "/webhooks/inbound",
    InboundPart: "/webhooks/inbound",
    Receipt: "/webhooks/status",
}


def _take_receipt(receipt: Receipt) -> HttpResponse:
    if record_receipt(receipt, now=timezone.now()):
        return HttpResponse()
    log.warning("receipt for an unknown text")
    unknown_yet = receipt.reference is None and time.time() - receipt.at < _UNKNOWN_RECEIPT_SECONDS
    return HttpResponse(status=503 if unknown_yet else 200)
