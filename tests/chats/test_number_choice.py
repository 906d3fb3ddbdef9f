"""What a platform can ask of the virtual numbers of a chat, its cool-down, and GET /virtual-numbers."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chats import pool
from chats.models import Chat, Participant, VirtualNumber
from chats.services import NumberChoice, VirtualNumberInUse, change_number_state, end_chat
from platforms.models import Platform
from proxy_project.encryption import digest_number
from tests.chats.helpers import body, errors
from tests.factories import (
    ALICE,
    AUSTRALIAN_VIRTUAL_NUMBER,
    BOB,
    CHARLIE,
    ELSA_IN_SWEDEN,
    OLIVIA_IN_AUSTRALIA,
    OMAR,
    SARA,
    VIRTUAL_NUMBER,
    make_chat,
    make_pool,
    make_virtual_number,
)

pytestmark = pytest.mark.django_db

NOW = timezone.now()
State = VirtualNumber.State


def numbers_of(response):
    assert response.status_code == 201, response.json()
    return response.json()["virtual_numbers"]


def end_all(at=NOW):
    for chat in Chat.objects.filter(status="open"):
        end_chat(chat_id=chat.pk, reason="test", now=at)


class TestNamed:
    @pytest.mark.parametrize("state", ["active", "reserved"])
    @pytest.mark.parametrize("by", ["number", "pk"])
    def test_a_number_that_is_named_is_given_to_both(self, api, state, by):
        make_pool(5)
        wanted = make_virtual_number(state=state)
        asked = body(virtual_number={"named": str(getattr(wanted, by))})
        assert numbers_of(api.post("/chats", asked)) == [VIRTUAL_NUMBER]

    def test_it_is_preferred_to_what_the_two_had_before(self, api, platform):
        make_pool(1)
        make_chat(platform)
        end_all()
        make_virtual_number()
        assert numbers_of(api.post("/chats", body(virtual_number={"named": VIRTUAL_NUMBER}))) == [VIRTUAL_NUMBER]

    def test_a_reserved_one_is_not_given_otherwise_even_if_the_two_had_it(self, api):
        make_virtual_number(state="reserved")
        numbers_of(api.post("/chats", body(virtual_number={"named": VIRTUAL_NUMBER})))
        end_all()
        assert errors(api.post("/chats", body())) == [("no_free_number", None)]

    def test_one_that_a_person_has_a_chat_on_is_a_conflict_about_them(self, api, platform):
        make_virtual_number()
        make_chat(platform, (OMAR, ALICE))
        make_pool(5)
        response = api.post("/chats", body(virtual_number={"named": VIRTUAL_NUMBER}))
        assert (response.status_code, errors(response)) == (409, [("no_free_number", "participants.1.phone_number")])

    @pytest.mark.parametrize("fields", [{"state": "draining"}, {"state": "retired"}, {"can_sms": False}])
    def test_one_that_takes_no_chats_is_a_conflict(self, api, fields):
        make_virtual_number(**fields)
        response = api.post("/chats", body(virtual_number={"named": VIRTUAL_NUMBER}))
        assert (response.status_code, errors(response)) == (409, [("takes_no_chats", None)])

    def test_another_platforms_is_unknown(self, api, other_platform):
        make_virtual_number(platform=other_platform)
        response = api.post("/chats", body(virtual_number={"named": VIRTUAL_NUMBER}))
        assert (response.status_code, errors(response)) == (
            400,
            [("unknown_virtual_number", "virtual_number.named")],
        )

    @pytest.mark.parametrize(
        "choice, error",
        [
            ({"named": "+14155550199"}, ("unknown_virtual_number", "virtual_number.named")),
            ({"named": "nonsense"}, ("unknown_virtual_number", "virtual_number.named")),
            ({"named": ""}, ("blank", "virtual_number.named")),
            ({"named": "x" * 41}, ("max_length", "virtual_number.named")),
            ({"named": VIRTUAL_NUMBER, "fresh": True}, ("fresh_and_named", "virtual_number.fresh")),
            ({"fresh": "maybe"}, ("invalid", "virtual_number.fresh")),
            ({"old": True}, ("unknown_field", "virtual_number.old")),
            ("+14155550100", ("invalid", "virtual_number.non_field_errors")),
        ],
    )
    def test_a_choice_that_cannot_be_is_refused(self, api, virtual_number, choice, error):
        response = api.post("/chats", body(virtual_number=choice))
        assert (response.status_code, errors(response)) == (400, [error])
        assert not Chat.objects.exists()

    @pytest.mark.parametrize("choice", [None, {}, {"named": None}, {"fresh": False}])
    def test_no_choice_is_any_number(self, api, virtual_number, choice):
        assert numbers_of(api.post("/chats", body(virtual_number=choice))) == [VIRTUAL_NUMBER]


class TestFresh:
    def test_the_two_get_numbers_they_never_had_together(self, api):
        make_pool(4)
        given = []
        for _ in range(4):
            given += numbers_of(api.post("/chats", body(virtual_number={"fresh": True})))
            end_all()
        assert len(set(given)) == 4
        refused = api.post("/chats", body(virtual_number={"fresh": True}))
        assert {code for code, _ in errors(refused)} == {"no_free_number"}
        assert numbers_of(api.post("/chats", body())) == [given[-1]]

    def test_it_takes_a_number_that_another_person_was_met_on_long_ago(self, api, platform):
        make_pool(1)
        make_chat(platform, (SARA, ALICE))
        end_all(NOW - timedelta(days=9))
        assert numbers_of(api.post("/chats", body(virtual_number={"fresh": True})))


class TestCountryMatch:
    def ask(self, api, *people):
        return api.post(
            "/chats", {"participants": [{"phone_number": number, "country_match": match} for number, match in people]}
        )

    @pytest.mark.parametrize(
        "first, second, given",
        [
            ("prefer", "prefer", [VIRTUAL_NUMBER, AUSTRALIAN_VIRTUAL_NUMBER]),
            ("require", "require", [VIRTUAL_NUMBER, AUSTRALIAN_VIRTUAL_NUMBER]),
            ("require", "any", [VIRTUAL_NUMBER]),
            ("any", "require", [AUSTRALIAN_VIRTUAL_NUMBER]),
        ],
    )
    def test_each_side_gets_what_is_asked_for_it(self, api, first, second, given):
        make_virtual_number()
        make_virtual_number(AUSTRALIAN_VIRTUAL_NUMBER, country="AU")
        assert numbers_of(self.ask(api, (SARA, first), (OLIVIA_IN_AUSTRALIA, second))) == given

    def test_a_country_without_numbers_is_a_conflict_of_who_requires_it(self, api, virtual_number):
        response = self.ask(api, (SARA, "require"), (ELSA_IN_SWEDEN, "require"))
        assert errors(response) == [("no_free_number", "participants.1.phone_number")]
        assert self.ask(api, (SARA, "require"), (ELSA_IN_SWEDEN, "prefer")).status_code == 201

    def test_the_pairs_old_number_must_match_as_well(self, api, platform):
        make_virtual_number(AUSTRALIAN_VIRTUAL_NUMBER, country="AU")
        make_chat(platform)
        end_all()
        make_virtual_number()
        assert numbers_of(self.ask(api, (SARA, "prefer"), (OMAR, "any"))) == [AUSTRALIAN_VIRTUAL_NUMBER]
        end_all()
        assert numbers_of(self.ask(api, (SARA, "require"), (OMAR, "require"))) == [VIRTUAL_NUMBER]


class TestCoolDown:
    @pytest.mark.parametrize("own, hours, status", [(None, 23, 409), (None, 25, 201), (2, 1, 409), (2, 3, 201),
                                                    (48, 47, 409), (48, 49, 201), (0, 0, 201)])  # fmt: skip
    def test_each_platform_can_have_its_own(self, api, platform, virtual_number, own, hours, status):
        platform.cool_down_hours = own
        platform.save()
        make_chat(platform)
        end_all(timezone.now() - timedelta(hours=hours))
        assert api.post("/chats", body(SARA, ALICE)).status_code == status

    def test_it_is_that_of_the_chat_that_ended(self, other_api, platform, other_platform, virtual_number):
        """A late text is for that chat, whoever opens the next one."""
        platform.cool_down_hours, other_platform.cool_down_hours = 100, 0
        platform.save()
        other_platform.save()
        make_chat(platform)
        end_all(timezone.now() - timedelta(hours=99))
        assert other_api.post("/chats", body(SARA, ALICE)).status_code == 409
        end_all(timezone.now())
        Participant.objects.update(ended_at=timezone.now() - timedelta(hours=101))
        assert other_api.post("/chats", body(SARA, ALICE)).status_code == 201

    def test_a_scheduled_chat_holds_its_number_like_an_open_one(self, api, platform, virtual_number, settings):
        settings.COOL_DOWN_HOURS = 0
        make_chat(platform, starts_at=timezone.now() + timedelta(days=30))
        assert api.post("/chats", body(SARA, ALICE)).status_code == 409


class TestRunningOut:
    def warnings(self, caplog):
        return [record.msg for record in caplog.records if "running out" in str(record.msg)]

    def test_who_will_soon_have_no_number_left_is_warned_of_by_ids_only(self, platform, caplog, settings):
        settings.WARN_BELOW_FREE_NUMBERS = 2
        make_pool(4)
        for person in (OMAR, ALICE):
            make_chat(platform, (SARA, person))
        assert not self.warnings(caplog)
        chat = make_chat(platform, (BOB, SARA))
        [warning] = self.warnings(caplog)
        assert (warning["chat"], warning["platform"], warning["numbers_left"]) == (str(chat.pk), str(platform.pk), 1)
        assert SARA[1:] not in caplog.text

    def test_zero_never_warns(self, platform, virtual_number, caplog, settings):
        settings.WARN_BELOW_FREE_NUMBERS = 0
        make_chat(platform)
        assert not self.warnings(caplog)


class TestListOfVirtualNumbers:
    def test_it_shows_own_and_shared_numbers_and_counts_own_chats_only(self, api, platform, other_platform, settings):
        own = make_virtual_number(platform=platform, can_mms=True)
        shared = make_virtual_number("+14155550101")
        make_virtual_number("+14155550102", platform=other_platform)
        make_chat(platform)
        make_chat(other_platform, (SARA, OMAR), choice=named(shared))
        make_chat(platform, (ALICE, BOB), choice=named(shared))
        make_chat(platform, (CHARLIE, BOB), starts_at=timezone.now() + timedelta(days=1))
        end_chat(chat_id=Chat.objects.get(participants__phone_digest=digest_number(ALICE)).pk, reason="x", now=NOW)
        answer = api.get("/virtual-numbers").json()
        assert answer["results"] == [
            {
                "id": str(own.pk),
                "number": own.number,
                "country": "US",
                "state": "active",
                "can_sms": True,
                "can_mms": True,
                "is_shared": False,
                "open_chats": 2,
                "cooling_down": 0,
            },
            {
                "id": str(shared.pk),
                "number": shared.number,
                "country": "US",
                "state": "active",
                "can_sms": True,
                "can_mms": False,
                "is_shared": True,
                "open_chats": 0,
                "cooling_down": 2,
            },
        ]
        # Bob is scheduled on the one and cools down from the other.
        assert answer["forecast"] == {
            "numbers": 2,
            "held_by_busiest_person": 2,
            "chats_left_for_busiest_person": 0,
        }

    def test_the_forecast_is_how_many_more_chats_are_opened(self, api, platform):
        make_pool(5)
        for person in (OMAR, ALICE):
            make_chat(platform, (SARA, person))
        left = api.get("/virtual-numbers").json()["forecast"]["chats_left_for_busiest_person"]
        opened = [api.post("/chats", body(SARA, f"+1415555013{n}")).status_code for n in range(5)]
        assert left == opened.count(201) == 3

    def test_the_forecast_counts_what_people_hold_by_chats_of_others(self, api, platform, other_platform):
        make_pool(5)
        make_chat(platform, (SARA, OMAR))
        for person in (ALICE, BOB):
            make_chat(other_platform, (SARA, person))
        ended = make_chat(other_platform, (SARA, CHARLIE))
        end_chat(chat_id=ended.pk, reason="x", now=timezone.now())
        forecast = api.get("/virtual-numbers").json()["forecast"]
        opened = [api.post("/chats", body(SARA, f"+1415555013{n}")).status_code for n in range(5)]
        assert (forecast["held_by_busiest_person"], opened.count(201)) == (4, 1)
        assert forecast["chats_left_for_busiest_person"] == 1

    def test_what_somebody_cools_down_from_counts_as_long_as_the_platform_of_that_chat_says(
        self, api, platform, other_platform
    ):
        make_pool(2)
        make_chat(platform, (SARA, OMAR))
        ended = make_chat(other_platform, (SARA, ALICE))
        end_chat(chat_id=ended.pk, reason="x", now=timezone.now())
        assert api.get("/virtual-numbers").json()["forecast"]["chats_left_for_busiest_person"] == 0
        Platform.objects.filter(pk=other_platform.pk).update(cool_down_hours=0)
        assert api.get("/virtual-numbers").json()["forecast"]["chats_left_for_busiest_person"] == 1
        assert api.post("/chats", body(SARA, BOB)).status_code == 201

    @pytest.mark.parametrize("flag", ["missing_since", "unlinked_since"])
    def test_the_forecast_promises_no_number_that_has_a_problem(self, api, platform, flag):
        number, *_ = make_pool(3)
        VirtualNumber.objects.filter(pk=number.pk).update(**{flag: timezone.now()})
        assert api.get("/virtual-numbers").json()["forecast"]["numbers"] == 2

    def test_it_comes_in_pages_and_costs_as_much_whatever_it_shows(self, api, platform, django_assert_max_num_queries):
        make_pool(7)
        listed = []
        page = "/virtual-numbers?page_size=3"
        while page:
            with django_assert_max_num_queries(4):
                answer = api.get(page).json()
            listed += [number["number"] for number in answer["results"]]
            page = answer["next"]
        assert listed == [f"+1202555{100 + n:04}" for n in range(7)]

    @pytest.mark.parametrize("query", ["cursor=x", "page_size=0", "state=active", "cursor=cD0lMDA%3D"])
    def test_a_parameter_that_cannot_be_is_refused(self, api, query):
        assert api.get(f"/virtual-numbers?{query}").status_code == 400

    def test_an_empty_pool_is_empty(self, api):
        answer = api.get("/virtual-numbers").json()
        assert (answer["results"], answer["forecast"]["numbers"]) == ([], 0)


class TestStates:
    def test_a_draining_number_keeps_its_chats_and_gets_no_new_ones(self, api, platform, virtual_number):
        chat = make_chat(platform)
        change_number_state(number_id=virtual_number.pk, state=State.DRAINING)
        assert errors(api.post("/chats", body(ALICE, BOB))) == [("no_free_number", None)]
        assert api.get(f"/chats/{chat.pk}").json()["status"] == "open"

    @pytest.mark.parametrize("fields", [{}, {"starts_at": NOW + timedelta(days=1)}])
    def test_a_number_with_chats_is_not_retired(self, platform, virtual_number, fields):
        chat = make_chat(platform, **fields)
        with pytest.raises(VirtualNumberInUse, match="1 chat that has not ended uses this number"):
            change_number_state(number_id=virtual_number.pk, state=State.RETIRED)
        virtual_number.refresh_from_db()
        assert virtual_number.state == "active"
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        assert change_number_state(number_id=virtual_number.pk, state=State.RETIRED).state == "retired"

    def test_a_retired_number_can_be_taken_into_use_again(self, api, virtual_number):
        change_number_state(number_id=virtual_number.pk, state=State.RETIRED)
        change_number_state(number_id=virtual_number.pk, state=State.ACTIVE)
        assert numbers_of(api.post("/chats", body())) == [VIRTUAL_NUMBER]


def named(number):
    return NumberChoice(named=str(number.pk))


def test_the_forecast_of_many_chats_is_as_of_the_last_look(platform, monkeypatch):
    make_pool(3)
    make_chat(platform)
    now = timezone.now()
    monkeypatch.setattr(pool, "_NOTED", pool._NOTED.replace(f"> {pool._MANY}", "> 0"))
    # Nobody has looked yet.
    assert pool.forecast_pool(platform=platform, now=now).chats_left_for_busiest_person == 2
    pool.look_at_pools(now=now)
    make_chat(platform, (SARA, ALICE))
    assert pool.forecast_pool(platform=platform, now=now) == pool.Forecast(numbers=3, held_by_busiest_person=1)
    pool.look_at_pools(now=now)
    assert pool.forecast_pool(platform=platform, now=now) == pool.Forecast(numbers=3, held_by_busiest_person=2)
