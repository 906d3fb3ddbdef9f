"""How many segments a text is billed in."""

import pytest

from simulator.segments import count_segments

TEXTS = {
    "nothing": ("", 1),
    "160 of GSM-7": ("x" * 160, 1),
    "161 of GSM-7": ("x" * 161, 2),
    "two full parts": ("x" * 306, 2),
    "one more than two parts": ("x" * 307, 3),
    "3200 of GSM-7": ("x" * 3200, 21),
    "GSM-7 beyond ASCII": ("é" * 160, 1),
    "an extension character costs two": ("€" * 80, 1),
    "81 extension characters": ("€" * 81, 2),
    "159 and one of two": ("x" * 159 + "[", 2),
    "a pair that would straddle parts": ("x" * 152 + "€" + "x" * 152, 3),
    "the same, unbroken": ("x" * 153 + "€" + "x" * 151, 2),
    "70 of UCS-2": ("ж" * 70, 1),
    "71 of UCS-2": ("ж" * 71, 2),
    "two full parts of UCS-2": ("ж" * 134, 2),
    "135 of UCS-2": ("ж" * 135, 3),
    "one curly quote makes all UCS-2": ("x" * 70 + "’", 2),
    "a backtick too": ("x" * 70 + "`", 2),
    "35 emoji": ("😀" * 35, 1),
    "36 emoji": ("😀" * 36, 2),
    "an emoji that would straddle parts": ("ж" * 66 + "😀" + "ж" * 66, 3),
}


@pytest.mark.parametrize(("text", "segments"), TEXTS.values(), ids=TEXTS)
def test_segments(text, segments):
    assert count_segments(text) == segments


def test_unicode_can_be_asked_for_and_refused():
    assert count_segments("x" * 71, "unicode") == 2
    assert count_segments("ж" * 160, "text") == 1


def test_the_segments_of_a_text_are_shown(simulator, caller):
    caller.send_accepted(text="x" * 71, sms={"encoding_type": "unicode"})
    assert simulator.texts()[0]["segments"] == 2
