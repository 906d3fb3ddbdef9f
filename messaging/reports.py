"""REPORT: a person wants nothing more from their counterpart, and somebody to look at it."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from chats.lookup import Match, Side
from chats.restrictions import report_counterpart
from messaging import wording
from messaging.gateways import InboundText
from messaging.inbox import log_only
from messaging.keywords import Keyword, read_keyword
from messaging.models import Message
from messaging.outbox import queue_text
from messaging.screening import Verdict

REPORT = "report"


def is_report(text: InboundText, match: Match) -> bool:
    """Return whether somebody who takes part in a chat, or did until it ended, reports the other one."""
    if text.undeliverable or text.media or match.was_replaced or match.restriction == "blocked":
        return False
    return read_keyword(text.body, booking_words=False) is Keyword.REPORT


def receive_report(text: InboundText, match: Match, reporter: Side, now: datetime) -> UUID | None:
    """Log the text, mute the counterpart and confirm that; None when the text was stored before."""
    with transaction.atomic():
        message_id = log_only(text, match, Message.Status.BLOCKED, now, verdict=Verdict(REPORT))
        if message_id:
            report_counterpart(chat_id=reporter.chat_id, reporter_id=reporter.id, now=now)
            queue_text(
                kind=Message.Kind.AUTO_REPLY,
                recipient=reporter,
                body=wording.REPORTED,
                once_key=f"report:{reporter.id}:{now:%Y-%m-%dT%H}",
            )
    return message_id
