"""What the simulator can be told about texts in the SMS API's format."""

import pytest

from simulator.legacy import LegacyFormat, read_format, take_format

WRONG = {
    "an unknown format": {"format": "legacy-xml"},
    "a format that is no string": {"format": 5},
    "an unknown signature": {"format": "legacy-get", "signature": "sha384"},
    "a signature of the Messages API": {"format": "messages", "signature": "md5"},
    "parts of the Messages API": {"format": "messages", "parts": {"total": 2}},
    "parts that are a list": {"format": "legacy-get", "parts": [1, 2]},
    "an unknown key": {"format": "legacy-get", "parts": {"count": 2}},
    "one part": {"format": "legacy-get", "parts": {"total": 1}},
    "256 parts": {"format": "legacy-get", "parts": {"total": 256}},
    "true parts": {"format": "legacy-get", "parts": {"total": True}},
    "no part": {"format": "legacy-get", "parts": {"order": []}},
    "a part beyond the total": {"format": "legacy-get", "parts": {"total": 2, "order": [3]}},
    "a part that is a string": {"format": "legacy-get", "parts": {"order": ["1"]}},
    "a negative reference": {"format": "legacy-get", "parts": {"ref": -1}},
}


@pytest.mark.parametrize("wanted", WRONG.values(), ids=WRONG)
def test_a_wrong_format_is_an_error(wanted):
    with pytest.raises(ValueError):
        take_format(dict(wanted))


def test_a_format_is_taken_out_of_the_text():
    wanted = {"text": "hi", "format": "legacy-json", "signature": "md5", "parts": {"total": 3, "order": [3, 3]}}
    assert take_format(wanted) == LegacyFormat(wire="legacy-json", signature="md5", total=3, order=(3, 3), ref=108)
    assert wanted == {"text": "hi"}
    assert take_format({"format": "messages"}) is take_format({}) is take_format([]) is None


def test_the_setting_for_receipts_is_read():
    assert read_format("messages") is None
    assert read_format("legacy-get") == LegacyFormat(wire="legacy-get")
    with pytest.raises(ValueError, match="must be messages, or one of legacy-get"):
        read_format("legacy")
