"""Record who has opted out, in again, or agreed to be texted: the only code that does, and what follows from it.

That nothing is sent to somebody who has opted out is the business of messaging.obstacles.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog
from django.db.models import Q, QuerySet

from chats.events import record_consent_event
from chats.models import Chat, Participant
from chats.opted_out import is_opted_out
from messaging.failures import tell_of_opt_in, tell_of_opt_out
from messaging.holds import release_confirmed
from messaging.models import OptOut
from messaging.withdrawals import OPTED_OUT, withdraw_texts
from platforms.event_types import EventType
from platforms.models import Platform
from proxy_project.sql import execute_prepared

log = structlog.get_logger(__name__)

Scope = Platform.OptOutScope


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody on one of our virtual numbers: the participant they are or were there last, or a stranger.

    `platform_id` is whose chat it is, else whose number, if it is one platform's.
    """

    phone_digest: bytes
    virtual_number_id: UUID
    platform_id: UUID | None
    participant_id: UUID | None = None
    stranger_number: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What somebody texted, and the row of the log that has it."""

    keyword: str
    text: str = field(repr=False)
    message_id: UUID


# As chats.services.locking.lock_people, which comes before the locks of chats as well.
_LOCK = "SELECT pg_advisory_xact_lock(%(key)s)"


def lock_person(phone_digest: bytes) -> None:
    """Make others who start chats with a person, or change whether they may be texted, wait for this transaction."""
    execute_prepared(_LOCK, {"key": int.from_bytes(phone_digest[:8], "big", signed=True)})


def find_opt_outs(person: Person) -> QuerySet[OptOut]:
    """Return the opt-outs in force by which a person may not be texted from their number, in their platform's chat."""
    of_platform = Q(scope=Scope.PLATFORM, platform=person.platform_id) if person.platform_id else Q(pk=None)
    return OptOut.objects.filter(
        Q(virtual_number=person.virtual_number_id) | of_platform, phone_digest=person.phone_digest, ended_at=None
    )


def find_asked(person: Person) -> QuerySet[Participant]:
    """Return the participant, one at most, that a person is and that has been asked for YES on their number."""
    return Participant.objects.filter(
        phone_digest=person.phone_digest,
        virtual_number=person.virtual_number_id,
        ended_at=None,
        awaits_consent=True,
        chat__status=Chat.Status.OPEN,
    )


def opt_out(
    *,
    person: Person,
    source: OptOut.Source,
    now: datetime,
    said: Said | None = None,
    reason: str = "",
    recorded_by: str = "",
) -> OptOut | None:
    """Record that a person wants no more texts, withdraw what waits for them, and tell counterparts and platforms.

    Returns the opt-out; None when they had opted out there before, and nothing more needs to be said to them.
    Belongs into the transaction that logs what they texted.
    """
    lock_person(person.phone_digest)
    platform = Platform.objects.get(pk=person.platform_id) if person.platform_id else None
    scope = Scope(platform.opt_out_scope) if platform else Scope.NUMBER
    in_force = list(find_opt_outs(person))
    if any(scope == Scope.NUMBER or (each.scope == scope and each.platform == platform) for each in in_force):
        return None
    here = [each for each in in_force if each.virtual_number_id == person.virtual_number_id]
    _end(here, OptOut.End.WIDENED, said, now)
    recorded = OptOut.objects.create(
        virtual_number_id=person.virtual_number_id,
        phone_digest=person.phone_digest,
        participant_id=person.participant_id,
        stranger_number=person.stranger_number,
        scope=scope,
        platform=platform,
        source=source,
        keyword=said.keyword if said else "",
        text=said.text if said else "",
        message_id=said.message_id if said else None,
        reason=reason,
        recorded_by=recorded_by,
        created_at=now,
    )
    everybody = _find_participants(recorded)
    withdraw_texts(participant_ids=[each.pk for each in everybody], why=OPTED_OUT)
    affected = _present(everybody, person.participant_id)
    for counterpart in _find_counterparts(affected):
        tell_of_opt_out(counterpart, now)
    _tell_platforms(EventType.PARTICIPANT_OPTED_OUT, affected, scope, source, now)
    log.info("opted out", opt_out=str(recorded.pk), scope=scope.value, source=source.value)
    return None if in_force else recorded


