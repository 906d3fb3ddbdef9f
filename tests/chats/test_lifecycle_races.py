"""Texts that arrive while a chat ends, is reopened, or somebody in it is replaced; and such calls at once."""

from collections import Counter
from datetime import timedelta
from functools import partial
from threading import Event, Thread

import pytest
from django.db import connections, transaction
from django.test import Client
from django.utils import timezone

from chats.models import Chat, Participant, VirtualNumber
from chats.services import (
    VirtualNumberInUse,
    change_number_state,
    end_chat,
    end_expired_chats,
    replace_participant,
    start_due_chats,
)
from messaging import relay, wording
from messaging.claims import claim_texts
from messaging.gateways import SendError
from messaging.models import Message
from messaging.results import Result, record_results
from tests.chats.helpers import at_once, body, errors
from tests.factories import (
    ALICE,
    BOB,
    CHARLIE,
    OMAR,
    SARA,
    make_api_client,
    make_chat,
    make_person,
    make_platform,
    make_pool,
    make_virtual_number,
)
from tests.messaging.payloads import sms
from tests.messaging.rows import Kind, Status, forget_introductions, read_answers, read_inbound, read_outbound
from tests.messaging.signing import INBOUND, signed_post

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()


@pytest.fixture
def platform():
    return make_platform()


@pytest.fixture
def api(platform):
    return make_api_client(platform)


@pytest.fixture
def chat(platform):
    make_virtual_number(messages_per_second=10_000)
    chat = make_chat(platform)
    forget_introductions()
    return chat


def text(**fields):
    response = signed_post(Client(), INBOUND, sms(**fields))
    assert response.status_code == 200


def replace(chat, leaving, phone_number=ALICE, name="Alice"):
    return replace_participant(
        chat_id=chat.pk,
        participant_id=leaving.pk,
        phone_number=make_person(phone_number).phone_number,
        name=name,
        now=timezone.now(),
    )


def before_the_relay_is_stored(monkeypatch, happens):
    """Let `happens` take place, once, after the lookup of a text and before its relay is stored."""
    find, todo = relay.find_match, [happens]

    def find_then(**numbers):
        match = find(**numbers)
        if todo:
            todo.pop()()
        return match

    monkeypatch.setattr(relay, "find_match", find_then)


class TestBetweenTheLookupAndTheRelay:
    """The moment that matters, held still."""

    def test_an_end_makes_the_text_late_and_it_is_answered_once(self, chat, monkeypatch):
        before_the_relay_is_stored(
            monkeypatch, partial(end_chat, chat_id=chat.pk, reason="over", now=timezone.now(), closing_text="Bye.")
        )
        text()
        assert [row.status for row in read_inbound()] == [Status.LATE]
        assert [row.body for row in read_outbound()] == ["Bye.", "Bye.", wording.CHAT_HAS_ENDED]

    def test_an_expiry_does(self, chat, monkeypatch):
        def expire():
            Chat.objects.filter(pk=chat.pk).update(expires_at=timezone.now())
            assert end_expired_chats(now=timezone.now()) == 1

        before_the_relay_is_stored(monkeypatch, expire)
        text()
        assert [row.status for row in read_inbound()] == [Status.LATE]
        assert read_outbound(Kind.RELAY) == []

    def test_a_text_to_somebody_who_is_replaced_reaches_the_new_person_only(self, chat, monkeypatch):
        omar = chat.participants.get(position=2)
        before_the_relay_is_stored(monkeypatch, partial(replace, chat, omar))
        text(text="where are you?")
        [relayed] = read_outbound(Kind.RELAY)
        assert relayed.participant.phone_number == ALICE
        assert [row.status for row in read_inbound()] == [Status.RELAYED]

    def test_a_text_of_somebody_who_is_replaced_is_answered_and_not_passed_on(self, chat, monkeypatch):
        omar = chat.participants.get(position=2)
        before_the_relay_is_stored(monkeypatch, partial(replace, chat, omar))
        text(from_=OMAR[1:])
        assert [row.status for row in read_inbound()] == [Status.LATE]
        assert read_answers() == [(omar.pk, wording.NO_LONGER_IN_CHAT)]
        assert read_outbound(Kind.RELAY) == []

    def test_an_end_and_a_reopening_change_nothing_for_the_text(self, chat, api, monkeypatch):
        def end_and_reopen():
            assert api.post(f"/chats/{chat.pk}/end").status_code == 200
            assert api.post(f"/chats/{chat.pk}/reopen").status_code == 200

        before_the_relay_is_stored(monkeypatch, end_and_reopen)
        text()
        assert len(read_outbound(Kind.RELAY)) == 1

    def test_a_chat_that_puts_its_end_off_is_held_as_well(self, chat, monkeypatch):
        soon = timezone.now() + timedelta(seconds=5)
        Chat.objects.update(idle_timeout_seconds=600, idle_ends_at=soon)
        before_the_relay_is_stored(monkeypatch, partial(end_chat, chat_id=chat.pk, reason="x", now=timezone.now()))
        text()
        assert [row.status for row in read_inbound()] == [Status.LATE]
        assert Chat.objects.get().idle_ends_at == soon


