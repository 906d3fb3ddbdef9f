"""Chats that start later, end after silence, are changed, reopened: stories through HTTP, tables of what is refused."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chats.models import Chat, Participant, VirtualNumber
from chats.services import end_chat, end_expired_chats, start_due_chats
from messaging import wording
from messaging.models import Message
from platforms.models import Platform
from tests.chats.helpers import body, errors
from tests.factories import ALICE, BOB, OMAR, SARA, make_chat, make_pool
from tests.messaging.payloads import IMAGE, mms, sms
from tests.messaging.rows import Kind, Status, forget_introductions, read_answers, read_inbound, read_outbound
from tests.messaging.signing import INBOUND, signed_post

pytestmark = pytest.mark.django_db

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def text(payload=None, **fields):
    assert signed_post(Client(), INBOUND, payload or sms(**fields)).status_code == 200


def iso(moment):
    return moment.isoformat().replace("+00:00", "Z")


def in_(**duration):
    return timezone.now() + timedelta(**duration)


class TestScheduledChats:
    def test_a_chat_starts_at_its_time_and_introduces_people_then(self, api, virtual_number):
        start = in_(hours=2)
        response = api.post("/chats", body(starts_at=iso(start), idle_timeout_seconds=600))
        assert response.status_code == 201
        shown = response.json()
        assert (shown["status"], shown["starts_at"], shown["idle_ends_at"]) == ("scheduled", iso(start), None)
        assert [person["introduction"] for person in shown["participants"]] == [None, None]
        assert not Message.objects.exists()
        assert start_due_chats(now=start - timedelta(seconds=1)) == 0
        assert start_due_chats(now=start) == 1
        shown = api.get(f"/chats/{shown['id']}").json()
        assert (shown["status"], shown["idle_ends_at"]) == ("open", iso(start + timedelta(minutes=10)))
        assert [person["introduction"]["status"] for person in shown["participants"]] == ["queued", "queued"]
        text()
        assert len(read_outbound(Kind.RELAY)) == 1

    def test_its_numbers_are_set_aside_from_the_beginning(self, api, virtual_number):
        api.post("/chats", body(starts_at=iso(in_(hours=2))))
        response = api.post("/chats", body(SARA, ALICE))
        assert errors(response) == [("no_free_number", "participants.0.phone_number")]

    def test_texts_before_the_start_get_one_polite_answer_and_go_nowhere(self, api, platform, virtual_number):
        sara, omar = make_chat(platform, starts_at=in_(hours=2)).participants.all()
        text(text="hello?")
        text(mms("image", image=IMAGE))
        text(from_=OMAR[1:])
        assert [(row.status, row.error_code) for row in read_inbound()] == [(Status.BLOCKED, "not_started")] * 3
        told = wording.CHAT_HAS_NOT_STARTED
        assert read_answers() == [(sara.pk, told), (omar.pk, told)]
        assert len(read_outbound()) == 2

    def test_one_that_is_called_off_ends_without_a_word_and_frees_its_numbers(self, api, platform, virtual_number):
        chat = make_chat(platform, starts_at=in_(hours=2))
        shown = api.post(f"/chats/{chat.pk}/end", {"closing_text": "Called off."}).json()
        assert (shown["status"], shown["end_reason"]) == ("ended", "ended by the platform")
        assert not Message.objects.exists()
        assert start_due_chats(now=in_(hours=3)) == 0

    def test_one_that_should_be_over_by_now_never_starts(self, platform, virtual_number):
        chat = make_chat(platform, starts_at=in_(hours=1), expires_at=in_(hours=2))
        assert start_due_chats(now=in_(hours=3)) == 1
        chat.refresh_from_db()
        assert (chat.status, chat.end_reason) == ("ended", "expired")
        assert not Message.objects.exists()

    def test_the_same_reference_again_is_the_same_scheduled_chat(self, api, virtual_number, time_machine):
        asked = body(reference="r", starts_at="2030-01-31T12:00:00Z")
        first = api.post("/chats", asked).json()
        time_machine.move_to(NOON + HOUR)
        again = api.post("/chats", asked)
        assert (again.status_code, again.json()["id"]) == (200, first["id"])

    def test_scheduled_chats_can_be_listed(self, api, platform):
        make_pool(2)
        make_chat(platform)
        later = make_chat(platform, starts_at=in_(hours=2))
        listed = api.get("/chats?status=scheduled").json()["results"]
        assert [chat["id"] for chat in listed] == [str(later.pk)]

    def test_many_that_start_at_one_minute_start_in_batches_of_few_statements(self, platform, virtual_number):
        start = in_(hours=1)
        chats = Chat.objects.bulk_create(Chat(platform=platform, status="scheduled", starts_at=start) for _ in range(9))
        make_people(chats, virtual_number)
        with CaptureQueriesContext(connection) as captured:
            assert start_due_chats(now=start, limit=5) == 5
        assert len(captured) <= 9
        assert [start_due_chats(now=start, limit=5) for _ in range(2)] == [4, 0]
        assert len(read_outbound(Kind.INTRODUCTION)) == 18


class TestSilence:
    @pytest.fixture
    def chat(self, platform, virtual_number):
        chat = make_chat(platform, idle_timeout_seconds=600)
        forget_introductions()
        return chat

    def test_a_chat_ends_after_it(self, api, chat):
        end = chat.idle_ends_at
        assert end_expired_chats(now=end - timedelta(seconds=1)) == 0
        assert end_expired_chats(now=end) == 1
        shown = api.get(f"/chats/{chat.pk}").json()
        assert (shown["status"], shown["end_reason"], shown["idle_timeout_seconds"]) == ("ended", "idle", 600)

    @pytest.mark.parametrize("who", [SARA, OMAR])
    def test_every_text_of_either_side_puts_the_end_off(self, chat, who):
        Chat.objects.update(idle_ends_at=in_(seconds=60))
        text(from_=who[1:])
        # Ten minutes, and a twentieth more so that the next texts need not write it again.
        assert in_(seconds=629) < Chat.objects.get().idle_ends_at < in_(seconds=631)

    def test_a_text_soon_after_another_writes_nothing_to_the_chat(self, chat):
        Chat.objects.update(idle_ends_at=in_(seconds=60))
        text(text="one")
        end = Chat.objects.get().idle_ends_at
        text(text="two", from_=OMAR[1:])
        assert Chat.objects.get().idle_ends_at == end
        assert len(read_outbound(Kind.RELAY)) == 2

    def test_a_text_after_it_is_late_although_no_worker_has_come(self, chat):
        Chat.objects.update(idle_ends_at=in_(seconds=-1))
        text()
        assert [row.status for row in read_inbound()] == [Status.LATE]
        assert [row.kind for row in read_outbound()] == [Kind.AUTO_REPLY]

    def test_what_is_not_passed_on_puts_nothing_off(self, chat):
        soon = in_(seconds=60)
        Chat.objects.update(idle_ends_at=soon)
        text(text="")
        assert Chat.objects.get().idle_ends_at == soon

    def test_a_webhook_delivered_again_is_relayed_once(self, chat):
        Chat.objects.update(idle_ends_at=in_(seconds=60))
        again = sms()
        text(again)
        text(again)
        assert len(read_outbound(Kind.RELAY)) == 1

    def test_expired_and_idle_chats_end_in_batches(self, platform, virtual_number):
        over = in_(seconds=-1)
        chats = [Chat(platform=platform, expires_at=over) for _ in range(7)]
        chats += [Chat(platform=platform, idle_timeout_seconds=60, idle_ends_at=over) for _ in range(7)]
        make_people(Chat.objects.bulk_create(chats), virtual_number)
        assert [end_expired_chats(now=timezone.now(), limit=5) for _ in range(3)] == [10, 4, 0]
        reasons = Chat.objects.filter(status="ended").values_list("end_reason", flat=True)
        assert sorted(reasons) == ["expired"] * 7 + ["idle"] * 7
        assert not Participant.objects.filter(chat__in=chats, ended_at=None).exists()


class TestClosingText:
    def test_it_goes_to_both_although_the_chat_has_ended(self, api, platform, virtual_number):
        chat = make_chat(platform)
        forget_introductions()
        response = api.post(f"/chats/{chat.pk}/end", {"reason": "done", "closing_text": "Thank you,\nand good-bye."})
        assert (response.status_code, response.json()["end_reason"]) == (200, "done")
        closing = read_outbound(Kind.CLOSING)
        assert {row.participant_id for row in closing} == set(chat.participants.values_list("pk", flat=True))
        assert {(row.body, row.status) for row in closing} == {("Thank you,\nand good-bye.", "queued")}
        kinds = {message["kind"] for message in api.get(f"/chats/{chat.pk}/messages").json()["results"]}
        assert kinds == {"closing"}

    def test_a_chat_that_has_ended_is_not_closed_again(self, api, platform, virtual_number):
        chat = make_chat(platform)
        for _ in range(2):
            assert api.post(f"/chats/{chat.pk}/end", {"closing_text": "Bye."}).status_code == 200
        assert len(read_outbound(Kind.CLOSING)) == 2

    @pytest.mark.parametrize(
        "closing_text, code",
        [
            ("", "blank"),
            ("x" * 601, "max_length"),
            ("Call +1 415 555 0123", "phone_number"),
            ("a\x00b", "not_text"),
            ("a\tb", "not_text"),
            ("a\ud800b", "not_text"),
            (["a"], "invalid"),
        ],
    )
    def test_one_that_cannot_be_texted_is_refused_and_the_chat_goes_on(
        self, api, platform, virtual_number, closing_text, code
    ):
        chat = make_chat(platform)
        raw = json.dumps({"closing_text": closing_text})
        response = api.post(f"/chats/{chat.pk}/end", raw, content_type="application/json")
        assert (response.status_code, errors(response)) == (400, [(code, "closing_text")])
        assert Chat.objects.get().status == "open"


class TestChange:
    def test_times_and_metadata_of_an_open_chat(self, api, platform, virtual_number):
        chat = make_chat(platform)
        end = in_(hours=3)
        changes = {"expires_at": iso(end), "idle_timeout_seconds": 600, "metadata": {"a": 1}}
        response = api.patch(f"/chats/{chat.pk}", changes)
        assert response.status_code == 200
        shown = response.json()
        assert {field: shown[field] for field in changes} == changes
        assert shown["idle_ends_at"]
        assert shown == api.get(f"/chats/{chat.pk}").json()

    def test_what_is_left_out_stays_and_null_takes_an_end_away(self, api, platform, virtual_number):
        chat = make_chat(platform, expires_at=in_(hours=3), idle_timeout_seconds=600)
        kept = api.patch(f"/chats/{chat.pk}", {}).json()
        assert (kept["expires_at"], kept["idle_timeout_seconds"]) == (iso(chat.expires_at), 600)
        ends = {"expires_at": None, "idle_timeout_seconds": None}
        shown = api.patch(f"/chats/{chat.pk}", ends).json()
        assert [shown[field] for field in (*ends, "idle_ends_at")] == [None] * 3
        assert end_expired_chats(now=in_(days=9)) == 0

    def test_the_start_of_a_scheduled_chat(self, api, platform, virtual_number):
        chat = make_chat(platform, starts_at=in_(hours=2))
        later = in_(hours=4)
        shown = api.patch(f"/chats/{chat.pk}", {"starts_at": iso(later), "idle_timeout_seconds": 60}).json()
        assert (shown["starts_at"], shown["status"], shown["idle_ends_at"]) == (iso(later), "scheduled", None)
        assert start_due_chats(now=in_(hours=3)) == 0

    def test_an_end_put_off_in_time_is_not_the_end(self, api, platform, virtual_number):
        chat = make_chat(platform, expires_at=in_(hours=1))
        api.patch(f"/chats/{chat.pk}", {"expires_at": iso(in_(hours=3))})
        assert end_expired_chats(now=in_(hours=2)) == 0

    @pytest.mark.parametrize(
        "status, changes, answer, error",
        [
            ("open", {"starts_at": "2090-01-01T00:00:00Z"}, 409, ("chat_started", "starts_at")),
            ("ended", {"starts_at": "2090-01-01T00:00:00Z"}, 409, ("chat_ended", None)),
            ("ended", {"expires_at": "2090-01-01T00:00:00Z"}, 409, ("chat_ended", None)),
            ("ended", {"idle_timeout_seconds": 60, "metadata": {}}, 409, ("chat_ended", None)),
            ("open", {"expires_at": "2020-01-01T00:00:00Z"}, 400, ("in_the_past", "expires_at")),
            ("scheduled", {"starts_at": "2020-01-01T00:00:00Z"}, 400, ("in_the_past", "starts_at")),
            ("scheduled", {"starts_at": None}, 400, ("null", "starts_at")),
            ("scheduled", {"starts_at": "2091-01-01T00:00:00Z"}, 400, ("not_after_start", "expires_at")),
            ("scheduled", {"expires_at": "2088-01-01T00:00:00Z"}, 400, ("not_after_start", "expires_at")),
            ("open", {"idle_timeout_seconds": 59}, 400, ("min_value", "idle_timeout_seconds")),
            ("open", {"idle_timeout_seconds": 10**9}, 400, ("max_value", "idle_timeout_seconds")),
            ("open", {"idle_timeout_seconds": "soon"}, 400, ("invalid", "idle_timeout_seconds")),
            ("open", {"metadata": None}, 400, ("null", "metadata")),
            ("open", {"metadata": []}, 400, ("not_an_object", "metadata")),
            ("open", {"reference": "r"}, 400, ("unknown_field", "reference")),
            ("open", {"status": "ended"}, 400, ("unknown_field", "status")),
        ],
    )
    def test_what_makes_no_sense_is_refused_and_changes_nothing(
        self, api, platform, virtual_number, status, changes, answer, error
    ):
        dates = {"scheduled": {"starts_at": datetime(2089, 1, 1, tzinfo=UTC)}}.get(status, {})
        chat = make_chat(platform, expires_at=datetime(2090, 6, 1, tzinfo=UTC), **dates)
        if status == "ended":
            end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        before = api.get(f"/chats/{chat.pk}").json()
        response = api.patch(f"/chats/{chat.pk}", changes)
        assert (response.status_code, errors(response)) == (answer, [error])
        assert api.get(f"/chats/{chat.pk}").json() == before

    def test_the_metadata_of_an_ended_chat_can_be_changed(self, api, platform, virtual_number):
        chat = make_chat(platform)
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        shown = api.patch(f"/chats/{chat.pk}", {"metadata": {"lost": "umbrella"}}).json()
        assert (shown["metadata"], shown["status"]) == ({"lost": "umbrella"}, "ended")


@pytest.mark.parametrize(
    "fields, error",
    [
        ({"starts_at": "2020-01-01T00:00:00Z"}, ("in_the_past", "starts_at")),
        ({"starts_at": "2090-01-01T00:00:00"}, ("no_zone", "starts_at")),
        (
            {"starts_at": "2090-01-01T00:00:00Z", "expires_at": "2090-01-01T00:00:00Z"},
            ("not_after_start", "expires_at"),
        ),
        ({"idle_timeout_seconds": 0}, ("min_value", "idle_timeout_seconds")),
        ({"idle_timeout_seconds": 59.5}, ("invalid", "idle_timeout_seconds")),
        ({"idle_timeout_seconds": []}, ("invalid", "idle_timeout_seconds")),
    ],
)
def test_times_that_cannot_be_are_refused_at_the_start(api, virtual_number, fields, error):
    response = api.post("/chats", body(**fields))
    assert (response.status_code, errors(response)) == (400, [error])
    assert not Chat.objects.exists()


class TestReopen:
    def test_the_same_people_text_again_on_the_same_numbers(self, api, platform, virtual_number):
        chat = make_chat(platform)
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        forget_introductions()
        Message.objects.all().delete()
        response = api.post(f"/chats/{chat.pk}/reopen", {"idle_timeout_seconds": 600})
        assert response.status_code == 200
        shown = response.json()
        assert (shown["status"], shown["end_reason"], shown["ended_at"]) == ("open", None, None)
        assert shown["idle_ends_at"]
        Message.objects.all().delete()
        text(text="did you find my umbrella?")
        assert [row.body for row in read_outbound(Kind.RELAY)] == ["did you find my umbrella?"]

    def test_people_who_know_of_it_are_not_introduced_again(self, api, platform, virtual_number):
        chat = make_chat(platform)
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        api.post(f"/chats/{chat.pk}/reopen")
        assert len(read_outbound(Kind.INTRODUCTION)) == 2

    def test_people_of_a_chat_that_was_called_off_are_introduced(self, api, platform, virtual_number):
        chat = make_chat(platform, starts_at=in_(hours=2))
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        assert api.post(f"/chats/{chat.pk}/reopen").json()["status"] == "open"
        assert len(read_outbound(Kind.INTRODUCTION)) == 2

    @pytest.mark.parametrize("starts_at", [None, "2090-01-01T00:00:00Z"])
    def test_a_chat_that_has_not_ended_is_returned_as_it_is(self, api, virtual_number, starts_at):
        shown = api.post("/chats", body(starts_at=starts_at)).json()
        again = api.post(f"/chats/{shown['id']}/reopen", {"idle_timeout_seconds": 60})
        assert (again.status_code, again.json()) == (200, shown)

    def test_a_late_text_after_the_second_end_is_answered_again_once(self, api, platform, virtual_number):
        chat = make_chat(platform)
        for _ in range(2):
            end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
            text(text="one")
            text(text="two")
            assert api.post(f"/chats/{chat.pk}/reopen").status_code == 200
        assert [told for _, told in read_answers()] == [wording.CHAT_HAS_ENDED] * 2

    def test_countries_that_are_not_texted_any_more_are_refused(self, api, platform, virtual_number):
        chat = make_chat(platform)
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        platform.allowed_countries = ["MX"]
        platform.save()
        response = api.post(f"/chats/{chat.pk}/reopen")
        assert (response.status_code, errors(response)) == (409, [("country_not_allowed", None)])
        assert Chat.objects.get().status == "ended"
        Platform.objects.update(allowed_countries=["US"])
        assert api.post(f"/chats/{chat.pk}/reopen").status_code == 200

    def test_an_end_that_has_passed_needs_a_new_one(self, api, platform, virtual_number):
        chat = make_chat(platform, expires_at=in_(hours=1))
        end_expired_chats(now=in_(hours=1))
        Chat.objects.update(expires_at=in_(hours=-1))
        response = api.post(f"/chats/{chat.pk}/reopen")
        assert (response.status_code, errors(response)) == (400, [("in_the_past", "expires_at")])
        later = iso(in_(hours=5))
        assert api.post(f"/chats/{chat.pk}/reopen", {"expires_at": later}).json()["expires_at"] == later

    def test_the_end_can_be_taken_away(self, api, platform, virtual_number):
        chat = make_chat(platform, expires_at=in_(hours=1))
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        assert api.post(f"/chats/{chat.pk}/reopen", {"expires_at": None}).json()["expires_at"] is None

    def test_a_person_with_another_chat_on_the_number_is_a_conflict(self, api, platform, virtual_number, settings):
        settings.COOL_DOWN_HOURS = 0
        chat = make_chat(platform)
        end_chat(chat_id=chat.pk, reason="x", now=in_(hours=-1))
        other = make_chat(platform, (SARA, ALICE))
        settings.COOL_DOWN_HOURS = 24
        response = api.post(f"/chats/{chat.pk}/reopen")
        assert (response.status_code, errors(response)) == (409, [("virtual_number_taken", None)])
        # Her late text could still be for Alice.
        end_chat(chat_id=other.pk, reason="x", now=timezone.now())
        assert api.post(f"/chats/{chat.pk}/reopen").status_code == 409
        settings.COOL_DOWN_HOURS = 0
        assert api.post(f"/chats/{chat.pk}/reopen").status_code == 200

    @pytest.mark.parametrize("state, status", [("active", 200), ("reserved", 200), ("draining", 409), ("retired", 409)])
    def test_a_number_that_takes_no_chats_is_a_conflict(self, api, platform, virtual_number, state, status):
        chat = make_chat(platform)
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        VirtualNumber.objects.update(state=state)
        response = api.post(f"/chats/{chat.pk}/reopen")
        assert response.status_code == status
        if status == 409:
            assert errors(response) == [("takes_no_chats", None)]

    def test_a_number_that_is_another_platforms_by_now_is_a_conflict(
        self, api, platform, other_platform, virtual_number
    ):
        chat = make_chat(platform)
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
        VirtualNumber.objects.update(platform=other_platform)
        assert errors(api.post(f"/chats/{chat.pk}/reopen")) == [("takes_no_chats", None)]


@pytest.mark.parametrize(
    "method, path, given",
    [
        ("patch", "", {"metadata": {}}),
        ("post", "/reopen", {}),
        ("post", "/end", {"closing_text": "x"}),
        ("post", "/participants/{}/replace", {"phone_number": ALICE}),
    ],
)
def test_another_platforms_chat_is_not_found_and_stays(api, other_api, platform, virtual_number, method, path, given):
    chat = make_chat(platform)
    person = chat.participants.first()
    if path == "/reopen":
        end_chat(chat_id=chat.pk, reason="x", now=timezone.now())
    before = api.get(f"/chats/{chat.pk}").json()
    response = getattr(other_api, method)(f"/chats/{chat.pk}{path.format(person.pk)}", given)
    assert (response.status_code, errors(response)) == (404, [("not_found", None)])
    assert api.get(f"/chats/{chat.pk}").json() == before


def make_people(chats, virtual_number):
    """Give each chat two people, on the one number."""
    Participant.objects.bulk_create(
        Participant(
            chat=chat,
            position=position,
            phone_number=BOB,
            phone_digest=f"{chat.pk} {position}".encode(),
            virtual_number=virtual_number,
        )
        for chat in chats
        for position in (1, 2)
    )
