"""Plain webhooks that come at the same time, taken together by the application that gunicorn serves."""

import asyncio
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from django.db import DatabaseError, connections
from django.test import Client
from django.utils import timezone

from chats import lookup
from chats.models import Chat, Pace, Participant
from messaging import inbox, receipts, relay
from messaging.models import Message
from messaging.webhooks_together import WebhooksTogether
from platforms.event_types import EventType
from platforms.models import Event, EventDelivery, Platform, WebhookEndpoint
from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA, make_chat
from tests.messaging.payloads import IMAGE, mms, receipt, sms
from tests.messaging.rows import (
    Kind,
    Status,
    forget_introductions,
    make_queued,
    read_answers,
    read_inbound,
    read_outbound,
)
from tests.messaging.signing import ABSENT, INBOUND, STATUS, encode, make_token, signed_post

A_TIME = datetime(2026, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.django_db(transaction=True)


class Answer(NamedTuple):
    """What a webhook got, and whether it was passed on to Django."""

    status: int
    headers: Mapping[str, str]
    was_plain: bool


def deliver(*webhooks: tuple[str, Any], host: str = "testserver", **claims: Any) -> list[Answer]:
    """Deliver all of them at once, each as (path, payload), signed as claims say."""

    async def otherwise(scope: Any, receive: Any, send: Any) -> None:
        pieces = [await receive()]
        while pieces[-1].get("more_body"):
            pieces.append(await receive())
        body = b"".join(piece["body"] for piece in pieces)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        client = Client(headers={"Authorization": headers["authorization"], "Host": headers["host"]})

        def call() -> Any:
            try:
                return client.post(scope["path"], body, content_type="application/json")
            finally:
                connections.close_all()

        answer = await asyncio.to_thread(call)
        named = [(name.encode(), value.encode()) for name, value in answer.items()]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": [*named, (b"django", b"")]})

    async def post(application: Any, path: str, payload: Any) -> Answer:
        body, sent = encode(payload), []
        headers = [(b"host", host.encode()), (b"authorization", f"Bearer {make_token(body, **claims)}".encode())]
        # In two pieces, as it may come.
        pieces = iter(
            [{"type": "http.request", "body": body[:9], "more_body": True}, {"type": "http.request", "body": body[9:]}]
        )

        async def receive() -> Any:
            return next(pieces)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        await application(scope, receive, send)
        named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], named, "django" not in named)

    async def post_all() -> list[Answer]:
        application = WebhooksTogether(otherwise)
        try:
            return await asyncio.gather(*(post(application, path, payload) for path, payload in webhooks))
        finally:
            await asyncio.to_thread(_close_connections, application)

    return asyncio.run(post_all())


def _close_connections(application: WebhooksTogether) -> None:
    """Close the connections of all threads, each of which waits for the others, and end them."""
    together = threading.Barrier(application._pool._max_workers)
    for _ in range(together.parties):
        application._pool.submit(lambda: (together.wait(60), connections.close_all()))
    application.close()


def texts(*payloads: Any) -> list[tuple[str, Any]]:
    return [(INBOUND, payload) for payload in payloads]


@pytest.fixture
def others(chat: Chat, platform: Platform) -> Chat:
    """Alice and Bob text each other through the number of Sara and Omar."""
    chat = make_chat(platform, (ALICE, BOB))
    forget_introductions()
    return chat


def sms_from(number: str, text: str, **fields: Any) -> Any:
    return sms(from_=number[1:], text=text, **fields)


def test_plain_texts_of_several_people_are_relayed_each_to_the_counterpart(chat, others):
    answers = deliver(*texts(*(sms_from(number, number[-1]) for number in (SARA, OMAR, ALICE, BOB))))
    assert [(answer.status, answer.was_plain) for answer in answers] == [(200, True)] * 4
    relays = {row.body: row.participant.phone_number for row in read_outbound(Kind.RELAY)}
    assert relays == {SARA[-1]: OMAR, OMAR[-1]: SARA, ALICE[-1]: BOB, BOB[-1]: ALICE}
    assert {row.body: row.participant.phone_number for row in read_inbound()} == {
        number[-1]: number for number in (SARA, OMAR, ALICE, BOB)
    }


