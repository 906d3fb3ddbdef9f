"""POST /webhooks/inbound: what becomes of a text, by what it is and whose it is."""

import pytest
from django.test import Client
from django.utils import timezone

from chats.models import Chat, VirtualNumber
from chats.services import end_chat
from messaging import wording
from platforms.models import Platform, Template
from tests.factories import (
    ALICE,
    BOB,
    CHARLIE,
    OMAR,
    SARA,
    VIRTUAL_NUMBER,
    make_chat,
    make_platform,
    make_pool,
)
from tests.messaging.payloads import IMAGE, mms, sms
from tests.messaging.rows import (
    Kind,
    Status,
    ago,
    forget_introductions,
    make_queued,
    read_answers,
    read_inbound,
    read_outbound,
)
from tests.messaging.signing import ABSENT, INBOUND, signed_post

pytestmark = pytest.mark.django_db

STRANGER = CHARLIE
REPLY = "This number is not in use."


def text(client: Client, payload: dict | None = None, **fields) -> None:
    """Deliver a webhook that must be answered 200 with nothing in it."""
    response = signed_post(client, INBOUND, payload or sms(**fields))
    assert (response.status_code, response.content) == (200, b"")


def move_end(chat: Chat, **since: float) -> None:
    """Let the chat have ended that long ago."""
    end_chat(chat_id=chat.pk, reason="test", now=ago(**since))


# --- Texts in an open chat ---------------------------------------------------------------------------------

TEXTS = {
    "every documented field": ({}, "Hello there"),
    "without message_type": ({"message_type": ABSENT}, "Hello there"),
    "milliseconds in the timestamp": ({"timestamp": "2025-02-03T12:14:25.000Z"}, "Hello there"),
    "fields nobody documented": ({"new": {"a": [1, None]}, "_self": {}, "client_ref": 7}, "Hello there"),
    "total_count instead of count_total": ({"sms": {"total_count": "2"}}, "Hello there"),
    "no optional part": (dict.fromkeys(("sms", "usage", "origin", "context_status"), ABSENT), "Hello there"),
    "optional parts of a wrong type": ({"sms": None, "usage": "free", "origin": []}, "Hello there"),
    "numbers as JSON numbers": ({"to": int(VIRTUAL_NUMBER[1:]), "from_": int(SARA[1:])}, "Hello there"),
    "numbers with +": ({"to": VIRTUAL_NUMBER, "from_": SARA}, "Hello there"),
    "emoji": ({"text": "👩‍👩‍👧‍👦 ok 👍🏽"}, "👩‍👩‍👧‍👦 ok 👍🏽"),
    "right to left, combined and zero width": ({"text": "\u202eשלום é \u200b"}, "\u202eשלום é \u200b"),
    "NUL and control characters": ({"text": "a\x00b\x1b[31m\r\n\tc"}, "a\x00b\x1b[31m\r\n\tc"),
    "a lone surrogate": ({"text": "a\ud800b"}, "a?b"),
    "SQL and format characters": ({"text": "%s %(id)s {0} '; DROP TABLE"}, "%s %(id)s {0} '; DROP TABLE"),
    "spaces around it": ({"text": "  hi \n"}, "  hi \n"),
    "3200 characters": ({"text": "x" * 3200}, "x" * 3200),
    "3200 emoji": ({"text": "😀" * 3200}, "😀" * 3200),
    "a long text that came as MMS": ({"channel": "mms", "sms": ABSENT, "text": "long"}, "long"),
}


@pytest.mark.parametrize(("fields", "body"), TEXTS.values(), ids=TEXTS)
def test_a_text_is_logged_and_passed_on_word_for_word(client, chat, sara, omar, virtual_number, fields, body):
    payload = sms(**fields)
    text(client, payload)
    [inbound] = read_inbound()
    assert (inbound.status, inbound.kind, inbound.body) == (Status.RELAYED, Kind.TEXT, body)
    assert (inbound.participant, inbound.chat, inbound.virtual_number) == (sara, chat, virtual_number)
    assert (inbound.gateway_id, inbound.error_code, inbound.due_at) == (payload["message_uuid"], "", None)
    # The participant's row has the number; the log does not repeat it.
    assert (inbound.stranger_number, inbound.stranger_digest) == ("", None)
    [relay] = read_outbound()
    assert (relay.status, relay.kind, relay.body, relay.relays) == (Status.QUEUED, Kind.RELAY, body, inbound)
    assert (relay.participant, relay.chat, relay.virtual_number) == (omar, chat, virtual_number)
    assert (relay.attempts, relay.gateway_id, relay.once_key) == (0, None, None)
    assert relay.due_at <= timezone.now()


