"""What `make chaos` says: nothing when all is well, and of each thing that can go wrong a line of its own."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chaos.disturbing import make_plan
from chaos.log import Event, Log, Row
from chaos.people import Chat, Written
from chaos.receiver import Received
from chaos.reconciling import reconcile
from tests.factories import ALICE, OMAR, SARA, VIRTUAL_NUMBER

CHAT = Chat("chat", "chaos-0", VIRTUAL_NUMBER, (SARA, OMAR))


def _make_event(at: int, type: str, of: str | None) -> Event:
    return Event(f"event-{at}", at, type, "chat", of, 0.0)


class Story:
    """Sara texts Omar twice, and all is well until a test makes it otherwise."""

    def __init__(self) -> None:
        self.written = [
            Written(f"inbound-{number}", CHAT, 0, f"chaos-0 a {number}", typed_at=number, taken_at=number + 0.5)
            for number in (1, 2)
        ]
        self.texts: list[dict[str, Any]] = [
            {
                "direction": "to_handset",
                "handset": OMAR,
                "virtual_number": VIRTUAL_NUMBER,
                "text": text.body,
                "status": "delivered",
                "client_ref": f"relay-{number}",
                "message_uuid": f"outbound-{number}",
            }
            for number, text in enumerate(self.written, start=1)
        ]
        self.rows = [
            row
            for number in (1, 2)
            for row in (
                Row(f"in-{number}", number * 2, "in", "text", "relayed", "chat", "sara", None, f"inbound-{number}", ""),
                Row(
                    *(f"relay-{number}", number * 2 + 1, "out", "relay", "delivered", "chat", "omar"),
                    *(f"in-{number}", f"outbound-{number}", ""),
                ),
            )
        ]
        told = [("chat.started", None), *(("message.received", f"in-{number}") for number in (1, 2))]
        told += [("message.delivered", f"relay-{number}") for number in (1, 2)]
        self.events = [_make_event(at, type, of) for at, (type, of) in enumerate(told)]
        self.received = [Received(event.id, event.type, "chat") for event in self.events]
        self.stuck: list[str] = []

    def change_row(self, place: int, **fields: Any) -> None:
        self.rows[place] = replace(self.rows[place], **fields)

    def reconcile(self) -> Sequence[str]:
        log = Log(self.rows, self.events, {"chaos-0": "chat"}, self.stuck)
        return list(reconcile(log=log, chats=[CHAT], written=self.written, texts=self.texts, received=self.received))


def test_nothing_is_said_when_all_is_well() -> None:
    assert Story().reconcile() == []


CASES: dict[str, tuple[Callable[[Story], object], str]] = {
    "a text was never logged": (lambda story: story.rows.pop(0), "text inbound-1 of chat chat is 0 times in the log"),
    "a text was logged twice": (lambda story: story.rows.append(story.rows[0]), "is 2 times in the log"),
    "a text went nowhere": (lambda story: story.change_row(0, status="unmatched"), "message in-1 is unmatched"),
    "a text was lost by the carrier": (lambda story: story.texts.pop(0), "message relay-1 is delivered, and arrived 0"),
    "a text arrived twice": (
        lambda story: story.texts.append(story.texts[0]),
        "message relay-1 is delivered, and arrived 2",
    ),
    "a text reached somebody else": (
        lambda story: story.texts[0].update(handset=ALICE),
        "message relay-1 reached somebody else",
    ),
    "a text came from another number": (
        lambda story: story.texts[0].update(virtual_number="+14155550199"),
        "message relay-1 reached somebody else",
    ),
    "a text overtook another": (lambda story: story.texts.reverse(), "text inbound-2 of chat chat overtook inbound-1"),
    "a text failed and nobody was told": (
        lambda story: (
            story.texts[0].update(status="undeliverable"),
            story.change_row(1, status="failed", error_code="1331"),
        ),
        "message relay-1 has failed without a reason, or without its writer being told",
    ),
    "a receipt was not counted": (
        lambda story: story.change_row(1, status="sent"),
        "message relay-1 is sent, and the carrier says delivered",
    ),
    "a row is stuck": (lambda story: story.stuck.append("message relay-1 is sending"), "message relay-1 is sending"),
    "nothing was recorded of a text": (lambda story: story.events.pop(1), "message.received of in-1"),
    "an event was recorded twice": (
        lambda story: story.events.append(replace(story.events[1], id="again", position=9)),
        "message.received of in-1",
    ),
    "an event never came": (lambda story: story.received.pop(), "event event-4 never came"),
    "events came in another order": (lambda story: story.received.reverse(), "came after a later one"),
    "an old event came again": (
        lambda story: story.received.append(story.received[0]),
        "event event-0 of chat chat came after a later one",
    ),
}


@pytest.mark.parametrize(("spoil", "line"), CASES.values(), ids=CASES.keys())
def test_what_went_wrong_is_said(spoil: Callable[[Story], object], line: str) -> None:
    story = Story()
    spoil(story)
    said = story.reconcile()
    assert any(line in each for each in said), said


def test_texts_that_were_on_their_way_at_the_same_time_may_arrive_in_any_order() -> None:
    story = Story()
    story.written[0].taken_at = 2.5
    story.texts.reverse()
    assert story.reconcile() == []


def test_an_event_may_come_again_before_the_next_one() -> None:
    story = Story()
    story.received.insert(1, story.received[0])
    assert story.reconcile() == []


def test_events_of_one_chat_come_in_the_order_of_their_positions() -> None:
    story = Story()
    story.received[3:5] = reversed(story.received[3:5])
    assert story.reconcile() == ["event event-3 of chat chat came after a later one"]


def test_a_failure_of_which_the_writer_was_told_is_no_difference() -> None:
    story = Story()
    story.texts[0].update(status="undeliverable")
    story.change_row(1, status="failed", error_code="1331")
    story.rows.append(Row("reply", 9, "out", "auto_reply", "delivered", "chat", "sara", None, "outbound-9", ""))
    told = {"text": "It was not delivered.", "client_ref": "reply", "message_uuid": "outbound-9", "handset": SARA}
    story.texts.append({**story.texts[1], **told})
    story.events[3] = replace(story.events[3], type="message.failed")
    story.events.append(_make_event(5, "message.delivered", "reply"))
    story.received.append(Received("event-5", "message.delivered", "chat"))
    assert story.reconcile() == []


def test_the_same_seed_is_the_same_plan_in_which_everything_has_its_turn() -> None:
    plans = [
        make_plan(random.Random(7), seconds=60, programs=["web-1", "sender-1", "postgres"], every_seconds=4)
        for _ in range(2)
    ]
    assert plans[0] == plans[1]
    assert {step.program for step in plans[0]} == {"", "web-1", "sender-1", "postgres"}
    assert any("respond_with" in step.faults for step in plans[0])
