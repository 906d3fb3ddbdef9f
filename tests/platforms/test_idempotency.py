"""Requests with an Idempotency-Key: however often they come, they have their effect once."""

import json
import time
from collections import Counter
from datetime import timedelta
from threading import Event

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django import app

from chats import views
from chats.models import Chat
from messaging.models import Message
from platforms import idempotency
from platforms.models import KeptAnswer
from tests.chats.helpers import at_once, body, errors
from tests.factories import ALICE, BOB, SARA, make_api_client, make_chat, make_platform, make_pool, make_virtual_number

KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}


def start(api, asked=None, headers=KEY):
    return api.post("/chats", asked or body(), headers=headers)


def replayed(response):
    return response.headers.get("Idempotent-Replayed") == "true"


class TestRepeat:
    def test_is_answered_alike_and_does_nothing(self, api):
        make_pool(3)
        first, second, third = (start(api) for _ in range(3))
        assert first.status_code == 201 and not replayed(first)
        for again in (second, third):
            assert (again.status_code, again.content, replayed(again)) == (201, first.content, True)
            assert again.headers["Content-Type"] == first.headers["Content-Type"]
        assert (Chat.objects.count(), Message.objects.count()) == (1, 2)

    def test_is_answered_as_it_was_even_when_things_have_changed(self, api, virtual_number):
        first = start(api)
        api.post(f"/chats/{first.json()['id']}/end")
        assert start(api).json()["status"] == "open"

    def test_of_ending_a_chat_is_answered_alike(self, api, platform, virtual_number):
        chat = make_chat(platform)
        answers = [api.post(f"/chats/{chat.pk}/end", {"reason": "done"}, headers=KEY) for _ in range(2)]
        assert [replayed(answer) for answer in answers] == [False, True]
        assert answers[0].content == answers[1].content

    def test_without_a_key_is_another_request(self, api):
        make_pool(2)
        assert [start(api, headers={}).status_code for _ in range(2)] == [201, 201]
        assert Chat.objects.count() == 2
        assert not KeptAnswer.objects.exists()

    def test_with_another_key_is_another_request(self, api):
        make_pool(2)
        for key in ("one", "two"):
            assert not replayed(start(api, headers={"Idempotency-Key": key}))
        assert Chat.objects.count() == 2

    def test_by_another_platform_is_its_own_request(self, api, other_api):
        make_pool(2)
        mine, theirs = start(api), start(other_api)
        assert (theirs.status_code, replayed(theirs)) == (201, False)
        assert mine.json()["id"] != theirs.json()["id"]

    def test_by_another_key_of_the_same_platform_is_a_repeat(self, api, platform, virtual_number):
        start(api)
        assert replayed(start(make_api_client(platform)))

    def test_costs_nothing_when_a_get_carries_a_key(self, api, virtual_number):
        assert [replayed(api.get("/chats", headers=KEY)) for _ in range(2)] == [False, False]
        assert not KeptAnswer.objects.exists()


class TestKey:
    @pytest.mark.parametrize("key", ["x", "x" * 255, '"8e03978e"', "a b, c;~!"])
    def test_is_anything_printable(self, api, virtual_number, key):
        headers = {"Idempotency-Key": key}
        assert start(api, headers=headers).status_code == 201
        assert replayed(start(api, headers=headers))

    @pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "é", "nul\0"])
    def test_that_is_none_is_refused_and_nothing_is_done(self, api, virtual_number, key):
        response = start(api, headers={"Idempotency-Key": key})
        assert response.status_code == 400
        assert errors(response) == [("invalid_idempotency_key", "Idempotency-Key")]
        assert not Chat.objects.exists()

    @pytest.mark.parametrize("asked", [body(reference="other"), body(ALICE, BOB)])
    def test_of_another_body_is_refused(self, api, asked):
        make_pool(3)
        start(api)
        response = start(api, asked)
        assert response.status_code == 422
        assert errors(response) == [("idempotency_key_reused", None)]
        assert Chat.objects.count() == 1

    def test_of_another_url_is_refused(self, api, virtual_number):
        chat = start(api).json()
        response = api.post(f"/chats/{chat['id']}/end", body(), headers=KEY)
        assert (response.status_code, errors(response)) == (422, [("idempotency_key_reused", None)])
        assert Chat.objects.get().status == "open"


