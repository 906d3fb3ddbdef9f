"""Where a platform asks people first, only the question reaches them before they say YES; and nothing is lost."""

import pytest
from django.utils import timezone

from chats.models import Participant
from chats.phone_numbers import parse_phone_number
from chats.services import replace_participant
from messaging import wording
from messaging.claims import claim_texts
from messaging.models import Message
from messaging.overdue import settle_overdue
from messaging.results import record_results
from messaging.sender import _send
from platforms.models import Event, Platform
from tests.chats.helpers import at_once, body
from tests.factories import CHARLIE, OMAR, SARA, make_chat, make_platform
from tests.messaging.consent.helpers import RecordingGateway, read_opt_outs, send_all, text
from tests.messaging.rows import Kind, Status, ago, read_inbound, read_outbound

pytestmark = pytest.mark.django_db

AGREED = wording.CONSENTED.format(platform="Rides")


@pytest.fixture
def platform(db):
    return make_platform("Rides", asks_confirmation=True, records_events=True)


@pytest.fixture
def chat(platform, virtual_number):
    """Omar has said YES, Sara has not."""
    chat = make_chat(platform)
    send_all()
    text("yes", OMAR)
    send_all()
    Event.objects.all().delete()
    return chat


@pytest.mark.parametrize("own", ["", "Hi, {counterpart} is your driver. STOP opts out.", "YES or STOP? {counterpart}"])
def test_the_introduction_asks(platform, virtual_number, own):
    Platform.objects.update(introduction=own)
    platform.refresh_from_db()
    make_chat(platform)
    sent = send_all()
    assert [to for to, _ in sent] == [SARA, OMAR]
    assert all(words.count("YES") == 1 and "STOP" in words for _, words in sent)


def test_a_text_waits_for_yes_and_its_writer_is_told_once(chat):
    text("on my way", OMAR)
    text("2 minutes", OMAR)
    assert send_all() == [(OMAR, wording.WAITS_FOR_CONSENT)]
    assert [(row.status, row.attempts) for row in read_outbound(Kind.RELAY)] == [(Status.HELD, 0)] * 2
    text("Yes!")
    assert send_all() == [(SARA, "on my way"), (SARA, "2 minutes"), (SARA, AGREED)]
    text("see you", OMAR)
    text("YES")  # an ordinary word by now
    assert sorted(send_all()) == sorted([(SARA, "see you"), (OMAR, "YES")])


def test_yes_is_kept_with_its_time_and_told_to_the_platform(chat):
    text("Yes!")
    sara = chat.participants.get(position=1)
    assert (sara.awaits_consent, sara.consent_text) == (False, "Yes!")
    assert sara.consented_at
    assert read_inbound()[-1].status == "keyword"
    types = list(Event.objects.order_by("position").values_list("type", flat=True))
    assert types == ["message.received", "participant.opted_in"]


@pytest.mark.parametrize("words", ["no", "who is this?", "yes, at 5"])
def test_other_words_are_passed_on_and_change_nothing(chat, words):
    text(words)
    assert send_all() == [(OMAR, words)]
    assert chat.participants.get(position=1).awaits_consent


def test_stop_instead_of_yes_withdraws_what_waits(chat):
    text("on my way", OMAR)
    send_all()
    text("STOP")
    assert sorted(send_all()) == sorted(
        [(OMAR, wording.COUNTERPART_OPTED_OUT), (SARA, wording.OPTED_OUT.format(platform="Rides"))]
    )
    assert [row.status for row in read_outbound(Kind.RELAY)] == [Status.FAILED]
    text("START")
    text("are you there?", OMAR)
    assert (SARA, "are you there?") in send_all()
    assert len(read_opt_outs()) == 1


def test_help_and_the_end_are_answered_before_yes(chat):
    text("HELP")
    assert send_all() == [(SARA, wording.HELP.format(platform="Rides"))]


def test_a_text_that_waits_for_too_long_fails_and_its_writer_is_told(chat):
    text("on my way", OMAR)
    send_all()
    Message.objects.filter(status=Status.HELD).update(due_at=ago(minutes=1), expires_at=ago(minutes=1))
    assert send_all() == [(OMAR, wording.NOT_DELIVERED)]
    [relay] = read_outbound(Kind.RELAY)
    assert (relay.status, relay.error_code) == (Status.FAILED, "expired")
    assert "YES" in relay.error_detail


def test_who_takes_a_place_is_asked_too(chat):
    sara = chat.participants.get(position=1)
    replace_participant(
        chat_id=chat.pk, participant_id=sara.pk, phone_number=parse_phone_number(CHARLIE), name=None, now=timezone.now()
    )
    send_all()
    text("hi", OMAR)
    assert CHARLIE not in [to for to, _ in send_all()]
    text("y", CHARLIE)
    assert (CHARLIE, "hi") in send_all()


def test_chats_from_before_it_was_switched_on_go_on(virtual_number):
    platform = make_platform("Rentals")
    make_chat(platform)
    Platform.objects.update(asks_confirmation=True)
    send_all()
    text("hi", OMAR)
    assert send_all() == [(SARA, "hi")]


def test_the_api_says_who_is_asked(api, virtual_number, platform):
    chat = api.post("/chats", body()).json()
    assert [one["awaits_consent"] for one in chat["participants"]] == [True, True]
    text("yes")
    chat = api.get(f"/chats/{chat['id']}").json()
    assert [one["awaits_consent"] for one in chat["participants"]] == [False, True]


@pytest.mark.django_db(transaction=True)
def test_yes_at_the_moment_at_which_a_text_is_put_aside_loses_nothing(platform, virtual_number):
    make_chat(platform)
    send_all()
    for turn in range(6):
        Participant.objects.update(awaits_consent=True)
        text(f"text {turn}", OMAR)
        settle_overdue()
        results = [_send(RecordingGateway(), claim, use_before=float("inf")) for claim in claim_texts(limit=9)]
        at_once([lambda results=results: record_results(results), lambda: text("yes")])
        assert (SARA, f"text {turn}") in send_all()


def test_many_texts_that_wait_are_sent_in_order(chat):
    for number in range(8):
        text(str(number), OMAR)
        if number % 3 == 0:
            send_all()
    text("yes")
    assert [words for to, words in send_all() if to == SARA] == [*map(str, range(8)), AGREED]