@pytest.mark.parametrize("is_idle", [False, True])
def test_a_relay_that_is_being_stored_is_stored_before_the_chat_ends(chat, is_idle):
    """Whoever ends the chat waits for it, and then finds everything there."""
    if is_idle:
        Chat.objects.update(idle_timeout_seconds=600, idle_ends_at=timezone.now() + timedelta(seconds=5))
    ended = Event()

    def end():
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now(), closing_text="Bye.")
        ended.set()
        connections.close_all()

    with transaction.atomic():
        text()
        thread = Thread(target=end)
        thread.start()
        assert not ended.wait(0.3)
    thread.join(10)
    assert [row.kind for row in read_outbound()] == [Kind.RELAY, Kind.CLOSING, Kind.CLOSING]


@pytest.mark.parametrize("idle_timeout", [None, 60])
def test_texts_and_an_end_at_once_are_each_relayed_or_answered(platform, idle_timeout):
    make_pool(1, messages_per_second=10_000)
    for round_ in range(5):
        chat = make_chat(platform, idle_timeout_seconds=idle_timeout)
        Chat.objects.filter(pk=chat.pk, idle_timeout_seconds__isnull=False).update(
            idle_ends_at=timezone.now() + timedelta(seconds=5)
        )
        number = chat.participants.first().virtual_number.number[1:]
        texts = [
            partial(text, from_=who[1:], to=number, text=f"{round_} {n}") for n in range(3) for who in (SARA, OMAR)
        ]
        at_once([*texts, partial(end_chat, chat_id=chat.pk, reason="over", now=timezone.now(), closing_text="Bye.")])
        rows = Message.objects.filter(chat=chat)
        decided = Counter(rows.filter(direction="in").values_list("status", flat=True))
        assert sum(decided.values()) == 6 and set(decided) <= {"relayed", "late"}
        assert rows.filter(kind="relay").count() == decided["relayed"]
        # The closing text is the last thing that is said, but for the answers.
        closing = rows.filter(kind="closing").order_by("position").first()
        assert not rows.filter(kind="relay", position__gt=closing.position).exists()


def test_texts_and_a_replacement_at_once_never_reach_or_leave_the_old_phone(platform):
    make_pool(12, messages_per_second=10_000)
    for round_ in range(5):
        chat = make_chat(platform)
        omar = chat.participants.get(position=2)
        number = omar.virtual_number.number[1:]
        texts = [
            partial(text, from_=who[1:], to=number, text=f"{round_} {n}") for n in range(3) for who in (SARA, OMAR)
        ]
        at_once([*texts, partial(replace, chat, omar)])
        rows = Message.objects.filter(chat=chat)
        assert rows.filter(direction="in", status__in=("relayed", "late")).count() == 6
        # What was queued for the old phone before is withdrawn; nothing was queued for it since, but the answer.
        to_omar = rows.filter(direction="out", participant=omar)
        assert set(to_omar.exclude(kind="auto_reply").values_list("status", flat=True)) <= {"failed"}
        # Nothing of the old phone is passed on after the announcement.
        [announcement] = rows.filter(kind="announcement")
        assert not rows.filter(relays__participant=omar, position__gt=announcement.position).exists()
        end_chat(chat_id=chat.pk, reason="next round", now=timezone.now())


