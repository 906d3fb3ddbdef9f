"""The table of STOP, START and HELP: what was texted, by whom, on which number → rows, answers, events, texts sent."""

from dataclasses import dataclass

import pytest
from django.utils import timezone

from chats.services import end_chat
from messaging import wording
from messaging.models import Message, OptOut
from platforms.models import Event, Platform
from tests.factories import CHARLIE, OMAR, SARA, VIRTUAL_NUMBER, make_chat, make_platform, make_virtual_number
from tests.messaging.consent.helpers import TOLL_FREE, opt_out_by_text, read_opt_outs, send_all, text
from tests.messaging.rows import forget_introductions, read_inbound

pytestmark = pytest.mark.django_db

OUT, IN = "participant.opted_out", "participant.opted_in"
STOPPED = wording.OPTED_OUT.format(platform="Rides")
STOPPED_ALL = wording.OPTED_OUT_OF_PLATFORM.format(platform="Rides")
STARTED = wording.OPTED_IN.format(platform="Rides")
HELPED = wording.HELP.format(platform="Rides")
GONE, BACK = wording.COUNTERPART_OPTED_OUT, wording.COUNTERPART_OPTED_IN


@dataclass(frozen=True, kw_only=True)
class Row:
    """What somebody texts; then what becomes of it. `sent` is who gets what."""

    says: str
    who: str = SARA
    # "open", "opted out", "scheduled", "late", "long ago" or "stranger".
    is_: str = "open"
    number: str = VIRTUAL_NUMBER
    scope: str = "number"
    cancel_words: bool = True
    assist: bool = False
    status: str = "keyword"
    in_force: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    sent: tuple[tuple[str, str], ...] = ()