def test_each_of_the_two_reaches_the_other(client, chat, sara, omar):
    text(client, text="from Sara")
    text(client, from_=OMAR[1:], text="from Omar")
    assert [(row.participant, row.body) for row in read_outbound()] == [(omar, "from Sara"), (sara, "from Omar")]


def test_each_is_texted_from_the_number_they_know(client, chat, sara, omar):
    [other_number] = make_pool(1)
    omar.virtual_number = other_number
    omar.save()
    text(client)
    text(client, from_=OMAR[1:], to=other_number.number[1:])
    assert [(row.participant, row.virtual_number) for row in read_outbound()] == [
        (omar, other_number),
        (sara, sara.virtual_number),
    ]


def test_chats_of_people_with_the_same_names_on_one_number_do_not_mix(client, platform, virtual_number):
    first, second = make_chat(platform), make_chat(platform, (ALICE, BOB))
    forget_introductions()
    text(client, text="1")
    text(client, from_=ALICE[1:], text="2")
    text(client, from_=BOB[1:], text="3")
    assert [(row.chat, row.participant.phone_number, row.body) for row in read_outbound()] == [
        (first, OMAR, "1"),
        (second, BOB, "2"),
        (second, ALICE, "3"),
    ]


def test_a_person_in_two_chats_reaches_the_one_that_goes_with_the_number(client, platform):
    make_pool(2)
    chats = [make_chat(platform, (SARA, friend)) for friend in (ALICE, BOB)]
    forget_introductions()
    for chat in reversed(chats):
        text(client, to=chat.participants.get(position=1).virtual_number.number[1:])
    assert [row.participant.phone_number for row in read_outbound()] == [BOB, ALICE]


def test_a_new_chat_on_the_number_of_an_ended_one_gets_the_text(client, chat, platform, settings):
    settings.COOL_DOWN_HOURS = 0
    move_end(chat, hours=1)
    new = make_chat(platform, (SARA, ALICE))
    forget_introductions()
    text(client)
    [relay] = read_outbound()
    assert (relay.chat, relay.participant.phone_number) == (new, ALICE)


def test_a_webhook_delivered_five_times_is_relayed_once(client, chat):
    payload = sms()
    for _ in range(5):
        text(client, payload)
    assert (len(read_inbound()), len(read_outbound())) == (1, 1)


def test_a_webhook_delivered_again_with_other_words_changes_nothing(client, chat):
    payload = sms()
    text(client, payload)
    text(client, payload | {"text": "other words"})
    assert [row.body for row in (*read_inbound(), *read_outbound())] == ["Hello there"] * 2


def test_an_inbound_text_may_have_the_gateway_id_of_an_outbound_one(client, chat, omar):
    make_queued(omar, gateway_id="same-id", status=Status.SENT)
    text(client, message_uuid="same-id")
    assert len(read_outbound(Kind.RELAY)) == 1


# --- Texts that cannot be passed on --------------------------------------------------------------------------

BLOCKED = {
    "the smallest legal text": ({**dict.fromkeys(("message_type", "sms", "usage"), ABSENT), "text": ""}, "empty", ""),
    "only spaces": ({"text": " \n\t "}, "empty", " \n\t "),
    "no text at all": ({"text": ABSENT}, "empty", ""),
    "text null": ({"text": None}, "empty", ""),
    "3201 characters": ({"text": "x" * 3201}, "too_long", "x" * 3201),
    "unsupported": (mms("unsupported"), "media", ""),
    "a type from the future": (mms("hologram", hologram="?"), "media", ""),
    "a type that is not a string": (mms(["image"]), "media", ""),
    "MMS without a type or text": (mms(ABSENT, image=IMAGE), "media", ""),
    "an image that is not there": (mms("image"), "media", ""),
    "a caption of 3201 characters": (mms("image", image=IMAGE | {"caption": "x" * 3201}), "too_long", "x" * 3201),
}


