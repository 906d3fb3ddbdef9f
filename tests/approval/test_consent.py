"""A platform is asked only about texts that can be passed on: not about STOP and its kin, nor to who has opted out."""

import pytest

from messaging import wording
from messaging.models import Approval
from tests.approval.helpers import approvals, ask, inbound, receive, relays
from tests.factories import OMAR
from tests.messaging.rows import read_answers

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("word", ["STOP", "HELP"])
def test_it_is_not_asked_about_words_for_the_service(chat, hook, approver, word):
    receive(word)
    ask()
    assert (inbound(), relays(), approver.received) == ([("keyword", "")], [], [])
    assert not Approval.objects.exists()


def test_it_is_not_asked_about_a_text_to_who_has_opted_out(chat, hook, approver):
    receive("STOP", from_=OMAR[1:])
    receive("hello")
    ask()
    assert inbound()[1:] == [("blocked", "counterpart_opted_out")]
    assert (relays(), approver.received) == ([], [])


def test_nor_about_one_that_waited_when_they_did(chat, hook, approver):
    receive("hello")
    receive("STOP", from_=OMAR[1:])
    ask()
    assert (approvals(), approver.received) == ([("moot", "")], [])
    assert relays() == [("failed", "hello")]
    assert wording.COUNTERPART_OPTED_OUT in [words for _, words in read_answers()]


def test_start_and_ordinary_words_are_asked_about(chat, hook, approver):
    receive("START")
    receive("hello")
    while Approval.objects.filter(settled_at=None).exists():
        ask()
    assert approver.texts == ["START", "hello"]
