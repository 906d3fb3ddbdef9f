"""Move an outbound message by what the gateway says became of it: forward only, in whatever order it says so."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from structlog.contextvars import bound_contextvars

from chats.models import Participant
from messaging.events import record_ends
from messaging.failures import tell_sender
from messaging.gateways import ErrorKind, Progress, Receipt, Remedy
from messaging.models import Message, OptOut
from messaging.opt_outs import Person, opt_out
from messaging.outbox import wake_senders
from messaging.pauses import IS_PROBE, end_probe_by_receipt, lock_account, pause_account_by_receipt
from proxy_project.sql import execute_prepared

log = structlog.get_logger(__name__)

# One statement finds the row and moves it. A final status stays; facts that a later receipt brings are kept.
# An error without a failure says that nobody knows whether the text arrived: it is kept with a text that is SENT.
# A failure counts only for the attempt that we know of: an earlier one may fail while the next is on its way. What is
# said of an attempt after which the text was sent again counts only when that has arrived after all.
# The parts of a text that the SMS API tells of have ids that the Messages API did not tell us, which is no reason to
# doubt them while there was one attempt.
# Rejected as an MMS a text goes as one with links; rejected for the account's sake it waits, and its attempt does not
# count. Of a text in parts some may have arrived: that one fails. docs/decisions/0011-paused-account.md
# Rows are locked in the order of their ids, as the sender locks those that it records.
_RECORD = """
    UPDATE messaging_message AS message
       SET status = CASE WHEN waits THEN 'queued' WHEN moves THEN said ELSE message.status END,
           due_at = CASE WHEN waits THEN now() WHEN moves THEN NULL ELSE message.due_at END,
           channel = CASE WHEN waits AND remedy = 'as_text' THEN 'sms' ELSE message.channel END,
           attempts = attempts - CASE WHEN waits AND remedy = 'pause' AND attempts > 0 THEN 1 ELSE 0 END,
           rejected_gateway_ids = CASE WHEN waits THEN COALESCE(rejected_gateway_ids, '{{}}')
                                           || array_remove(ARRAY[NULLIF(message.gateway_id, named), named], NULL)
                                       ELSE rejected_gateway_ids END,
           gateway_id = CASE WHEN NOT waits THEN
                            COALESCE(message.gateway_id, CASE WHEN NOT is_earlier THEN named END) END,
           sent_at = CASE WHEN NOT waits THEN
                         COALESCE(message.sent_at, CASE WHEN moves OR NOT is_earlier THEN now() END) END,
           may_have_arrived = message.may_have_arrived AND NOT (moves AND said = 'failed' AND attempts <= 1),
           delivered_at = CASE WHEN moves AND said = 'delivered' THEN now() ELSE message.delivered_at END,
           failed_at = CASE WHEN moves AND NOT waits AND said = 'failed' THEN now() ELSE message.failed_at END,
           error_code = CASE WHEN tells THEN said_code ELSE message.error_code END,
           error_detail = CASE WHEN tells THEN said_detail ELSE message.error_detail END,
           error_kind = CASE WHEN tells THEN said_kind ELSE message.error_kind END,
           segments = COALESCE(said_segments, message.segments),
           price = COALESCE(said_price, message.price),
           currency = COALESCE(NULLIF(said_currency, ''), message.currency)
      FROM (SELECT *, moves OR (status = 'sent' AND said = 'sent' AND is_of_attempt AND said_code <> '') AS tells,
                     moves AND (remedy = 'as_text' AND channel = 'mms'
                                OR remedy = 'pause' AND COALESCE(said_segments, segments, 1) <= 1) AS waits
              FROM (SELECT *, CASE said
                                WHEN 'sent' THEN is_pending AND NOT is_earlier
                                WHEN 'failed' THEN (is_pending OR status = 'sent') AND is_of_attempt AND NOT is_earlier
                                ELSE is_pending OR status = 'sent'
                              END AS moves
                      FROM (SELECT receipt.*, text.id, text.status, text.channel, text.segments,
                                   text.status IN ('queued', 'sending', 'unconfirmed') AS is_pending,
                                   COALESCE(gateway_id, named) = named
                                   OR is_of_part AND gateway_id ~ '{uuid}' AND attempts <= 1
                                      AND earlier_gateway_ids IS NULL AS is_of_attempt,
                                   COALESCE(named = ANY(earlier_gateway_ids || rejected_gateway_ids), false)
                                       AS is_earlier
                              FROM json_to_recordset(%(receipts)s::json) AS receipt (
                                       reference uuid, named text, said text, said_code text, said_detail text,
                                       said_kind text, remedy text, is_of_part bool, said_segments int,
                                       said_price numeric, said_currency text)
                              JOIN messaging_message AS text ON {match}
                             WHERE direction = 'out'
                             ORDER BY text.id
                               FOR NO KEY UPDATE OF text) AS locked) AS judged) AS found
     WHERE message.id = found.id
    RETURNING message.id, moves, waits, moves AND NOT waits AND said <> 'sent' AND EXISTS (
                  SELECT FROM chats_chat AS chat JOIN platforms_platform AS platform ON platform.id = chat.platform_id
                   WHERE chat.id = message.chat_id AND platform.records_events),
              is_of_attempt AND NOT is_earlier AND {is_probe}, message.chat_id
