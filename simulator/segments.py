"""How many segments a text is sent and billed in: 160 or 153 GSM-7 septets, 70 or 67 UCS-2 units each."""

import re

_GSM_EXTENSION = "\f^{}\\[~]|€"
_GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ONLY_BASIC = re.compile(f"[{re.escape(_GSM_BASIC)}]*")
_ONLY_GSM = re.compile(f"[{re.escape(_GSM_BASIC + _GSM_EXTENSION)}]*")


def count_segments(text: str, encoding: str = "auto") -> int:
    """Count the segments of a text; `encoding` is Vonage's encoding_type: auto, text or unicode."""
    if encoding != "unicode" and (encoding == "text" or _ONLY_GSM.fullmatch(text)):
        if len(text) <= 160 and _ONLY_BASIC.fullmatch(text):
            return 1
        return _pack([2 if character in _GSM_EXTENSION else 1 for character in text], single=160, part=153)
    return _pack([2 if ord(character) > 0xFFFF else 1 for character in text], single=70, part=67)


def _pack(widths: list[int], *, single: int, part: int) -> int:
    if sum(widths) <= single:
        return 1
    # A character of two units may not straddle two parts, so parts are not always full.
    parts, used = 1, 0
    for width in widths:
        if used + width > part:
            parts, used = parts + 1, 0
        used += width
    return parts
