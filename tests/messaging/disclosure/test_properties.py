"""What holds for any text, however nasty."""

import sys
from types import FrameType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.disclosure import find_disclosures, redact
from tests.messaging.disclosure.labelled import load

REGIONS = st.sampled_from(["US", "GB", "FR", "DE", "ES", "BR", "DK", "ZZ"])
WORDS = st.sampled_from(
    [
        "4",
        "15",
        "415",
        "555",
        "0123",
        "07700",
        "o1",
        "double",
        "five",
        "zwanzig",
        "cinco",
        "quatre",
        "vingt",
        "dix",
        "hundred",
        "@",
        "at",
        "dot",
        "com",
        "gmail",
        "(at)",
        "[dot]",
        ".",
        "-",
        "/",
        ":",
        ",",
        "+",
        "$",
        "€",
        "10:30",
        "12/05/2026",
        "call",
        "code",
        "#",
        "my",
        "number",
        "whatsapp",
        "insta",
        "telegram",
        "me",
        "on",
        "Signal",
        "add",
        "jane",
        "jane_1",
        "example.com",
        "http://",
        "de",
        "it",
        "[phone",
        "removed]",
        "\n",
        "5️⃣",
        "５",
        "²",
        "½",
        "🔟",
        "é",
        "\u200b",
        "ı",
        "İ",
        "ß",
        "ǆ",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=200),
    st.text(st.sampled_from("0145 .-/()@,:+ab\n"), max_size=200),
    st.lists(WORDS, max_size=60).map(" ".join),
    st.lists(WORDS, max_size=60).map("".join),
)


@given(TEXTS, REGIONS, st.lists(TEXTS, max_size=3))
def test_disclosures_are_in_order_and_inside_the_text(text: str, region: str, earlier: list[str]) -> None:
    position = 0
    for one in find_disclosures(text, region=region, earlier=earlier):
        assert position <= one.start < one.end <= len(text)
        position = one.end


@given(TEXTS, REGIONS)
@example("4155550123 4155550124 12", "US")
@example("415555012341555501234155550123", "US")
def test_a_redacted_text_is_clean(text: str, region: str) -> None:
    once = redact(text, find_disclosures(text, region=region))
    assert find_disclosures(once, region=region) == []


@pytest.mark.parametrize("length", [40, 160, 1600])
def test_a_text_without_signs_of_a_disclosure_is_not_read_at_all(length: int) -> None:
    text = ("I am running a little late, please wait for me in the lobby with the blue bag. " * 40)[:length]
    assert find_disclosures(text, region="US") == []
    assert _count_calls(text) <= 40 + length // 4


@pytest.mark.parametrize("labelled", [one for one in load("tuning") if not one.earlier], ids=lambda one: str(one.line))
def test_labelled_texts_are_clean_once_redacted(labelled) -> None:
    once = redact(labelled.text, labelled.find())
    assert find_disclosures(once, region=labelled.region) == []


NASTY = """
4 1 5 5 |4155550123 |1|4-|a.|a@|a1|o |1.2.|10:|1,234,|1/2 |21-19 |one |@a|dot |a dot |at |on whatsapp me |insta: 
http://|(|!|🚗 4 
double |de89 3704 |é4 |oneone|-._|two hundred |[phone number removed]|add me on |999999999 8 |a b c d |4a1b5c|hundred 
a_|a'|x-|jane_1 on insta |.@|@.|a.b@|a@b. |$1,|1 x 2 |12.50 |0 |00 |+1 |+|my number |aa00 0000 0000 |call |i'm |name is
""".strip("\n")


@pytest.mark.parametrize("piece", NASTY.replace("\n", "|").split("|"))
def test_ten_times_the_text_is_about_ten_times_the_work(piece: str) -> None:
    """Counts calls, which no other process disturbs; inside a call, no pattern nests unbounded quantifiers."""
    short, long = (_count_calls((piece * 3200)[:length]) for length in (320, 3200))
    assert long <= 15 * short + 1000


def _count_calls(text: str) -> int:
    find_disclosures(text, region="US")  # fills the caches of characters and numbering plans
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        find_disclosures(text, region="US")
    finally:
        sys.setprofile(before)
    return calls