def test_texts_at_once_take_two_statements_and_the_word_to_the_senders(chat, others, monkeypatch):
    statements = []
    for module in (lookup, inbox):

        def count(sql, params, execute=module.execute_prepared):
            statements.append(sql)
            return execute(sql, params)

        monkeypatch.setattr(module, "execute_prepared", count)
    deliver(*texts(*(sms_from(number, "hi") for number in (SARA, OMAR, ALICE, BOB))))
    assert len(statements) == 2
    assert len(read_outbound(Kind.RELAY)) == 4


def test_the_same_webhook_at_once_is_one_row_and_one_relay(chat):
    answers = deliver(*texts(*[sms(text="hello")] * 6))
    assert {answer.status for answer in answers} == {200}
    assert (len(read_inbound()), len(read_outbound())) == (1, 1)


def test_texts_of_one_person_keep_their_order(chat):
    deliver(*texts(*(sms(text=str(n)) for n in range(9))))
    assert [row.body for row in read_inbound()] == [str(n) for n in range(9)]
    assert [row.body for row in read_outbound()] == [str(n) for n in range(9)]


def test_what_is_not_plain_keeps_its_place_among_the_texts_of_its_writer(chat, omar):
    deliver(*texts(sms(text="one"), sms(text="STOP"), sms(text="two")))
    assert [row.status for row in read_inbound()] == [Status.RELAYED, Status.KEYWORD, Status.RELAYED]


def test_what_is_not_plain_is_answered_by_django_beside_what_is(chat, others):
    answers = deliver(
        *texts(
            sms_from(SARA, "hello"),
            sms_from(OMAR, "HELP"),
            sms_from(CHARLIE, "who is this?"),
            mms("image", image=IMAGE, from_=ALICE[1:]),
            sms_from(BOB, "hi", to="14155559999"),
        )
    )
    assert [(answer.status, answer.was_plain) for answer in answers] == [
        (200, True), (200, False), (200, False), (200, False), (200, False),
    ]  # fmt: skip
    assert sorted(row.status for row in read_inbound()) == sorted(
        [Status.RELAYED, Status.KEYWORD, Status.UNMATCHED, Status.RELAYED, Status.UNMATCHED]
    )
    assert len(read_outbound(Kind.RELAY)) == 2


@pytest.mark.parametrize(
    ("payload", "claims", "status"),
    [
        (sms(), {"secret": "another"}, 401),
        (sms(), {"payload_hash": "0" * 64}, 401),
        (sms(), {"iat": ABSENT}, 401),
        (sms(), {"api_key": "another"}, 401),
        (b"[]", {}, 400),
        (b'{"channel": "sms"}', {}, 400),
        (b"\xff", {}, 400),
    ],
)
def test_what_is_not_to_be_believed_or_understood_is_refused_as_ever(chat, payload, claims, status):
    [answer] = deliver((INBOUND, payload), **claims)
    assert (answer.status, answer.was_plain) == (status, False)
    assert read_inbound() == []


# At the end, since nothing is passed on after it.
_TEXTS = (
    "hello", "hello", "", "😀 è ñ", "x" * 3200, "help", "START", "YES", "REPORT", "call me at 4155550177",
    "a@b.example", "line\none", "\u202eevil", "half \ud800 a pair", "STOP",
)  # fmt: skip


@pytest.mark.parametrize(
    ("whose", "fields"),
    [
        (Chat, {}),
        (Chat, {"phone_numbers_in_texts": "redact", "emails_in_texts": "block"}),
        (Platform, {"asks_for_approval": True}),
        (Platform, {"texts_per_minute": 1}),
        (Platform, {"records_events": True}),
        ("writer", {"muted_at": A_TIME}),
        ("writer", {"blocked_at": A_TIME}),
        ("reader", {"blocked_at": A_TIME}),
    ],
    ids=str,
)
def test_what_becomes_of_a_text_is_the_same_by_either_way(chat, others, client, whose, fields):
    rows = (
        whose.objects.all()
        if isinstance(whose, type)
        else Participant.objects.filter(position=1 if whose == "writer" else 2)
    )
    rows.update(**fields)
    for text in _TEXTS:
        assert signed_post(client, INBOUND, sms_from(SARA, text)).status_code == 200
    answers = deliver(*texts(*(sms_from(ALICE, text) for text in _TEXTS)))
    assert {answer.status for answer in answers} == {200}
    assert _describe(chat) == _describe(others)