"""
_UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
# On one line: psycopg reads a statement of more than 4,096 characters anew each time.
_RECORD_BY_REFERENCE, _RECORD_BY_GATEWAY_ID = (
    " ".join(_RECORD.format(match=match, uuid=_UUID, is_probe=IS_PROBE).split())
    for match in ("text.id = reference", "gateway_id = named")
)


@dataclass(frozen=True, slots=True)
class _Found:
    """The text of a receipt: whether it moved, whether it waits again, and whether its platform is told."""

    message_id: UUID
    moved: bool
    waits: bool
    is_told: bool
    is_probe: bool
    chat_id: UUID | None


def record_receipt(receipt: Receipt, *, now: datetime) -> bool:
    """Record a receipt; return whether it is for a text of ours.

    It is found by our reference when the gateway gave it back, else by the gateway's id. A text that failed is
    told to its sender; of one that has arrived or failed, the platform is told. One that the carrier refused because
    its recipient has opted out is an opt-out; one that it refused for the account's sake pauses the account.
    """
    if receipt.progress is Progress.SENT:
        # Nothing else comes of it, so that its statement needs no transaction around it: half of all receipts.
        found = _find_and_move(receipt)
    else:
        with transaction.atomic():
            if receipt.remedy is Remedy.PAUSE:
                lock_account()
            found = _find_and_move(receipt)
            if found:
                _see_to(found, receipt, now)
    if found is None:
        return False
    _finish(found, receipt)
    return True


def record_plain_receipts(receipts: Sequence[Receipt], *, requests: Sequence[str]) -> list[bool]:
    """Do what record_receipt does with those of several that say that a text is on its way or has arrived, together.

    No two of them are for one text. Returns for each whether it is recorded; of any other nothing was done, and it is
    for record_receipt: one that says that a text has failed, or that does not give our reference back. `requests` are
    the ids of their requests, for the log.
    """
    plain = {
        receipt.reference: (receipt, request)
        for receipt, request in zip(receipts, requests, strict=True)
        if receipt.reference and receipt.progress is not Progress.FAILED
    }
    said = [receipt for receipt, _ in plain.values()]
    if any(receipt.progress is Progress.DELIVERED for receipt in said):
        with transaction.atomic():
            found = _record(_RECORD_BY_REFERENCE, said)
            if told := [each.message_id for each in found if each.is_told]:
                record_ends(message_ids=told)
    else:
        found = _record(_RECORD_BY_REFERENCE, said)
    for each in found:
        receipt, request = plain[each.message_id]
        with bound_contextvars(request=request):
            _finish(each, receipt)
    recorded = {id(plain[each.message_id][0]) for each in found}
    return [id(receipt) in recorded for receipt in receipts]


def _finish(found: _Found, receipt: Receipt) -> None:
    if found.is_probe and receipt.remedy is not Remedy.PAUSE:
        end_probe_by_receipt(message_id=found.message_id, carried=receipt.progress is not Progress.FAILED)
    log.info(
        "receipt recorded",
        message=str(found.message_id),
        chat=found.chat_id and str(found.chat_id),
        progress=receipt.progress.value,
        moved=found.moved,
        waits=found.waits,
    )


def _see_to(found: _Found, receipt: Receipt, now: datetime) -> None:
    if found.is_told:
        record_ends(message_ids=[found.message_id])
    if found.waits:
        wake_senders()
    elif found.moved and receipt.progress is Progress.FAILED:
        tell_sender(found.message_id)
    if found.moved and receipt.remedy is Remedy.PAUSE:
        pause_account_by_receipt(code=receipt.error_code, detail=receipt.error_detail, refused=found.message_id)
    # Whichever attempt it was of, and whatever has become of the text.
    if receipt.progress is Progress.FAILED and receipt.error_kind is ErrorKind.OPT_OUT:
        _record_opt_out(found.message_id, now)


def _record_opt_out(message_id: UUID, now: datetime) -> None:
    """Note that the carrier has stopped texts to somebody: who said STOP to it has said so to us.

    Not when they have texted START since the text was queued.
    """
    message = Message.objects.select_related("virtual_number", "chat").only(
        "created_at", "erased_at", "participant_id", "stranger_digest", "virtual_number_id", "chat__platform_id",
        "virtual_number__platform_id",
    ).get(pk=message_id)  # fmt: skip
    digest = message.stranger_digest
    if message.participant_id:
        [digest] = Participant.objects.filter(pk=message.participant_id).values_list("phone_digest", flat=True)
    # Nobody knows any more whose an erased one was; the carrier goes on refusing texts to them, and says so again.
    if digest is None or message.virtual_number is None or message.erased_at:
        return
    person = Person(
        phone_digest=bytes(digest),
        virtual_number_id=message.virtual_number.pk,
        platform_id=message.chat.platform_id if message.chat else message.virtual_number.platform_id,
        participant_id=message.participant_id,
    )
    since = OptOut.objects.filter(phone_digest=digest, end=OptOut.End.START, ended_at__gt=message.created_at)
    if not since.exists():
        opt_out(person=person, source=OptOut.Source.CARRIER, now=now)


def _find_and_move(receipt: Receipt) -> _Found | None:
    found = _record(_RECORD_BY_REFERENCE, [receipt]) if receipt.reference else []
    found = found or _record(_RECORD_BY_GATEWAY_ID, [receipt])
    return found[0] if found else None


def _record(statement: str, receipts: Sequence[Receipt]) -> list[_Found]:
    if not receipts:
        return []
    rows = [
        {
            "reference": receipt.reference,
            "named": receipt.gateway_id,
            "said": receipt.progress.value,
            "said_code": receipt.error_code,
            "said_detail": receipt.error_detail,
            "said_kind": receipt.error_kind.value if receipt.error_kind else "",
            "remedy": receipt.remedy.value if receipt.remedy else "",
            "is_of_part": receipt.is_of_part,
            "said_segments": receipt.segments,
            "said_price": receipt.price,
            "said_currency": receipt.currency,
        }
        for receipt in receipts
    ]
    return [_Found(*row) for row in execute_prepared(statement, {"receipts": json.dumps(rows, default=str)})]
