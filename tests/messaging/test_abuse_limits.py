"""Too many texts, the same ones again and again, and machines that answer each other."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chats.models import Pace, Participant
from messaging import wording
from messaging.models import Message
from tests.factories import ALICE, OMAR, SARA
from tests.messaging.payloads import IMAGE, mms, sms
from tests.messaging.rows import Status, read_answers, read_inbound, read_outbound
from tests.messaging.signing import INBOUND, signed_post

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def noon(time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    return time_machine


@pytest.fixture
def no_limits(settings):
    settings.TEXTS_PER_MINUTE = settings.TEXTS_PER_DAY = settings.REPEATED_TEXTS = settings.QUICK_ANSWERS = 0


def text(body: str, from_number: str = SARA, payload: dict[str, Any] | None = None) -> None:
    payload = payload or sms(text=body, from_=from_number[1:])
    assert signed_post(Client(), INBOUND, payload).status_code == 200


def outcomes() -> list[str]:
    return [row.error_code or row.status for row in read_inbound()]


def test_over_the_limit_of_a_minute_texts_are_logged_and_their_writer_is_told_once(chat, sara, settings, no_limits):
    settings.TEXTS_PER_MINUTE = 7
    for number in range(10):
        text(f"text {number}")
    assert outcomes() == ["relayed"] * 7 + ["too_many"] * 3
    assert {row.status for row in read_inbound()[7:]} == {Status.BLOCKED}
    assert read_answers() == [(sara.pk, wording.STOPPED["too_many"])]
    text("from Omar", OMAR)
    assert outcomes()[-1] == "relayed"


def test_who_waits_may_text_again_and_is_told_again(chat, settings, no_limits, noon):
    settings.TEXTS_PER_MINUTE = 2
    for number in range(3):
        text(f"text {number}")
    noon.shift(timedelta(seconds=31))
    text("one more")
    text("and another")
    noon.shift(timedelta(minutes=1))
    for number in range(3):
        text(f"later {number}")
    assert outcomes() == ["relayed", "relayed", "too_many", "relayed", "too_many", "relayed", "relayed", "too_many"]
    assert len(read_answers()) == 2


def test_over_the_limit_of_a_day_they_are_told_once_a_day(chat, sara, settings, no_limits, noon):
    settings.TEXTS_PER_DAY = 3
    for number in range(5):
        text(f"text {number}")
        noon.shift(timedelta(minutes=3))
    assert outcomes() == ["relayed"] * 3 + ["too_many_a_day"] * 2
    assert read_answers() == [(sara.pk, wording.STOPPED["too_many_a_day"])]
    noon.shift(timedelta(hours=8))
    text("a third of a day later")
    assert outcomes()[-1] == "relayed"


@pytest.mark.parametrize(("own", "expected"), [(1, 1), (4, 4), (0, 6), (None, 2)])
def test_a_platform_has_limits_of_its_own(chat, platform, settings, no_limits, own, expected):
    settings.TEXTS_PER_MINUTE = 2
    platform.texts_per_minute = own
    platform.save()
    for number in range(6):
        text(f"text {number}")
    assert outcomes().count("relayed") == expected


def test_without_limits_nothing_is_counted(chat, no_limits):
    for _ in range(30):
        text("the same")
    assert set(outcomes()) == {"relayed"}
    assert not Pace.objects.exists()


def test_a_webhook_delivered_again_is_not_counted(chat, settings, no_limits):
    settings.TEXTS_PER_MINUTE = 2
    payload = sms(text="once")
    for _ in range(5):
        text("", payload=payload)
    text("twice")
    assert outcomes() == ["relayed", "relayed"]


def test_the_same_text_again_and_again_is_stopped_until_it_is_another(chat, sara):
    for variant in ("Hello", "hello ", "HELLO", *["hello"] * 9):
        text(variant)
    assert outcomes() == ["relayed"] * 10 + ["repeated"] * 2
    assert read_answers() == [(sara.pk, wording.STOPPED["repeated"])]
    text("something else")
    text("hello")
    assert outcomes()[-2:] == ["relayed", "relayed"]


def test_the_same_text_passes_again_some_minutes_later(chat, noon):
    for _ in range(11):
        text("ok")
    noon.shift(timedelta(minutes=31))
    text("ok")
    assert outcomes() == ["relayed"] * 10 + ["repeated", "relayed"]


def test_pictures_without_words_are_not_the_same_text(chat):
    for number in range(15):
        text("", payload=mms("image", image=IMAGE | {"url": f"https://api.nexmo.com/{number}.jpg"}))
    assert set(outcomes()) == {"relayed"}


def test_people_who_answer_each_other_in_turns_are_no_machines(chat, noon):
    for number in range(50):
        text(f"text {number}", (SARA, OMAR)[number % 2])
        noon.shift(timedelta(seconds=11))
    assert set(outcomes()) == {"relayed"}


def test_who_texts_again_and_again_before_an_answer_is_no_machine(chat, noon):
    for number in range(40):
        text(f"text {number}")
        noon.shift(timedelta(seconds=2))
    assert set(outcomes()) == {"relayed"}


def test_after_a_loop_people_reach_each_other_again(chat, noon):
    for number in range(60):
        text(f"text {number}", (SARA, OMAR)[number % 2])
        noon.shift(timedelta(seconds=1))
    assert "loop" in outcomes()
    assert {words for _, words in read_answers()} == {wording.STOPPED["loop"]}
    assert len(read_answers()) <= 2
    noon.shift(timedelta(seconds=15))
    text("are you there?")
    assert outcomes()[-1] == "relayed"


def test_what_two_people_texted_while_the_service_was_down_is_no_loop(chat, noon):
    written = "2026-03-01T11:30:00Z"
    for number in range(60):
        text("", payload=sms(text=f"text {number}", from_=(SARA, OMAR)[number % 2][1:], timestamp=written))
        noon.shift(timedelta(seconds=1))
    assert set(outcomes()) == {"relayed"}


OURS = [
    wording.NOT_DELIVERED,
    "To protect privacy, your text was passed on without a link and a phone number that was in it.",
    wording.REPORTED,
    "Gracias por avisar. Los mensajes de la otra persona ya no le llegan. El operador del servicio lo revisara.",
]


@pytest.mark.parametrize("words", OURS)
def test_our_own_words_that_come_back_are_stopped_and_not_answered(chat, words):
    text(f" {words}\n")
    assert outcomes() == ["loop"]
    assert read_outbound() == []


# --- Handsets that answer every text by themselves -----------------------------------------------------------------

Machine = Callable[[str, int], dict[str, Any]]
MACHINES: dict[str, Machine] = {
    "the same answer": lambda body, turn: sms(text="I am driving and cannot answer."),
    "another answer each time": lambda body, turn: sms(text=f"Automatic answer no. {turn}."),
    "an echo": lambda body, turn: sms(text=body),
    "a quote": lambda body, turn: sms(text=f"Re: {body}"[:300]),
    "nothing that can be passed on": lambda body, turn: mms("unsupported"),
    "an empty text": lambda body, turn: sms(text=""),
    "a phone number": lambda body, turn: sms(text=f"call 415 555 {turn % 10000:04}"),
    "REPORT": lambda body, turn: sms(text="report"),
}


def run_machines(machines: dict[str, Machine], noon: Any, *, seconds_an_answer: float, turns: int) -> int:
    """Deliver every queued text to its handset, which answers it, until nothing is queued; return how many."""
    numbers = {person.pk: person.phone_number for person in Participant.objects.all()}
    sent = 0
    for turn in range(turns):
        message = Message.objects.filter(direction="out", status=Status.QUEUED).order_by("position").first()
        if message is None:
            break
        sent += 1
        Message.objects.filter(pk=message.pk).update(status=Status.SENT, due_at=None)
        noon.shift(timedelta(seconds=seconds_an_answer))
        number = numbers.get(message.participant_id, message.stranger_number)
        payload = machines[number](message.body, turn)
        text("", payload=payload | {"from": number[1:]})
    return sent


PAIRS = [
    *((machine, machine, seconds) for machine in MACHINES for seconds in (0.2, 4)),
    *((machine, "another answer each time", 2) for machine in MACHINES),
]


@pytest.mark.slow
@pytest.mark.parametrize(("saras", "omars", "seconds_an_answer"), PAIRS)
def test_machines_that_answer_everything_stop_soon(chat, platform, noon, saras, omars, seconds_an_answer):
    platform.phone_numbers_in_texts = "redact"
    platform.save()
    text("Where are you?")
    sent = run_machines(
        {SARA: MACHINES[saras], OMAR: MACHINES[omars]}, noon, seconds_an_answer=seconds_an_answer, turns=200
    )
    # Each is told once a day that it seems to be a machine: what answers that may start over, once.
    assert sent <= 150
    assert not Message.objects.filter(status=Status.QUEUED).exists()


def test_machines_that_answer_slowly_stop_within_the_hour(chat, noon):
    """Beyond what passes for a person each text counts: machines are stopped by repeating themselves."""
    text("Where are you?")
    same = MACHINES["the same answer"]
    assert run_machines({SARA: same, OMAR: same}, noon, seconds_an_answer=40, turns=200) <= 60


def test_machines_in_a_chat_that_has_ended_are_answered_once(chat, noon, api):
    api.post(f"/chats/{chat.pk}/end", {})
    text("Where are you?")
    same = MACHINES["the same answer"]
    assert run_machines({SARA: same, OMAR: same}, noon, seconds_an_answer=1, turns=50) == 1


def test_a_stranger_that_is_a_machine_is_answered_once_a_day(chat, noon, settings):
    settings.STRANGER_REPLY = "This number does not take texts."
    text("hello", ALICE)
    assert run_machines({ALICE: MACHINES["an echo"]}, noon, seconds_an_answer=1, turns=50) == 1


def test_bursts_at_once_go_over_the_limit_by_a_few_at_most(chat, settings, no_limits):
    settings.TEXTS_PER_MINUTE = 3
    for number in range(20):
        text(f"text {number}")
    assert outcomes().count("relayed") == 3
    assert Pace.objects.get().minute_whole_at > timezone.now()
