"""Take out of rows what tells of people. The rows stay: what became of each text, when, and what it cost."""

import json
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.core.files.storage import default_storage
from django.db.models import Q, QuerySet

from chats.models import Chat, Pace, Participant
from chats.transcript import cut_out
from messaging.events import record_ends
from messaging.models import Attachment, Message, OptOut
from messaging.scheduled import CHAT_ENDED, WHY_CHAT_ENDED
from messaging.withdrawals import ERASED
from platforms.models import KeptAnswer
from proxy_project.encryption import decrypt, encrypt
from proxy_project.sql import execute_prepared

# Rows that one statement changes: it takes milliseconds, and holds their locks no longer.
AT_ONCE = 500

# What the service answered to HELP has a digest in its key. An array is read once; what stands in IN may be again, and
# then holds other rows.
_EMPTY = """
    UPDATE messaging_message
       SET body = '', error_detail = '', erased_at = %(now)s,
           once_key = CASE WHEN kind = 'consent' THEN NULL ELSE once_key END
     WHERE id = ANY(ARRAY(
           SELECT id FROM messaging_message AS message
            WHERE chat_id = %(chat_id)s AND erased_at IS NULL AND {whose}
            ORDER BY position LIMIT %(limit)s FOR NO KEY UPDATE {wait}))
    RETURNING id
"""
# What still waits to be sent is left.
_EMPTY_ALL = _EMPTY.format(
    whose="NOT (direction = 'out' AND status IN ('scheduled', 'preparing', 'queued', 'held', 'unconfirmed'))",
    wait="SKIP LOCKED",
)
# Theirs, the copies that were passed on and those that went to them; and what the service wrote: it may name them.
_EMPTY_OF_PERSON = _EMPTY.format(
    whose="""(participant_id = %(participant_id)s OR kind NOT IN ('text', 'relay')
              OR relays_id IN (SELECT id FROM messaging_message
                                WHERE chat_id = %(chat_id)s AND participant_id = %(participant_id)s))""",
    wait="",
)
_FAIL = """
    UPDATE messaging_message
       SET status = 'failed', due_at = NULL, failed_at = %(now)s, error_code = %(code)s, error_detail = %(detail)s,
           error_kind = 'recipient'
     WHERE direction = 'out' AND {which}
    RETURNING id
"""
_OF_PEOPLE = " AND participant_id IN (SELECT id FROM chats_participant WHERE chat_id = %(chat_id)s)"
# By the index message_held_by_person; before the next, since what is HELD becomes QUEUED at any time.
_WITHDRAW_HELD = _FAIL.format(which=f"status = 'held'{_OF_PEOPLE}")
# By the index message_pending_by_person.
_WITHDRAW = _FAIL.format(which=f"status IN ('preparing', 'queued', 'unconfirmed'){_OF_PEOPLE}")
# By the index of the chat's transcript.
_WITHDRAW_SCHEDULED = _FAIL.format(which="status = 'scheduled' AND chat_id = %(chat_id)s")
# What a platform gave as its reason may name people, of either side. A question that is under way needs no answer any
# more, so that none is written down later.
_FORGET_REASONS = """
    UPDATE messaging_approval
       SET reason = '', due_at = NULL,
           settled_at = COALESCE(settled_at, %(now)s),
           status = CASE WHEN status IN ('waiting', 'asking') THEN 'moot' ELSE status END
     WHERE message_id = ANY(ARRAY(
           SELECT approval.message_id
             FROM messaging_message AS message JOIN messaging_approval AS approval ON approval.message_id = message.id
            WHERE chat_id = %(chat_id)s AND (reason <> '' OR approval.status IN ('waiting', 'asking'))
            LIMIT %(limit)s))
    RETURNING message_id
"""
_OTHERS_TEXTS = """
    SELECT id, body FROM messaging_message
     WHERE chat_id = %(chat_id)s AND erased_at IS NULL AND body <> ''
       AND NOT (direction = 'out' AND status IN ('scheduled', 'preparing', 'queued', 'held', 'sending', 'unconfirmed'))
       FOR NO KEY UPDATE
"""
_REPLACE_BODY = "UPDATE messaging_message SET body = %(new)s WHERE id = %(id)s"
_EVENTS = "SELECT id, payload FROM platforms_event WHERE chat_id = %(chat_id)s FOR NO KEY UPDATE"
_REPLACE_PAYLOAD = "UPDATE platforms_event SET payload = %(new)s WHERE id = %(id)s"


