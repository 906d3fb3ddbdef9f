"""What gives people away inside a text, so that they could reach each other without us: found, and replaced."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from messaging.disclosure.addresses import find_emails, find_links
from messaging.disclosure.handles import find_handles
from messaging.disclosure.phones import find_end_of_number, find_phone_numbers
from messaging.disclosure.precheck import suspect
from messaging.reading import FOUND, read
from messaging.wording import REMOVED

__all__ = ["Disclosure", "Kind", "find_disclosures", "has_digits", "has_phone_number", "redact"]


class Kind(StrEnum):
    """What would give somebody away; of two that overlap the first one names both."""

    EMAIL = "email"
    LINK = "link"
    PHONE_NUMBER = "phone"
    HANDLE = "handle"


@dataclass(frozen=True, slots=True, order=True)
class Disclosure:
    """`text[start:end]` gives somebody away; with `completes_earlier`, only together with the texts before it."""

    start: int
    end: int
    kind: Kind
    completes_earlier: bool = False


_MARKS: Mapping[Kind, str] = {kind: REMOVED[kind] for kind in Kind}
_MARK = re.compile("|".join(map(re.escape, _MARKS.values())))
# What is left of a text after something was found is read again, as its reader will: so often at most.
_MOST_READINGS = 8


def find_disclosures(text: str, *, region: str, earlier: Sequence[str] = ()) -> Sequence[Disclosure]:
    """Find what gives people away in a text, in order and without overlaps.

    `region` is where the writer's phone number belongs, as two letters (`US`): numbers without a country code are read
    by its numbering plan. `earlier` are the texts of the same writer just before this one, oldest first, as they were
    written: digits that end a number begun there are found.
    """
    rest = _MARK.sub(lambda match: FOUND * len(match.group()), text) if "[" in text else text
    found: list[Disclosure] = []
    for _ in range(_MOST_READINGS):
        news = _find_once(rest, region)
        if not news:
            break
        found += news
        for disclosure in news:
            rest = _cover(rest, disclosure)
    if earlier and (end_of_number := _find_end_of_number(rest, region, earlier)):
        found.append(end_of_number)
    return sorted(found)


def redact(text: str, disclosures: Iterable[Disclosure], marks: Mapping[Kind, str] = _MARKS) -> str:
    """Return a text with a short mark in words where each disclosure was."""
    pieces = []
    position = 0
    for disclosure in sorted(disclosures):
        pieces += [text[position : disclosure.start], marks[disclosure.kind]]
        position = disclosure.end
    return "".join([*pieces, text[position:]])


def has_digits(text: str) -> bool:
    """Return whether a text holds digits, in figures or words: what could complete a number of the texts before."""
    return bool(suspect(read(text).plain).digits)


def has_phone_number(text: str, *, region: str) -> bool:
    """Return whether there is a phone number in a part of a text, such as a link, whatever that is."""
    return bool(find_phone_numbers(read(text).plain, region=region))


def _find_once(text: str, region: str) -> list[Disclosure]:
    reading = read(text)
    plain = reading.plain
    suspicion = suspect(plain)
    spans: list[tuple[int, int, Kind]] = []
    if suspicion.address:
        spans += [(*span, Kind.EMAIL) for span in find_emails(plain)]
        spans += [(*span, Kind.LINK) for span in find_links(plain)]
    if suspicion.phone:
        spans += [(*span, Kind.PHONE_NUMBER) for span in find_phone_numbers(plain, region=region)]
    if suspicion.handle:
        spans += [(*span, Kind.HANDLE) for span in find_handles(plain)]
    return _join((*reading.locate(start, end), kind) for start, end, kind in spans)


def _join(spans: Iterable[tuple[int, int, Kind]]) -> list[Disclosure]:
    """Make one disclosure of those that overlap, so that nothing of either is left."""
    rank = list(Kind).index
    joined: list[Disclosure] = []
    for start, end, kind in sorted(spans, key=lambda span: span[0]):
        if joined and start < joined[-1].end:
            last = joined.pop()
            joined.append(Disclosure(last.start, max(last.end, end), min(last.kind, kind, key=rank)))
        else:
            joined.append(Disclosure(start, end, kind))
    return joined


def _find_end_of_number(text: str, region: str, earlier: Sequence[str]) -> Disclosure | None:
    reading = read(text)
    if not suspect(reading.plain).digits:
        return None
    span = find_end_of_number(reading.plain, [read(one).plain for one in earlier], region=region)
    if span is None:
        return None
    start, end = reading.locate(*span)
    return Disclosure(start, end, Kind.PHONE_NUMBER, completes_earlier=True)


def _cover(text: str, disclosure: Disclosure) -> str:
    covered = FOUND * (disclosure.end - disclosure.start)
    return text[: disclosure.start] + covered + text[disclosure.end :]