def opt_in(*, person: Person, said: Said, now: datetime) -> list[OptOut]:
    """Record that a person wants texts again, and tell counterparts and platforms; return the opt-outs it ends.

    Who was asked for YES has thereby answered. Belongs into the transaction that logs what they texted.
    """
    lock_person(person.phone_digest)
    ended = list(find_opt_outs(person))
    if not ended:
        return []
    affected = {each.pk: each for opt_out in ended for each in _present(_find_participants(opt_out))}
    if person.participant_id and person.participant_id not in affected:
        affected |= {each.pk: each for each in _read_participants().filter(pk=person.participant_id)}
    _end(ended, OptOut.End.START, said, now)
    _record_yes(person, said, now)
    for counterpart in _find_counterparts(affected.values()):
        tell_of_opt_in(counterpart, now)
    widest = Scope.PLATFORM if any(each.scope == Scope.PLATFORM for each in ended) else Scope.NUMBER
    _tell_platforms(EventType.PARTICIPANT_OPTED_IN, affected.values(), widest, OptOut.Source.TEXT, now)
    log.info("opted in", opt_outs=[str(each.pk) for each in ended])
    return ended


def record_consent(*, person: Person, said: Said, now: datetime) -> bool:
    """Record the YES of a person who was asked for it, and let go what waits; False when it was recorded before."""
    lock_person(person.phone_digest)
    agreed = _record_yes(person, said, now)
    _tell_platforms(EventType.PARTICIPANT_OPTED_IN, agreed, Scope.NUMBER, OptOut.Source.TEXT, now)
    return bool(agreed)


_OPTED_OUT = f"""
    SELECT participant.id FROM chats_participant AS participant JOIN chats_chat AS chat ON chat.id = chat_id
     WHERE participant.id = ANY(%(ids)s::uuid[])
       AND {
    is_opted_out(
        digest="participant.phone_digest",
        number_id="participant.virtual_number_id",
        platform_id="chat.platform_id",
    )
}
"""


def read_opted_out(participants: Iterable[Participant]) -> set[UUID]:
    """Return which participants have opted out of the texts of their chat."""
    return {row[0] for row in execute_prepared(_OPTED_OUT, {"ids": [each.pk for each in participants]})}


def _end(opt_outs: Sequence[OptOut], end: OptOut.End, said: Said | None, now: datetime) -> None:
    OptOut.objects.filter(pk__in=[each.pk for each in opt_outs], ended_at=None).update(
        ended_at=now,
        end=end,
        end_text=said.text if said else "",
        end_message=said.message_id if said else None,
        # Of what was erased before, there are words again.
        erased_at=None,
    )


def _record_yes(person: Person, said: Said, now: datetime) -> list[Participant]:
    asked = list(_read_participants().filter(pk__in=find_asked(person).values("pk")))
    for participant in asked:
        # Waits for who is putting a text aside at this moment (messaging.holds).
        Participant.objects.filter(pk=participant.pk).update(
            awaits_consent=False, consented_at=now, consent_text=said.text
        )
        release_confirmed(participant.pk)
    return asked


def _read_participants() -> QuerySet[Participant]:
    # Nothing encrypted: the carrier's STOP counts also when the key is missing.
    people = Participant.objects.select_related("chat__platform", "virtual_number").order_by("pk")
    return people.defer("name", "phone_number", "consent_text")


def _find_participants(opt_out: OptOut) -> list[Participant]:
    """Return whom an opt-out is about, in every chat there was."""
    where = Q(virtual_number=opt_out.virtual_number_id)
    if opt_out.scope == Scope.PLATFORM:
        where |= Q(chat__platform=opt_out.platform_id)
    return list(_read_participants().filter(where, phone_digest=opt_out.phone_digest))


def _present(participants: Iterable[Participant], also: UUID | None = None) -> list[Participant]:
    """Return those who are in a chat that has not ended, and `also` the one whose chat it was."""
    return [each for each in participants if each.ended_at is None or each.pk == also]


def _find_counterparts(participants: Iterable[Participant]) -> list[Participant]:
    """Return whom these people text with; who does not know of the chat yet is not among them."""
    here = [each for each in participants if each.ended_at is None and each.chat.status == Chat.Status.OPEN]
    people = _read_participants().filter(chat__in=[each.chat_id for each in here], ended_at=None)
    return list(people.exclude(pk__in=[each.pk for each in here]))


def _tell_platforms(
    type: EventType, participants: Iterable[Participant], scope: Scope, source: OptOut.Source, now: datetime
) -> None:
    for participant in participants:
        record_consent_event(type=type, participant=participant, scope=scope, source=source, now=now)
