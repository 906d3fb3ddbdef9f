"""Texts arrive, chats start and operators read, while somebody is erased or a chat has become too old."""

from datetime import timedelta
from functools import partial
from threading import Thread

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import Client
from django.utils import timezone

from chats.models import Chat, Participant
from chats.services import end_chat, reopen_chat
from chats.services.reopening import WasErased
from messaging import relay
from messaging.keeping import retention
from messaging.keeping.erasure import erase_person
from messaging.keeping.retention import erase_old_chats
from messaging.models import Message
from proxy_project.encryption import digest_number
from tests.admin.pages import page_of
from tests.chats.helpers import at_once, body
from tests.factories import ALICE, BOB, OMAR, SARA, make_api_client, make_chat, make_platform, make_virtual_number
from tests.keeping.helpers import assert_absent, read_everything, receive, spellings
from tests.messaging.payloads import receipt, sms
from tests.messaging.rows import read_inbound, read_outbound
from tests.messaging.signing import INBOUND, STATUS, signed_post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("media_storage")]


@pytest.fixture
def chat(db):
    make_virtual_number(messages_per_second=10_000)
    return make_chat(make_platform())


def erase(number: str = SARA):
    return erase_person(phone_digest=digest_number(number), now=timezone.now())


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_text_that_was_looked_up_before_its_writer_was_erased_is_a_strangers(chat, monkeypatch, has_ended):
    if has_ended:
        end_chat(chat_id=chat.pk, reason="test", now=timezone.now() - timedelta(minutes=1))
    find, todo = relay.find_match, [erase]

    def find_then_erase(**numbers):
        match = find(**numbers)
        if todo:
            thread = Thread(target=_and_close(todo.pop()))
            thread.start()
            thread.join()
        return match

    monkeypatch.setattr(relay, "find_match", find_then_erase)
    receive("too late")
    [text] = read_inbound()
    assert (text.status, text.chat_id, text.stranger_number) == ("unmatched", None, SARA)
    assert not [row for row in read_outbound() if row.body and row.status != "failed"]


def test_texts_of_somebody_who_is_being_erased_are_stored_once_and_are_erased_or_a_strangers(chat):
    texts = [partial(receive, f"text no. {number}", message_uuid=f"u{number}") for number in range(6)]
    at_once([*texts[:3], erase, *texts[3:]])
    rows = read_inbound()
    assert len(rows) == 6
    for row in rows:
        # Of the chat, and emptied; or after it, of a stranger.
        assert (row.chat_id, row.body) == (chat.pk, "") if row.chat_id else row.stranger_number == SARA
    assert {row.body for row in read_outbound() if row.relays_id} <= {""}


def test_two_erasures_at_once_are_one(chat):
    erased = at_once([erase] * 4)
    assert sorted(one.chats for one in erased) == [0, 0, 0, 1]


def test_both_people_of_a_chat_erased_at_once(chat):
    at_once([partial(erase, SARA), partial(erase, OMAR)])
    assert {person.phone_number for person in Participant.objects.all()} == {""}
    assert_absent(read_everything(), *spellings(SARA), *spellings(OMAR), "Sara", "Omar")


def test_a_chat_that_starts_while_one_of_its_people_is_erased_is_whole_or_erased(chat):
    make_virtual_number("+14155550101")
    api = make_api_client(chat.platform)
    at_once([erase, lambda: api.post("/chats", body()), erase])
    for one in Chat.objects.all():
        numbers = [person.phone_number for person in one.participants.all()]
        assert numbers == ([SARA, OMAR] if one.status == "open" else ["", OMAR])


