"""What platforms are told before it is too late: chats that will end, numbers that run out or have a problem."""

import json
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from chats.models import Chat, Participant, VirtualNumber
from chats.number_sync import sync_virtual_numbers
from chats.pool import look_at_pools
from chats.services import NumberChoice, end_chat, tell_of_ends, tell_of_shortages
from messaging.gateways import OwnedNumber
from platforms.models import Event, Platform
from tests.chats.helpers import at_once, body
from tests.factories import (
    ALICE,
    BOB,
    CHARLIE,
    OMAR,
    SARA,
    VIRTUAL_NUMBER,
    make_chat,
    make_platform,
    make_pool,
    make_virtual_number,
)

# Later than any of these tests ends: what is told is given its time.
NOW = timezone.now() + timedelta(hours=6)
MINUTE = timedelta(minutes=1)


def people_told():
    """Return the phone numbers of those whom each event names."""
    named = [json.loads(event.payload)["participants"] for event in told("number.running_out")]
    return [[Participant.objects.get(pk=pk).phone_number for pk in each] for each in named]


def look():
    look_at_pools(now=timezone.now())
    return tell_of_shortages(now=timezone.now())


def told(type):
    return list(Event.objects.filter(type=type).order_by("position"))


@pytest.fixture
def platform(db):
    return make_platform(records_events=True)


@pytest.mark.django_db
class TestEndsThatAreNear:
    def make(self, platform, minutes, people=(SARA, OMAR), **fields):
        return make_chat(platform, people, expires_at=NOW + minutes * MINUTE, **fields)

    def test_each_is_told_once_fifteen_minutes_before(self, platform, virtual_number):
        chat = self.make(platform, 60)
        assert tell_of_ends(now=NOW + 44 * MINUTE) == 0
        assert tell_of_ends(now=NOW + 45 * MINUTE) == 1
        assert tell_of_ends(now=NOW + 45 * MINUTE) == 0
        [event] = told("chat.expiring")
        assert event.chat_id == chat.pk and '"status": "open"' in event.payload

    def test_a_deadline_that_is_moved_is_told_again(self, api, platform, virtual_number):
        chat = self.make(platform, 60)
        tell_of_ends(now=NOW + 50 * MINUTE)
        later = (NOW + 120 * MINUTE).isoformat()
        assert api.patch(f"/chats/{chat.pk}", {"expires_at": later}).status_code == 200
        assert tell_of_ends(now=NOW + 50 * MINUTE) == 0
        assert tell_of_ends(now=NOW + 110 * MINUTE) == 1
        # What leaves the deadline alone tells nothing anew.
        api.patch(f"/chats/{chat.pk}", {"metadata": {"a": 1}})
        assert tell_of_ends(now=NOW + 111 * MINUTE) == 0

    @pytest.mark.parametrize("minutes, at, expected", [(0, 59, 0), (1, 58, 0), (1, 59, 1), (1440, 0, 1)])
    def test_a_platform_says_how_long_before(self, platform, virtual_number, minutes, at, expected):
        Platform.objects.update(expiring_minutes=minutes)
        self.make(platform, 60)
        assert tell_of_ends(now=NOW + at * MINUTE) == expected

    def test_nothing_is_told_of_what_has_ended_or_is_over_or_has_no_end(self, platform):
        make_pool(5)
        over = self.make(platform, 5)
        ended = self.make(platform, 60, (ALICE, BOB))
        end_chat(chat_id=ended.pk, reason="over", now=NOW)
        make_chat(platform, (ALICE, CHARLIE))
        self.make(platform, 60, (BOB, CHARLIE), starts_at=NOW + 58 * MINUTE)
        assert tell_of_ends(now=over.expires_at) == 0
        assert tell_of_ends(now=NOW + 59 * MINUTE) == 0

    def test_who_records_no_events_is_told_when_it_does(self, platform, virtual_number):
        Platform.objects.update(records_events=False)
        self.make(platform, 60)
        assert tell_of_ends(now=NOW + 50 * MINUTE) == 0
        Platform.objects.update(records_events=True)
        assert tell_of_ends(now=NOW + 50 * MINUTE) == 1

    def test_what_cannot_be_told_at_once_is_told_the_next_time(self, platform, virtual_number):
        for people in ((SARA, OMAR), (ALICE, BOB)):
            self.make(platform, 10, people)
        assert [tell_of_ends(now=NOW, limit=1) for _ in range(3)] == [1, 1, 0]


@pytest.mark.django_db(transaction=True)
def test_several_workers_tell_of_an_end_once():
    platform = make_platform(records_events=True)
    make_virtual_number()
    make_chat(platform, expires_at=NOW + 10 * MINUTE)
    assert sum(at_once([partial(tell_of_ends, now=NOW)] * 6)) == 1
    assert len(told("chat.expiring")) == 1
    assert Chat.objects.get().told_of_end_at == NOW + 10 * MINUTE