def empty_some_texts(*, chat_id: UUID, now: datetime, limit: int = AT_ONCE) -> int:
    """Empty up to `limit` texts of a chat, and return how many; rows that somebody else holds are left."""
    return len(execute_prepared(_EMPTY_ALL, {"chat_id": chat_id, "now": now, "limit": limit}))


def empty_texts_of(*, participant_id: UUID, chat_id: UUID, now: datetime) -> int:
    """Empty every text of a chat that tells of a participant, waiting for whoever holds one; return how many.

    What of it still waits to be sent is refused when a sender claims it (Claim).
    """
    params = {"chat_id": chat_id, "participant_id": participant_id, "now": now, "limit": None}
    return len(execute_prepared(_EMPTY_OF_PERSON, params))


def withdraw_all(*, chat_id: UUID, now: datetime) -> None:
    """Fail what still waits to be sent in a chat, or for its time; the platform is told.

    What is on the wire is refused if it comes back (Claim). Belongs into a transaction.
    """
    params = {"chat_id": chat_id, "now": now, "code": ERASED.code, "detail": ERASED.detail}
    statements = (_WITHDRAW_HELD, _WITHDRAW, _WITHDRAW_SCHEDULED)
    if rows := [row for statement in statements for row in execute_prepared(statement, params)]:
        record_ends(message_ids=[message_id for (message_id,) in rows])


def withdraw_scheduled(*, chat_id: UUID, now: datetime) -> None:
    """Fail what waits for its time in a chat that has ended, and would fail then; the platform is told.

    Belongs into a transaction.
    """
    params = {"chat_id": chat_id, "now": now, "code": CHAT_ENDED, "detail": WHY_CHAT_ENDED}
    if rows := execute_prepared(_WITHDRAW_SCHEDULED, params):
        record_ends(message_ids=[message_id for (message_id,) in rows])


def forget_reasons(*, chat_id: UUID, now: datetime, limit: int | None = None) -> int:
    """Empty up to `limit` of the reasons that the platform gave for blocking texts of a chat; return how many.

    What it is being asked about at this moment is settled.
    """
    return len(execute_prepared(_FORGET_REASONS, {"chat_id": chat_id, "now": now, "limit": limit}))


def cut_out_of_texts(*, chat_id: UUID, phone_number: str, name: str) -> None:
    """Cut the number and the name of somebody out of the texts of a chat that are left, the other person's.

    Belongs into a transaction, which holds the texts.
    """
    for message_id, old in execute_prepared(_OTHERS_TEXTS, {"chat_id": chat_id}):
        body = _decrypt(old)
        if body and (left := cut_out(body, phone_number=phone_number, name=name)) != body:
            execute_prepared(_REPLACE_BODY, {"id": message_id, "new": encrypt(left)})


def forget_people(*, people: Collection[Participant]) -> None:
    """Take all that tells who they are from participants; their digests become some that nobody has."""
    for person in people:
        Participant.objects.filter(pk=person.pk).update(
            name="",
            phone_number="",
            phone_digest=secrets.token_bytes(32),
            language="",
            time_zone="",
            awaits_consent=False,
            consent_text="",
            mute_reason="",
            block_reason="",
        )
    # What they texted last is in it, as a digest.
    Pace.objects.filter(participant__in=people).delete()


def find_opt_outs_in(*, chat_id: UUID, people: Collection[UUID]) -> set[UUID]:
    """Return the opt-outs, in force or not, that participants of a chat have begun or ended there."""
    # Each by an index; in one query PostgreSQL would read every opt-out there is.
    theirs = (
        Q(participant__in=people),
        Q(message__chat=chat_id, message__participant__in=people),
        Q(end_message__chat=chat_id, end_message__participant__in=people),
    )
    return {pk for which in theirs for pk in OptOut.objects.filter(which).values_list("pk", flat=True)}


def forget_opt_outs(*, opt_outs: Collection[UUID], now: datetime) -> None:
    """Take from opt-outs who it was and what was said, on both sides. That, when and how somebody opted out stays.

    So does the digest: what is in force stays in force.
    """
    OptOut.objects.filter(pk__in=opt_outs).update(
        participant=None,
        stranger_number="",
        message=None,
        text="",
        confirmation="",
        reason="",
        end_message=None,
        end_text="",
        end_confirmation="",
        erased_at=now,
    )


