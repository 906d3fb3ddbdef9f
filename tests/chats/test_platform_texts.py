"""POST /chats/{id}/messages: a platform texts the people of its chat, now or at a time."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from chats.fields import TextField
from chats.models import Chat, Participant, VirtualNumber
from chats.services import end_chat, reopen_chat
from messaging.claims import Claim, claim_texts
from messaging.gateways.vonage import VonageGateway
from messaging.models import Message
from messaging.scheduled import cancel_text, queue_scheduled_texts
from platforms.models import Event, Platform
from tests.chats.helpers import at_once, errors
from tests.factories import ALICE, OMAR, make_chat, make_platform, make_virtual_number
from tests.messaging.payloads import sms
from tests.messaging.rows import Kind, Status, ago, forget_introductions, make_queued, read_outbound
from tests.messaging.signing import INBOUND, signed_post
from tests.messaging.wire import Wire

pytestmark = pytest.mark.django_db


@pytest.fixture
def platform(db: None) -> Platform:
    return make_platform("Rides", records_events=True)


@pytest.fixture
def chat(platform, virtual_number) -> Chat:
    chat = make_chat(platform)
    forget_introductions()
    return chat


@pytest.fixture
def wire(settings):
    wire = Wire()
    settings.VONAGE_API_URL = wire.url
    yield wire
    wire.close()


def person(chat: Chat, position: int) -> Participant:
    return chat.participants.get(position=position, replaced_at=None)


def send(api, chat, text="Your driver is here", **fields):
    return api.post(f"/chats/{chat.pk}/messages", {"text": text, **fields})


def schedule(api, chat, **fields) -> Message:
    """Return a text to Omar that is due in an hour."""
    in_an_hour = (timezone.now() + timedelta(hours=1)).isoformat()
    response = send(api, chat, **{"to": str(person(chat, 2).pk), "send_at": in_an_hour, **fields})
    assert response.status_code == 201, response.content
    return Message.objects.get(pk=response.json()["messages"][0]["id"])


def let_time_come() -> int:
    Message.objects.filter(status="scheduled").update(due_at=ago(minutes=1))
    return queue_scheduled_texts()


def claim_due() -> list[Claim]:
    """Claim what is due, as if the test's transaction had begun just now."""
    Message.objects.filter(status="queued").update(due_at=ago(minutes=1))
    VirtualNumber.objects.update(next_send_at=ago(minutes=1))
    return claim_texts(limit=1)


def failures() -> list[str]:
    return [str(event.message_id) for event in Event.objects.filter(type="message.failed").order_by("position")]


