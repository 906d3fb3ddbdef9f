"""Count the segments in which a carrier sends a text: what registered numbers in the US are paced and billed by."""

import re
from dataclasses import dataclass
from typing import Literal

# The alphabet of 3GPP TS 23.038 §6.2.1; of its extension, each character takes two places.
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = "\f^{}\\[~]|€"
_ALL_BASIC = re.compile(f"[{re.escape(_BASIC)}]*")
_ALL_GSM_7 = re.compile(f"[{re.escape(_BASIC + _EXTENSION)}]*")


def count_segments(text: str) -> int:
    """Return in how many segments Vonage sends `text`, at least one.

    With GSM-7 characters only, one segment holds 160 and each of several 153; with any other, 70 and 67 units of
    UTF-16. https://api.support.vonage.com/hc/en-us/articles/217491638
    """
    if len(text) <= 160 and _ALL_BASIC.fullmatch(text):
        return 1
    return measure(text).segments


@dataclass(frozen=True, slots=True)
class Measure:
    """How a text is sent: GSM-7 or UCS-2, in how many segments, and how many characters the last one has room for."""

    encoding: Literal["GSM-7", "UCS-2"]
    segments: int
    characters_left: int


def measure(text: str) -> Measure:
    """Return how Vonage sends `text`. Characters that take two places count as two."""
    if _ALL_GSM_7.fullmatch(text):
        widths = [2 if character in _EXTENSION else 1 for character in text]
        return Measure("GSM-7", *_fill(widths, alone=160, of_several=153))
    widths = [2 if character > "\uffff" else 1 for character in text]
    return Measure("UCS-2", *_fill(widths, alone=70, of_several=67))


def find_costly(text: str) -> str:
    """Return the characters, each once, because of which `text` is not sent as GSM-7."""
    return "".join(dict.fromkeys(each for each in text if each not in _BASIC + _EXTENSION))


def _fill(widths: list[int], *, alone: int, of_several: int) -> tuple[int, int]:
    if sum(widths) <= alone:
        return 1, alone - sum(widths)
    # A character is never split, so that a segment may end one place early.
    segments, used = 1, 0
    for width in widths:
        if used + width > of_several:
            segments, used = segments + 1, 0
        used += width
    return segments, of_several - used