def forget_past_opt_outs(*, opt_outs: Collection[UUID]) -> None:
    """Make the digests of opt-outs that have ended some that nobody has: they protect nobody any more."""
    for pk in OptOut.objects.filter(pk__in=opt_outs).exclude(ended_at=None).values_list("pk", flat=True):
        OptOut.objects.filter(pk=pk).update(phone_digest=secrets.token_bytes(32))


def forget_metadata(*, chat_id: UUID) -> None:
    """Empty what the platform keeps with a chat: it may name people."""
    Chat.objects.filter(pk=chat_id).update(metadata={})


def scrub_events(*, chat_id: UUID, people: Collection[UUID] | None = None) -> None:
    """Take names, numbers and metadata out of the events of a chat: those of `people`, or of everybody.

    Belongs into a transaction, which holds the events.
    """
    for event_id, old in execute_prepared(_EVENTS, {"chat_id": chat_id}):
        payload = _decrypt(old)
        if payload is None:
            new = encrypt("{}")
        else:
            data = json.loads(payload)
            scrubbed = scrub(data, people=people)
            if scrubbed == data:
                continue
            new = encrypt(json.dumps(scrubbed, ensure_ascii=False))
        execute_prepared(_REPLACE_PAYLOAD, {"id": event_id, "new": new})


def scrub_answers(*, platform_id: UUID, people: Collection[UUID], readers: Collection[UUID]) -> None:
    """Take `people` out of the answers that are kept for repeated requests of a platform, a day's worth.

    `readers` are all people of their chats: what the platform texted to them may name the others.
    """
    ids = [str(person) for person in {*people, *readers}]
    for answer in KeptAnswer.objects.filter(platform=platform_id).defer("body").iterator():
        body = _read_answer(answer)
        if body and any(person in body for person in ids):
            scrubbed = json.dumps(scrub(json.loads(body), people=people, readers=readers), ensure_ascii=False)
            KeptAnswer.objects.filter(pk=answer.pk).update(body=scrubbed)


def forget_files(*, chat_id: UUID, of: UUID | None = None) -> int:
    """Delete what was attached in a chat, or by the participant `of` and the platform, and return how many files.

    Talks to the storage, so no transaction should be open. First the file: an error leaves the row for the next time.
    """
    attachments = Attachment.objects.filter(message__chat=chat_id)
    if of:
        attachments = attachments.filter(Q(message__participant=of) | Q(message__kind=Message.Kind.PLATFORM))
    _stop_fetching(attachments)
    forgotten = 0
    for attachment in attachments.filter(status=Attachment.Status.STORED).only("file"):
        default_storage.delete(attachment.file)
        mine = Attachment.objects.filter(pk=attachment.pk, status=Attachment.Status.STORED, file=attachment.file)
        forgotten += mine.update(status=Attachment.Status.FORGOTTEN, file="")
    return forgotten


def forget_what_is_fetched(*, chat_id: UUID) -> None:
    """Fetch nothing more of what was attached in a chat; what is stored goes when its links expire, as always."""
    _stop_fetching(Attachment.objects.filter(message__chat=chat_id))


def _stop_fetching(attachments: QuerySet[Attachment]) -> None:
    # Whoever is fetching one now finds that it is not theirs any more, and deletes what they have stored.
    attachments.filter(status=Attachment.Status.WAITING).update(
        status=Attachment.Status.FORGOTTEN, source_url="", due_at=None
    )


def scrub(value: Any, *, people: Collection[UUID] | None, readers: Collection[UUID] = ()) -> Any:
    """Return JSON as the API shows it without what tells of `people`, or of anybody, nor texts to `readers`: a copy."""
    if isinstance(value, list):
        return [scrub(each, people=people, readers=readers) for each in value]
    if not isinstance(value, dict):
        return value
    copy = {key: scrub(each, people=people, readers=readers) for key, each in value.items()}
    if copy.get("text") and copy.get("participant") in {str(person) for person in readers}:
        copy["text"] = ""
    if "metadata" in copy:
        copy["metadata"] = {}
    if "phone_number" in copy and (people is None or copy.get("id") in {str(person) for person in people}):
        copy |= {"name": "", "phone_number": ""}
    return copy


def _read_answer(answer: KeptAnswer) -> str | None:
    try:
        return answer.body
    except InvalidToken:
        return None


def _decrypt(token: str) -> str | None:
    """Return the text, or None when its key is missing."""
    try:
        return decrypt(token)
    except InvalidToken:
        return None