class TestNow:
    def test_both_people_are_texted_from_the_number_they_know(self, api, chat, wire):
        response = send(api, chat)
        assert response.status_code == 201
        shown = response.json()["messages"]
        assert [(one["kind"], one["status"], one["text"], one["send_at"]) for one in shown] == [
            ("platform", "queued", "Your driver is here", None)
        ] * 2
        assert [one["participant"] for one in shown] == [str(person(chat, 1).pk), str(person(chat, 2).pk)]
        assert api.get(f"/chats/{chat.pk}/messages").json()["results"] == shown
        for claim in claim_due() + claim_due():
            VonageGateway().send(claim.decrypt_text())
        assert [(sent.json["to"], sent.json["from"], sent.json["text"]) for sent in wire.requests] == [
            ("14155550123", "14155550100", "Your driver is here"),
            ("14155550124", "14155550100", "Your driver is here"),
        ]

    def test_one_of_them_alone(self, api, chat):
        omar = person(chat, 2)
        [shown] = send(api, chat, to=str(omar.pk)).json()["messages"]
        assert shown["participant"] == str(omar.pk)

    def test_repeated_with_its_key_they_are_texted_once(self, api, chat):
        bodies = {
            api.post(f"/chats/{chat.pk}/messages", {"text": "hello"}, headers={"Idempotency-Key": "the same"}).content
            for _ in range(2)
        }
        assert len(bodies) == 1
        assert Message.objects.count() == 2

    def test_it_goes_in_order_with_what_is_passed_on(self, api, chat):
        signed_post(Client(), INBOUND, sms(text="first"))
        send(api, chat, "second", to=str(person(chat, 2).pk))
        assert [row.body for row in read_outbound()] == ["first", "second"]
        [claim] = claim_due()
        assert (claim.decrypt_text().body, claim_due()) == ("first", [])

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"text": ""}, ("nothing_to_send", "text")),
            ({"text": "  \n"}, ("nothing_to_send", "text")),
            ({"text": None}, ("null", "text")),
            ({"text": "call 415 555 0123"}, ("phone_number", "text")),
            ({"text": "a\x00b"}, ("not_text", "text")),
            ({"text": "a\x07b"}, ("not_text", "text")),
            ({"text": "x" * 1531}, ("too_many_segments", "text")),
            ({"text": "я" * 671}, ("too_many_segments", "text")),
            ({"text": "x" * 3201}, ("max_length", "text")),
            ({"to": "both"}, ("invalid", "to")),
            ({"to": str(uuid4())}, ("no_such_participant", "to")),
            ({"media": ["http://example.com/a.jpg"]}, ("bad_url", "media.0")),
            ({"media": ["https://user@example.com/a.jpg"]}, ("bad_url", "media.0")),
            ({"media": ["file:///etc/passwd"]}, ("bad_url", "media.0")),
            ({"media": ["https://example.com/a.jpg"] * 11}, ("max_length", "media")),
            ({"media": "https://example.com/a.jpg"}, ("not_a_list", "media")),
            ({"send_at": "2020-01-01T00:00:00Z"}, ("in_the_past", "send_at")),
            ({"send_at": "2130-01-01T00:00:00Z"}, ("too_late", "send_at")),
            ({"send_at": "2030-01-01T00:00:00"}, ("no_zone", "send_at")),
            ({"sent_at": None}, ("unknown_field", "sent_at")),
        ],
    )
    def test_what_cannot_be_sent_is_refused_and_nobody_is_texted(self, api, chat, settings, fields, error):
        settings.ALLOW_PRIVATE_ENDPOINTS = False
        response = send(api, chat, **fields)
        assert (response.status_code, errors(response)) == (400, [error])
        assert not Message.objects.exists()

    def test_a_text_of_the_most_segments_is_sent(self, api, chat):
        assert send(api, chat, "x" * 1530).status_code == 201

    def test_who_was_replaced_is_nobody_to_text(self, api, chat):
        omar = person(chat, 2)
        api.post(f"/chats/{chat.pk}/participants/{omar.pk}/replace", {"phone_number": ALICE})
        forget_introductions()
        assert errors(send(api, chat, to=str(omar.pk))) == [("no_such_participant", "to")]
        assert not Message.objects.filter(kind="platform").exists()

    def test_a_chat_that_has_ended_or_not_started_takes_none(self, api, platform, chat):
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
        response = send(api, chat)
        assert (response.status_code, errors(response)) == (409, [("chat_ended", None)])
        later = make_chat(platform, starts_at=timezone.now() + timedelta(hours=1))
        response = send(api, later)
        assert (response.status_code, errors(response)) == (409, [("chat_not_started", None)])

    @pytest.mark.parametrize("end", ["expires_at", "idle_ends_at"])
    def test_a_chat_whose_time_is_over_takes_none_before_the_worker_has_ended_it(self, api, chat, end):
        Chat.objects.update(**{end: ago(minutes=1)})
        assert errors(send(api, chat)) == [("chat_ended", None)]

    @pytest.mark.parametrize("later", [False, True])
    def test_who_has_opted_out_is_not_texted(self, api, chat, later):
        assert signed_post(Client(), INBOUND, sms(text="STOP", from_=OMAR[1:])).status_code == 200
        sara, omar = person(chat, 1), person(chat, 2)
        at = {"send_at": (timezone.now() + timedelta(hours=1)).isoformat()} if later else {}
        for to in ({}, {"to": str(omar.pk)}):
            response = send(api, chat, **at, **to)
            assert (response.status_code, errors(response)) == (409, [("recipient_opted_out", None)])
        assert not read_outbound(Kind.PLATFORM)
        assert send(api, chat, to=str(sara.pk), **at).status_code == 201
        assert signed_post(Client(), INBOUND, sms(text="START", from_=OMAR[1:])).status_code == 200
        assert send(api, chat, to=str(omar.pk), **at).status_code == 201

    @pytest.mark.parametrize("later", [False, True])
    def test_who_is_blocked_is_not_texted(self, api, chat, later):
        sara, omar = person(chat, 1), person(chat, 2)
        at = {"send_at": (timezone.now() + timedelta(hours=1)).isoformat()} if later else {}
        assert api.post(f"/chats/{chat.pk}/participants/{omar.pk}/block").status_code == 200
        for to in ({}, {"to": str(omar.pk)}):
            response = send(api, chat, **at, **to)
            assert (response.status_code, errors(response)) == (409, [("recipient_blocked", None)])
        assert not read_outbound(Kind.PLATFORM)
        assert send(api, chat, to=str(sara.pk), **at).status_code == 201

    def test_who_is_muted_is_texted(self, api, chat):
        omar = person(chat, 2)
        assert api.post(f"/chats/{chat.pk}/participants/{omar.pk}/mute").status_code == 200
        assert send(api, chat, to=str(omar.pk)).status_code == 201

    def test_countries_that_are_not_texted_any_more_are_refused(self, api, chat, platform):
        platform.allowed_countries = ["MX"]
        platform.save()
        response = send(api, chat)
        assert (response.status_code, errors(response)) == (409, [("country_not_allowed", None)])


