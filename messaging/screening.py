"""Say what of a text may be passed on: who is muted or blocked, texts too much, or would give themselves away."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import InvalidToken

from chats.lookup import Match, Side
from chats.phone_numbers import find_country_of
from messaging.disclosure import Disclosure, Kind, find_disclosures, has_digits, has_phone_number, redact
from messaging.gateways import InboundText
from messaging.gateways.fields import MAX_TEXT_LENGTH
from messaging.pace import judge_pace
from platforms.models import DisclosureRule
from proxy_project.encryption import decrypt
from proxy_project.sql import execute_prepared

DISCLOSURE = "disclosure"
# As chats.lookup gives the rules.
_ORDER = (Kind.PHONE_NUMBER, Kind.EMAIL, Kind.LINK, Kind.HANDLE)
# Somebody who texts a number in pieces does so within this time, and the pieces are among these texts.
_RECENT_FOR = timedelta(minutes=15)
# By the index message_transcript, of which it reads so many rows at most.
_EARLIER = """
    SELECT body
      FROM (SELECT body, participant_id, direction, created_at, position FROM messaging_message
             WHERE chat_id = %(chat_id)s ORDER BY position DESC LIMIT 40) AS latest
     WHERE participant_id = %(participant_id)s AND direction = 'in' AND created_at > %(since)s
     ORDER BY position DESC
     LIMIT 8
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be passed on of a text.

    `obstacle` says why nothing may; `body` is what goes out instead of what was written, when that differs;
    `disclosures` are the kinds of what the chat's rules do not let pass; `pace` is what is counted of the text.
    """

    obstacle: str = ""
    body: str | None = None
    disclosures: list[str] | None = None
    pace: Mapping[str, Any] | None = None


def screen_text(text: InboundText, match: Match, now: datetime) -> Verdict:
    """Return what may be passed on of a text in an open chat, and why not all of it; in any other, only why not."""
    if match.is_scheduled:
        return Verdict("not_started")
    if match.restriction or text.undeliverable or not (match.sender and match.counterpart):
        return Verdict(match.restriction or text.undeliverable)
    pacing = judge_pace(text, match, now)
    verdict = Verdict(pacing.obstacle, pace=pacing.counted)
    if verdict.obstacle or match.disclosure_rules is None:
        return verdict
    return _screen_disclosures(text, match, verdict, now)


def _screen_disclosures(text: InboundText, match: Match, verdict: Verdict, now: datetime) -> Verdict:
    """Apply the chat's rules to what gives people away in a text."""
    assert match.sender and match.disclosure_rules  # asked by screen_text
    rules = dict(zip(_ORDER, match.disclosure_rules.split(), strict=True))
    region = find_country_of(text.from_number)
    may_complete = rules[Kind.PHONE_NUMBER] != DisclosureRule.PASS and has_digits(text.body)
    earlier = _read_earlier(match.sender, now) if may_complete else ()
    found = [
        _judge_again(each, text.body, rules, region)
        for each in find_disclosures(text.body, region=region, earlier=earlier)
    ]
    stopped = [each for each in found if rules[each.kind] != DisclosureRule.PASS]
    if not stopped:
        return verdict
    kinds = sorted({each.kind.value for each in stopped})
    body = redact(text.body, stopped)
    # Marks are longer than some of what they stand for.
    if len(body) > MAX_TEXT_LENGTH or any(rules[each.kind] == DisclosureRule.BLOCK for each in stopped):
        return replace(verdict, obstacle=DISCLOSURE, disclosures=kinds)
    return replace(verdict, body=body, disclosures=kinds)


def _judge_again(found: Disclosure, body: str, rules: Mapping[Kind, str], region: str) -> Disclosure:
    """A phone number within a link or address that may pass is still one: wa.me/14155550123."""
    if rules[found.kind] != DisclosureRule.PASS or rules[Kind.PHONE_NUMBER] == DisclosureRule.PASS:
        return found
    if not has_phone_number(body[found.start : found.end], region=region):
        return found
    return replace(found, kind=Kind.PHONE_NUMBER)


def _read_earlier(sender: Side, now: datetime) -> Sequence[str]:
    """Return the sender's texts just before this one, the oldest first; those of a key that is missing are left out."""
    rows = execute_prepared(
        _EARLIER, {"chat_id": sender.chat_id, "participant_id": sender.id, "since": now - _RECENT_FOR}
    )
    texts = []
    for (body,) in reversed(rows):
        with contextlib.suppress(InvalidToken):
            texts.append(decrypt(body))
    return texts