def _describe(chat: Chat) -> list[tuple[Any, ...]]:
    """Return what the log and the events say of a chat, but for ids and times."""
    rows = [
        (row.direction, row.kind, row.status, row.participant and row.participant.position, row.body, row.segments,
         row.price, row.currency, row.error_code, row.disclosures, row.media_count, row.relays_id is not None,
         row.turn_of == chat.platform_id, row.expires_at is not None)
        for row in Message.objects.filter(chat=chat).order_by("position")
    ]  # fmt: skip
    events = [(event.type, event.message_id is not None) for event in Event.objects.filter(chat_id=chat.pk)]
    paces = [
        (pace.participant.position, pace.same_texts, pace.quick_answers, pace.last_text is not None,
         pace.day_whole_at > pace.last_at)
        for pace in Pace.objects.filter(participant__chat=chat)
    ]  # fmt: skip
    return [*rows, *events, *paces]


def test_another_host_is_refused(chat):
    [answer] = deliver((INBOUND, sms()), host="evil.example")
    assert (answer.status, answer.was_plain) == (400, False)
    assert read_inbound() == []


def test_a_large_body_goes_to_django_whole(chat):
    [answer] = deliver((INBOUND, sms(text="x" * 3000, padding="y" * 20_000)))
    assert (answer.status, answer.was_plain) == (200, False)
    assert [len(row.body) for row in read_outbound()] == [3000]


def test_an_answer_has_the_headers_that_django_gives_it(chat, client):
    [answer] = deliver((INBOUND, sms()))
    usual = signed_post(client, INBOUND, sms()).headers
    assert {name.lower() for name in usual} == set(answer.headers)
    for name in usual:
        if name != "X-Request-Id":
            assert answer.headers[name.lower()] == usual[name]


def test_each_text_is_logged_under_the_id_of_its_request(chat, others, caplog):
    answers = deliver(*texts(sms_from(SARA, "hi"), sms_from(ALICE, "hi")))
    logged = [record.msg for record in caplog.records if record.name == "messaging.relay"]
    assert {line["request"] for line in logged} == {answer.headers["x-request-id"] for answer in answers}
    assert {line["chat"] for line in logged} == {str(chat.pk), str(others.pk)}