def test_many_texts_of_an_idle_chat_at_once_do_not_deadlock_and_put_its_end_off_once(chat):
    Chat.objects.update(idle_timeout_seconds=600, idle_ends_at=timezone.now() + timedelta(seconds=5))
    at_once([partial(text, from_=who[1:], text=str(n)) for n in range(4) for who in (SARA, OMAR)])
    assert len(read_outbound(Kind.RELAY)) == 8
    assert Chat.objects.get().idle_ends_at > timezone.now() + timedelta(seconds=595)


class TestQueuedForTheOldPhone:
    def test_what_waits_is_withdrawn_and_its_writer_told(self, chat):
        text(text="one")
        text(text="two")
        sara, omar = chat.participants.all()
        replace(chat, omar)
        relays = read_outbound(Kind.RELAY)
        assert [(row.status, row.error_code) for row in relays] == [(Status.FAILED, "recipient_replaced")] * 2
        assert read_answers() == [(sara.pk, wording.NOT_DELIVERED)]
        assert all(claim.decrypt_text().to_number != OMAR for claim in claim_texts(limit=10))

    def test_what_a_sender_gives_back_is_not_sent_again(self, chat):
        text(text="one")
        omar = chat.participants.get(position=2)
        [claim] = claim_texts(limit=10)
        replace(chat, omar)
        # The carrier said: try again.
        Message.objects.filter(pk=claim.id).update(status="queued", due_at=NOW)
        refused = [each for each in claim_texts(limit=10) if each.id == claim.id]
        assert [each.obstacle.what for each in refused] == ["replaced"]
        with pytest.raises(SendError) as caught:
            refused[0].decrypt_text()
        record_results([Result(refused[0], error=caught.value)])
        assert Message.objects.get(pk=claim.id).status == Status.FAILED

    def test_a_text_that_is_on_the_wire_is_recorded_as_it_went(self, chat):
        text(text="one")
        [claim] = claim_texts(limit=10)
        replace(chat, chat.participants.get(position=2))
        record_results([Result(claim, gateway_id="accepted")])
        assert Message.objects.get(pk=claim.id).status == Status.SENT

    def test_the_answer_to_the_old_phone_is_sent(self, chat):
        omar = chat.participants.get(position=2)
        replace(chat, omar)
        text(from_=OMAR[1:])
        bodies = {claim.decrypt_text().to_number: claim.decrypt_text().body for claim in claim_texts(limit=10)}
        assert bodies[OMAR] == wording.NO_LONGER_IN_CHAT


def test_the_same_replacement_at_once_is_one(api, platform):
    make_pool(2)
    chat = make_chat(platform)
    omar = chat.participants.get(position=2)
    path = f"/chats/{chat.pk}/participants/{omar.pk}/replace"
    responses = at_once([partial(api.post, path, {"phone_number": ALICE, "name": "Alice"})] * 5)
    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["participants"][1]["id"] for response in responses}) == 1
    assert Message.objects.filter(kind="announcement").count() == 1


def test_two_replacements_of_one_person_at_once_are_one_and_one_conflict(api, platform):
    make_pool(2)
    chat = make_chat(platform)
    path = f"/chats/{chat.pk}/participants/{chat.participants.get(position=2).pk}/replace"
    responses = at_once([partial(api.post, path, {"phone_number": number}) for number in (ALICE, BOB)])
    assert sorted(response.status_code for response in responses) == [200, 409]
    assert Participant.objects.filter(chat=chat, ended_at=None).count() == 2


def test_both_people_replaced_at_once_by_the_same_person_leaves_two_different_people(api, platform):
    make_pool(2)
    chat = make_chat(platform)
    paths = [f"/chats/{chat.pk}/participants/{person.pk}/replace" for person in chat.participants.all()]
    responses = at_once([partial(api.post, path, {"phone_number": ALICE}) for path in paths])
    assert sorted(response.status_code for response in responses) == [200, 400]