STOP_OPEN = {"in_force": ("number",), "events": (OUT,)}
TABLE = {
    "STOP": Row(says="STOP", **STOP_OPEN, sent=((OMAR, GONE), (SARA, STOPPED))),
    "STOP in French": Row(says="Arrêt !", **STOP_OPEN, sent=((OMAR, GONE), (SARA, STOPPED))),
    "STOP for the platform": Row(
        says="stop", scope="platform", in_force=("platform",), events=(OUT,), sent=((OMAR, GONE), (SARA, STOPPED_ALL))
    ),
    "STOP on a toll-free number": Row(says="STOP", number=TOLL_FREE, **STOP_OPEN, sent=((OMAR, GONE),)),
    "STOP with Opt-Out Assist": Row(says="STOP", assist=True, **STOP_OPEN, sent=((OMAR, GONE),)),
    "ARRET with Opt-Out Assist, which does not know it": Row(
        says="ARRET", assist=True, **STOP_OPEN, sent=((OMAR, GONE), (SARA, STOPPED))
    ),
    "STOP again": Row(says="STOP", is_="opted out", in_force=("number",)),
    "STOP before the start": Row(says="STOP", is_="scheduled", **STOP_OPEN, sent=((SARA, STOPPED),)),
    "STOP after the end": Row(says="STOP", is_="late", **STOP_OPEN, sent=((SARA, STOPPED),)),
    "STOP long after the end": Row(says="STOP", is_="long ago", **STOP_OPEN, sent=((SARA, STOPPED),)),
    "STOP of a stranger": Row(
        says="STOP", is_="stranger", who=CHARLIE, in_force=("number",),
        sent=((CHARLIE, wording.OPTED_OUT.format(platform=wording.NO_PLATFORM)),),
    ),
    "CANCEL": Row(says="Cancel", **STOP_OPEN, sent=((OMAR, GONE), (SARA, STOPPED))),
    "END, where it is a word": Row(says="END", cancel_words=False, status="relayed", sent=((OMAR, "END"),)),
    "END, where it is a word, but not for Vonage": Row(
        says="END", cancel_words=False, assist=True, **STOP_OPEN, sent=((OMAR, GONE),)
    ),
    "STOP in a sentence": Row(says="stop at 5", status="relayed", sent=((OMAR, "stop at 5"),)),
    "START": Row(says="START", is_="opted out", events=(IN,), sent=((OMAR, BACK), (SARA, STARTED))),
    "UNSTOP": Row(says="unstop", is_="opted out", events=(IN,), sent=((OMAR, BACK), (SARA, STARTED))),
    "YES of somebody opted out": Row(
        says="Yes", is_="opted out", events=(IN,), sent=((OMAR, BACK), (SARA, STARTED))
    ),
    "UNSTOP on a toll-free number": Row(
        says="UNSTOP", is_="opted out", number=TOLL_FREE, events=(IN,), sent=((OMAR, BACK),)
    ),
    "START with Opt-Out Assist": Row(says="START", is_="opted out", assist=True, events=(IN,), sent=((OMAR, BACK),)),
    "START for the platform": Row(
        says="START", is_="opted out", scope="platform", events=(IN,), sent=((OMAR, BACK), (SARA, STARTED))
    ),
    "START of somebody opted in": Row(says="Start", status="relayed", sent=((OMAR, "Start"),)),
    "YES of somebody opted in": Row(says="yes", status="relayed", sent=((OMAR, "yes"),)),
    "HELP": Row(says="help?", sent=((SARA, HELPED),)),
    "HELP of somebody opted out": Row(says="INFO", is_="opted out", in_force=("number",), sent=((SARA, HELPED),)),
    "HELP on a toll-free number": Row(says="HELP", number=TOLL_FREE, sent=((SARA, HELPED),)),
    "HELP with Opt-Out Assist": Row(says="HELP", assist=True),
    "HELP after the end": Row(says="HELP", is_="late", sent=((SARA, HELPED),)),
    "HELP of a stranger": Row(
        says="HELP", is_="stranger", who=CHARLIE,
        sent=((CHARLIE, wording.HELP.format(platform=wording.NO_PLATFORM)),),
    ),
    "words of somebody opted out": Row(
        says="on my way", is_="opted out", status="relayed", in_force=("number",), sent=((OMAR, "on my way"),)
    ),
    "words to somebody opted out": Row(
        says="where are you?", who=OMAR, is_="opted out", status="blocked", in_force=("number",)
    ),
    "words of somebody opted out, after the end": Row(
        says="hello?", is_="opted out, late", status="late", in_force=("number",)
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_what_becomes_of_a_keyword(row: Row, settings):
    settings.VONAGE_OPT_OUT_ASSIST = row.assist
    platform = make_platform("Rides", records_events=True, opt_out_scope=row.scope, cancel_words_stop=row.cancel_words)
    make_virtual_number(row.number)
    prepare(platform, row)
    inbound = len(read_inbound())
    text(row.says, row.who, row.number)
    assert [each.status for each in read_inbound()[inbound:]] == [row.status]
    sent = send_all()
    assert sorted(sent) == sorted(row.sent)
    assert tuple(scope for _, scope, _, is_in_force in read_opt_outs() if is_in_force) == row.in_force
    told = Event.objects.filter(type__startswith="participant").order_by("position")
    assert tuple(told.values_list("type", flat=True)) == row.events


def prepare(platform: Platform, row: Row) -> None:
    """Bring about that Sara `is_` what the row says."""
    now = timezone.now()
    starts_at = now + timezone.timedelta(hours=1) if row.is_ == "scheduled" else None
    chat = make_chat(platform, starts_at=starts_at)
    forget_introductions()
    if "opted out" in row.is_:
        opt_out_by_text(to=row.number)
    if "late" in row.is_:
        end_chat(chat_id=chat.pk, reason="over", now=now)
    if row.is_ == "long ago":
        end_chat(chat_id=chat.pk, reason="over", now=now - timezone.timedelta(days=100))
    Event.objects.all().delete()


def test_the_row_says_all_that_an_auditor_asks(platform, virtual_number):
    chat = make_chat(platform)
    text(" Stop. ")
    text("START please")
    text("start")
    [row] = OptOut.objects.filter(participant=chat.participants.get(position=1))
    first, _, last = read_inbound()
    assert (row.text, row.keyword, row.message, row.source) == (" Stop. ", "stop", first, "text")
    assert row.confirmation == STOPPED
    assert (row.end_text, row.end, row.end_message, row.end_confirmation) == ("start", "start", last, STARTED)
    assert row.created_at < row.ended_at


def test_opting_out_again_is_a_row_of_its_own(platform, virtual_number):
    make_chat(platform)
    for word in ("STOP", "START", "STOP"):
        text(word)
    assert [in_force for *_, in_force in read_opt_outs()] == [False, True]


def test_a_webhook_of_stop_that_comes_again_after_start_changes_nothing(platform, virtual_number):
    make_chat(platform)
    text("STOP", message_uuid="stop-1")
    text("START", message_uuid="start-1")
    text("STOP", message_uuid="stop-1")
    assert [in_force for *_, in_force in read_opt_outs()] == [False]
    assert Message.objects.filter(kind="consent").count() == 2


def test_stop_for_the_platform_after_stop_for_a_number_widens_it_without_a_second_word(platform, virtual_number):
    make_chat(platform)
    opt_out_by_text()
    Platform.objects.update(opt_out_scope="platform")
    opt_out_by_text()
    assert [(scope, in_force) for _, scope, _, in_force in read_opt_outs()] == [("number", False), ("platform", True)]
    assert Message.objects.filter(kind="consent").count() == 1


@pytest.mark.parametrize(("scope", "reached"), [("number", True), ("platform", False)])
def test_the_scope_decides_on_chats_on_other_numbers(platform, virtual_number, scope, reached):
    Platform.objects.update(opt_out_scope=scope)
    make_chat(platform)
    make_virtual_number("+14155550101")
    other = make_chat(platform, (SARA, CHARLIE))
    forget_introductions()
    number = other.participants.get(position=1).virtual_number.number
    opt_out_by_text(to=VIRTUAL_NUMBER if number != VIRTUAL_NUMBER else "+14155550101")
    text("are you there?", CHARLIE, number)
    assert ((SARA, "are you there?") in send_all()) is reached


def test_a_stop_to_a_number_counts_for_every_platform_on_it_and_one_to_a_platform_for_no_other(
    platform, other_platform, virtual_number
):
    Platform.objects.filter(pk=platform.pk).update(opt_out_scope="platform")
    chat = make_chat(platform)
    opt_out_by_text()
    end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
    theirs = make_virtual_number("+14155550101", platform=other_platform)
    make_chat(other_platform, (SARA, CHARLIE), names=("", ""))
    assert SARA in [to for to, _ in send_all()]
    text("hello", CHARLIE, theirs.number)
    assert (SARA, "hello") in send_all()


def test_a_text_of_parts_that_says_stop_stops(platform, virtual_number):
    make_chat(platform)
    text("S T O P")
    assert len(read_opt_outs()) == 1


def test_a_picture_of_a_bus_stop_is_passed_on(platform, virtual_number):
    make_chat(platform)
    text(
        "stop",
        channel="mms",
        message_type="image",
        image={"url": "https://api.nexmo.com/v3/media/1", "caption": "stop"},
    )
    assert (read_inbound()[0].status, read_opt_outs()) == ("relayed", [])
