"""What is found, what stands in its place, and what goes on over several texts."""

import pytest

from messaging.disclosure import Disclosure, Kind, find_disclosures, redact


def clean(text: str, *, region: str = "US", earlier: tuple[str, ...] = ()) -> str:
    return redact(text, find_disclosures(text, region=region, earlier=earlier))


@pytest.mark.parametrize(
    ("text", "passed_on"),
    [
        ("Call 415-555-0123 at 10:30, code 4821", "Call [phone number removed] at 10:30, code 4821"),
        ("+1 (415) 555-0123", "[phone number removed]"),
        ("(415) 555-0123!", "[phone number removed]!"),
        ("mail jane@example.com, thanks", "mail [e-mail address removed], thanks"),
        ("see https://example.com/a?b=1.", "see [link removed]."),
        ("wa.me/14155550123", "[link removed]"),
        ("https://example.com/14155550123", "[link removed]"),
        ("insta: @jane ok?", "insta: [account removed] ok?"),
        ("add me on Signal please", "[account removed] please"),
        (
            "jane@example.com or 415 555 0123 or @jane_doe",
            "[e-mail address removed] or [phone number removed] or [account removed]",
        ),
        ("４１５ ５５５ ０１２３ ok", "[phone number removed] ok"),
        ("4️⃣1️⃣5️⃣5️⃣5️⃣5️⃣0️⃣1️⃣2️⃣3️⃣", "[phone number removed]"),
        ("That is $415.55, room 12", "That is $415.55, room 12"),
        ("", ""),
    ],
)
def test_each_disclosure_is_replaced_by_words(text: str, passed_on: str) -> None:
    assert clean(text) == passed_on


def test_a_disclosure_says_where_it_is() -> None:
    assert find_disclosures("Call 4155550123 now", region="US") == [Disclosure(5, 15, Kind.PHONE_NUMBER)]


def test_the_text_that_ends_a_number_begun_before_says_so() -> None:
    [found] = find_disclosures("0123 ok?", region="US", earlier=["hi", "415", "555"])
    assert found == Disclosure(0, 4, Kind.PHONE_NUMBER, completes_earlier=True)


def test_a_short_text_between_two_parts_hides_nothing() -> None:
    assert clean("0123", earlier=("my number 415", "ok?", "555")) == "[phone number removed]"


@pytest.mark.parametrize("text", ["415=555=0123", "415 🚗 555 🚗 0123", "4 1 5 ! 5 5 5 ! 0 1 2 3", "415\u20285550123"])
def test_unusual_signs_between_the_digits_hide_no_number_of_the_region(text: str) -> None:
    assert clean(text) == "[phone number removed]"


def test_an_order_number_passes_until_it_is_a_whole_phone_number() -> None:
    assert clean("order 415555012") == "order 415555012"
    assert clean("order 4155550123") == "order [phone number removed]"


@pytest.mark.parametrize(
    ("earlier", "text"),
    [
        (("415", "thanks, see you at the corner of the street then", "555"), "0123"),
        (("my number is 415 555 0123",), "5"),
        (("415 555",), "see you at 10:30"),
        (("415 555",), "code 0123"),
        (("the door code is 415555",), "0123"),
        (("12", "10"), "2026"),
        (("415", "555"), ""),
    ],
)
def test_digits_that_end_no_number_pass(earlier: tuple[str, ...], text: str) -> None:
    assert clean(text, earlier=earlier) == text


def test_a_number_without_country_code_is_read_by_the_plan_of_the_region() -> None:
    assert clean("pedido, 600 000 012, gracias", region="ES") != "pedido, 600 000 012, gracias"
    assert clean("call 55 50 12 34", region="DK") == "call [phone number removed]"
    assert clean("70012345", region="US") == "70012345"


@pytest.mark.parametrize("region", ["US", "ZZ", "", "us", "001"])
def test_an_unknown_region_finds_what_needs_none(region: str) -> None:
    assert clean("+1 415 555 0123", region=region) == "[phone number removed]"


def test_a_mark_that_is_typed_hides_nothing() -> None:
    text = "[phone number removed] 415 555 0123 [link removed]"
    assert clean(text) == "[phone number removed] [phone number removed] [link removed]"
