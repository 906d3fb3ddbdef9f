"""Which virtual numbers a chat is given."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from chats.allocation import NoFreeNumber, Seeker, choose_virtual_numbers
from chats.services import end_chat
from proxy_project.encryption import digest_number
from tests.factories import (
    ALICE,
    AUSTRALIAN_VIRTUAL_NUMBER,
    BOB,
    CHARLIE,
    ELSA_IN_SWEDEN,
    JACK_IN_AUSTRALIA,
    OLIVIA_IN_AUSTRALIA,
    OMAR,
    SARA,
    make_chat,
    make_platform,
    make_pool,
    make_virtual_number,
)

NOW = timezone.now()


def numbers_of(chat):
    return [participant.virtual_number.number for participant in chat.participants.all()]


def start_and_end(platform, people, *, at):
    chat = make_chat(platform, people, now=at)
    end_chat(chat_id=chat.pk, reason="test", now=at)
    return chat


class TestThePairsOldNumber:
    def test_is_given_again(self, platform):
        make_pool(8)
        first = numbers_of(start_and_end(platform, (SARA, OMAR), at=NOW - timedelta(days=9)))
        for _ in range(3):
            assert numbers_of(start_and_end(platform, (OMAR, SARA), at=NOW)) == first

    def test_is_given_again_at_once_although_both_cool_down_from_it(self, platform):
        make_pool(1)
        start_and_end(platform, (SARA, OMAR), at=NOW)
        assert make_chat(platform, (SARA, OMAR), now=NOW)

    def test_is_given_to_each_as_they_had_it_whatever_their_order(self, platform):
        make_virtual_number("+14155550100")
        make_virtual_number(AUSTRALIAN_VIRTUAL_NUMBER, country="AU")
        start_and_end(platform, (SARA, OLIVIA_IN_AUSTRALIA), at=NOW)
        swapped = make_chat(platform, (OLIVIA_IN_AUSTRALIA, SARA), now=NOW)
        assert numbers_of(swapped) == [AUSTRALIAN_VIRTUAL_NUMBER, "+14155550100"]

    @pytest.mark.parametrize("change", [{"state": "draining"}, {"can_sms": False}])
    def test_is_not_given_when_it_takes_no_new_chats(self, platform, change):
        make_pool(2)
        chat = start_and_end(platform, (SARA, OMAR), at=NOW - timedelta(days=9))
        old = chat.participants.first().virtual_number
        type(old).objects.filter(pk=old.pk).update(**change)
        assert numbers_of(make_chat(platform, (SARA, OMAR))) != [old.number] * 2

    def test_is_not_given_when_it_is_another_platforms_by_now(self, platform, other_platform):
        make_pool(2)
        chat = start_and_end(platform, (SARA, OMAR), at=NOW - timedelta(days=9))
        old = chat.participants.first().virtual_number
        type(old).objects.filter(pk=old.pk).update(platform=other_platform)
        assert numbers_of(make_chat(platform, (SARA, OMAR))) != [old.number] * 2

    def test_is_not_given_while_either_holds_it_in_an_open_chat(self, platform):
        make_pool(2)
        chat = start_and_end(platform, (SARA, OMAR), at=NOW - timedelta(days=9))
        [old, _] = numbers_of(chat)
        while old not in numbers_of(make_chat(platform, (SARA, ALICE), now=NOW)):
            pass
        with_omar = numbers_of(make_chat(platform, (BOB, OMAR), now=NOW))
        assert with_omar[0] == with_omar[1]

    def test_is_not_given_while_either_cools_down_from_somebody_else_on_it(self, platform):
        make_pool(1)
        start_and_end(platform, (SARA, OMAR), at=NOW - timedelta(days=9))
        start_and_end(platform, (SARA, ALICE), at=NOW - timedelta(hours=1))
        with pytest.raises(NoFreeNumber) as caught:
            make_chat(platform, (SARA, OMAR), now=NOW)
        assert caught.value.people == (0,)

    def test_of_the_chat_before_is_given_when_the_last_one_is_taken(self, platform):
        make_pool(5)
        first = make_chat(platform, (SARA, OMAR))
        second = make_chat(platform, (SARA, OMAR))
        for chat in (first, second):
            end_chat(chat_id=chat.pk, reason="test", now=NOW)
        again = [numbers_of(make_chat(platform, (SARA, OMAR))) for _ in range(2)]
        assert again == [numbers_of(second), numbers_of(first)]


class TestCoolDown:
    def test_keeps_an_old_number_from_a_person_until_it_is_over(self, platform, settings):
        settings.COOL_DOWN_HOURS = 24
        make_pool(1)
        start_and_end(platform, (SARA, OMAR), at=NOW - timedelta(hours=24) + timedelta(seconds=1))
        with pytest.raises(NoFreeNumber) as caught:
            make_chat(platform, (SARA, ALICE), now=NOW)
        assert caught.value.people == (0,)
        assert make_chat(platform, (SARA, ALICE), now=NOW + timedelta(seconds=1))

    def test_keeps_it_from_nobody_else(self, platform):
        make_pool(1)
        start_and_end(platform, (SARA, OMAR), at=NOW)
        assert make_chat(platform, (ALICE, BOB), now=NOW)

    def test_counts_chats_of_every_platform(self, platform, other_platform):
        make_pool(1)
        start_and_end(platform, (SARA, OMAR), at=NOW)
        with pytest.raises(NoFreeNumber):
            make_chat(other_platform, (SARA, ALICE), now=NOW)


class TestPool:
    def test_a_number_serves_any_number_of_strangers(self, platform):
        make_pool(1)
        for n in range(5):
            make_chat(platform, (f"+1415555013{n}", f"+1415555014{n}"))

    def test_every_open_chat_of_a_person_is_on_another_number(self, platform):
        make_pool(5)
        chats = [make_chat(platform, (SARA, f"+1415555013{n}")) for n in range(5)]
        assert len({numbers_of(chat)[0] for chat in chats}) == 5

    def test_the_platforms_own_numbers_come_first_then_shared_ones(self, platform):
        make_pool(3)
        make_virtual_number("+14155550100", platform=platform)
        make_virtual_number(AUSTRALIAN_VIRTUAL_NUMBER, country="AU", platform=platform)
        given = [numbers_of(make_chat(platform, (SARA, f"+1415555013{n}"))) for n in range(3)]
        assert given[0] == ["+14155550100"] * 2
        assert given[1] == [AUSTRALIAN_VIRTUAL_NUMBER, "+14155550100"]
        assert given[2][0].startswith("+1202555")

    def test_another_platforms_numbers_are_never_given(self, platform):
        make_virtual_number(platform=make_platform("Other"))
        with pytest.raises(NoFreeNumber) as caught:
            make_chat(platform)
        assert caught.value.people == ()

    def test_chats_are_spread_over_it(self, platform):
        make_pool(4)
        people = [(f"+1415555013{n}", f"+1415555014{n}") for n in range(10)]
        people += [(f"+1415555015{n}", f"+1415555016{n}") for n in range(10)]
        given = Counter(numbers_of(make_chat(platform, pair))[0] for pair in people)
        assert len(given) >= 3

    def test_every_number_is_as_likely_as_any_other(self, platform):
        """Those of a large country too, and what one of them had before; 40 are more than six standard deviations."""
        make_pool(4)
        start_and_end(platform, (SARA, BOB), at=NOW - timedelta(days=9))
        for number, country in ((AUSTRALIAN_VIRTUAL_NUMBER, "AU"), ("+61491570157", "AU"), ("+447700900123", "GB")):
            make_virtual_number(number, country=country)
        sara, elsa = (Seeker(phone_digest=digest_number(person), country="SE") for person in (SARA, ELSA_IN_SWEDEN))
        given = Counter(
            choose_virtual_numbers(
                platform_id=platform.pk, first=sara, second=elsa, fresh=False, cool_down_hours=24, now=NOW
            ).first
            for _ in range(350)
        )
        assert len(given) == 7
        assert all(10 < times < 90 for times in given.values())


class TestCountry:
    def test_people_of_one_country_get_one_number_of_it(self, platform):
        make_pool(3)
        make_virtual_number(AUSTRALIAN_VIRTUAL_NUMBER, country="AU")
        chat = make_chat(platform, (OLIVIA_IN_AUSTRALIA, JACK_IN_AUSTRALIA))
        assert numbers_of(chat) == [AUSTRALIAN_VIRTUAL_NUMBER] * 2

    def test_people_of_two_countries_get_one_number_each(self, platform):
        make_virtual_number("+14155550100")
        make_virtual_number(AUSTRALIAN_VIRTUAL_NUMBER, country="AU")
        chat = make_chat(platform, (SARA, OLIVIA_IN_AUSTRALIA))
        assert numbers_of(chat) == ["+14155550100", AUSTRALIAN_VIRTUAL_NUMBER]

    def test_who_has_none_in_their_country_shares_the_others_number(self, platform):
        make_virtual_number("+14155550100")
        make_virtual_number(AUSTRALIAN_VIRTUAL_NUMBER, country="AU")
        chat = make_chat(platform, (ELSA_IN_SWEDEN, OLIVIA_IN_AUSTRALIA))
        assert numbers_of(chat) == [AUSTRALIAN_VIRTUAL_NUMBER] * 2

    def test_a_number_of_another_country_is_better_than_none(self, platform):
        make_virtual_number(AUSTRALIAN_VIRTUAL_NUMBER, country="AU")
        assert numbers_of(make_chat(platform, (SARA, OMAR))) == [AUSTRALIAN_VIRTUAL_NUMBER] * 2
        make_virtual_number("+883510000000094", country="")
        assert numbers_of(make_chat(platform, (SARA, ALICE)))[0] == "+883510000000094"


def test_each_gets_their_own_when_no_number_is_free_for_both(platform):
    first, second = make_pool(2)
    type(second).objects.update(state="draining")
    type(first).objects.filter(pk=first.pk).update(state="active")
    make_chat(platform, (SARA, ALICE))
    type(first).objects.filter(pk=first.pk).update(state="draining")
    type(second).objects.filter(pk=second.pk).update(state="active")
    make_chat(platform, (OMAR, CHARLIE))
    type(first).objects.update(state="active")
    assert numbers_of(make_chat(platform, (SARA, OMAR))) == [second.number, first.number]


def test_the_rows_of_other_people_are_not_read(platform):
    make_pool(3)
    for n in range(10):
        make_chat(platform, (f"+1415555013{n}", f"+1415555014{n}"))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT virtual_number_id, ended_at, chat_id FROM chats_participant WHERE phone_digest IN (%s, %s)",
            [b"1", b"2"],
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "participant_by_phone" in plan


@pytest.mark.parametrize("flag", ["missing_since", "unlinked_since"])
class TestANumberWithAProblemAtTheGateway:
    def test_is_given_only_when_there_is_no_other(self, platform, flag):
        make_virtual_number("+14155550100", platform=platform, **{flag: NOW})
        make_virtual_number(AUSTRALIAN_VIRTUAL_NUMBER, country="AU")
        assert numbers_of(make_chat(platform, (SARA, OMAR))) == [AUSTRALIAN_VIRTUAL_NUMBER] * 2
        assert numbers_of(make_chat(platform, (SARA, BOB)))[0] == "+14155550100"

    def test_is_not_given_again_to_the_pair_that_had_it(self, platform, flag):
        number = make_virtual_number("+14155550100")
        start_and_end(platform, (SARA, OMAR), at=NOW - timedelta(days=9))
        type(number).objects.update(**{flag: NOW})
        make_virtual_number("+14155550101")
        assert numbers_of(make_chat(platform, (SARA, OMAR))) == ["+14155550101"] * 2
