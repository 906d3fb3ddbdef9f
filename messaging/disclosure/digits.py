"""Collect the digits of a text into runs: what one person could read to another as one number."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from messaging.disclosure.harmless import Context, mark_harmless, name_context
from messaging.disclosure.numerals import DIGITS_BESIDE_DIGITS, HUNDRED, TIMES, VALUES, compose, split_numerals
from messaging.reading import FOUND, list_words

_CHUNK = re.compile(r"[^\W_]+")
_PART = re.compile(r"\d+|\D+")
_LEET = str.maketrans("oli", "011")
_LEET_ONLY = re.compile(r"[\doli]+")
_FEWEST_DIGITS_BESIDE_LETTERS = 7

# Words that people put between the digits of one number, and signs that nobody does: a plus begins the next one.
_FILLERS = list_words(
    "and then y et und e dash hyphen minus guion tiret strich bindestrich traco trattino space dot point punto punkt"
    " ponto slash barra luego despues puis dann danach poi depois"
)
_MOST_FILLERS = 2
_HARD_SIGN = re.compile(rf"[{FOUND}+$€£¥%°]")
_LONGEST_GAP = 24
_COMPOSING_GAPS = frozenset((" ", "-", " y ", " e ", " et ", "-et-", " und ", " en ", ""))


@dataclass(slots=True)
class Group:
    """Digits that stand together; `gap` is what parts them from the group before, `numeral` the word they end in."""

    digits: str
    start: int
    end: int
    gap: str = ""
    numeral: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    groups: Sequence[Group]
    context: Context
    international: bool  # a plus stands before it

    @property
    def digits(self) -> str:
        return "".join(group.digits for group in self.groups)


@dataclass(slots=True)
class Runs:
    """The runs of a text, and how many words stand before the first and after the last."""

    runs: list[Run] = field(default_factory=list)
    words_before: int = 0
    words_after: int = 0


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    start: int
    end: int

    @property
    def is_digits(self) -> bool:
        return self.text[0].isdigit() and self.text.isdigit()


def read_runs(plain: str) -> Runs:
    """Return the runs of a text; digits that are plainly something else, like times and prices, part them."""
    collector = _Collector(plain)
    pieces = list(_cut_into_pieces(plain))
    for index, piece in enumerate(pieces):
        following = pieces[index + 1].text if index + 1 < len(pieces) else ""
        collector.take(piece, following)
    collector.close()
    return collector.found


class _Collector:
    """Takes the pieces of a text one after another, and keeps the run that is growing."""

    def __init__(self, plain: str) -> None:
        self.found = Runs()
        self._plain = plain
        self._harmless = mark_harmless(plain)
        self._groups: list[Group] = []
        self._fillers = 0
        self._times = 1

    def take(self, piece: _Piece, following: str) -> None:
        if piece.text in TIMES:
            self._times = TIMES[piece.text]
        elif self._harmless[piece.start] or not (digits := self._read_digits(piece, following)):
            self._take_word(piece)
        else:
            self._take_digits(piece, digits)

    def close(self) -> None:
        if not self._groups:
            return
        start = self._groups[0].start
        international = "+" in self._plain[max(0, start - 2) : start]
        context = name_context(self._plain, start)
        self.found.runs.append(Run(tuple(self._groups), context, international))
        self._groups.clear()

    def _read_digits(self, piece: _Piece, following: str) -> str:
        if piece.is_digits:
            return piece.text
        if piece.text in VALUES:
            return str(VALUES[piece.text])
        if piece.text in HUNDRED:
            return "100"
        if piece.text in DIGITS_BESIDE_DIGITS and (
            self._is_joined_to(piece)
            or following.isdigit()
            or following in VALUES
            or following in TIMES
            or following in DIGITS_BESIDE_DIGITS
        ):
            return str(DIGITS_BESIDE_DIGITS[piece.text])
        return ""

    def _take_word(self, piece: _Piece) -> None:
        self._times = 1
        self._fillers += 1
        self.found.words_after += 1
        if not self.found.runs and not self._groups:
            self.found.words_before += 1
        if piece.text not in _FILLERS or self._fillers > _MOST_FILLERS:
            self.close()

    def _take_digits(self, piece: _Piece, digits: str) -> None:
        if self._groups and not self._is_joined_to(piece):
            self.close()
        gap = self._plain[self._groups[-1].end : piece.start] if self._groups else ""
        if not (self._groups and self._compose(piece, gap)):
            digits = digits[0] * (self._times - 1) + digits
            self._groups.append(Group(digits, piece.start, piece.end, gap, "" if piece.is_digits else piece.text))
        self._times = 1
        self._fillers = 0
        self.found.words_after = 0

    def _compose(self, piece: _Piece, gap: str) -> bool:
        """Add a numeral to the one before, when they make one number together: twenty three."""
        last = self._groups[-1]
        if piece.is_digits or gap not in _COMPOSING_GAPS or len(last.digits) > 3:
            return False
        if piece.text in HUNDRED:
            value = int(last.digits) * 100 if len(last.digits) == 1 else None
        elif last.numeral and last.digits[0] != "0":
            value = compose(int(last.digits), last.numeral, VALUES.get(piece.text, 0), piece.text)
        else:
            value = None
        if value is None:
            return False
        last.digits, last.end, last.numeral = str(value), piece.end, piece.text
        return True

    def _is_joined_to(self, piece: _Piece) -> bool:
        if not self._groups:
            return False
        gap = self._plain[self._groups[-1].end : piece.start]
        return len(gap) <= _LONGEST_GAP and not _HARD_SIGN.search(gap)


def _cut_into_pieces(plain: str) -> Iterator[_Piece]:
    """Return digits, numerals and words in their order; of a word with digits in it, only what can be a number."""
    for match in _CHUNK.finditer(plain):
        text, start, end = match.group(), match.start(), match.end()
        if text.isdigit():
            yield _Piece(text, start, end)
        elif text.isalpha():
            yield from _cut_letters(text, start)
        elif _LEET_ONLY.fullmatch(text):
            yield _Piece(text.translate(_LEET), start, end)
        else:
            yield from _cut_mixture(text, start)


def _cut_letters(text: str, start: int) -> Iterator[_Piece]:
    position = start
    for part in split_numerals(text) or [text]:
        yield _Piece(part, position, position + len(part))
        position += len(part)


def _cut_mixture(text: str, start: int) -> Iterator[_Piece]:
    parts = [_Piece(match.group(), start + match.start(), start + match.end()) for match in _PART.finditer(text)]
    letters = [part for part in parts if not part.is_digits]
    digits = [part for part in parts if part.is_digits]
    if all(part.text in DIGITS_BESIDE_DIGITS or split_numerals(part.text) for part in letters):
        for part in parts:  # four15
            yield from [part] if part.is_digits else _cut_letters(part.text, part.start)
    elif len(digits) >= 5 and all(len(part.text) == 1 for part in parts):
        yield from digits  # 4a1b5c5d5e5f0g1h2i3
    elif len(parts) == 2 and len(digits[0].text) >= _FEWEST_DIGITS_BESIDE_LETTERS:
        yield from parts  # call4155550123
    else:
        yield _Piece(text, start, start + len(text))
