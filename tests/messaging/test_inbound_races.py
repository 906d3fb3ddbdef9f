"""Webhooks that arrive at the same moment."""

import pytest
from django.test import Client

from chats.services import end_chat
from messaging import wording
from messaging.models import Attachment
from tests.chats.helpers import at_once
from tests.factories import ALICE, BOB, make_chat
from tests.messaging.payloads import IMAGE, mms, sms
from tests.messaging.rows import Kind, Status, ago, forget_introductions, read_answers, read_inbound, read_outbound
from tests.messaging.signing import INBOUND, signed_post

pytestmark = pytest.mark.django_db(transaction=True)


def deliver(*payloads: dict) -> None:
    """Deliver all of them at once; each is answered 200."""
    calls = [lambda payload=payload: signed_post(Client(), INBOUND, payload) for payload in payloads]
    assert {response.status_code for response in at_once(calls)} == {200}


def test_the_same_webhook_at_once_is_one_row_and_one_relay(chat):
    for _ in range(5):
        deliver(*[sms()] * 6)
    assert (len(read_inbound()), len(read_outbound())) == (5, 5)


def test_the_same_late_webhook_at_once_is_one_row_and_one_answer(chat, sara):
    end_chat(chat_id=chat.pk, reason="test", now=ago(minutes=1))
    deliver(*[sms()] * 6)
    assert len(read_inbound()) == 1
    assert read_answers() == [(sara.pk, wording.CHAT_HAS_ENDED)]


def test_different_late_texts_at_once_are_all_logged_and_answered_once(chat, sara):
    end_chat(chat_id=chat.pk, reason="test", now=ago(minutes=1))
    deliver(*[sms(text=str(n)) for n in range(6)])
    assert sorted(row.body for row in read_inbound()) == list("012345")
    assert read_answers() == [(sara.pk, wording.CHAT_HAS_ENDED)]


def test_unsupported_messages_at_once_are_answered_once(chat, sara, time_machine):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    deliver(*[mms("unsupported") for _ in range(6)])
    assert [row.status for row in read_inbound()] == [Status.BLOCKED] * 6
    assert len(read_answers()) == 1


def test_a_picture_delivered_many_times_at_once_is_noted_once(chat, omar):
    deliver(*[mms("image", image=IMAGE)] * 6)
    [relay] = read_outbound()
    assert (relay.status, relay.participant) == (Status.PREPARING, omar)
    assert Attachment.objects.count() == 1


def test_texts_of_many_chats_at_once_each_reach_their_counterpart(chat, platform):
    other = make_chat(platform, (ALICE, BOB))
    forget_introductions()
    deliver(*[sms(text=str(n)) if n % 2 else sms(from_=ALICE[1:], text=str(n)) for n in range(8)])
    relays = {row.body: row.chat for row in read_outbound(Kind.RELAY)}
    assert relays == {str(n): chat if n % 2 else other for n in range(8)}
