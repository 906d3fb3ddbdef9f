"""The inbox of failures: by reason, without reading more of them than are shown; and what is done about many."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from audit.log import Actor
from audit.models import AuditEntry
from desk.models import Errand
from desk.reasons import advise, explain_code
from messaging.events import hide_numbers
from messaging.models import UNHANDLED_FAILURE, Message
from messaging.resending import (
    Refusal,
    foresee_resending,
    foresee_telling,
    resend_texts,
    tell_senders,
    tick_off,
)
from proxy_project.jobs import wake_worker
from proxy_project.sql import execute_planned

log = structlog.get_logger(__name__)

SEE_TO_FAILURES = "see_to_failures"
# More of one reason are not counted.
COUNTED = 10_000
# So many are seen to within a request; of more, the worker takes so many at a time.
AT_ONCE = 100
_RUN_SECONDS = 5.0

# As the condition of the index message_failed_unhandled (UNHANDLED_FAILURE).
_UNHANDLED = """
    direction = 'out' AND status = 'failed' AND handled_at IS NULL AND NOT (error_kind = 'opt_out')
    AND NOT (error_code IN ('recipient_replaced', 'chat_ended'))
"""
# Two probes of the index for each reason, however many texts failed for it. The newest is looked for from the end of
# all reasons up to this one, since for one reason alone another index fits as well, with all that somebody has seen to.
_GROUPS = f"""
    WITH RECURSIVE reason AS (
        (SELECT error_code, failed_at FROM messaging_message WHERE {_UNHANDLED} ORDER BY error_code, position LIMIT 1)
        UNION ALL
        SELECT next.error_code, next.failed_at
          FROM reason CROSS JOIN LATERAL (
               SELECT error_code, failed_at FROM messaging_message
                WHERE {_UNHANDLED} AND error_code > reason.error_code
                ORDER BY error_code, position LIMIT 1
               ) AS next
    )
    SELECT reason.error_code,
           (SELECT count(*) FROM (SELECT FROM messaging_message
                                   WHERE {_UNHANDLED} AND error_code = reason.error_code
                                   LIMIT {COUNTED + 1}) AS few),
           reason.failed_at, newest.failed_at, newest.error_detail, newest.error_kind
      FROM reason
     CROSS JOIN LATERAL (SELECT failed_at, error_detail, error_kind FROM messaging_message
                          WHERE {_UNHANDLED} AND error_code <= reason.error_code
                          ORDER BY error_code DESC, position DESC LIMIT 1) AS newest
     ORDER BY newest.failed_at DESC
"""


@dataclass(frozen=True)
class Group:
    """The texts that failed for one reason, and nobody has seen to."""

    code: str
    count: int
    oldest_at: datetime | None
    newest_at: datetime | None
    detail: str
    kind: str

    @property
    def words(self) -> str:
        return explain_code(self.code, hide_numbers(self.detail))

    @property
    def advice(self) -> str:
        return advise(self.code, self.kind)

    @property
    def is_more(self) -> bool:
        return self.count > COUNTED


_DO: dict[str, Callable[[Collection[UUID], Actor], dict[UUID, Refusal | None]]] = {
    Errand.Action.RESEND: resend_texts,
    Errand.Action.TELL: tell_senders,
    Errand.Action.TICK_OFF: tick_off,
}


def list_groups() -> list[Group]:
    """Return the reasons for which texts have failed that nobody has seen to, the latest first; in one query."""
    return [Group(*row) for row in execute_planned(_GROUPS, {})]


def list_texts(*, code: str, limit: int, before: int | None = None) -> list[Message]:
    """Return the newest `limit` of a group, or those before a position, with who and what they are about."""
    texts = Message.objects.filter(UNHANDLED_FAILURE, error_code=code)
    if before is not None:
        texts = texts.filter(position__lt=before)
    people = texts.select_related("participant", "chat").defer("body", "stranger_number")
    return list(people.order_by("-position")[:limit])


def list_ids(*, code: str, limit: int) -> list[UUID]:
    """Return the ids of up to `limit` texts of a group, the oldest first: the order in which people wrote them."""
    texts = Message.objects.filter(UNHANDLED_FAILURE, error_code=code).order_by("position")
    return list(texts.values_list("pk", flat=True)[:limit])


def foresee(action: str, message_ids: Collection[UUID]) -> dict[UUID, Refusal | None]:
    """Return what would become of each text, without doing anything."""
    if action == Errand.Action.RESEND:
        return foresee_resending(message_ids)
    if action == Errand.Action.TELL:
        return foresee_telling(message_ids)
    return dict.fromkeys(message_ids, None)


def see_to(action: str, message_ids: Collection[UUID], by: Actor) -> dict[UUID, Refusal | None]:
    """Do it, within this request, and return what became of each text."""
    return _DO[action](message_ids, by)


def see_to_all(action: str, *, code: str, by: Actor, now: datetime) -> bool:
    """Have the worker do it to every text of a group as it is now; False when something is being done to it already."""
    newest = Message.objects.filter(UNHANDLED_FAILURE, error_code=code).order_by().aggregate(last=Max("position"))
    if newest["last"] is None:
        return True
    try:
        with transaction.atomic():
            Errand.objects.create(
                action=action,
                error_code=code,
                last_position=newest["last"],
                actor_id=by.id,
                actor_name=by.name,
                request_id=by.request_id,
                created_at=now,
            )
            wake_worker(SEE_TO_FAILURES)
    except IntegrityError:
        return False
    return True


def list_errands() -> Sequence[Errand]:
    """Return what is being done, and the last things that were."""
    return list(Errand.objects.order_by("-created_at")[:3])


def run_errands(*, run_seconds: float = _RUN_SECONDS) -> bool:
    """Go on with what operators want done, for so long; return whether something is left."""
    ends_at = monotonic() + run_seconds
    while _run_step():
        if monotonic() >= ends_at:
            return True
    return False


@transaction.atomic
def _run_step() -> bool:
    # What another worker is at is left to it.
    unfinished = Errand.objects.select_for_update(skip_locked=True).filter(finished_at=None).order_by("created_at")
    errand = unfinished.first()
    if errand is None:
        return False
    texts = Message.objects.filter(
        UNHANDLED_FAILURE,
        error_code=errand.error_code,
        position__gt=errand.cursor,
        position__lte=errand.last_position,
    ).order_by("position")
    rows = list(texts.values_list("pk", "position", "failed_at")[:AT_ONCE])
    # What has failed again since is another failure.
    meant = [pk for pk, _position, failed_at in rows if failed_at is None or failed_at <= errand.created_at]
    by = Actor(
        kind=AuditEntry.ActorKind.OPERATOR,
        id=errand.actor_id,
        name=errand.actor_name,
        request_id=errand.request_id,
    )
    judged = see_to(errand.action, meant, by)
    errand.done += sum(1 for refusal in judged.values() if refusal is None)
    errand.refused += sum(1 for refusal in judged.values() if refusal is not None)
    if rows:
        errand.cursor = rows[-1][1]
    if len(rows) < AT_ONCE:
        errand.finished_at = timezone.now()
        log.info("errand finished", errand=errand.pk, done=errand.done, refused=errand.refused)
    errand.save()
    return True