class TestLater:
    def test_it_waits_for_its_time_and_holds_up_nobody(self, api, chat):
        text = schedule(api, chat)
        assert (text.status, text.due_at) == (Status.SCHEDULED, text.send_at)
        assert queue_scheduled_texts() == 0
        omar = person(chat, 2)
        make_queued(omar, "meanwhile")
        [claim] = claim_due()
        assert claim.decrypt_text().body == "meanwhile"

    def test_when_its_time_has_come_it_goes_after_what_waits_already(self, api, chat):
        text = schedule(api, chat)
        make_queued(person(chat, 2), "meanwhile")
        assert let_time_come() == 1
        assert queue_scheduled_texts() == 0
        assert [(row.body, row.status) for row in read_outbound()] == [
            ("meanwhile", "queued"),
            ("Your driver is here", "queued"),
        ]
        text.refresh_from_db()
        assert timedelta(hours=23) < text.expires_at - timezone.now() < timedelta(hours=25)

    def test_texts_of_one_time_go_in_the_order_in_which_they_were_asked_for(self, api, chat):
        at = (timezone.now() + timedelta(hours=1)).isoformat()
        for number in range(20):
            schedule(api, chat, text=f"{number}", send_at=at)
        assert let_time_come() == 20
        assert [row.body for row in read_outbound()] == [f"{number}" for number in range(20)]

    def test_it_expires_as_its_platform_says_counted_from_its_time(self, api, platform, chat):
        text = schedule(api, chat)
        Platform.objects.update(texts_expire_after_minutes=5)
        let_time_come()
        text.refresh_from_db()
        assert timedelta(minutes=4) < text.expires_at - timezone.now() < timedelta(minutes=6)

    def test_after_the_chat_it_fails_and_the_platform_is_told(self, api, chat):
        text = schedule(api, chat)
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
        assert let_time_come() == 1
        text.refresh_from_db()
        assert (text.status, text.error_code, text.due_at) == (Status.FAILED, "chat_ended", None)
        assert failures() == [str(text.pk)]

    def test_in_a_chat_whose_time_is_over_it_fails_before_the_worker_has_ended_it(self, api, chat):
        text = schedule(api, chat)
        Chat.objects.update(expires_at=ago(minutes=1))
        let_time_come()
        text.refresh_from_db()
        assert (text.status, text.error_code) == (Status.FAILED, "chat_ended")

    def test_in_a_chat_that_was_reopened_it_is_sent(self, api, chat):
        text = schedule(api, chat)
        end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
        reopen_chat(chat_id=chat.pk, changes={}, now=timezone.now())
        let_time_come()
        text.refresh_from_db()
        assert text.status == Status.QUEUED

    def test_to_somebody_who_was_replaced_it_fails_at_once(self, api, chat):
        to_omar, to_sara = schedule(api, chat), schedule(api, chat, to=str(person(chat, 1).pk))
        omar = person(chat, 2)
        assert api.post(f"/chats/{chat.pk}/participants/{omar.pk}/replace", {"phone_number": ALICE}).status_code == 200
        to_omar.refresh_from_db()
        assert (to_omar.status, to_omar.error_code) == (Status.FAILED, "recipient_replaced")
        assert failures() == [str(to_omar.pk)]
        assert let_time_come() == 1
        to_sara.refresh_from_db()
        assert to_sara.status == Status.QUEUED

    def test_somebody_replaced_behind_its_back_is_not_texted(self, api, chat):
        text = schedule(api, chat)
        Participant.objects.filter(pk=text.participant_id).update(ended_at=ago(), replaced_at=ago())
        let_time_come()
        text.refresh_from_db()
        assert (text.status, text.error_code) == (Status.FAILED, "recipient_replaced")

    def test_after_the_planned_end_of_the_chat_it_is_refused(self, api, chat):
        Chat.objects.update(expires_at=timezone.now() + timedelta(minutes=30))
        response = send(api, chat, send_at=(timezone.now() + timedelta(hours=1)).isoformat())
        assert (response.status_code, errors(response)) == (400, [("after_end", "send_at")])