@pytest.mark.parametrize(("fields", "reason", "kept"), BLOCKED.values(), ids=BLOCKED)
def test_what_cannot_be_passed_on_is_logged_and_its_writer_told(client, chat, sara, fields, reason, kept):
    text(client, fields if "channel" in fields else sms(**fields))
    [inbound] = read_inbound()
    assert (inbound.status, inbound.error_code, inbound.body) == (Status.BLOCKED, reason, kept)
    assert (inbound.participant, inbound.chat) == (sara, chat)
    [answer] = read_outbound()
    assert (answer.kind, answer.status, answer.participant) == (Kind.AUTO_REPLY, Status.QUEUED, sara)
    assert (answer.body, answer.virtual_number) == (wording.NOT_PASSED_ON[reason], sara.virtual_number)


def test_many_unsupported_messages_in_a_minute_are_answered_once_and_in_the_next_again(client, chat, time_machine):
    time_machine.move_to("2026-03-01T12:00:30Z", tick=False)
    for _ in range(3):
        text(client, mms("unsupported"))
    assert (len(read_inbound()), len(read_outbound())) == (3, 1)
    time_machine.move_to("2026-03-01T12:01:00Z", tick=False)
    text(client, mms("unsupported"))
    assert len(read_outbound()) == 2


def test_both_people_and_each_reason_are_told(client, chat, sara, omar):
    text(client, mms("unsupported"))
    text(client, text="")
    text(client, mms("unsupported", from_=OMAR[1:]))
    told = wording.NOT_PASSED_ON
    assert read_answers() == [(sara.pk, told["media"]), (sara.pk, told["empty"]), (omar.pk, told["media"])]


# --- Texts after the end -------------------------------------------------------------------------------------


def test_late_texts_are_logged_answered_once_and_passed_on_to_nobody(client, chat, sara, omar):
    move_end(chat, minutes=5)
    text(client)
    text(client, text="anybody there?")
    text(client, mms("image", image=IMAGE))
    assert [(row.status, row.participant) for row in read_inbound()] == [(Status.LATE, sara)] * 3
    assert read_answers() == [(sara.pk, wording.CHAT_HAS_ENDED)]
    assert len(read_outbound()) == 1
    text(client, from_=OMAR[1:])
    assert read_answers()[1:] == [(omar.pk, wording.CHAT_HAS_ENDED)]


def test_a_text_in_an_expired_chat_that_no_worker_has_closed_is_late(client, chat, sara):
    Chat.objects.filter(pk=chat.pk).update(expires_at=ago(minutes=1))
    text(client)
    assert [row.status for row in read_inbound()] == [Status.LATE]
    assert read_answers() == [(sara.pk, wording.CHAT_HAS_ENDED)]


def test_a_text_just_before_the_chat_expires_is_passed_on(client, chat):
    Chat.objects.filter(pk=chat.pk).update(expires_at=ago(minutes=-1))
    text(client)
    assert len(read_outbound(Kind.RELAY)) == 1


@pytest.mark.parametrize(("hours", "status"), [(23.9, Status.LATE), (24.1, Status.UNMATCHED)])
def test_a_late_text_is_known_until_the_cool_down_is_over(client, chat, settings, hours, status):
    settings.COOL_DOWN_HOURS = 24
    move_end(chat, hours=hours)
    text(client)
    [inbound] = read_inbound()
    assert inbound.status == status
    assert len(read_outbound()) == (status == Status.LATE)
    assert inbound.stranger_number == ("" if status == Status.LATE else SARA)


def test_of_two_ended_chats_the_last_one_is_answered_for(client, chat, platform, settings):
    settings.COOL_DOWN_HOURS = 0
    move_end(chat, hours=2)
    last = make_chat(platform, (SARA, ALICE))
    forget_introductions()
    move_end(last, hours=1)
    settings.COOL_DOWN_HOURS = 24
    text(client)
    assert [(row.status, row.chat) for row in read_inbound()] == [(Status.LATE, last)]


# --- Strangers -----------------------------------------------------------------------------------------------


def test_a_stranger_is_logged_and_neither_passed_on_nor_answered(client, chat, virtual_number):
    text(client, from_=STRANGER[1:], text="who is this")
    [inbound] = read_inbound()
    assert (inbound.status, inbound.body, inbound.stranger_number) == (Status.UNMATCHED, "who is this", STRANGER)
    assert (inbound.participant, inbound.chat, inbound.virtual_number) == (None, None, virtual_number)
    assert read_outbound() == []


