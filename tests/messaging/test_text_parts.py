"""Long texts that come in parts: whatever happens to the parts, people get the text once."""

import itertools

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from messaging import wording
from messaging.models import TextPart
from messaging.parts import forget_joined_parts, relay_overdue_parts
from messaging.tasks import forget_joined, relay_overdue
from tests.chats.helpers import at_once
from tests.factories import CHARLIE, OMAR, SARA
from tests.messaging.legacy import FORMATS, TOKEN, legacy_part, legacy_sms, send, with_token
from tests.messaging.rows import (
    Kind,
    Status,
    ago,
    lose_the_key,
    read_answers,
    read_inbound,
    read_outbound,
)
from tests.messaging.signing import ABSENT, INBOUND

pytestmark = pytest.mark.django_db

WORDS = ["Come to the ", "blue gate, ", "it is open."]
WHOLE = "".join(WORDS)


@pytest.fixture(autouse=True)
def token(settings):
    settings.VONAGE_LEGACY_WEBHOOKS, settings.VONAGE_WEBHOOK_TOKEN = "token", TOKEN


def make_parts(words: list[str] | None = None, **fields) -> list[dict]:
    words = words or WORDS
    return [legacy_part(n, len(words), text, **fields) for n, text in enumerate(words, 1)]


def deliver(client: Client, *parts: dict, form: str = "form") -> None:
    for part in parts:
        response = send(client, with_token(INBOUND), part, form)
        assert (response.status_code, response.content) == (200, b"")


def bodies() -> tuple[list[str], list[str]]:
    """Return what was logged and what is passed on."""
    return [row.body for row in read_inbound()], [row.body for row in read_outbound(Kind.RELAY)]


def let_pass(seconds: float) -> None:
    TextPart.objects.update(received_at=ago(seconds=seconds))


# --- All of them come -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_parts_in_any_order_are_one_row_and_one_relay(client, chat, sara, omar, order, form):
    parts = make_parts()
    for index in order[:-1]:
        deliver(client, parts[index], form=form)
        assert bodies() == ([], [])
    deliver(client, parts[order[-1]], form=form)
    [inbound], [relay] = read_inbound(), read_outbound()
    assert (inbound.status, inbound.body, inbound.participant) == (Status.RELAYED, WHOLE, sara)
    assert inbound.gateway_id == parts[0]["messageId"]
    assert (relay.relays, relay.body, relay.participant) == (inbound, WHOLE, omar)


@pytest.mark.parametrize("order", list(itertools.product(range(3), repeat=4)))
def test_doubled_parts_count_once(client, chat, order):
    parts = make_parts()
    deliver(client, *(parts[index] for index in order))
    assert bodies() == (([WHOLE], [WHOLE]) if len(set(order)) == 3 else ([], []))


def test_every_part_again_after_the_join_changes_nothing(client, chat):
    parts = make_parts()
    deliver(client, *parts, *parts, *parts)
    let_pass(1000)
    relay_overdue_parts(now=timezone.now())
    assert bodies() == ([WHOLE], [WHOLE])


def test_a_part_doubled_under_another_id_counts_once(client, chat):
    parts, copies = make_parts(), make_parts()
    deliver(client, parts[0], copies[0], copies[0], parts[1], parts[2], copies[0])
    let_pass(1000)
    relay_overdue_parts(now=timezone.now())
    assert bodies() == ([WHOLE], [WHOLE])


def test_values_of_json_need_not_be_strings(client, chat):
    typed = {"concat": True, "concat_ref": 108, "concat_total": 2}
    deliver(client, legacy_part(2, 2, "b", concat_part=2, **typed), legacy_part(1, 2, "a", **typed), form="json")
    assert bodies() == (["ab"], ["ab"])


@pytest.mark.slow
def test_255_parts_are_one_text(client, chat):
    parts = make_parts([f"{n:03} " for n in range(1, 256)])
    deliver(client, *parts[::-1])
    assert bodies()[1] == ["".join(f"{n:03} " for n in range(1, 256))]


OTHER_TEXTS = {
    "another sender": {"msisdn": OMAR[1:]},
    "another recipient": {"to": "14155550199"},
    "another reference": {"concat_ref": "109"},
    "another total": {"concat_total": "4"},
}


