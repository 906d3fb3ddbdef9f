"""Somebody erased still does not want texts: a STOP outlives its chat and its words, and whoever said it."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from chats.models import Participant
from chats.services import end_chat
from messaging.gateways import ErrorKind, Progress, Receipt
from messaging.keeping.retention import erase_old_chats, erase_opt_outs_of_strangers
from messaging.models import Message, OptOut
from messaging.receipts import record_receipt
from messaging.wording import OPTED_OUT
from platforms.models import Platform, Template
from tests.chats.helpers import body
from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA, VIRTUAL_NUMBER, make_chat, make_virtual_number
from tests.keeping.helpers import assert_absent, dump, read_everything, run, spellings
from tests.messaging.consent.helpers import opt_out_by_text, read_opt_outs, send_all, text
from tests.messaging.rows import make_queued, read_inbound, read_outbound

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage")]

NOW = timezone.now()


def age(chat, *, days: float) -> None:
    """Let everything be that old, and the chat have ended then."""
    end_chat(chat_id=chat.pk, reason="trip over", now=NOW - timedelta(days=days))
    Message.objects.filter(direction="out").update(status="delivered", due_at=None)
    Message.objects.update(created_at=NOW - timedelta(days=days))
    OptOut.objects.update(created_at=NOW - timedelta(days=days))


@pytest.fixture
def forget(chat, settings):
    """Return a function that makes Sara forgotten, as its argument says."""

    def forget(how: str, api) -> None:
        if how == "by the platform":
            assert api.post("/erasures", {"phone_number": SARA}).json()["chats"] == 1
        elif how == "everywhere":
            run("erase_person", SARA)
        else:
            settings.KEEP_FOR_DAYS = 10
            age(chat, days=11)
            assert erase_old_chats(now=NOW) == 1

    return forget


HOWS = ("by the platform", "everywhere", "kept for long enough")


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("scope", ["number", "platform"])
def test_nothing_goes_out_in_a_later_chat_until_they_say_start(api, platform, chat, forget, how, scope):
    Platform.objects.update(opt_out_scope=scope)
    Template.objects.create(platform=platform, kind="opted_out", language="en", text="Bye {name}, says {counterpart}.")
    opt_out_by_text()
    opt_out_by_text(ALICE)
    forget(how, api)
    if how == "kept for long enough":
        assert erase_opt_outs_of_strangers(now=NOW + timedelta(days=31)) == 1
    assert_absent(read_everything() + dump(), "Bye Sara", *spellings(SARA))
    assert read_opt_outs(participant=None, phone_digest__isnull=False)[0] == (VIRTUAL_NUMBER, scope, "text", True)

    answer = api.post("/chats", body(SARA, CHARLIE))
    assert answer.status_code == 201, answer.json()
    later = answer.json()
    assert [person["opted_out"] for person in later["participants"]] == [True, False]
    assert {number for number, _ in send_all()} == {CHARLIE}
    text("START")
    assert SARA in {number for number, _ in send_all()}
    [row] = OptOut.objects.exclude(ended_at=None)
    assert (row.end, row.end_text, row.erased_at) == ("start", "START", None)
    run("erase_person", SARA)
    row.refresh_from_db()
    assert (row.end_text, row.end_confirmation, row.end_message) == ("", "", None)


def test_what_was_said_and_who_it_was_is_gone_and_when_and_how_stays(chat, omar):
    opt_out_by_text()
    text("Start!")
    opt_out_by_text(OMAR)
    run("erase_person", SARA)
    sara, omar_s = OptOut.objects.order_by("created_at")
    assert (sara.keyword, sara.source, sara.end, sara.text, sara.confirmation) == ("stop", "text", "start", "", "")
    assert sara.created_at and sara.ended_at and sara.erased_at
    assert (omar_s.text, omar_s.participant, omar_s.erased_at) == ("STOP", omar, None)
    assert "STOP" in {row.body for row in read_inbound()}


def test_a_platform_erases_what_was_said_in_its_own_chats_only(api, chat, other_platform, make_other_chat):
    make_other_chat(other_platform)
    opt_out_by_text()
    opt_out_by_text(SARA, "+14155550101")
    api.post("/erasures", {"phone_number": SARA})
    assert sorted((row.text, row.erased_at is None) for row in OptOut.objects.all()) == [("", False), ("STOP", True)]


@pytest.fixture
def make_other_chat(db):
    def make(platform):
        make_virtual_number("+14155550101", platform=platform)
        return make_chat(platform, (SARA, BOB), names=("Sara", "Bob"))

    return make


def test_a_strangers_words_and_number_go_after_their_own_time_and_their_stop_stays(settings, chat):
    settings.KEEP_STRANGERS_FOR_DAYS = 3
    opt_out_by_text(ALICE)
    opt_out_by_text(SARA)
    assert erase_opt_outs_of_strangers(now=NOW + timedelta(days=2.9)) == 0
    assert erase_opt_outs_of_strangers(now=NOW + timedelta(days=3.1)) == 1
    assert erase_opt_outs_of_strangers(now=NOW + timedelta(days=3.1)) == 0
    assert {row.stranger_number for row in OptOut.objects.all()} == {""}
    assert [row.text for row in OptOut.objects.exclude(participant=None)] == ["STOP"]
    text("START", ALICE)
    assert len(read_opt_outs(ended_at=None)) == 1
    settings.KEEP_STRANGERS_FOR_DAYS = 0
    assert erase_opt_outs_of_strangers(now=NOW + timedelta(days=1000)) == 0


def test_what_is_held_back_is_withdrawn_and_never_sent(chat, sara, omar):
    Participant.objects.filter(pk=sara.pk).update(awaits_consent=True, time_zone="Europe/Madrid", consent_text="Yes!")
    text("are you there?", OMAR)
    send_all()
    asleep = make_queued(omar, "good morning", kind="platform", status="held", due_at=NOW)
    assert "held" in {row.status for row in read_outbound(Message.Kind.RELAY)}
    run("erase_person", SARA)
    assert not Message.objects.filter(status="held").exists()
    asleep.refresh_from_db()
    assert (asleep.status, asleep.error_code, asleep.body) == ("failed", "erased", "")
    sara.refresh_from_db()
    assert (sara.awaits_consent, sara.time_zone, sara.consent_text) == (False, "", "")
    assert send_all() == []


def test_an_opt_out_that_the_carrier_tells_of_an_erased_text_is_nobodys(chat, sara):
    sent = make_queued(sara, "hello", status="sent", gateway_id="g1")
    run("erase_person", SARA)
    failed = {"progress": Progress.FAILED, "error_kind": ErrorKind.OPT_OUT, "error_code": "1240", "at": NOW}
    assert record_receipt(Receipt(gateway_id="g1", reference=sent.pk, **failed), now=NOW)
    assert not OptOut.objects.exists()


def test_a_restored_backup_loses_the_words_again_and_not_what_came_since(chat, sara):
    opt_out_by_text()
    run("erase_person", SARA)
    OptOut.objects.update(text="STOP", participant=sara, erased_at=None)
    run("reapply_erasures")
    assert [(row.text, row.participant, row.ended_at) for row in OptOut.objects.all()] == [("", None, None)]
    text("START")
    opt_out_by_text()
    run("reapply_erasures")
    assert OptOut.objects.get(ended_at=None).text == "STOP"


def test_consent_and_opt_outs_are_exported(chat, sara, tmp_path):
    Participant.objects.filter(pk=sara.pk).update(consented_at=NOW, consent_text="Yes!", time_zone="Europe/Madrid")
    opt_out_by_text()
    run("export_person", str(tmp_path / "x"), SARA)
    exported = json.loads((tmp_path / "x").read_text())
    [theirs] = exported["chats"]
    assert (theirs["consent_text"], theirs["time_zone"], theirs["awaits_consent"]) == ("Yes!", "Europe/Madrid", False)
    assert theirs["consented_at"]
    [opt_out] = exported["opt_outs"]
    assert (opt_out["text"], opt_out["word"], opt_out["counts_for"], opt_out["ended_at"]) == (
        "STOP",
        "stop",
        "number",
        None,
    )
    assert (opt_out["virtual_number"], opt_out["answer"]) == (VIRTUAL_NUMBER, OPTED_OUT.format(platform="Rides"))
