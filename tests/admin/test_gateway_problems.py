"""What operators see of virtual numbers with which something is wrong at the gateway."""

import pytest
from django.utils import timezone

from chats.models import VirtualNumber
from chats.services import end_chat
from tests.admin.pages import NUMBERS, listed, page_of, read
from tests.factories import make_chat, make_virtual_number
from tests.messaging.rows import ago

BANNER = "1 virtual number with open chats is gone from the account at the gateway."


@pytest.fixture
def missing(db):
    return make_virtual_number(missing_since=ago(hours=2))


@pytest.fixture
def unlinked(db):
    return make_virtual_number("+14155550101", unlinked_since=ago(hours=1))


def test_the_list_and_the_page_of_a_number_say_what_is_wrong(operator, missing, unlinked):
    page = read(operator, NUMBERS)
    assert "gone since" in page and "not linked to us since" in page
    assert "Gone since" in read(operator, page_of(missing))
    VirtualNumber.objects.update(missing_since=None, unlinked_since=None)
    page = read(operator, NUMBERS)
    assert "gone since" not in page and "not linked to us since" not in page


@pytest.mark.parametrize(("problem", "shown"), [("missing", 0), ("unlinked", 1)])
def test_the_list_can_show_only_those(operator, missing, unlinked, problem, shown):
    make_virtual_number("+14155550102")
    assert listed(operator.get(NUMBERS, {"problem": problem})) == [[missing, unlinked][shown].pk]
    assert len(listed(operator.get(NUMBERS))) == 3


def test_every_page_says_that_open_chats_go_nowhere(operator, platform, virtual_number):
    chat = make_chat(platform)
    assert BANNER not in read(operator, "/admin/")
    VirtualNumber.objects.update(missing_since=ago(hours=2))
    assert BANNER in read(operator, "/admin/") and BANNER in read(operator, page_of(chat))
    end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
    assert BANNER not in read(operator, "/admin/")


def test_a_number_without_open_chats_is_no_banner(operator, missing):
    assert "gone from the account at the gateway." not in read(operator, "/admin/")


def test_a_flag_cannot_be_edited(operator, missing):
    form = {"state": "draining", "messages_per_second": "10", "paced_by": "texts", "missing_since": ""}
    operator.post(page_of(missing), form)
    missing.refresh_from_db()
    assert missing.state == "draining" and missing.missing_since