@pytest.mark.django_db
class TestNumbersThatRunOut:
    @pytest.fixture(autouse=True)
    def warn_below_two(self, settings):
        settings.WARN_BELOW_FREE_NUMBERS = 2

    def test_the_platform_is_told_with_the_chat_that_took_the_number(self, api, platform):
        make_pool(3)
        assert api.post("/chats", body(SARA, OMAR)).status_code == 201
        assert told("number.running_out") == []
        chat_id = api.post("/chats", body(SARA, ALICE)).json()["id"]
        [event] = told("number.running_out")
        assert str(event.chat_id) == chat_id
        assert event.payload.startswith('{"chat": {"id": ') and event.payload.endswith(
            '"active_numbers": 3, "chats_left": 1}'
        )

    def test_each_person_once_a_day_by_their_participant(self, platform):
        make_pool(3)
        for person in (OMAR, ALICE, BOB):
            make_chat(platform, (SARA, person))
        assert people_told() == [[SARA]]
        make_chat(platform, (OMAR, ALICE))
        assert people_told()[1:] == [[OMAR, ALICE]]
        Participant.objects.update(running_out_at=timezone.now() - timedelta(days=1, seconds=1))
        make_chat(platform, (OMAR, BOB))
        assert people_told()[2:] == [[OMAR, BOB]]

    def test_who_needs_a_number_of_their_country_has_those_left_only(self, api, platform):
        for country, number in (("MX", "+14155550111"), ("US", "+14155550112"), ("US", "+14155550113")):
            make_virtual_number(number, country=country)
        make_virtual_number("+14155550114", country="US", missing_since=timezone.now())
        make_chat(platform, (SARA, OMAR))
        assert people_told() == []
        asked = body(ALICE, BOB)
        asked["participants"][0]["country_match"] = "require"
        assert api.post("/chats", asked).status_code == 201
        assert people_told() == [[ALICE]]
        assert told("number.running_out")[0].payload.endswith('"active_numbers": 3, "chats_left": 1}')

    @pytest.mark.parametrize(
        "out_of_use", [{"state": "draining"}, {"state": "retired"}, {"missing_since": NOW}, {"unlinked_since": NOW}]
    )
    def test_the_busiest_person_is_told_of_when_numbers_go_out_of_use(self, platform, out_of_use):
        numbers = make_pool(4)
        for person in (OMAR, ALICE):
            make_chat(platform, (SARA, person), choice=NumberChoice(named=str(numbers.pop(0).pk)))
        assert look() == 0
        VirtualNumber.objects.filter(pk=numbers[0].pk).update(**out_of_use)
        assert [look(), look()] == [1, 0]
        assert people_told() == [[SARA]]
        [event] = told("number.running_out")
        assert event.payload.endswith('"active_numbers": 3, "chats_left": 1}')

    def test_somebody_who_keeps_a_number_is_left_as_many_as_before(self, api, platform):
        make_pool(3)
        chat = make_chat(platform, (SARA, OMAR))
        omar = chat.participants.get(position=2)
        answer = api.post(f"/chats/{chat.pk}/participants/{omar.pk}/replace", {"phone_number": ALICE})
        assert answer.status_code == 200, answer.json()
        assert people_told() == []

    def test_a_chat_that_cannot_be_leaves_nothing_told(self, api, platform):
        assert api.post("/chats", body(SARA, OMAR)).status_code == 409
        assert told("number.running_out") == [] and Platform.objects.get().running_out_at is None

    def test_the_metric_says_when_whoever_is_told(self, client, platform, other_platform, settings):
        settings.METRICS_TOKEN = "token"
        make_pool(1)
        Platform.objects.update(records_events=False)
        make_chat(platform)
        page = client.get("/metrics", headers={"Authorization": "Bearer token"}).content.decode()
        name = "texting_virtual_numbers_running_out_timestamp_seconds"
        [line] = [line for line in page.splitlines() if line.startswith(f"{name}{{")]
        assert line.startswith(f'{name}{{platform="{platform.pk}"}} 1')
        assert told("number.running_out") == []


@pytest.mark.django_db(transaction=True)
def test_chats_that_start_at_once_tell_of_each_person_once(settings):
    settings.WARN_BELOW_FREE_NUMBERS = 9
    platform = make_platform(records_events=True)
    make_pool(6)
    pairs = [(SARA, OMAR), (ALICE, BOB), (SARA, ALICE), (OMAR, BOB), (SARA, BOB), (OMAR, ALICE)]
    at_once([partial(make_chat, platform, pair) for pair in pairs])
    assert Chat.objects.count() == 6
    assert sorted(person for people in people_told() for person in people) == sorted([SARA, OMAR, ALICE, BOB])


class Account:
    """What the account at the gateway says it owns."""

    def __init__(self, *numbers):
        self.numbers = numbers

    def list_numbers(self):
        return self.numbers


def owned(number=VIRTUAL_NUMBER, application_id=""):
    return OwnedNumber(number=number, country="US", can_sms=True, can_mms=False, application_id=application_id)


@pytest.mark.django_db
class TestNumbersWithAProblem:
    @pytest.mark.parametrize(
        "numbers, code", [([owned("+14155550109")], "missing"), ([owned()], "not_linked")], ids=["missing", "unlinked"]
    )
    def test_the_platform_that_owns_it_is_told_once(self, platform, numbers, code):
        make_virtual_number(platform=platform)
        for _ in range(2):
            sync_virtual_numbers(account=Account(*numbers), now=timezone.now())
        [event] = told("number.problem")
        assert event.platform_id == platform.pk
        assert f'"virtual_number": "{VIRTUAL_NUMBER}", "code": "{code}"' in event.payload

    def test_nobody_is_told_of_a_number_that_all_share(self, platform, virtual_number):
        sync_virtual_numbers(account=Account(owned()), now=timezone.now())
        assert told("number.problem") == []

    def test_a_problem_that_comes_back_is_told_again(self, platform, settings):
        make_virtual_number(platform=platform)
        for application_id in ("", settings.VONAGE_APPLICATION_ID, ""):
            sync_virtual_numbers(account=Account(owned(application_id=application_id)), now=timezone.now())
        assert len(told("number.problem")) == 2
