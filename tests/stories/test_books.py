"""The books agree with what the carrier counted, over real HTTP with real receipts."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tests.factories import ALICE, OMAR, SARA
from tests.harness.service import Service

# What the simulator charges, as Vonage does in the examples of its documentation: for a segment in, and out.
PRICE_IN, PRICE_OUT = Decimal("0.0057"), Decimal("0.0072")


def read_carriers_books(service: Service) -> dict[str, Any]:
    """Return how many texts and segments the simulator saw in each direction, and what they came to."""
    texts: Counter[str] = Counter()
    segments: Counter[str] = Counter()
    for text in service.simulator.texts():
        texts[text["direction"]] += 1
        segments[text["direction"]] += text["segments"]
    return {
        "inbound": (texts["from_handset"], segments["from_handset"], segments["from_handset"] * PRICE_IN),
        "outbound": (texts["to_handset"], segments["to_handset"], segments["to_handset"] * PRICE_OUT),
    }


def read_books(service: Service) -> dict[str, Any]:
    status, books = service.call("GET", "/usage?group_by=month")
    assert status == 200, books
    return {
        direction: (
            side["texts"],
            side["segments"],
            sum((Decimal(price["amount"]) for price in side["prices"] if price["currency"] == "EUR"), Decimal()),
        )
        for direction, side in books["total"].items()
    }


@pytest.mark.slow
def test_the_books_agree_with_the_carriers(service: Service) -> None:
    simulator = service.simulator
    chat = service.start_chat((SARA, "Sara"), (OMAR, "Omar"))
    [virtual_number] = chat["virtual_numbers"]
    # A webhook delivered twice, texts of several segments, and receipts that come late and twice.
    simulator.text(SARA, virtual_number, "I am here", copies=2)
    simulator.text(OMAR, virtual_number, "A long one. " * 30)
    simulator.wait_for_text(SARA, "A long one")
    simulator.set_faults(receipt_delay_ms={"value": 500}, double_receipts={})
    simulator.text(SARA, virtual_number, "Ünïcödé ☺ " * 12)
    simulator.wait_for_text(OMAR, "Ünïcödé")
    simulator.text(ALICE, virtual_number, "Who is this?")
    service.wait_until_sent()
    simulator.wait_until_quiet(timeout=30)

    carriers = read_carriers_books(service)
    # A stranger's text to a number that platforms share is nobody's.
    texts, segments, price = carriers["inbound"]
    carriers["inbound"] = (texts - 1, segments - 1, price - PRICE_IN)
    assert read_books(service) == carriers
