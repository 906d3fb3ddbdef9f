"""What becomes of texts that give their writer away, by the rules of platform and chat."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chats.models import Chat
from messaging import wording
from messaging.gateways.fields import MAX_TEXT_LENGTH
from platforms.models import Event, Platform
from tests.chats.helpers import body, errors
from tests.factories import OMAR
from tests.messaging.payloads import IMAGE, mms, sms
from tests.messaging.rows import Kind, Status, ago, read_answers, read_inbound, read_outbound
from tests.messaging.signing import INBOUND, signed_post

pytestmark = pytest.mark.django_db

RULES = ("phone_numbers_in_texts", "emails_in_texts", "links_in_texts", "handles_in_texts")
EACH = {
    "phone": ("call me on 415 555 0199 ok?", "call me on [phone number removed] ok?"),
    "email": ("write to sara@example.com ok?", "write to [e-mail address removed] ok?"),
    "link": ("see https://example.com/sara ok?", "see [link removed] ok?"),
    "handle": ("I am on telegram as @sara_k ok?", "[account removed] as [account removed] ok?"),
}


def say(what: str, *kinds: str) -> str:
    words: str = getattr(wording, f"DISCLOSURE_{what}")
    return words.format(found=wording.name_found(kinds, "en"))


def set_rules(row: Platform | Chat, *, all_of_them: str | None = None, **rules: str | None) -> None:
    for name in RULES:
        setattr(row, name, rules.get(name, all_of_them or ("pass" if isinstance(row, Platform) else None)))
    row.save()


def text(client: Any, body: str = "", **fields: Any) -> None:
    payload = fields.pop("payload", None) or sms(text=body, **fields)
    assert signed_post(client, INBOUND, payload).status_code == 200


@pytest.mark.parametrize("kind", EACH)
def test_what_is_found_is_passed_by_default(client, chat, kind):
    written, _ = EACH[kind]
    text(client, written)
    [relay] = read_outbound()
    assert relay.body == written
    assert read_inbound()[0].disclosures is None


@pytest.mark.parametrize("kind", EACH)
def test_what_is_found_is_redacted_and_its_writer_told(client, chat, platform, sara, kind):
    set_rules(platform, all_of_them="redact")
    written, passed_on = EACH[kind]
    text(client, written)
    [inbound] = read_inbound()
    assert (inbound.status, inbound.body, inbound.disclosures) == (Status.RELAYED, written, [kind])
    [relay] = read_outbound(Kind.RELAY)
    assert relay.body == passed_on
    assert read_answers() == [(sara.pk, say("REMOVED", kind))]


@pytest.mark.parametrize("kind", EACH)
def test_what_is_found_is_blocked_and_its_writer_told(client, chat, platform, sara, kind):
    set_rules(platform, all_of_them="block")
    written, _ = EACH[kind]
    text(client, written)
    [inbound] = read_inbound()
    assert (inbound.status, inbound.error_code, inbound.body) == (Status.BLOCKED, "disclosure", written)
    assert inbound.disclosures == [kind]
    assert read_outbound(Kind.RELAY) == []
    assert read_answers() == [(sara.pk, say("BLOCKED", kind))]


def test_harmless_texts_pass_word_for_word_under_every_rule(client, chat, platform):
    set_rules(platform, all_of_them="block")
    harmless = ["It is $45.50, at 10:30 on 12/05/2026", "Door code 4821#, flight LH 1234", "12 Main Street, 94105"]
    for each in harmless:
        text(client, each)
    assert [row.body for row in read_outbound()] == harmless


def test_each_kind_has_its_own_rule(client, chat, platform):
    set_rules(platform, phone_numbers_in_texts="redact", links_in_texts="block")
    text(client, "415 555 0199 or sara@example.com")
    text(client, "https://example.com/sara")
    assert [row.body for row in read_outbound(Kind.RELAY)] == ["[phone number removed] or sara@example.com"]
    assert [row.disclosures for row in read_inbound()] == [["phone"], ["link"]]


def test_one_that_is_blocked_blocks_a_text_of_which_others_would_be_removed(client, chat, platform):
    set_rules(platform, phone_numbers_in_texts="redact", emails_in_texts="block")
    text(client, "415 555 0199 or sara@example.com")
    assert read_outbound(Kind.RELAY) == []
    assert read_inbound()[0].disclosures == ["email", "phone"]


def test_a_phone_number_within_a_link_that_may_pass_is_still_one(client, chat, platform):
    set_rules(platform, phone_numbers_in_texts="redact")
    text(client, "text me: https://wa.me/14155550199")
    text(client, "the place: https://example.com/menu")
    assert [row.body for row in read_outbound(Kind.RELAY)] == [
        "text me: [phone number removed]",
        "the place: https://example.com/menu",
    ]


def test_a_chat_has_rules_of_its_own(client, chat, platform):
    set_rules(platform, all_of_them="block")
    set_rules(chat, phone_numbers_in_texts="pass", emails_in_texts="redact")
    text(client, "415 555 0199")
    text(client, "sara@example.com")
    text(client, "https://example.com/sara")
    assert [row.body for row in read_outbound(Kind.RELAY)] == ["415 555 0199", "[e-mail address removed]"]


def test_a_number_texted_in_parts_loses_the_part_that_completes_it(client, chat, platform):
    set_rules(platform, phone_numbers_in_texts="redact")
    for part in ("my number is 415", "then 555", "and 0199"):
        text(client, part)
    text(client, "see you at 5")
    relays = [row.body for row in read_outbound(Kind.RELAY)]
    assert relays == ["my number is 415", "then 555", "and [phone number removed]", "see you at 5"]
    assert [row.disclosures for row in read_inbound()] == [None, None, ["phone"], None]


def test_parts_of_two_writers_or_of_long_ago_are_no_number(client, chat, platform):
    set_rules(platform, phone_numbers_in_texts="redact")
    text(client, "my number is 415")
    text(client, "555 0199", from_=OMAR[1:])
    read_inbound()[0].__class__.objects.update(created_at=ago(hours=1))
    text(client, "555 0199")
    assert [row.disclosures for row in read_inbound()] == [None, None, None]


def test_the_caption_of_a_picture_is_redacted_too(client, chat, platform, omar):
    set_rules(platform, all_of_them="redact")
    text(client, payload=mms("image", image=IMAGE | {"caption": "me: 415 555 0199"}))
    [relay] = read_outbound(Kind.RELAY)
    assert (relay.status, relay.body) == (Status.PREPARING, "me: [phone number removed]")


def test_a_text_that_is_too_long_once_it_is_redacted_is_blocked(client, chat, platform):
    set_rules(platform, all_of_them="redact")
    long = "a@b.co " * 400 + "x" * 399
    assert len(long) <= MAX_TEXT_LENGTH
    text(client, long)
    assert [row.error_code for row in read_inbound()] == ["disclosure"]


def test_the_writer_is_told_of_each_kind_once_an_hour(client, chat, platform, time_machine):
    time_machine.move_to("2026-03-01T12:00:30Z", tick=False)
    set_rules(platform, all_of_them="redact")
    for part in ("a", "b", "c"):
        text(client, f"{part}@example.com")
    text(client, "415 555 0199")
    assert len(read_answers()) == 2
    time_machine.move_to("2026-03-01T13:00:30Z", tick=False)
    text(client, "d@example.com")
    assert len(read_answers()) == 3


def test_a_webhook_delivered_again_is_redacted_and_told_once(client, chat, platform):
    set_rules(platform, all_of_them="redact")
    payload = sms(text="sara@example.com")
    for _ in range(3):
        text(client, payload=payload)
    assert len(read_outbound()) == 2


def test_platform_and_operator_learn_of_it(client, api, chat, platform):
    set_rules(platform, all_of_them="redact", links_in_texts="block")
    Platform.objects.update(records_events=True)
    text(client, "sara@example.com or 415 555 0199")
    text(client, "https://example.com/x")
    shown = [row for row in api.get(f"/chats/{chat.pk}/messages").json()["results"] if row["direction"] == "in"]
    assert [row["disclosures"] for row in shown] == [["email", "phone"], ["link"]]
    payloads = [event.payload for event in Event.objects.filter(type="message.received").order_by("position")]
    told = [json.loads(payload)["message"] for payload in payloads]
    assert [message["disclosures"] for message in told] == [["email", "phone"], ["link"]]
    assert [message["error"] and message["error"]["code"] for message in told] == [None, "disclosure"]
    assert "sara@example.com" not in "".join(payloads)


def test_the_rules_cost_no_query_unless_a_text_can_complete_a_number(client, chat, platform):
    def count(words: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            text(client, words)
        return len(queries)

    # The statements of the relay itself go past Django's log of queries: only what comes on top would be seen.
    usual = count("on my way")
    set_rules(platform, all_of_them="block")
    assert count("on my way") == usual


# --- The API ---------------------------------------------------------------------------------------------------


def test_rules_of_a_chat_are_set_shown_and_changed(api, virtual_number):
    own = {"phone_numbers": "redact", "links": "block"}
    chat = api.post("/chats", body(disclosures=own)).json()
    assert chat["disclosures"] == {"phone_numbers": "redact", "emails": None, "links": "block", "handles": None}
    changed = api.patch(f"/chats/{chat['id']}", {"disclosures": {"links": None, "emails": "pass"}}).json()
    assert changed["disclosures"] == {"phone_numbers": "redact", "emails": "pass", "links": None, "handles": None}
    assert api.get(f"/chats/{chat['id']}").json()["disclosures"] == changed["disclosures"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"phone_numbers": "hide"}, ("invalid_choice", "disclosures.phone_numbers")),
        ({"phones": "redact"}, ("unknown_field", "disclosures.phones")),
        ("redact", ("invalid", "disclosures.non_field_errors")),
        (None, ("null", "disclosures")),
    ],
)
def test_rules_that_are_none_are_refused(api, virtual_number, given, error):
    response = api.post("/chats", body(disclosures=given))
    assert response.status_code == 400
    assert errors(response) == [error]