def test_a_reopening_and_a_new_chat_of_a_person_on_its_number_at_once_are_one(api, platform, settings):
    settings.COOL_DOWN_HOURS = 0
    make_pool(1)
    for _ in range(5):
        chat = make_chat(platform)
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now() - timedelta(hours=1))
        reopened, started = at_once(
            [partial(api.post, f"/chats/{chat.pk}/reopen"), partial(api.post, "/chats", body(SARA, BOB))]
        )
        assert {reopened.status_code, started.status_code} in ({200, 409}, {409, 201})
        assert Chat.objects.filter(status="open").count() == 1
        for each in Chat.objects.filter(status="open"):
            end_chat(chat_id=each.pk, reason="x", now=timezone.now() - timedelta(hours=1))


def test_a_chat_reopened_by_many_at_once_is_open_once(api, platform):
    make_pool(1)
    chat = make_chat(platform)
    end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
    responses = at_once([partial(api.post, f"/chats/{chat.pk}/reopen")] * 5)
    assert {response.status_code for response in responses} == {200}
    chat.refresh_from_db()
    assert (chat.status, chat.revision) == ("open", 1)


def test_an_end_with_a_closing_text_by_many_at_once_closes_once(api, chat):
    at_once([partial(api.post, f"/chats/{chat.pk}/end", {"closing_text": "Bye."})] * 5)
    assert [row.body for row in read_outbound()] == ["Bye.", "Bye."]


def test_two_workers_start_each_chat_once(platform):
    make_pool(1)
    start = timezone.now() + timedelta(hours=1)
    for n in range(10):
        make_chat(platform, (f"+1415555013{n}", f"+1415555014{n}"), starts_at=start)
    done = at_once([partial(start_due_chats, now=start, limit=5)] * 3)
    while started := start_due_chats(now=start, limit=5):
        done.append(started)
    assert sum(done) == 10
    assert not Chat.objects.exclude(status="open").exists()
    assert len(read_outbound(Kind.INTRODUCTION)) == 20


def test_a_start_and_a_call_off_at_once_are_one_of_the_two(api, platform):
    make_pool(1)
    start = timezone.now() + timedelta(hours=1)
    for _ in range(5):
        Message.objects.all().delete()
        chat = make_chat(platform, starts_at=start)
        at_once(
            [partial(start_due_chats, now=start), partial(api.post, f"/chats/{chat.pk}/end", {"closing_text": "x"})]
        )
        start_due_chats(now=start)
        chat.refresh_from_db()
        assert chat.status == "ended"
        kinds = Counter(Message.objects.values_list("kind", flat=True))
        assert kinds in ({}, {"introduction": 2, "closing": 2})


def test_a_number_that_is_retired_while_chats_start_on_it_has_none_in_the_end(platform):
    api = make_api_client(platform)
    for n in range(6):
        number = make_virtual_number(f"+1202555{300 + n:04}")

        def retire(number=number):
            try:
                return change_number_state(number_id=number.pk, state=VirtualNumber.State.RETIRED).state
            except VirtualNumberInUse:
                return "in use"

        people = [(f"+1415555013{n}", f"+1415555014{n}"), (f"+1415555015{n}", f"+1415555016{n}")]
        retired, *started = at_once([retire, *(partial(api.post, "/chats", body(*pair)) for pair in people)])
        open_chats = Participant.objects.filter(virtual_number=number, ended_at=None).count() // 2
        assert (retired == "retired") == (open_chats == 0)
        assert [response.status_code for response in started].count(201) == open_chats
        for response in started:
            if response.status_code == 409:
                assert errors(response) == [("no_free_number", None)]
        VirtualNumber.objects.filter(pk=number.pk).update(state="draining")


def test_a_person_is_scheduled_and_started_at_once_on_different_numbers(api):
    make_pool(2)
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    responses = at_once(
        [
            partial(api.post, "/chats", body(SARA, OMAR, starts_at=later)),
            partial(api.post, "/chats", body(SARA, CHARLIE)),
        ]
    )
    one, two = (response.json()["virtual_numbers"] for response in responses)
    assert one != two
