"""POST /chats/{id}/end, and chats that end by themselves."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from chats.models import Chat, Participant
from chats.services import end_chat, end_expired_chats
from tests.chats.helpers import at_once, errors
from tests.factories import ALICE, BOB, OMAR, SARA, make_chat, make_platform, make_pool

NOW = timezone.now()


def test_the_chat_and_both_sides_end_at_the_same_moment(api, platform, virtual_number):
    chat = make_chat(platform)
    response = api.post(f"/chats/{chat.pk}/end", {"reason": "trip finished"})
    assert response.status_code == 200
    shown = response.json()
    assert (shown["status"], shown["end_reason"]) == ("ended", "trip finished")
    row = Chat.objects.get()
    assert row.ended_at
    assert shown["ended_at"] == row.ended_at.isoformat().replace("+00:00", "Z")
    assert set(Participant.objects.values_list("ended_at", flat=True)) == {row.ended_at}


@pytest.mark.parametrize("given", [None, {}, {"reason": None}])
def test_a_reason_is_not_needed(api, platform, virtual_number, given):
    response = api.post(f"/chats/{make_chat(platform).pk}/end", given)
    assert response.status_code == 200
    assert response.json()["end_reason"] == "ended by the platform"


def test_ending_again_changes_nothing(api, platform, virtual_number):
    chat = make_chat(platform)
    first = api.post(f"/chats/{chat.pk}/end", {"reason": "one"})
    again = api.post(f"/chats/{chat.pk}/end", {"reason": "two"})
    assert again.status_code == 200
    assert again.json() == first.json()


@pytest.mark.parametrize(
    "given, error",
    [
        ({"reason": "x" * 101}, ("max_length", "reason")),
        ({"reason": "a\nb"}, ("not_one_line", "reason")),
        ({"reason": ""}, ("blank", "reason")),
        ({"because": "x"}, ("unknown_field", "because")),
    ],
)
def test_a_reason_that_cannot_be_kept_is_refused(api, platform, virtual_number, given, error):
    chat = make_chat(platform)
    response = api.post(f"/chats/{chat.pk}/end", given)
    assert response.status_code == 400
    assert errors(response) == [error]
    assert Chat.objects.get().status == "open"


def test_another_platforms_chat_is_not_found_and_goes_on(other_api, platform, virtual_number):
    response = other_api.post(f"/chats/{make_chat(platform).pk}/end")
    assert response.status_code == 404
    assert errors(response) == [("not_found", None)]
    assert Chat.objects.get().status == "open"


def test_a_chat_that_does_not_exist_is_not_found(api):
    assert api.post(f"/chats/{uuid4()}/end").status_code == 404
    with pytest.raises(Chat.DoesNotExist):
        end_chat(chat_id=uuid4(), reason="test", now=NOW)


def test_chats_end_when_their_time_is_over(platform):
    make_pool(3)
    due = make_chat(platform, (SARA, OMAR), expires_at=NOW, now=NOW - timedelta(hours=1))
    later = make_chat(platform, (SARA, ALICE), expires_at=NOW + timedelta(seconds=1), now=NOW)
    never = make_chat(platform, (SARA, BOB))
    assert end_expired_chats(now=NOW) == 1
    assert end_expired_chats(now=NOW) == 0
    statuses = {chat.pk: (chat.status, chat.end_reason, chat.ended_at) for chat in Chat.objects.all()}
    assert statuses == {
        due.pk: ("ended", "expired", NOW),
        later.pk: ("open", "", None),
        never.pk: ("open", "", None),
    }
    assert Participant.objects.filter(ended_at=NOW).count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_workers_share_the_chats_that_are_over():
    platform = make_platform()
    make_pool(1)
    for n in range(10):
        make_chat(platform, (f"+1415555013{n}", f"+1415555014{n}"), expires_at=NOW, now=NOW - timedelta(hours=1))
    done = at_once([lambda: end_expired_chats(now=NOW, limit=5)] * 2)
    while sum(done) < 10:
        done.append(end_expired_chats(now=NOW, limit=5))
        assert done[-1] > 0
    assert sum(done) == 10
    assert not Chat.objects.filter(status="open").exists()