@pytest.mark.parametrize("fields", OTHER_TEXTS.values(), ids=OTHER_TEXTS)
def test_parts_of_different_texts_are_never_joined(client, chat, fields):
    deliver(client, *make_parts()[:2], legacy_part(3, 3, "not yours", **fields))
    assert bodies() == ([], [])
    deliver(client, make_parts()[2])
    assert bodies()[1] == [WHOLE]


def test_a_reference_used_again_is_a_new_text(client, chat):
    deliver(client, *make_parts(), *make_parts(["a", "b", "c"])[::-1], *make_parts())
    assert bodies()[1] == [WHOLE, "abc", WHOLE]


def test_a_reference_used_again_while_a_part_is_missing_is_a_new_text(client, chat):
    deliver(client, *make_parts()[:2], *make_parts(["a", "b", "c"]))
    assert bodies()[1] == ["Come to the blue gate, [part 3 of 3 is missing]", "abc"]


def test_an_ordinary_text_does_not_wait_for_parts(client, chat):
    deliver(client, make_parts()[0], legacy_sms(text="meanwhile"), *make_parts()[1:])
    assert bodies()[1] == ["meanwhile", WHOLE]


# --- What is no text, or for nobody -----------------------------------------------------------------------------


def test_a_binary_message_in_parts_is_answered_once(client, chat, sara):
    binary = {"type": "binary", "data": "0011AA"}
    deliver(client, *(legacy_part(n, 3, "", text_=ABSENT, **binary) for n in (3, 1, 2)))
    assert [(row.status, row.error_code) for row in read_inbound()] == [(Status.BLOCKED, "binary")]
    assert read_answers() == [(sara.pk, wording.NOT_PASSED_ON["binary"])]


@pytest.mark.parametrize(("words", "reason"), [([" ", "\n"], "empty"), (["x" * 2000] * 2, "too_long")])
def test_whether_a_text_is_empty_or_too_long_is_asked_of_the_whole(client, chat, words, reason):
    deliver(client, *make_parts(words))
    assert [(row.status, row.error_code) for row in read_inbound()] == [(Status.BLOCKED, reason)]


def test_an_empty_part_does_not_block_the_others(client, chat):
    deliver(client, *make_parts(["a", " ", "b"]))
    assert bodies()[1] == ["a b"]


def test_a_long_text_of_a_stranger_is_one_row(client, chat):
    deliver(client, *make_parts(msisdn=CHARLIE[1:]))
    assert [(row.status, row.stranger_number, row.body) for row in read_inbound()] == [
        (Status.UNMATCHED, CHARLIE, WHOLE)
    ]


HOSTILE = [
    {"concat_total": "0"},
    {"concat_total": "0", "concat_part": "0"},
    {"concat_total": "256"},
    {"concat_total": "1000"},
    {"concat_total": "-3"},
    {"concat_total": "x"},
    {"concat_total": "٣"},
    {"concat_total": ABSENT},
    {"concat_part": "0"},
    {"concat_part": "4"},
    {"concat_part": ABSENT},
    {"concat_ref": ABSENT},
    {"concat_ref": ""},
    {"concat_ref": "1" * 41},
]


@pytest.mark.parametrize("fields", HOSTILE, ids=[str(index) for index in range(len(HOSTILE))])
@pytest.mark.parametrize("form", FORMATS)
def test_counts_that_cannot_be_are_refused(client, chat, fields, form):
    assert send(client, with_token(INBOUND), legacy_part(1, 3, "a", **fields), form).status_code == 400
    assert not TextPart.objects.exists()


# --- Some never come --------------------------------------------------------------------------------------------

MISSING = {
    (1,): "Come to the [parts 2 to 3 of 3 are missing]",
    (2,): "[part 1 of 3 is missing] blue gate, [part 3 of 3 is missing]",
    (3,): "[parts 1 to 2 of 3 are missing] it is open.",
    (1, 2): "Come to the blue gate, [part 3 of 3 is missing]",
    (1, 3): "Come to the [part 2 of 3 is missing] it is open.",
    (2, 3): "[part 1 of 3 is missing] blue gate, it is open.",
}


@pytest.mark.parametrize(("came", "body"), MISSING.items())
def test_what_came_is_relayed_after_the_wait_with_a_mark(client, chat, settings, came, body):
    parts = make_parts()
    deliver(client, *(parts[n - 1] for n in reversed(came)))
    let_pass(settings.PARTS_WAIT_SECONDS - 5)
    relay_overdue(0)
    assert bodies() == ([], [])
    let_pass(settings.PARTS_WAIT_SECONDS + 1)
    relay_overdue(0)
    relay_overdue(0)
    assert bodies() == ([body], [body])
    assert read_inbound()[0].gateway_id == parts[came[0] - 1]["messageId"]
    deliver(client, *(parts[n - 1] for n in came))
    assert not TextPart.objects.filter(joined_at=None).exists()