def test_texts_that_cannot_be_stored_together_are_stored_one_by_one(chat, others, monkeypatch):
    def fail(*_: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(relay, "log_and_relay_all", fail)
    answers = deliver(*texts(sms_from(SARA, "hi"), sms_from(ALICE, "hi")))
    assert [(answer.status, answer.was_plain) for answer in answers] == [(200, False)] * 2
    assert len(read_outbound(Kind.RELAY)) == 2


def test_a_chat_that_ends_after_the_lookup_gets_nothing(chat, others, sara, monkeypatch):
    find = relay.find_matches

    def find_then_end(pairs):
        matches = find(pairs)
        Chat.objects.filter(pk=chat.pk).update(revision=chat.revision + 1)
        return matches

    monkeypatch.setattr(relay, "find_matches", find_then_end)
    answers = deliver(*texts(sms_from(SARA, "hi"), sms_from(ALICE, "hi")))
    # Only Sara's is looked at again, by Django, which finds the chat as it is now.
    assert [answer.was_plain for answer in answers] == [False, True]
    assert len(read_outbound(Kind.RELAY)) == 2


def test_the_platform_is_told_of_each_text_once(chat, others, platform):
    Platform.objects.update(records_events=True)
    WebhookEndpoint.objects.create(platform=platform, url="https://example.com/hook", secret="x")
    deliver(*texts(sms_from(SARA, "hi"), sms_from(OMAR, "hi"), sms_from(ALICE, "hi"), sms_from(ALICE, "again")))
    told = Event.objects.filter(type=EventType.MESSAGE_RECEIVED)
    assert sorted(str(event.message_id) for event in told) == sorted(str(row.pk) for row in read_inbound())
    assert EventDelivery.objects.filter(event__in=told).count() == 4


def test_both_people_of_a_chat_at_once_put_off_its_end(chat, others):
    soon = timezone.now() + timedelta(seconds=60)
    Chat.objects.update(idle_timeout_seconds=600, idle_ends_at=soon)
    answers = deliver(*texts(*(sms_from(number, "hi") for number in (SARA, OMAR, ALICE))))
    assert {answer.was_plain for answer in answers} == {True}
    assert len(read_outbound(Kind.RELAY)) == 3
    assert min(Chat.objects.values_list("idle_ends_at", flat=True)) > soon + timedelta(seconds=500)


def test_limits_count_texts_that_are_taken_together(chat, others, settings):
    settings.REPEATED_TEXTS = 3
    deliver(*texts(*(sms_from(number, "same") for number in (SARA, ALICE) for _ in range(5))))
    relayed = [row.participant.chat_id for row in read_outbound(Kind.RELAY)]
    assert sorted(relayed) == sorted([chat.pk] * 3 + [others.pk] * 3)
    assert {participant.phone_number for participant in _told()} == {SARA, ALICE}


def test_a_limit_may_be_higher_than_anybody_texts(chat, settings):
    settings.TEXTS_PER_MINUTE = settings.TEXTS_PER_DAY = 100_000_000
    [answer] = deliver((INBOUND, sms()))
    assert (answer.status, answer.was_plain) == (200, True)


def _told() -> list[Participant]:
    return list(Participant.objects.filter(pk__in=[participant for participant, _ in read_answers()]))


class TestReceipts:
    @pytest.fixture
    def sent(self, chat: Chat, others: Chat, sara: Participant, omar: Participant) -> list[Message]:
        people = [sara, omar, *others.participants.all()]
        return [
            make_queued(person, status=Status.SENT, gateway_id=f"gw-{place}", attempts=1)
            for place, person in enumerate(people)
        ]

    def test_receipts_of_several_texts_are_recorded_together(self, sent, monkeypatch):
        statements = []
        execute = receipts.execute_prepared

        def count(sql, params):
            statements.append(len(json.loads(params["receipts"])))
            return execute(sql, params)

        monkeypatch.setattr(receipts, "execute_prepared", count)
        answers = deliver(*((STATUS, self.of(message, "delivered")) for message in sent))
        assert [(answer.status, answer.was_plain) for answer in answers] == [(200, True)] * 4
        assert [row.status for row in read_outbound()] == [Status.DELIVERED] * 4
        assert statements == [4]

    def test_both_receipts_of_a_text_at_once_move_it_forward(self, sent):
        deliver(*((STATUS, self.of(message, status)) for message in sent for status in ("submitted", "delivered")))
        assert [row.status for row in read_outbound()] == [Status.DELIVERED] * 4

    def test_one_that_failed_is_seen_to_by_django(self, sent, chat):
        statuses = ("submitted", "delivered", "rejected", "undeliverable")
        answers = deliver(*((STATUS, self.of(message, status)) for message, status in zip(sent, statuses, strict=True)))
        assert [(answer.status, answer.was_plain) for answer in answers] == [
            (200, True), (200, True), (200, False), (200, False),
        ]  # fmt: skip
        expected = [Status.SENT, Status.DELIVERED, Status.FAILED, Status.FAILED]
        assert [row.status for row in read_outbound(Kind.INTRODUCTION)] == expected

    def test_one_for_a_text_that_is_not_ours_is_answered_as_ever(self, sent):
        [answer] = deliver((STATUS, receipt(client_ref="01a22da9-dc31-70da-af06-a1194ea8d2b7")))
        assert (answer.status, answer.was_plain) == (200, False)

    def test_the_platform_is_told_of_each_that_arrived(self, sent):
        Platform.objects.update(records_events=True)
        deliver(*((STATUS, self.of(message, "delivered")) for message in sent))
        told = Event.objects.filter(type=EventType.MESSAGE_DELIVERED)
        assert {event.message_id for event in told} == {message.pk for message in sent}

    def of(self, message: Message, status: str) -> Any:
        return receipt(status=status, message_uuid=message.gateway_id, client_ref=str(message.pk))