class TestWhatDidNotSucceed:
    @pytest.mark.parametrize(
        "asked, status", [({}, 400), (body(SARA, SARA), 400), (body(SARA, "+14155550100"), 400), ([], 400)]
    )
    def test_a_refused_request_leaves_its_key_unused(self, api, virtual_number, asked, status):
        for _ in range(2):
            response = api.post("/chats", asked, headers=KEY)
            assert (response.status_code, replayed(response)) == (status, False)
        assert not KeptAnswer.objects.exists()
        assert start(api).status_code == 201

    def test_a_conflict_is_decided_anew(self, api):
        assert start(api).status_code == 409
        make_virtual_number()
        assert (start(api).status_code, Chat.objects.count()) == (201, 1)

    def test_a_body_that_is_too_large_is_refused_as_without_a_key(self, api):
        asked = body(metadata={"x": "x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE})
        response = start(api, asked)
        assert (response.status_code, errors(response)) == (413, [("body_too_large", None)])

    def test_a_body_that_is_no_json_is_refused_as_without_a_key(self, api):
        for content_type, status in (("text/plain", 415), ("application/json", 400)):
            assert api.post("/chats", "{", content_type=content_type, headers=KEY).status_code == status

    def test_a_method_that_there_is_not(self, api):
        assert api.patch("/chats", {}, headers=KEY).status_code == 405

    def test_a_failure_of_ours_takes_back_everything_and_the_repeat_succeeds(self, api, virtual_number, monkeypatch):
        show = views.ChatView.show
        api.raise_request_exception = False
        monkeypatch.setattr(views.ChatView, "show", lambda *_: 1 / 0)
        assert start(api).status_code == 500
        assert not Chat.objects.exists() and not Message.objects.exists() and not KeptAnswer.objects.exists()
        monkeypatch.setattr(views.ChatView, "show", show)
        assert start(api).status_code == 201
        assert Message.objects.count() == 2


def test_what_is_kept_tells_nothing_without_our_keys(api, virtual_number):
    key = {"Idempotency-Key": f"booking of {SARA}"}
    asked = {"participants": [{"phone_number": SARA, "name": "Sara"}, {"phone_number": BOB}]}
    start(api, asked, headers=key)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(kept)::text FROM platforms_keptanswer AS kept")
        [[kept]] = cursor.fetchall()
    for told in (SARA, SARA[1:], "Sara", "booking", "participants", SARA.encode().hex(), b"booking".hex()):
        assert told not in kept
    assert json.loads(KeptAnswer.objects.get().body)["participants"][0]["name"] == "Sara"


def test_the_senders_are_woken_once_the_answer_is_kept(api, virtual_number, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as woken:
        start(api)
    assert len(woken) == 2
    with django_capture_on_commit_callbacks() as woken:
        assert replayed(start(api))
    assert not woken


def test_old_answers_are_forgotten_in_batches_by_the_worker(api, virtual_number, monkeypatch):
    monkeypatch.setattr(idempotency, "FORGET_AT_ONCE", 2)
    chat = start(api).json()
    for number in range(5):
        api.post(f"/chats/{chat['id']}/end", headers={"Idempotency-Key": f"old {number}"})
    kept = timedelta(hours=settings.IDEMPOTENCY_KEEP_HOURS)
    old = KeptAnswer.objects.exclude(pk=KeptAnswer.objects.earliest("pk").pk)
    old.update(created_at=timezone.now() - kept - timedelta(minutes=1))
    app.tasks["platforms.tasks.forget_idempotency_keys"](timestamp=0)
    assert KeptAnswer.objects.count() == 1
    assert replayed(start(api))


class TestAtOnce:
    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture
    def api(self):
        make_pool(10)
        return make_api_client(make_platform())

    def test_the_same_request_many_times_is_one_chat_with_one_answer(self, api):
        responses = at_once([lambda: start(api)] * 8)
        assert {response.status_code for response in responses} == {201}
        assert len({response.content for response in responses}) == 1
        assert Counter(map(replayed, responses)) == {False: 1, True: 7}
        assert (Chat.objects.count(), Message.objects.count(), KeptAnswer.objects.count()) == (1, 2, 1)

    def test_other_keys_do_not_wait_for_one_another(self, api):
        keys = [{"Idempotency-Key": f"{n}"} for n in range(6)]
        people = [body(f"+1415555013{n}", f"+1415555014{n}") for n in range(6)]
        calls = [lambda asked=asked, key=key: start(api, asked, key) for asked, key in zip(people, keys, strict=True)]
        assert {response.status_code for response in at_once(calls)} == {201}

    def test_different_bodies_with_one_key_are_one_chat_and_refusals(self, api):
        calls = [lambda n=n: start(api, body(f"+1415555013{n}", f"+1415555014{n}")) for n in range(5)]
        assert Counter(response.status_code for response in at_once(calls)) == {201: 1, 422: 4}
        assert Chat.objects.count() == 1

    def test_a_repeat_does_the_work_when_the_first_fails_while_it_waits(self, api, monkeypatch):
        api.raise_request_exception = False
        started = views.start_chat
        calls = []

        def fail_once(**asked):
            result = started(**asked)
            calls.append(result)
            if len(calls) == 1:
                _wait_until_somebody_waits()
                raise RuntimeError
            return result

        monkeypatch.setattr(views, "start_chat", fail_once)
        responses = at_once([lambda: start(api)] * 2)
        assert sorted(response.status_code for response in responses) == [201, 500]
        assert not any(map(replayed, responses))
        assert (Chat.objects.count(), Message.objects.count()) == (1, 2)

    def test_a_repeat_that_would_wait_too_long_is_told_when_to_come_again(self, api, monkeypatch):
        monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.05)
        started, answered = views.start_chat, Event()

        def start_slowly(**asked):
            assert answered.wait(timeout=60)
            return started(**asked)

        def repeat():
            _wait_until(lambda: _count("state = 'idle in transaction'"))
            response = start(api)
            answered.set()
            return response

        monkeypatch.setattr(views, "start_chat", start_slowly)
        first, second = at_once([lambda: start(api), repeat])
        assert (second.status_code, errors(second)) == (409, [("idempotency_key_in_use", None)])
        assert int(second.headers["Retry-After"]) >= 1
        assert first.status_code == 201
        assert replayed(start(api))

    def test_the_work_itself_may_wait_for_locks_as_long_as_without_a_key(self, api, monkeypatch):
        monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.05)
        started = views.start_chat
        seen = []

        def start_and_look(**asked):
            with connection.cursor() as cursor:
                cursor.execute("SHOW lock_timeout")
                seen.extend(cursor.fetchone())
            return started(**asked)

        monkeypatch.setattr(views, "start_chat", start_and_look)
        assert start(api).status_code == 201
        assert seen == ["0"]

    def test_a_connection_that_breaks_before_the_commit_leaves_nothing_and_the_repeat_succeeds(self, api, monkeypatch):
        started = views.start_chat

        def start_and_break(**asked):
            started(**asked)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        api.raise_request_exception = False
        with monkeypatch.context() as broken:
            broken.setattr(views, "start_chat", start_and_break)
            assert start(api).status_code == 500
        connection.close()
        assert not KeptAnswer.objects.exists() and not Chat.objects.exists()
        assert (start(api).status_code, Message.objects.count()) == (201, 2)


def _wait_until_somebody_waits():
    _wait_until(lambda: _count("wait_event_type = 'Lock'"))


def _wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _count(condition):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {condition}")
        return cursor.fetchone()[0]
