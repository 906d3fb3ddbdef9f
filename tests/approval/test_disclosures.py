"""The rules on what gives people away hold for what a platform puts in a text's place as well."""

import pytest

from messaging import wording
from messaging.models import Message
from tests.approval.helpers import approvals, ask, inbound, receive, relays
from tests.messaging.rows import read_answers, read_inbound

pytestmark = pytest.mark.django_db

NUMBER = "call me on 415 555 0199"
REMOVED = "call me on [phone number removed]"


@pytest.fixture
def rule(platform):
    def set_rule(rule: str) -> None:
        platform.phone_numbers_in_texts = rule
        platform.save()

    return set_rule


def test_a_platform_is_asked_about_what_was_written_and_its_yes_changes_nothing_of_the_rules(
    chat, hook, approver, rule
):
    rule("redact")
    receive(NUMBER)
    ask()
    assert approver.texts == [NUMBER]
    assert relays() == [("queued", REMOVED)]


def test_it_is_not_asked_about_a_text_that_a_rule_blocks(chat, hook, approver, rule):
    rule("block")
    receive(NUMBER)
    ask()
    assert (inbound(), relays(), approver.received) == ([("blocked", "disclosure")], [], [])


def test_what_a_platform_writes_instead_loses_what_a_rule_removes(chat, hook, approver, rule):
    rule("redact")
    approver.always({"action": "relay", "text": NUMBER})
    receive("hello")
    ask()
    assert (relays(), approvals()) == ([("queued", REMOVED)], [("changed", "")])
    assert read_inbound()[0].disclosures == ["phone"]
    assert read_answers() == []


def test_what_a_platform_writes_instead_is_blocked_by_a_rule_and_the_writer_told(chat, hook, approver, rule):
    rule("block")
    approver.always({"action": "relay", "text": NUMBER})
    receive("hello")
    ask()
    assert (inbound(), relays()) == ([("blocked", "disclosure")], [])
    assert read_answers() == [(chat.participants.get(position=1).pk, wording.NOT_APPROVED)]
    assert "approval hook" in Message.objects.get(direction="in").error_detail


def test_a_number_that_a_platform_passes_in_parts_is_found(chat, hook, approver, rule):
    rule("redact")
    for part in ("my number is 415", "then 555", "and 0199"):
        approver.always({"action": "relay", "text": part})
        receive(part)
        ask()
    assert relays()[-1] == ("queued", "and [phone number removed]")


def test_where_all_may_pass_a_platforms_words_do(chat, hook, approver):
    approver.always({"action": "relay", "text": NUMBER})
    receive("hello")
    ask()
    assert relays() == [("queued", NUMBER)]
