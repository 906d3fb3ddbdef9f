"""Erase one person, everywhere or in the chats of one platform, and do so again after a backup was restored."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from chats.models import Chat, Erasure, Participant
from chats.services import end_chat
from chats.services.locking import lock_chat, lock_people
from messaging.keeping.scrubbing import (
    AT_ONCE,
    cut_out_of_texts,
    empty_texts_of,
    find_opt_outs_in,
    forget_files,
    forget_metadata,
    forget_opt_outs,
    forget_past_opt_outs,
    forget_people,
    forget_reasons,
    scrub_answers,
    scrub_events,
    withdraw_all,
)
from messaging.models import OptOut, TextPart
from platforms.models import Platform
from proxy_project.encryption import show_unreadable
from proxy_project.sql import execute_prepared

REASON = "erased"

# By the index message_by_stranger.
_EMPTY_OF_STRANGER = """
    UPDATE messaging_message
       SET body = '', stranger_number = '', stranger_digest = NULL, error_detail = '', erased_at = %(now)s,
           once_key = NULL,
           status = CASE WHEN status IN ('queued', 'held', 'unconfirmed') THEN 'failed' ELSE status END,
           due_at = CASE WHEN status IN ('queued', 'held', 'unconfirmed') THEN NULL ELSE due_at END,
           failed_at = CASE WHEN status IN ('queued', 'held', 'unconfirmed') THEN %(now)s ELSE failed_at END
     WHERE id = ANY(ARRAY(
           SELECT id FROM messaging_message
            WHERE stranger_digest = %(digest)s AND created_at <= %(before)s
            ORDER BY position LIMIT %(limit)s FOR NO KEY UPDATE))
    RETURNING id