def test_the_wait_begins_with_the_first_part_and_can_be_set(client, chat, settings):
    settings.PARTS_WAIT_SECONDS = 30
    first, second, _ = make_parts()
    deliver(client, first)
    let_pass(31)
    deliver(client, second)
    assert relay_overdue_parts(now=timezone.now()) == 1
    assert bodies()[1] == [MISSING[1, 2]]


def test_a_part_that_comes_after_the_wait_is_not_lost(client, chat):
    parts = make_parts()
    deliver(client, *parts[:2])
    let_pass(121)
    relay_overdue(0)
    deliver(client, parts[2])
    let_pass(121)
    relay_overdue(0)
    assert bodies()[1] == [MISSING[1, 2], MISSING[3,]]


def test_a_part_whose_key_is_lost_does_not_hold_up_the_others(client, chat, caplog):
    deliver(client, make_parts()[0])
    lose_the_key()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE messaging_textpart SET body = (SELECT name FROM chats_participant LIMIT 1)")
    deliver(client, make_parts(concat_ref="5", msisdn=CHARLIE[1:])[0])
    let_pass(121)
    assert relay_overdue_parts(now=timezone.now()) == 1
    assert "cannot be read" in caplog.text


# --- What is kept -----------------------------------------------------------------------------------------------


def read_raw() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT textpart::text FROM messaging_textpart AS textpart")
        return str(cursor.fetchall())


def test_parts_are_encrypted_while_they_wait_and_erased_when_they_are_joined(client, chat, caplog):
    caplog.set_level("DEBUG")
    parts = make_parts()
    deliver(client, *parts[:2])
    assert not any(secret in read_raw() for secret in (SARA[1:], *WORDS))
    deliver(client, parts[2])
    assert set(TextPart.objects.values_list("body", "from_number")) == {("", "")}
    assert not any(secret in caplog.text for secret in (SARA[1:], *WORDS))
    assert str(TextPart.objects.first()).startswith("part ")


def test_joined_parts_are_forgotten_once_they_are_repeated_no_more(client, chat, settings):
    deliver(client, *make_parts(), *make_parts(["a", "b"])[:1])
    TextPart.objects.filter(joined_at__isnull=False).update(joined_at=ago(hours=settings.WEBHOOK_MAX_AGE_HOURS - 1))
    forget_joined(0)
    assert TextPart.objects.count() == 4
    assert forget_joined_parts(now=ago(hours=-2)) == 3
    assert TextPart.objects.count() == 1


# --- At once ----------------------------------------------------------------------------------------------------


def deliver_at_once(*parts: dict) -> None:
    at_once([lambda part=part: deliver(Client(), part) for part in parts])


@pytest.mark.django_db(transaction=True)
def test_parts_at_once_are_joined_once(chat):
    for _ in range(5):
        deliver_at_once(*make_parts())
    assert bodies() == ([WHOLE] * 5, [WHOLE] * 5)


@pytest.mark.django_db(transaction=True)
def test_the_last_two_parts_at_once_each_twice_are_joined_once(chat):
    for _ in range(5):
        parts = make_parts()
        deliver(Client(), parts[0])
        deliver_at_once(*parts[1:], *parts[1:])
    assert bodies() == ([WHOLE] * 5, [WHOLE] * 5)


@pytest.mark.django_db(transaction=True)
def test_the_last_part_and_two_workers_at_once_relay_all_of_it_once(chat):
    for _ in range(5):
        parts = make_parts()
        deliver(Client(), *parts[:2])
        let_pass(121)
        workers = [lambda: relay_overdue_parts(now=timezone.now())] * 2
        at_once([lambda last=parts[2]: deliver(Client(), last), *workers])
        let_pass(121)
        relay_overdue_parts(now=timezone.now())
    logged, relayed = bodies()
    assert logged == relayed
    assert sorted(relayed).count(WHOLE) + sorted(relayed).count(MISSING[1, 2]) == 5
    assert relayed.count(MISSING[1, 2]) == relayed.count(MISSING[3,])