class TestCancelling:
    def test_a_text_that_waits_for_its_time_is_gone(self, api, chat):
        text = schedule(api, chat, media=["https://example.com/a.jpg"])
        response = api.delete(f"/chats/{chat.pk}/messages/{text.pk}")
        assert (response.status_code, response.content) == (204, b"")
        assert not Message.objects.exists()
        assert let_time_come() == 0
        assert api.delete(f"/chats/{chat.pk}/messages/{text.pk}").status_code == 404

    def test_any_other_stays(self, api, chat):
        text = schedule(api, chat)
        let_time_come()
        signed_post(Client(), INBOUND, sms(text="hello"))
        for message in Message.objects.all():
            response = api.delete(f"/chats/{chat.pk}/messages/{message.pk}")
            assert (response.status_code, errors(response)) == (409, [("not_scheduled", None)])
        text.refresh_from_db()
        assert text.status == Status.QUEUED

    def test_a_message_of_another_chat_is_not_there(self, api, platform, chat):
        make_virtual_number("+14155550101")
        other = make_chat(platform)
        text = schedule(api, chat)
        assert api.delete(f"/chats/{other.pk}/messages/{text.pk}").status_code == 404
        assert Message.objects.filter(pk=text.pk).exists()


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_several_senders_queue_each_text_once(self, api, chat):
        for _ in range(10):
            schedule(api, chat)
        Message.objects.update(due_at=ago(minutes=1))
        before = set(Message.objects.values_list("position", flat=True))
        assert sum(at_once([queue_scheduled_texts] * 4)) == 10
        after = list(Message.objects.order_by("position").values_list("position", "status"))
        assert len({position for position, _ in after} - before) == 10
        assert {status for _, status in after} == {"queued"}

    def test_a_text_is_cancelled_or_queued_and_never_both(self, api, chat):
        for _ in range(10):
            text = schedule(api, chat)
            Message.objects.filter(pk=text.pk).update(due_at=ago(minutes=1))
            cancelled, queued = at_once([lambda pk=text.pk: cancel_text(message_id=pk), queue_scheduled_texts])
            left = list(Message.objects.filter(pk=text.pk).values_list("status", flat=True))
            assert (left == []) == cancelled
            assert queued <= (not cancelled)
            Message.objects.all().delete()

    def test_whose_recipient_is_replaced_at_this_moment_is_not_sent_to_the_old_phone(self, api, chat):
        for index in range(8):
            omar = person(chat, 2)
            text = schedule(api, chat)
            Message.objects.filter(pk=text.pk).update(due_at=ago(minutes=1))
            path = f"/chats/{chat.pk}/participants/{omar.pk}/replace"
            at_once([lambda: api.post(path, {"phone_number": f"+1415555013{index}"}), queue_scheduled_texts])  # noqa: B023
            queue_scheduled_texts()
            text.refresh_from_db()
            assert (text.status, text.error_code) == (Status.FAILED, "recipient_replaced")
            assert read_outbound(Kind.PLATFORM)[-1].pk == text.pk


@pytest.mark.parametrize(
    ("text", "code"), [("\f", "not_text"), ("\x1c \x1f", "not_text"), (" \n", "blank"), ("", "blank")]
)
def test_control_characters_are_called_so_also_where_python_takes_them_for_white_space(text, code):
    with pytest.raises(ValidationError) as refused:
        TextField().run_validation(text)
    assert refused.value.get_codes() == [code]
