"""Tell the writer of a text why not all of it was passed on: once in a while, and never a machine for ever."""

from datetime import datetime

from chats.lookup import RECIPIENT_BLOCKED, Side
from messaging.failures import tell_of_opt_out
from messaging.pace import LOOP, REPEATED, TOO_MANY, TOO_MANY_A_DAY
from messaging.screening import COUNTERPART_OPTED_OUT, Verdict
from messaging.writing import queue_automatic_text
from platforms.templates import TemplateKind
from proxy_project.sql import execute_prepared

# Whoever was answered so often within an hour hears nothing more: a machine would answer that as well.
MOST_ANSWERS_AN_HOUR = 8

_MINUTE, _HOUR, _DAY = "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d"
# How often each is said. Of a mute or a block its person is not told, which would only make things worse.
_OFTEN = {TOO_MANY: _MINUTE, TOO_MANY_A_DAY: _DAY, REPEATED: _DAY, LOOP: _DAY, RECIPIENT_BLOCKED: _HOUR}
# By the index message_transcript, of which it reads so many rows at most.
_ANSWERS = """
    SELECT count(*)
      FROM (SELECT kind, participant_id, created_at FROM messaging_message
             WHERE chat_id = %(chat_id)s ORDER BY position DESC LIMIT 60) AS latest
     WHERE participant_id = %(participant_id)s AND kind = 'auto_reply' AND created_at > now() - interval '1 hour'
"""


def tell_writer(writer: Side, verdict: Verdict, now: datetime) -> None:
    """Queue what the writer of a text in an open chat is told of it, if anything, in the caller's transaction."""
    code = verdict.obstacle
    if code == COUNTERPART_OPTED_OUT:
        tell_of_opt_out(writer, now)
    elif verdict.disclosures:
        kind = TemplateKind.DISCLOSURE_BLOCKED if code else TemplateKind.DISCLOSURE_REMOVED
        _tell(writer, kind, f"{code or 'removed'}:{'+'.join(verdict.disclosures)}", _HOUR, now, verdict.disclosures)
    elif code in _OFTEN and not verdict.is_echo:
        _tell(writer, TemplateKind(f"stopped_{code}"), code, _OFTEN[code], now)
    elif (kind_of_media := f"cannot_pass_on_{code}") in TemplateKind:
        _tell(writer, TemplateKind(kind_of_media), code, _MINUTE, now)


def _tell(
    writer: Side, kind: TemplateKind, about: str, often: str, now: datetime, found: list[str] | None = None
) -> None:
    if _count_answers(writer) < MOST_ANSWERS_AN_HOUR:
        once_key = f"{about}:{writer.id}:{now.strftime(often)}"
        queue_automatic_text(kind=kind, recipient=writer, once_key=once_key, found=found or ())


def _count_answers(writer: Side) -> int:
    count: int = execute_prepared(_ANSWERS, {"chat_id": writer.chat_id, "participant_id": writer.id})[0][0]
    return count
