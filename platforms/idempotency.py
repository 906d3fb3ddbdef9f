"""`Idempotency-Key`: a request that is repeated has its effect once, and gets its first answer again.

The key, the effect and the answer are committed together, so that a crash leaves all of them or none. A repeat that
comes while the first request is at work waits for it: both insert the same key, and PostgreSQL lets the second go on
when the first has committed (its answer is there) or rolled back (the second is now the first).
"""

import hmac
import re
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import psycopg
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError, connection, transaction
from django.http import HttpResponse
from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from platforms.models import KeptAnswer
from proxy_project.errors import BodyTooLarge, Conflict

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
METHODS = ("POST", "PATCH")
# Requests take milliseconds; a repeat holds a thread of ours for as long as it waits.
WAIT_SECONDS = 5
RETRY_AFTER_SECONDS = 2
# Rows that one statement deletes.
FORGET_AT_ONCE = 1_000

BAD_KEY_CODE = "invalid_idempotency_key"
BAD_KEY = f"The header {HEADER} must have 1 to 255 printable ASCII characters; a UUID is best."
_KEY = re.compile(r"[ -~]{1,255}")


class KeyInUse(Conflict):
    """409: the first request with this key is still at work."""

    default_code = "idempotency_key_in_use"
    default_detail = "A request with this Idempotency-Key is still at work. Repeat this one, unchanged, a little later."
    wait = RETRY_AFTER_SECONDS


class KeyReused(APIException):
    """422: this key has stood for another request."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_key_reused"
    default_detail = (
        "This Idempotency-Key was used for another request (another method, URL or body). Send a new request with a "
        "new key, and a repeat exactly as it was."
    )


def read_key(request: Request) -> str | None:
    """Return the key of a request that may have one, and None without; raises ValidationError."""
    if request.method not in METHODS:
        return None
    key: str | None = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise ValidationError({HEADER: [ErrorDetail(BAD_KEY, code=BAD_KEY_CODE)]})
    return key


def answer_once(
    *, platform_id: UUID, key: str, request: Request, prepare: Callable[[], None], answer: Callable[[], Response]
) -> Response | HttpResponse:
    """Return the answer that was kept under `key`; without one, make it with `answer` and keep it, if it is a success.

    What fails, or is refused, is rolled back with whatever it began, and leaves the key unused: the same request can
    be sent again. `prepare` does what must not hold a transaction open. Raises KeyInUse and KeyReused, and what
    `prepare` and `answer` raise.
    """
    fingerprint = _digest(*_fingerprint_parts(request))
    key_digest = _digest(key.encode())
    prepare()
    with transaction.atomic():
        row_id = _claim(platform_id, key_digest, fingerprint)
        if row_id is not None:
            response = answer()
            if status.is_success(response.status_code):
                _keep(row_id, response)
            else:
                transaction.set_rollback(True)
            return response
    return _replay(KeptAnswer.objects.filter(platform_id=platform_id, key_digest=key_digest).first(), fingerprint)


def forget_answers(*, before: datetime) -> int:
    """Forget up to FORGET_AT_ONCE answers from before a time, and return how many; fewer means these were all."""
    old = KeptAnswer.objects.filter(created_at__lt=before).order_by("created_at").values("pk")[:FORGET_AT_ONCE]
    return KeptAnswer.objects.filter(pk__in=old).delete()[0]


def _claim(platform_id: UUID, key_digest: bytes, fingerprint: bytes) -> int | None:
    """Insert the key, having waited for whoever is doing the same; None when there is an answer already."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{WAIT_SECONDS * 1000:.0f}ms"])
        try:
            cursor.execute(
                "INSERT INTO platforms_keptanswer (platform_id, key_digest, fingerprint, status, body, created_at)"
                " VALUES (%s, %s, %s, 0, '', now()) ON CONFLICT (platform_id, key_digest) DO NOTHING RETURNING id",
                [platform_id, key_digest, fingerprint],
            )
        except OperationalError as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise KeyInUse from None
            raise
        inserted = cursor.fetchone()
        # What the request itself does may wait for locks as long as ever.
        cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
    return inserted[0] if inserted else None


def _keep(row_id: int, response: Response) -> None:
    body = b"" if response.data is None else JSONRenderer().render(response.data)
    KeptAnswer.objects.filter(pk=row_id).update(status=response.status_code, body=body.decode())


def _replay(kept: KeptAnswer | None, fingerprint: bytes) -> HttpResponse:
    if kept is None:
        # Forgotten, for its age, between two statements.
        raise KeyInUse
    if not hmac.compare_digest(bytes(kept.fingerprint), fingerprint):
        raise KeyReused
    return HttpResponse(
        kept.body,
        status=kept.status,
        content_type=JSONRenderer.media_type,
        headers={REPLAYED_HEADER: "true"},
    )


def _fingerprint_parts(request: Request) -> tuple[bytes, ...]:
    try:
        body = request._request.body
    except RequestDataTooBig:
        raise BodyTooLarge from None
    return (request.method or "").encode(), request.get_full_path().encode(), body


def _digest(*parts: bytes) -> bytes:
    """Return a keyed digest: a plain one of a body would let a phone number be guessed."""
    return hmac.digest(settings.DIGEST_KEY.encode(), b"\0".join((b"idempotency", *parts)), "sha256")
