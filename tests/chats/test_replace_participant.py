"""POST /chats/{id}/participants/{participant_id}/replace: another driver, or a new phone."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from chats.models import Chat, Participant, VirtualNumber
from chats.services import end_chat, start_due_chats
from messaging import wording
from messaging.models import Message
from tests.chats.helpers import body, errors
from tests.factories import (
    ALICE,
    AUSTRALIAN_VIRTUAL_NUMBER,
    BOB,
    OLIVIA_IN_AUSTRALIA,
    OMAR,
    SARA,
    VIRTUAL_NUMBER,
    make_chat,
    make_pool,
    make_virtual_number,
)
from tests.messaging.payloads import sms
from tests.messaging.rows import Kind, Status, forget_introductions, read_answers, read_inbound, read_outbound
from tests.messaging.signing import INBOUND, signed_post

pytestmark = pytest.mark.django_db


@pytest.fixture
def chat(platform, virtual_number):
    chat = make_chat(platform)
    forget_introductions()
    return chat


def person(chat, position):
    return chat.participants.get(position=position, replaced_at=None)


def replace(api, chat, position=2, phone_number=ALICE, leaving=None, **fields):
    leaving = leaving or person(chat, position)
    return api.post(f"/chats/{chat.pk}/participants/{leaving.pk}/replace", {"phone_number": phone_number, **fields})


def text(**fields):
    assert signed_post(Client(), INBOUND, sms(**fields)).status_code == 200


def test_a_driver_is_swapped(api, chat):
    sara, omar = chat.participants.all()
    response = replace(api, chat, name="Alice")
    assert response.status_code == 200
    shown = response.json()
    alice = person(chat, 2)
    assert [(one["name"], one["phone_number"], one["virtual_number"]) for one in shown["participants"]] == [
        ("Sara", "+1••••••••23", VIRTUAL_NUMBER),
        ("Alice", "+1••••••••25", VIRTUAL_NUMBER),
    ]
    assert [(one["id"], one["name"]) for one in shown["former_participants"]] == [(str(omar.pk), "Omar")]
    assert [(row.kind, row.participant) for row in read_outbound()] == [
        (Kind.ANNOUNCEMENT, sara),
        (Kind.INTRODUCTION, alice),
    ]
    announced, introduced = read_outbound()
    assert announced.body == "You are now texting with Alice instead of Omar. Texts you send here go to them."
    assert introduced.body.startswith("Hi Alice, you can now text with Sara")
    Message.objects.all().delete()
    text(text="to the new one")
    text(from_=ALICE[1:], text="from the new one")
    assert [(row.participant, row.body) for row in read_outbound()] == [
        (alice, "to the new one"),
        (sara, "from the new one"),
    ]


def test_late_texts_of_the_old_phone_get_one_answer_and_go_nowhere(api, chat):
    omar = person(chat, 2)
    replace(api, chat)
    Message.objects.all().delete()
    text(from_=OMAR[1:])
    text(from_=OMAR[1:], text="hello?")
    assert [(row.status, row.participant) for row in read_inbound()] == [(Status.LATE, omar)] * 2
    assert read_answers() == [(omar.pk, wording.NO_LONGER_IN_CHAT)]
    assert len(read_outbound()) == 1


@pytest.mark.parametrize(
    "old, given, announced",
    [
        ("Omar", {"name": "Alice"}, "You are now texting with Alice instead of Omar."),
        ("Omar", {}, "Omar has changed phones. You can go on texting here."),
        ("Omar", {"name": None}, "Omar has changed phones."),
        ("Omar", {"name": ""}, "You are now texting with somebody else instead of Omar."),
        ("", {"name": "Alice"}, "You are now texting with Alice. Texts"),
        ("", {}, "You are now texting with somebody else. Texts"),
    ],
)
def test_the_other_person_is_told_in_words(api, platform, virtual_number, old, given, announced):
    chat = make_chat(platform, names=("Sara", old))
    replace(api, chat, **given)
    [row] = read_outbound(Kind.ANNOUNCEMENT)
    assert row.body.startswith(announced)


def test_the_first_person_can_be_replaced_as_well(api, chat):
    shown = replace(api, chat, position=1, name="Alice").json()
    assert [one["name"] for one in shown["participants"]] == ["Alice", "Omar"]
    Message.objects.all().delete()
    text(from_=OMAR[1:])
    assert [row.participant.phone_number for row in read_outbound()] == [ALICE]


def test_the_same_request_again_changes_nothing(api, chat):
    omar = person(chat, 2)
    first = replace(api, chat, leaving=omar).json()
    again = replace(api, chat, leaving=omar)
    assert (again.status_code, again.json()) == (200, first)
    assert Participant.objects.count() == 3
    assert len(read_outbound(Kind.ANNOUNCEMENT)) == 1


def test_who_was_replaced_may_come_back_on_another_number(api, chat):
    replace(api, chat)
    [another] = make_pool(1)
    shown = replace(api, chat, phone_number=OMAR, name="Omar").json()
    assert [one["name"] for one in shown["participants"]] == ["Sara", "Omar"]
    assert len(shown["former_participants"]) == 2
    Message.objects.all().delete()
    text(from_=OMAR[1:], to=another.number[1:])
    assert [row.status for row in read_inbound()] == [Status.RELAYED]
    end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
    text(from_=OMAR[1:], to=another.number[1:], text="late")
    assert read_answers() == [(person(chat, 2).pk, wording.CHAT_HAS_ENDED)]


def test_in_a_scheduled_chat_nobody_is_told_before_it_starts(api, platform, virtual_number):
    start = timezone.now() + timedelta(hours=2)
    chat = make_chat(platform, starts_at=start)
    replace(api, chat, name="Alice")
    assert not Message.objects.exists()
    start_due_chats(now=start)
    assert {row.participant.phone_number for row in read_outbound(Kind.INTRODUCTION)} == {SARA, ALICE}


def test_the_request_that_started_the_chat_may_still_be_repeated(api, virtual_number):
    shown = api.post("/chats", body(reference="r")).json()
    replace(api, Chat.objects.get())
    again = api.post("/chats", body(reference="r"))
    assert (again.status_code, again.json()["id"]) == (200, shown["id"])
    assert api.post("/chats", body(SARA, ALICE, reference="r")).status_code == 200
    refused = api.post("/chats", body(OMAR, ALICE, reference="r"))
    assert errors(refused) == [("reference_taken", "reference")]


class TestNumbers:
    def test_the_other_person_keeps_theirs_even_when_it_is_draining(self, api, platform):
        make_virtual_number()
        chat = make_chat(platform)
        VirtualNumber.objects.update(state="draining")
        make_virtual_number("+14155550101")
        shown = replace(api, chat).json()
        assert [one["virtual_number"] for one in shown["participants"]] == [VIRTUAL_NUMBER, "+14155550101"]

    def test_the_new_person_gets_another_when_they_have_a_chat_on_it(self, api, platform):
        make_pool(1)
        chat = make_chat(platform)
        make_chat(platform, (ALICE, BOB))
        refused = replace(api, chat)
        assert (refused.status_code, errors(refused)) == (409, [("no_free_number", "phone_number")])
        make_virtual_number("+14155550101")
        shown = replace(api, chat).json()
        assert [one["virtual_number"] for one in shown["participants"]] == ["+12025550100", "+14155550101"]

    def test_the_new_person_gets_one_of_their_country(self, api, platform):
        make_virtual_number()
        chat = make_chat(platform)
        refused = replace(api, chat, phone_number=OLIVIA_IN_AUSTRALIA, country_match="require")
        assert errors(refused) == [("no_free_number", "phone_number")]
        make_virtual_number(AUSTRALIAN_VIRTUAL_NUMBER, country="AU")
        shown = replace(api, chat, phone_number=OLIVIA_IN_AUSTRALIA, country_match="require").json()
        assert shown["virtual_numbers"] == [VIRTUAL_NUMBER, AUSTRALIAN_VIRTUAL_NUMBER]

    def test_one_can_be_named_for_the_new_person(self, api, platform):
        make_virtual_number()
        chat = make_chat(platform)
        make_virtual_number("+14155550101", state="reserved")
        shown = replace(api, chat, virtual_number={"named": "+14155550101"}).json()
        assert shown["virtual_numbers"] == [VIRTUAL_NUMBER, "+14155550101"]

    def test_two_who_had_the_same_place_are_not_given_its_number_for_each_other(self, api, platform):
        """A late text of either, meant for Sara, must not reach the other."""
        make_pool(1)
        chat = make_chat(platform)
        replace(api, chat)
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        refused = api.post("/chats", body(OMAR, ALICE))
        assert {code for code, _ in errors(refused)} == {"no_free_number"}

    def test_who_was_replaced_is_not_given_the_number_with_the_other_person_again(self, api, platform):
        """A late text of Sara is meant for Alice, who came after Omar."""
        make_pool(1)
        chat = make_chat(platform)
        replace(api, chat)
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        assert api.post("/chats", body(SARA, OMAR)).status_code == 409
        assert api.post("/chats", body(SARA, ALICE)).status_code == 201

    def test_reopening_is_for_the_two_who_were_there_last(self, api, platform):
        make_pool(1)
        chat = make_chat(platform)
        replace(api, chat, name="Alice")
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        shown = api.post(f"/chats/{chat.pk}/reopen").json()
        assert [one["name"] for one in shown["participants"]] == ["Sara", "Alice"]
        assert Participant.objects.filter(ended_at=None).count() == 2


@pytest.mark.parametrize(
    "given, error",
    [
        ({"phone_number": SARA}, ("same_person", "phone_number")),
        ({"phone_number": OMAR}, ("same_person", "phone_number")),
        ({"phone_number": VIRTUAL_NUMBER}, ("virtual_number", "phone_number")),
        ({"phone_number": "4155550125"}, ("not_international", "phone_number")),
        ({"name": "x" * 41}, ("max_length", "name")),
        ({"name": "call 415 555-0123"}, ("phone_number", "name")),
        ({"country_match": "maybe"}, ("invalid_choice", "country_match")),
        ({"virtual_number": {"named": "+14155550199"}}, ("unknown_virtual_number", "virtual_number.named")),
        ({"number": ALICE}, ("unknown_field", "number")),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(api, chat, given, error):
    response = replace(api, chat, **{"phone_number": ALICE, **given})
    assert (response.status_code, errors(response)) == (400, [error])
    assert Participant.objects.count() == 2
    assert not Message.objects.exists()


def test_in_an_ended_chat_nobody_is_replaced(api, chat):
    end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
    response = replace(api, chat)
    assert (response.status_code, errors(response)) == (409, [("chat_ended", None)])


def test_who_was_replaced_by_somebody_else_is_a_conflict(api, chat):
    omar = person(chat, 2)
    replace(api, chat)
    response = replace(api, chat, leaving=omar, phone_number=BOB)
    assert (response.status_code, errors(response)) == (409, [("already_replaced", None)])


def test_somebody_of_another_chat_is_not_found(api, platform, chat):
    make_pool(1)
    other = make_chat(platform, (ALICE, BOB))
    for participant_id in (uuid4(), other.participants.first().pk):
        response = api.post(f"/chats/{chat.pk}/participants/{participant_id}/replace", {"phone_number": ALICE})
        assert (response.status_code, errors(response)) == (404, [("not_found", None)])


def test_no_number_is_logged(api, chat, caplog):
    caplog.set_level("DEBUG")
    replace(api, chat, name="Alice")
    text(from_=OMAR[1:])
    for number in (SARA, OMAR, ALICE):
        assert number[1:] not in caplog.text
