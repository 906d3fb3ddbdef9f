"""Read a text as a person would: letters without accents and case, digits as digits, whatever they are drawn with."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# Stands, character for character, where something has been found already: no word, no digit, no gap between digits.
FOUND = "\ue000"

# Letters of other alphabets that look like Latin ones, and dashes that Unicode does not call dashes.
_LOOK_ALIKES = str.maketrans("аеорсхуіѕοаιν−ー", "aeopcxyisoaiv--")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says, in `plain` characters; the i-th of them was read off `origin[i]` of the text."""

    plain: str
    origin: Sequence[int]

    def locate(self, start: int, end: int) -> tuple[int, int]:
        """Return which part of the text says `plain[start:end]`, with the marks that belong to its last character."""
        return self.origin[start], max(self.origin[end], self.origin[end - 1] + 1)


def read(text: str) -> Reading:
    """Fold each character of a text, in one pass."""
    if text.isascii():
        return Reading(text.lower(), range(len(text) + 1))
    plain: list[str] = []
    origin: list[int] = []
    for index, character in enumerate(text):
        folded = _fold(character)
        plain.append(folded)
        origin.extend([index] * len(folded))
    origin.append(len(text))
    return Reading("".join(plain), origin)


def list_words(words: str) -> frozenset[str]:
    """Return the words of a table, which stand there as they are read: in lower case, without accents."""
    return frozenset(words.split())


@lru_cache(maxsize=4096)
def _fold(character: str) -> str:
    if character == FOUND or character.isascii():
        return character.lower()
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf"):  # accents, the frame and the variant of an emoji digit, characters of no width
        return ""
    if (digit := unicodedata.digit(character, None)) is not None:
        return str(digit)
    if category == "Pd":
        return "-"
    if category in ("Zs", "Zl", "Zp"):
        return " "
    if character == "\N{KEYCAP TEN}":
        return "10"
    decomposed = unicodedata.normalize("NFKD", character).casefold()
    kept = "".join(part for part in decomposed if unicodedata.category(part) not in ("Mn", "Me", "Cf"))
    return kept.translate(_LOOK_ALIKES)
