"""Say in a few microseconds what a text cannot hold, for most texts give nobody away."""

import re
from typing import NamedTuple

from messaging.disclosure.addresses import ADDRESS_WORDS
from messaging.disclosure.handles import APP_WORDS
from messaging.disclosure.numerals import DIGITS_BESIDE_DIGITS, HUNDRED, TIMES, VALUES, split_numerals

_WORD = re.compile(r"[^\W\d_]+")
_DIGIT = re.compile(r"\d")
_DOT_IN_A_NAME = re.compile(r"\.[^\W\d_]|[\[({<]\.")
_NUMERALS = frozenset(VALUES) | HUNDRED | frozenset(TIMES) | frozenset(DIGITS_BESIDE_DIGITS)
_STARTS = frozenset(word[:3] for word in _NUMERALS)
_SHORTEST_GLUED = 6
_DIGITS_OF_A_NUMERAL = 3
_FEWEST_DIGITS = 7


class Suspicion(NamedTuple):
    """What a text may hold and has to be read for."""

    digits: int
    address: bool
    handle: bool

    @property
    def phone(self) -> bool:
        return self.digits >= _FEWEST_DIGITS


def suspect(plain: str) -> Suspicion:
    """Return what a text may hold; `digits` is how many there are, at most, in figures and words."""
    words = _WORD.findall(plain)
    at_sign = "@" in plain
    address_sign = at_sign or "://" in plain or ("." in plain and _DOT_IN_A_NAME.search(plain) is not None)
    return Suspicion(
        digits=len(_DIGIT.findall(plain)) + _DIGITS_OF_A_NUMERAL * _count_numerals(words),
        address=address_sign or not ADDRESS_WORDS.isdisjoint(words),
        handle=at_sign or not APP_WORDS.isdisjoint(words),
    )


def _count_numerals(words: list[str]) -> int:
    count = 0
    for word in words:
        if word in _NUMERALS:
            count += 1
        elif len(word) >= _SHORTEST_GLUED and word[:3] in _STARTS:
            count += len(split_numerals(word))
    return count
