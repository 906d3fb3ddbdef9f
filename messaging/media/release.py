"""Let a text go out that is prepared: its platform was asked, its attachments were fetched, withheld or given up."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import structlog
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from chats.phone_numbers import find_country_of
from messaging.events import record_ends
from messaging.gateways.fields import MAX_TEXT_LENGTH
from messaging.media.cleaning import MMS_MAX_BYTES, MMS_TYPES
from messaging.media.links import make_link
from messaging.models import Approval, Attachment, Message
from messaging.outbox import wake_senders
from messaging.segments import count_segments
from messaging.writing import queue_automatic_text, write_to
from platforms.templates import LONGEST_MARK, TemplateKind

log = structlog.get_logger(__name__)

# https://developer.vonage.com/en/messages/concepts/mms
_MMS_COUNTRIES = ("US", "CA")
_MMS_MAX_CAPTION = 3000


def release_text(message_id: UUID) -> None:
    """Queue the text that waits for a message to be approved of and its attachments, once nothing of it is pending.

    It goes as an MMS, or as a text with links where number, country or an attachment does not allow one. Marks in
    the text say what was left out, and so is its writer told. Belongs into the transaction that settles an attachment
    or the approval.
    """
    # Locked before the others are looked at: of two that are settled at once, the second sees the first.
    found = _find_waiting(message_id).select_for_update().values_list("pk", flat=True).first()
    attachments = list(Attachment.objects.filter(message=message_id))
    if not found or any(attachment.status == Attachment.Status.WAITING for attachment in attachments):
        return
    if Approval.objects.filter(message=message_id, settled_at=None).exists():
        return
    text = Message.objects.select_related("virtual_number", "participant", "relays__participant").get(pk=found)
    stored = _fit_links(text, attachments)
    withheld = [a for a in attachments if a.status == Attachment.Status.WITHHELD]
    failed = [a for a in attachments if a not in stored and a not in withheld]
    _say_why(attachment for attachment in failed if attachment.status == Attachment.Status.STORED)
    left_out = [f"withheld_{each.kind}" for each in withheld] + [f"missing_{each.kind}" for each in failed]
    if text.kind == Message.Kind.PLATFORM:
        # Its writer is a platform, which sees it at the attachments; the reader knows of nothing that is missing.
        if not text.body and not stored:
            _fail(text)
            return
    else:
        text.body = " ".join(filter(None, [text.body, *_mark(text, left_out)]))
    text.channel = Message.Channel.MMS if _fits_mms(text, stored) else Message.Channel.SMS
    text.media_count = len(stored)
    text.segments = count_segments("\n".join([text.body, *map(_link, stored)]))
    text.status, text.due_at = Message.Status.QUEUED, Now()
    text.save(update_fields=["body", "channel", "media_count", "segments", "status", "due_at"])
    wake_senders(text.pk)
    _tell_writer(text, withheld, failed)
    log.info("text prepared", message=str(message_id), channel=text.channel, stored=len(stored), left_out=len(failed))


def _fail(text: Message) -> None:
    Message.objects.filter(pk=text.pk).update(
        status=Message.Status.FAILED,
        due_at=None,
        failed_at=Now(),
        error_code="media_unavailable",
        error_detail="There is no text, and nothing of its media could be fetched.",
        error_kind=Message.ErrorKind.UNKNOWN,
        media_count=0,
    )
    record_ends(message_ids=[text.pk])
    log.warning("text failed without its media", message=str(text.pk))


def give_way(message_id: UUID) -> None:
    """Hold up later texts to the same person no longer: an attachment of this message takes its time."""
    _find_waiting(message_id).update(due_at=Now())


def _find_waiting(message_id: UUID) -> QuerySet[Message]:
    is_text = Q(pk=message_id) | Q(relays=message_id)
    return Message.objects.filter(is_text, status=Message.Status.PREPARING)


def _fits_mms(text: Message, stored: Sequence[Attachment]) -> bool:
    number, person = text.virtual_number, text.participant
    if not (stored and number and number.can_mms and person):
        return False
    if number.country not in _MMS_COUNTRIES or find_country_of(person.phone_number) not in _MMS_COUNTRIES:
        return False
    return len(text.body) <= _MMS_MAX_CAPTION and all(
        attachment.content_type in MMS_TYPES and (attachment.size or 0) <= MMS_MAX_BYTES for attachment in stored
    )


def _fit_links(text: Message, attachments: Sequence[Attachment]) -> list[Attachment]:
    """Return those of the stored attachments whose links fit into one text with the body and any marks."""
    marks = len({(each.status, each.kind) for each in attachments})
    room = MAX_TEXT_LENGTH - len(text.body) - marks * (1 + LONGEST_MARK)
    fitting = []
    for attachment in attachments:
        if attachment.status != Attachment.Status.STORED:
            continue
        room -= 1 + len(_link(attachment))
        if room < 0:
            break
        fitting.append(attachment)
    return fitting


def _say_why(attachments: Iterable[Attachment]) -> None:
    """Note of attachments that were fetched why their links are not in the text."""
    Attachment.objects.filter(pk__in=[attachment.pk for attachment in attachments]).update(
        error_code="does_not_fit", error_detail="Its link does not fit into the text."
    )


def _link(attachment: Attachment) -> str:
    return make_link(attachment_id=attachment.pk, content_type=attachment.content_type)


def _mark(text: Message, left_out: Sequence[str]) -> list[str]:
    """Return what stands in the text for what was left out of it, in the words of its recipient's language."""
    if not (left_out and text.participant and text.chat_id):
        return []
    kinds = [TemplateKind(kind) for kind in dict.fromkeys(left_out)]
    return list(write_to(participant_id=text.participant.pk, chat_id=text.chat_id, kinds=kinds).values())


def _tell_writer(text: Message, withheld: Sequence[Attachment], failed: Sequence[Attachment]) -> None:
    if not (text.relays and text.relays.participant):
        return
    told = [TemplateKind.ATTACHMENT_WITHHELD] if withheld else []
    if failed:
        told.append(TemplateKind.ATTACHMENT_MISSING)
    for number, kind in enumerate(told):
        queue_automatic_text(kind=kind, recipient=text.relays.participant, once_key=f"media:{text.relays_id}:{number}")
