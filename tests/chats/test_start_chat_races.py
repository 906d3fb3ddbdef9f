"""Requests that arrive at the same moment."""

from collections import Counter
from functools import partial

import pytest

from chats.models import Chat, Participant
from chats.services import end_chat
from messaging.models import Message
from tests.chats.helpers import at_once, body, errors
from tests.factories import (
    OMAR,
    SARA,
    make_api_client,
    make_chat,
    make_platform,
    make_pool,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api():
    return make_api_client(make_platform())


def post(api, asked):
    return lambda: api.post("/chats", asked)


def end(api, chat_id, reason="test"):
    return lambda: api.post(f"/chats/{chat_id}/end", {"reason": reason})


def test_the_same_pair_at_once_gets_two_chats_on_different_numbers(api):
    make_pool(2)
    responses = at_once([post(api, body()), post(api, body(OMAR, SARA))])
    assert [response.status_code for response in responses] == [201, 201]
    one, two = (response.json()["virtual_numbers"] for response in responses)
    assert len(one) == len(two) == 1
    assert one != two


def test_the_same_pair_at_once_on_one_number_is_one_chat_and_one_conflict(api):
    make_pool(1)
    responses = at_once([post(api, body()), post(api, body(OMAR, SARA))])
    assert sorted(response.status_code for response in responses) == [201, 409]
    [refused] = (response for response in responses if response.status_code == 409)
    assert {code for code, _ in errors(refused)} == {"no_free_number"}
    assert Chat.objects.count() == 1


def test_the_same_request_many_times_at_once_is_one_chat_and_texts_each_person_once(api):
    make_pool(10)
    responses = at_once([post(api, body(reference="r"))] * 6)
    assert Counter(response.status_code for response in responses) == {201: 1, 200: 5}
    assert len({response.json()["id"] for response in responses}) == 1
    assert Message.objects.count() == 2


def test_the_same_reference_at_once_for_other_people_is_one_chat(api):
    make_pool(10)
    asked = [body(f"+1415555013{n}", f"+1415555014{n}", reference="r") for n in range(6)]
    responses = at_once([post(api, each) for each in asked])
    assert Counter(response.status_code for response in responses) == {201: 1, 409: 5}
    assert Chat.objects.count() == 1


def test_a_person_wanted_by_more_people_than_there_are_numbers_gets_exactly_all_numbers(api):
    numbers = make_pool(5)
    responses = at_once([post(api, body(SARA, f"+1415555013{n}")) for n in range(9)])
    assert Counter(response.status_code for response in responses) == {201: 5, 409: 4}
    refused = [errors(response) for response in responses if response.status_code == 409]
    assert refused == [[("no_free_number", "participants.0.phone_number")]] * 4
    used = Participant.objects.order_by().values_list("virtual_number", flat=True).distinct()
    assert set(used) == {number.pk for number in numbers}


def test_people_who_share_nobody_do_not_wait_or_fail(api):
    make_pool(1)
    responses = at_once([post(api, body(f"+1415555013{n}", f"+1415555014{n}")) for n in range(8)])
    assert {response.status_code for response in responses} == {201}


def test_a_number_taken_by_somebody_who_took_no_lock_leads_to_another_try(api, monkeypatch):
    make_pool(2)
    # Without the locks the constraint alone decides.
    monkeypatch.setattr("chats.services.starting.lock_people", lambda *digests: None)
    responses = at_once([post(api, body(SARA, f"+1415555013{n}")) for n in range(6)])
    assert Counter(response.status_code for response in responses) == {201: 2, 409: 4}


def test_ending_and_starting_at_once_never_leaves_a_person_with_two_chats_on_a_number(api, settings):
    settings.COOL_DOWN_HOURS = 0
    make_pool(1)
    for _ in range(5):
        chat_id = api.post("/chats", body()).json()["id"]
        ended, started = at_once([end(api, chat_id), post(api, body(SARA, "+14155550130"))])
        assert ended.status_code == 200
        assert started.status_code in (201, 409)
        assert Chat.objects.filter(status="open").count() == (1 if started.status_code == 201 else 0)
        for chat in Chat.objects.filter(status="open"):
            end_chat(chat_id=chat.pk, reason="test", now=chat.created_at)


def test_a_chat_ended_by_many_at_once_ended_once(api):
    make_pool(1)
    chat_id = api.post("/chats", body()).json()["id"]
    calls = [end(api, chat_id, f"reason {n}") for n in range(5)]
    shown = [response.json() for response in at_once(calls)]
    assert len({(chat["end_reason"], chat["ended_at"]) for chat in shown}) == 1


def test_chats_in_opposite_order_do_not_deadlock():
    make_pool(20)
    platform = make_platform("Direct")
    orders = [(SARA, OMAR), (OMAR, SARA)] * 5
    chats = at_once([partial(make_chat, platform, order) for order in orders])
    assert len({chat.participants.all()[0].virtual_number_id for chat in chats}) == 10