"""


@dataclass(frozen=True, kw_only=True)
class Erased:
    """How much told of a person, and does no longer."""

    chats: int = 0
    texts: int = 0
    files: int = 0

    def __add__(self, other: "Erased") -> "Erased":
        return Erased(chats=self.chats + other.chats, texts=self.texts + other.texts, files=self.files + other.files)


def erase_person(*, phone_digest: bytes, now: datetime, platform: Platform | None = None) -> Erased:
    """Erase whoever has the number of `phone_digest`: from all there is, or only from the chats of `platform`.

    Chats of theirs that have not ended end, with the reason REASON. Numbers, names, texts and files of theirs are gone;
    the rows stay. What the other person of a chat wrote stays, without their name and number. Asked for again, it
    does what is left to do. An opt-out in force stays so, as a digest, a time and a word: a wish that outlives a chat.
    """
    with transaction.atomic():
        Erasure.objects.update_or_create(phone_digest=phone_digest, platform=platform, defaults={"erased_at": now})
    return _erase(phone_digest, platform, before=now, now=now)


def reapply_erasures(*, now: datetime) -> Erased:
    """Erase again everybody who was erased, from what is older than that: for after a backup was restored."""
    total = Erased()
    for erasure in Erasure.objects.select_related("platform").order_by("erased_at"):
        total += _erase(bytes(erasure.phone_digest), erasure.platform, before=erasure.erased_at, now=now)
    return total


def list_erasures() -> Iterator[dict[str, str | None]]:
    """Yield each erasure in a form that can be kept apart from the database: it holds no number."""
    for erasure in Erasure.objects.order_by("erased_at"):
        yield {
            "phone_digest": bytes(erasure.phone_digest).hex(),
            "platform": str(erasure.platform_id) if erasure.platform_id else None,
            "erased_at": erasure.erased_at.isoformat(),
        }


def take_erasures(erasures: Iterable[dict[str, str | None]]) -> int:
    """Note erasures as `list_erasures` gave them, those of platforms that are there; return how many."""
    platforms = Platform.objects.in_bulk()
    taken = 0
    for each in erasures:
        platform = platforms.get(UUID(each["platform"])) if each["platform"] else None
        if each["platform"] and platform is None:
            continue
        at = datetime.fromisoformat(each["erased_at"] or "")
        erasure, is_new = Erasure.objects.get_or_create(
            phone_digest=bytes.fromhex(each["phone_digest"] or ""),
            platform=platform,
            defaults={"erased_at": at},
        )
        if not is_new and erasure.erased_at < at:
            Erasure.objects.filter(pk=erasure.pk).update(erased_at=at)
        taken += 1
    return taken


def _erase(digest: bytes, platform: Platform | None, *, before: datetime, now: datetime) -> Erased:
    total = Erased()
    people = Participant.objects.filter(phone_digest=digest, chat__created_at__lte=before)
    if platform:
        people = people.filter(chat__platform=platform)
    found = list(people.order_by("chat").values_list("pk", "chat", "chat__platform"))
    # Before, because after a crash they are not found any more; and after, because answers are given meanwhile.
    _scrub_answers(found)
    for participant_id, chat_id, _ in found:
        total += _erase_participant(participant_id, chat_id, digest, now)
    _scrub_answers(found)
    if platform is None:
        total += Erased(texts=_erase_stranger(digest, before, now))
    return total


def _scrub_answers(found: Sequence[tuple[UUID, UUID, UUID]]) -> None:
    people = [participant_id for participant_id, _, _ in found]
    chats = {chat_id for _, chat_id, _ in found}
    readers = list(Participant.objects.filter(chat__in=chats).values_list("pk", flat=True))
    for platform_id in {platform_id for _, _, platform_id in found}:
        scrub_answers(platform_id=platform_id, people=people, readers=readers)


def _erase_participant(participant_id: UUID, chat_id: UUID, digest: bytes, now: datetime) -> Erased:
    """Erase somebody from a chat: all at once but for the files, so that a crash leaves all or nothing to do again."""
    files = forget_files(chat_id=chat_id, of=participant_id)
    with transaction.atomic(), show_unreadable():
        lock_people(digest)
        # Waits for texts that are being stored; what comes later is a stranger's.
        chat = lock_chat(chat_id)
        # Whoever holds a text that waits may refer to the row meanwhile.
        theirs = Participant.objects.filter(pk=participant_id, phone_digest=digest)
        person = theirs.select_for_update(no_key=True).first()
        if person is None:
            return Erased()
        # Before the texts, as whoever carries out an answer of the platform.
        forget_reasons(chat_id=chat_id, now=now)
        if chat.status != Chat.Status.ENDED:
            end_chat(chat_id=chat_id, reason=REASON, now=now)
        withdraw_all(chat_id=chat_id, now=now)
        texts = empty_texts_of(participant_id=participant_id, chat_id=chat_id, now=now)
        cut_out_of_texts(chat_id=chat_id, phone_number=person.phone_number, name=person.name)
        _forget_opt_outs(find_opt_outs_in(chat_id=chat_id, people=[participant_id]), now)
        forget_people(people=[person])
        forget_metadata(chat_id=chat_id)
        scrub_events(chat_id=chat_id, people=[participant_id])
    # What was being fetched and stored meanwhile.
    files += forget_files(chat_id=chat_id, of=participant_id)
    return Erased(chats=1, texts=texts, files=files)


def _erase_stranger(digest: bytes, before: datetime, now: datetime) -> int:
    """Erase what somebody wrote to virtual numbers on which they have no chat, and what they were answered."""
    TextPart.objects.filter(sender_digest=digest, joined_at=None, received_at__lte=before).delete()
    # Kept as long as the carrier may repeat them, by their ids.
    TextPart.objects.filter(sender_digest=digest, received_at__lte=before).update(sender_digest=b"")
    with transaction.atomic():
        lock_people(digest)
        theirs = OptOut.objects.filter(phone_digest=digest, created_at__lte=before)
        _forget_opt_outs(set(theirs.values_list("pk", flat=True)), now)
    params = {"digest": digest, "before": before, "now": now, "limit": AT_ONCE}
    total = 0
    while count := len(execute_prepared(_EMPTY_OF_STRANGER, params)):
        total += count
    return total


def _forget_opt_outs(opt_outs: Collection[UUID], now: datetime) -> None:
    """Erase opt-outs as far as they can be: those in force keep the digest by which they are found."""
    forget_past_opt_outs(opt_outs=opt_outs)
    forget_opt_outs(opt_outs=opt_outs, now=now)