def test_a_chat_is_reopened_or_erased_but_not_both(settings, chat):
    settings.KEEP_FOR_DAYS = 1
    now = timezone.now()
    Message.objects.filter(direction="out").update(status="delivered", due_at=None)
    end_chat(chat_id=chat.pk, reason="test", now=now - timedelta(days=2))

    def reopen():
        try:
            reopen_chat(chat_id=chat.pk, changes={}, now=now)
        except WasErased:
            return "refused"

    [erased, refused] = at_once([lambda: erase_old_chats(now=now), reopen])
    chat.refresh_from_db()
    numbers = {person.phone_number for person in chat.participants.all()}
    if refused:
        assert (erased, chat.status, numbers) == (1, "ended", {""})
    else:
        assert (erased, chat.status, numbers) == (0, "open", {SARA, OMAR})


def test_what_another_transaction_holds_is_left_for_the_next_time(settings, chat):
    settings.KEEP_FOR_DAYS = 1
    now = timezone.now()
    Message.objects.filter(direction="out").update(status="delivered", due_at=None)
    end_chat(chat_id=chat.pk, reason="test", now=now - timedelta(days=2))
    with transaction.atomic():
        Chat.objects.select_for_update().get(pk=chat.pk)
        [erased] = at_once([lambda: erase_old_chats(now=now)])
        assert erased == 0
    assert erase_old_chats(now=now) == 1


def test_a_text_that_another_transaction_holds_is_emptied_all_the_same(settings, chat):
    settings.KEEP_FOR_DAYS = 1
    now = timezone.now()
    receive("the blue gate")
    Message.objects.filter(direction="out").update(status="delivered", due_at=None)
    end_chat(chat_id=chat.pk, reason="test", now=now - timedelta(days=2))
    with transaction.atomic():
        list(Message.objects.filter(direction="in").select_for_update())
        assert at_once([lambda: erase_old_chats(now=now)]) == [0]
    assert erase_old_chats(now=now) == 1
    assert_absent(read_everything(), "the blue gate", "Sara", *spellings(SARA))


@pytest.mark.parametrize("step", ["forget_metadata", "empty_some_texts", "scrub_events"])
def test_texts_and_receipts_wait_for_no_step_of_it(settings, chat, monkeypatch, step):
    settings.KEEP_FOR_DAYS = 1
    now = timezone.now()
    Message.objects.filter(direction="out").update(status="delivered", due_at=None)
    end_chat(chat_id=chat.pk, reason="test", now=now - timedelta(days=2))
    make_virtual_number("+14155550101")
    make_chat(chat.platform, (ALICE, BOB))
    [text, *_] = Message.objects.filter(status="queued", participant__phone_digest=digest_number(BOB))
    do, answers = getattr(retention, step), []

    def meanwhile() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        client, number = Client(), text.virtual_number.number.removeprefix("+")
        answers.append(signed_post(client, INBOUND, sms(**{"from": ALICE.removeprefix("+"), "to": number})))
        answers.append(signed_post(client, STATUS, receipt(client_ref=str(text.pk), status="delivered")))

    def do_slowly(**params):
        done = do(**params)
        if not answers:
            # What the step has locked is locked still, as far as it lasts beyond the step.
            at_once([meanwhile])
        return done

    monkeypatch.setattr(retention, step, do_slowly)
    assert erase_old_chats(now=now) == 1
    assert [answer.status_code for answer in answers] == [200, 200]
    text.refresh_from_db()
    assert text.status == "delivered"
    assert Message.objects.filter(kind="relay", participant=text.participant).count() == 1


def test_an_operator_reads_while_the_chat_is_erased(settings, chat):
    settings.KEEP_FOR_DAYS = 1
    now = timezone.now()
    receive("the blue gate")
    Message.objects.filter(direction="out").update(status="delivered", due_at=None)
    end_chat(chat_id=chat.pk, reason="test", now=now - timedelta(days=2))
    operator = Client()
    operator.force_login(User.objects.create_superuser("olga"))
    read = partial(operator.get, page_of(chat))
    first, erased, second = at_once([read, lambda: erase_old_chats(now=now), read])
    assert (first.status_code, erased, second.status_code) == (200, 1, 200)
    page = read().content.decode()
    assert "(erased)" in page and "the blue gate" not in page


def _and_close(call):
    def run():
        call()
        connections.close_all()

    return run
