"""The page of opt-outs: everything is there for an auditor, and nothing can be taken back."""

import pytest
from django.urls import reverse

from messaging.models import OptOut
from tests.admin.pages import page_of, read, words_of
from tests.factories import ALICE, SARA, VIRTUAL_NUMBER, make_chat, make_virtual_number
from tests.messaging.consent.helpers import send_all, text

OPT_OUTS = reverse("admin:messaging_optout_changelist")
ADD = reverse("admin:messaging_optout_add")

pytestmark = pytest.mark.django_db


@pytest.fixture
def chat(platform, virtual_number):
    chat = make_chat(platform)
    send_all()
    return chat


def record(client, phone_number: str, number=None, reason: str = "asked by mail, 3 March"):
    fields = {"phone_number": phone_number, "reason": reason}
    return client.post(ADD, {"virtual_number": str(number.pk) if number else "", **fields}, follow=True)


def test_the_list_and_the_page_show_what_was_said_and_hide_the_number(admin_client, chat):
    for word in ("Stop.", "START", "stop"):
        text(word)
    shown = read(admin_client, OPT_OUTS)
    assert "+1••••••••23" in shown and "in force" in shown and SARA not in shown
    page = read(admin_client, page_of(OptOut.objects.earliest("created_at")))
    assert "Stop." in page and "START" in page and "you have opted out" in page and VIRTUAL_NUMBER in page
    assert page.count("by a text, until") == 2  # the history of the person
    assert SARA not in page


def test_nothing_can_be_changed_deleted_or_opted_in(admin_client, chat):
    text("STOP")
    [row] = OptOut.objects.all()
    assert admin_client.post(page_of(row), {"end": "start"}).status_code == 403
    assert admin_client.post(page_of(row, "delete"), {"post": "yes"}).status_code == 403
    assert OptOut.objects.get().ended_at is None


@pytest.mark.parametrize("phone_number", [SARA, "+1 (415) 555-0123"])
def test_an_operator_records_an_opt_out_on_request(admin_client, admin_user, chat, virtual_number, phone_number):
    words_of(record(admin_client, phone_number, virtual_number))
    [row] = OptOut.objects.all()
    assert (row.source, row.reason, row.recorded_by) == ("operator", "asked by mail, 3 March", admin_user.username)
    assert row.participant == chat.participants.get(position=1)
    text("hello", "+14155550124")
    assert SARA not in [to for to, _ in send_all()]
    words_of(record(admin_client, phone_number, virtual_number))
    assert OptOut.objects.count() == 1


def test_of_somebody_in_no_chat_too(admin_client, chat, virtual_number):
    record(admin_client, ALICE, virtual_number)
    [row] = OptOut.objects.all()
    assert (row.participant, row.stranger_number) == (None, ALICE)
    assert "stranger +1••••••••25" in read(admin_client, OPT_OUTS)


@pytest.mark.parametrize(
    ("phone_number", "reason"), [("12", "asked"), (SARA, ""), (SARA, f"asked from {SARA}"), ("", "asked")]
)
def test_what_is_missing_or_quotes_a_number_is_refused(admin_client, chat, virtual_number, phone_number, reason):
    assert record(admin_client, phone_number, virtual_number, reason).status_code == 200
    assert not OptOut.objects.exists()


def test_a_number_must_be_chosen(admin_client, chat):
    make_virtual_number("+14155550101")
    assert record(admin_client, SARA).status_code == 200
    assert not OptOut.objects.exists()


def test_quiet_hours_need_both_times(admin_client, platform):
    page = words_of(admin_client.post(page_of(platform), {"name": "Rides", "quiet_from": "21:00:00"}))
    assert "Quiet hours need both times" in page