def test_a_stranger_is_answered_once_a_day_and_number_when_there_is_a_reply(
    client, chat, settings, time_machine, virtual_number
):
    settings.STRANGER_REPLY = REPLY
    [second] = make_pool(1)
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    for _ in range(3):
        text(client, from_=STRANGER[1:])
    [answer] = read_outbound()
    assert (answer.kind, answer.body, answer.stranger_number) == (Kind.AUTO_REPLY, REPLY, STRANGER)
    assert (answer.virtual_number, answer.participant, answer.chat) == (virtual_number, None, None)
    text(client, from_=STRANGER[1:], to=second.number[1:])
    text(client, from_=ALICE[1:])
    assert len(read_outbound()) == 3
    time_machine.move_to("2026-03-02T00:00:00Z", tick=False)
    text(client, from_=STRANGER[1:])
    assert len(read_outbound()) == 4


@pytest.mark.parametrize("setting", ["", REPLY])
@pytest.mark.parametrize(
    ("language", "owned", "said"),
    [("en", True, "This is Rides."), ("en-GB", True, "This is Rides."), ("es", True, ""), ("en", False, "")],
)
def test_on_a_number_that_one_platform_owns_its_template_answers_strangers(
    client, platform, settings, virtual_number, setting, language, owned, said
):
    settings.STRANGER_REPLY = setting
    Template.objects.create(platform=platform, kind="stranger", language="en", text="This is {platform}.")
    Platform.objects.update(language=language)
    VirtualNumber.objects.update(platform=platform if owned else None)
    for _ in range(2):
        text(client, from_=STRANGER[1:])
    assert [row.body for row in read_outbound()] == [said or setting] * bool(said or setting)


@pytest.mark.parametrize(
    "sender",
    ["12345", "123456", "VONAGE", "Bank24", "+12345", "+Bank", "+0155550123", "0015550123", "14155550123456789"],
)
def test_short_codes_and_names_are_logged_and_never_answered(client, chat, settings, sender):
    settings.STRANGER_REPLY = REPLY
    text(client, from_=sender)
    assert [(row.status, row.stranger_number.lstrip("+")) for row in read_inbound()] == [
        (Status.UNMATCHED, sender.lstrip("+"))
    ]
    assert read_outbound() == []


@pytest.mark.parametrize("sender", ["My Bank", "Ärzte", "📞"])
def test_a_sender_no_number_could_be_is_logged_too(client, chat, sender):
    text(client, from_=sender)
    assert [row.status for row in read_inbound()] == [Status.UNMATCHED]


def test_a_text_to_a_number_that_is_not_ours_is_logged_and_nothing_else(client, chat, settings):
    settings.STRANGER_REPLY = REPLY
    text(client, to="14155550199")
    [inbound] = read_inbound()
    assert (inbound.status, inbound.virtual_number, inbound.stranger_number) == (Status.UNMATCHED, None, SARA)
    assert read_outbound() == []


def test_a_text_on_another_of_our_numbers_is_a_strangers(client, chat):
    [other_number] = make_pool(1)
    text(client, to=other_number.number[1:])
    assert [(row.status, row.virtual_number) for row in read_inbound()] == [(Status.UNMATCHED, other_number)]
    assert read_outbound() == []


def test_a_retired_number_still_serves_its_open_chats(client, chat, virtual_number):
    virtual_number.state = virtual_number.State.RETIRED
    virtual_number.save()
    text(client)
    assert len(read_outbound(Kind.RELAY)) == 1


def test_chats_of_other_platforms_do_not_matter(client, chat, other_platform, omar):
    make_chat(make_platform("Third"), (ALICE, BOB))
    forget_introductions()
    text(client)
    assert [row.participant for row in read_outbound()] == [omar]


def test_neither_numbers_nor_texts_are_logged(client, chat, caplog):
    caplog.set_level("DEBUG")
    text(client, text="a secret")
    text(client, text="")
    text(client, from_=STRANGER[1:], text="a secret")
    text(client, from_="My Bank", text="a secret")
    assert caplog.text.count("text received") == 4
    for secret in ("secret", "Bank", *(number[1:] for number in (SARA, OMAR, STRANGER, VIRTUAL_NUMBER))):
        assert secret not in caplog.text
