"""Tell the writer of a text why not all of it was passed on: once in a while, and never a machine for ever."""

from dataclasses import dataclass
from datetime import datetime

from chats.lookup import Side
from messaging import wording
from messaging.models import Message
from messaging.outbox import queue_text
from messaging.screening import DISCLOSURE, Verdict
from proxy_project.sql import execute_prepared

# Whoever was answered so often within an hour hears nothing more: a machine would answer that as well.
MOST_ANSWERS_AN_HOUR = 8

_MINUTE, _HOUR, _DAY = "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d"
# How often each is said. Of a mute nobody is told, which would only make things worse, nor of a block; and a loop
# is two machines.
_OFTEN = {
    "too_many": _MINUTE,
    "too_many_a_day": _DAY,
    "repeated": _DAY,
    "recipient_blocked": _HOUR,
    DISCLOSURE: _HOUR,
}
# By the index message_transcript, of which it reads so many rows at most.
_ANSWERS = """
    SELECT count(*)
      FROM (SELECT kind, participant_id, created_at FROM messaging_message
             WHERE chat_id = %(chat_id)s ORDER BY position DESC LIMIT 60) AS latest
     WHERE participant_id = %(participant_id)s AND kind = 'auto_reply' AND created_at > now() - interval '1 hour'
"""


@dataclass(frozen=True, slots=True)
class _Notice:
    body: str
    often: str
    about: str


def tell_writer(writer: Side, verdict: Verdict, now: datetime) -> None:
    """Queue what the writer of a text in an open chat is told of it, if anything, in the caller's transaction."""
    notice = _find_notice(verdict)
    if notice is None or _count_answers(writer) >= MOST_ANSWERS_AN_HOUR:
        return
    queue_text(
        kind=Message.Kind.AUTO_REPLY,
        recipient=writer,
        body=notice.body,
        once_key=f"{notice.about}:{writer.id}:{now.strftime(notice.often)}",
    )


def _find_notice(verdict: Verdict) -> _Notice | None:
    code = verdict.obstacle
    if verdict.disclosures:
        say = wording.say_disclosure_blocked if code else wording.say_removed
        about = f"{code or 'removed'}:{'+'.join(verdict.disclosures)}"
        return _Notice(say(verdict.disclosures), _OFTEN[DISCLOSURE], about)
    if code in wording.STOPPED:
        return _Notice(wording.STOPPED[code], _OFTEN[code], code)
    if code in wording.NOT_PASSED_ON:
        return _Notice(wording.NOT_PASSED_ON[code], _MINUTE, code)
    return None


def _count_answers(writer: Side) -> int:
    count: int = execute_prepared(_ANSWERS, {"chat_id": writer.chat_id, "participant_id": writer.id})[0][0]
    return count
