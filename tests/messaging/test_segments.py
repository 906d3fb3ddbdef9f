"""In how many segments a text is sent. https://api.support.vonage.com/hc/en-us/articles/217491638"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.segments import count_segments

TEXTS = {
    "nothing": ("", 1),
    "a full segment": ("x" * 160, 1),
    "one more": ("x" * 161, 2),
    "two full": ("x" * 306, 2),
    "three": ("x" * 307, 3),
    "the longest text": ("x" * 3200, 21),
    "the basic alphabet": ("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ ¤¡ÄÖÑÜ§¿äöñüà" * 4, 2),
    "two places each": ("€" * 80, 1),
    "81 of them": ("€" * 81, 2),
    "152 places and one that does not fit": ("x" * 152 + "€" + "x" * 152, 3),
    "the same twice": ("x" * 152 + "€" + "x" * 150 + "€" + "x" * 152, 4),
    "76 to a segment": ("€" * 153, 3),
    "Ç is GSM-7": ("Ç" * 160, 1),
    "ç is not": ("ç" * 71, 2),
    "one curly quote": ("x" * 69 + "’", 1),
    "one curly quote too many": ("x" * 70 + "’", 2),
    "a backtick": ("`" + "x" * 70, 2),
    "two full of others": ("ж" * 134, 2),
    "three of others": ("ж" * 135, 3),
    "emoji are two units": ("😀" * 35, 1),
    "36 of them": ("😀" * 36, 2),
    "an emoji is not split": ("ж" * 66 + "😀" + "ж" * 66, 3),
    "33 to a segment": ("😀" * 67, 3),
    "a family is many units": ("👨‍👩‍👧‍👦" * 6, 1),
    "seven families": ("👨‍👩‍👧‍👦" * 7, 2),
    "places of GSM-7 do not count in the other": ("€" * 69 + "ж", 1),
}


@pytest.mark.parametrize(("text", "segments"), TEXTS.values(), ids=TEXTS)
def test_a_text_is_sent_in(text, segments):
    assert count_segments(text) == segments


@given(st.text(st.sampled_from("xé€😀ж"), max_size=700))
def test_no_segment_is_overfull_and_none_is_more_empty_than_a_character(text):
    gsm_7 = not set(text) & set("😀ж")
    places = sum(1 + (character in "€" if gsm_7 else character == "😀") for character in text)
    alone, of_several = (160, 153) if gsm_7 else (70, 67)
    if places <= alone:
        assert count_segments(text) == 1
    else:
        assert math.ceil(places / of_several) <= count_segments(text) <= math.ceil(places / (of_several - 1))
