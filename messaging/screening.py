"""Say what of a text may be passed on: who is muted or blocked, texts too much, or would give themselves away.

docs/decisions/0024-abuse.md
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.fernet import InvalidToken

from chats.lookup import Match
from chats.phone_numbers import find_country_of
from messaging.disclosure import Disclosure, Kind, find_disclosures, has_digits, has_phone_number, redact
from messaging.gateways import InboundText
from messaging.gateways.fields import MAX_TEXT_LENGTH
from messaging.models import Message
from messaging.pace import judge_pace
from messaging.writing import write_to
from platforms.models import DisclosureRule
from platforms.templates import TemplateKind
from proxy_project.encryption import decrypt
from proxy_project.sql import execute_prepared

NOT_STARTED = "not_started"
COUNTERPART_OPTED_OUT = "counterpart_opted_out"
DISCLOSURE = "disclosure"
# As chats.lookup gives the rules.
_ORDER = (Kind.PHONE_NUMBER, Kind.EMAIL, Kind.LINK, Kind.HANDLE)
_ALL_PASS = "pass pass pass pass"
# Somebody who texts a number in pieces does so within this time, and the pieces are among these texts.
_RECENT_FOR = timedelta(minutes=15)
# By the index message_transcript, of which it reads so many rows at most.
_EARLIER = """
    SELECT body
      FROM (SELECT body, participant_id, direction, created_at, position FROM messaging_message
             WHERE chat_id = %(chat_id)s AND position < COALESCE(%(before)s::bigint, 9223372036854775807)
             ORDER BY position DESC LIMIT 40) AS latest
     WHERE participant_id = %(participant_id)s AND direction = 'in' AND created_at > %(since)s
     ORDER BY position DESC
     LIMIT 8
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be passed on of a text.

    `obstacle` says why nothing may; `body` is what goes out instead of what was written, when that differs;
    `disclosures` are the kinds of what the chat's rules do not let pass; `pace` is what is counted of the text;
    `is_echo` says that it is ours, and came back.
    """

    obstacle: str = ""
    body: str | None = None
    disclosures: list[str] | None = None
    pace: Mapping[str, Any] | None = None
    is_echo: bool = False


NOTHING_FOUND = Verdict()


def screen_text(text: InboundText, match: Match, now: datetime) -> Verdict:
    """Return what may be passed on of a text in an open chat, and why not all of it; in any other, only why not."""
    if match.is_scheduled:
        return Verdict(NOT_STARTED)
    if match.restriction or text.undeliverable or not (match.sender and match.counterpart):
        return Verdict(match.restriction or text.undeliverable)
    if match.counterpart_opted_out:
        return Verdict(COUNTERPART_OPTED_OUT)
    pacing = judge_pace(text, match, now)
    if pacing.obstacle or match.disclosure_rules is None:
        return Verdict(pacing.obstacle, pace=pacing.counted, is_echo=pacing.is_echo)
    return _screen_disclosures(
        text.body,
        _Writing(
            chat_id=match.sender.chat_id,
            writer_id=match.sender.id,
            reader_id=match.counterpart.id,
            region=find_country_of(text.from_number),
            rules=match.disclosure_rules,
            at=now,
        ),
        pace=pacing.counted,
    )


def screen_replacement(*, message_id: UUID, body: str) -> Verdict:
    """Return what may be passed on of `body`, which a platform has put in the place of a text that waits.

    The rules are the chat's, as they are now, whoever wrote the words. There is nothing when the text waits no more.
    """
    relay = (
        Message.objects.filter(relays=message_id, status=Message.Status.PREPARING)
        .select_related("chat__platform", "relays__participant")
        .defer("body", "relays__body")
        .first()
    )
    if not (relay and relay.chat and relay.relays and relay.relays.participant and relay.participant_id):
        return NOTHING_FOUND
    own, platforms = relay.chat, relay.chat.platform
    rules = (
        own.phone_numbers_in_texts or platforms.phone_numbers_in_texts,
        own.emails_in_texts or platforms.emails_in_texts,
        own.links_in_texts or platforms.links_in_texts,
        own.handles_in_texts or platforms.handles_in_texts,
    )
    if " ".join(rules) == _ALL_PASS:
        return NOTHING_FOUND
    writing = _Writing(
        chat_id=own.pk,
        writer_id=relay.relays.participant.pk,
        reader_id=relay.participant_id,
        region=find_country_of(relay.relays.participant.phone_number),
        rules=" ".join(rules),
        at=relay.relays.created_at,
        before=relay.relays.position,
    )
    return _screen_disclosures(body, writing)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Writing:
    """Who writes to whom, under which rules; `before` is the text's own place in the log, if it has one."""

    chat_id: UUID
    writer_id: UUID
    reader_id: UUID
    region: str
    rules: str
    at: datetime
    before: int | None = None


def _screen_disclosures(body: str, writing: _Writing, pace: Mapping[str, Any] | None = None) -> Verdict:
    """Apply a chat's rules to what gives people away in a text."""
    rules = dict(zip(_ORDER, writing.rules.split(), strict=True))
    may_complete = rules[Kind.PHONE_NUMBER] != DisclosureRule.PASS and has_digits(body)
    earlier = _read_earlier(writing) if may_complete else ()
    found = [
        _judge_again(each, body, rules, writing.region)
        for each in find_disclosures(body, region=writing.region, earlier=earlier)
    ]
    stopped = [each for each in found if rules[each.kind] != DisclosureRule.PASS]
    if not stopped:
        return Verdict(pace=pace)
    kinds = sorted({each.kind.value for each in stopped})
    if any(rules[each.kind] == DisclosureRule.BLOCK for each in stopped):
        return Verdict(DISCLOSURE, disclosures=kinds)
    redacted = redact(body, stopped, _read_marks(writing, kinds))
    if len(redacted) > MAX_TEXT_LENGTH:  # marks are longer than some of what they stand for
        return Verdict(DISCLOSURE, disclosures=kinds)
    return Verdict(body=redacted, disclosures=kinds, pace=pace)


def _judge_again(found: Disclosure, body: str, rules: Mapping[Kind, str], region: str) -> Disclosure:
    """A phone number within a link or address that may pass is still one: wa.me/14155550123."""
    if rules[found.kind] != DisclosureRule.PASS or rules[Kind.PHONE_NUMBER] == DisclosureRule.PASS:
        return found
    if not has_phone_number(body[found.start : found.end], region=region):
        return found
    return Disclosure(found.start, found.end, Kind.PHONE_NUMBER, found.completes_earlier)


def _read_marks(writing: _Writing, kinds: Sequence[str]) -> Mapping[Kind, str]:
    """Return what stands in the text instead, in the words of its reader's language and platform."""
    marks = write_to(
        participant_id=writing.reader_id,
        chat_id=writing.chat_id,
        kinds=[TemplateKind(f"removed_{kind}") for kind in kinds],
    )
    return {Kind(kind): marks[TemplateKind(f"removed_{kind}")] for kind in kinds}


def _read_earlier(writing: _Writing) -> Sequence[str]:
    """Return the writer's texts just before this one, the oldest first; those of a key that is missing are left out."""
    rows = execute_prepared(
        _EARLIER,
        {
            "chat_id": writing.chat_id,
            "participant_id": writing.writer_id,
            "since": writing.at - _RECENT_FOR,
            "before": writing.before,
        },
    )
    texts = []
    for (body,) in reversed(rows):
        with contextlib.suppress(InvalidToken):
            texts.append(decrypt(body))
    return texts
