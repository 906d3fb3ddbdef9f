"""Muting, blocking and reports, and what gives people away, as the operator sees it."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chats.models import Chat, Participant, Report
from messaging.models import Message
from platforms.models import Platform
from tests.admin.pages import MESSAGES, page_of, read, words_of
from tests.factories import SARA, make_chat, make_virtual_number
from tests.messaging.payloads import sms
from tests.messaging.signing import INBOUND, signed_post

REPORTS = reverse("admin:chats_report_changelist")


@pytest.fixture
def chat(platform: Platform) -> Chat:
    make_virtual_number()
    return make_chat(platform)


@pytest.fixture
def sara(chat: Chat) -> Participant:
    return chat.participants.get(position=1)


def text(body: str) -> None:
    assert signed_post(Client(), INBOUND, sms(text=body, from_=SARA[1:])).status_code == 200


def restrict_page(chat: Chat) -> str:
    return reverse("admin:chats_chat_restrict", args=[chat.pk])


def test_an_operator_mutes_somebody_from_the_page_of_the_chat(operator: Client, chat: Chat, sara: Participant) -> None:
    assert restrict_page(chat) in operator.get(page_of(chat)).content.decode()
    asked = read(operator, restrict_page(chat))
    assert "Sara +1••••••••23 Neither muted nor blocked" in asked
    change = {"confirmed": "yes", "participant": sara.pk, "change": "mute", "reason": "complaint"}
    page = words_of(operator.post(restrict_page(chat), change, follow=True))
    assert "Muted Sara." in page and "Sara +1••••••••23 (muted)" in page
    assert "complaint" in read(operator, restrict_page(chat))
    assert LogEntry.objects.get().change_message == "Muted participant 1: complaint"
    operator.post(restrict_page(chat), {**change, "change": "unmute"})
    sara.refresh_from_db()
    assert sara.muted_at is None


@pytest.mark.parametrize(
    "wrong", [{"reason": ""}, {"change": "praise"}, {"participant": "x"}, {"reason": "call +1 415 555 0123"}]
)
def test_what_makes_no_sense_changes_nothing(operator: Client, chat: Chat, sara: Participant, wrong: dict) -> None:
    given = {"confirmed": "yes", "participant": sara.pk, "change": "block", "reason": "x", **wrong}
    assert operator.post(restrict_page(chat), given).status_code == 200
    assert not Participant.objects.filter(blocked_at__isnull=False).exists()


def test_who_only_looks_can_neither_mute_nor_handle(viewer: Client, chat: Chat, sara: Participant) -> None:
    text("REPORT")
    assert restrict_page(chat) not in viewer.get(page_of(chat)).content.decode()
    given = {"confirmed": "yes", "participant": sara.pk, "change": "block", "reason": "x"}
    assert viewer.post(restrict_page(chat), given).status_code == 403
    viewer.post(REPORTS, {"action": "handle", "_selected_action": [str(Report.objects.get().pk)]})
    assert Report.objects.get().handled_at is None


def test_reports_are_listed_and_marked_as_handled(operator: Client, chat: Chat) -> None:
    text("REPORT")
    assert "Sara +1••••••••23 Omar +1••••••••24" in read(operator, REPORTS, state="open")
    marked = {"action": "handle", "_selected_action": [str(Report.objects.get().pk)]}
    assert "Marked 1 as handled" in words_of(operator.post(REPORTS, marked, follow=True))
    assert Report.objects.get().handled_at
    assert "Sara" not in read(operator, REPORTS, state="open").partition("Reports")[2]
    assert Participant.objects.get(position=2).muted_at
    assert read(operator, page_of(Report.objects.get()))


def test_the_transcript_and_the_log_say_what_gave_somebody_away(operator: Client, chat: Chat) -> None:
    Platform.objects.update(emails_in_texts="redact", links_in_texts="block")
    text("sara@example.com")
    text("https://example.com/sara")
    page = read(operator, page_of(chat))
    assert "Gives its writer away: e-mail address, removed before it was passed on" in page
    assert "Gives its writer away: link block Not passed on: it would have given its writer away" in page
    assert "e-mail address" in read(operator, MESSAGES)
    assert "e-mail address" in read(operator, page_of(Message.objects.filter(direction="in").last()))


def test_an_ended_chat_can_still_be_restricted_and_not_ended_again(operator: Client, api, chat: Chat) -> None:
    api.post(f"/chats/{chat.pk}/end", {})
    page = operator.get(page_of(chat)).content.decode()
    assert restrict_page(chat) in page
    assert reverse("admin:chats_chat_end_one_chat", args=[chat.pk]) not in page


def test_a_platform_has_its_rules_and_countries_in_the_admin(operator: Client, platform: Platform) -> None:
    source = operator.get(page_of(platform)).content.decode()
    for name in ("phone_numbers_in_texts", "allowed_countries", "texts_per_day"):
        assert f'name="{name}"' in source
    formset = {"templates-TOTAL_FORMS": "0", "templates-INITIAL_FORMS": "0"}
    fields = {
        **formset,
        "name": "Rides",
        "language": "en",
        "phone_numbers_in_texts": "redact",
        "emails_in_texts": "pass",
        "links_in_texts": "block",
    }
    operator.post(page_of(platform), {**fields, "handles_in_texts": "pass", "allowed_countries": "US,GB"})
    platform.refresh_from_db()
    assert (platform.phone_numbers_in_texts, platform.allowed_countries) == ("redact", ["US", "GB"])
    operator.post(page_of(platform), {**fields, "handles_in_texts": "pass", "allowed_countries": "UK"})
    platform.refresh_from_db()
    assert platform.allowed_countries == ["US", "GB"]


def test_a_banner_says_how_many_reports_wait_until_they_are_handled(
    operator: Client, chat: Chat, sara: Participant
) -> None:
    assert "open-reports" not in operator.get("/admin/").content.decode()
    text("REPORT")
    assert "1 report of a participant waits for somebody to look" in operator.get("/admin/").content.decode()
    Report.objects.update(handled_at=timezone.now())
    assert "open-reports" not in operator.get("/admin/").content.decode()
