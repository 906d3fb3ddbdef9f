"""A phone number never leaves: not in a response, a log line, an exception or a repr."""

import logging
import traceback

import pytest
from django.db import connection

from chats.models import Participant, mask
from chats.phone_numbers import InvalidPhoneNumber, parse_phone_number
from tests.chats.helpers import body, errors
from tests.factories import ALICE, OMAR, SARA, make_chat, make_person


def assert_hidden(text):
    digits = text.replace(" ", "").replace("-", "")
    for number in (SARA, OMAR, ALICE):
        assert number[1:] not in digits
        assert number[-7:] not in digits


def test_no_response_and_no_log_line_quotes_a_number(api, virtual_number, caplog):
    caplog.set_level(logging.DEBUG)
    created = api.post("/chats", body(reference="r"))
    chat_id = created.json()["id"]
    responses = [
        created,
        api.post("/chats", body(reference="r")),
        api.post("/chats", body(SARA, ALICE)),
        api.post("/chats", body(SARA, SARA)),
        api.post("/chats", body(SARA, ALICE, reference="r")),
        api.post("/chats", body(SARA, OMAR[:-1])),
        api.get("/chats"),
        api.get(f"/chats/{chat_id}"),
        api.get(f"/chats/{chat_id}/messages"),
        api.post(f"/chats/{chat_id}/end"),
    ]
    for response in responses:
        assert_hidden(response.content.decode())
    assert_hidden(caplog.text)


def test_a_failure_in_the_middle_logs_no_number(api, virtual_number, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)

    def fail(*_, **__):
        raise RuntimeError("lost")

    monkeypatch.setattr("chats.services.starting.queue_introductions", fail)
    api.raise_request_exception = False
    assert api.post("/chats", body()).status_code == 500
    assert "RuntimeError: lost" in caplog.text
    assert_hidden(caplog.text)


def test_no_repr_quotes_a_number(platform, virtual_number):
    chat = make_chat(platform)
    shown = [repr(thing) for thing in (make_person(SARA, "Sara"), chat, *chat.participants.all())]
    shown += [str(thing) for thing in (make_person(SARA, "Sara"), chat, *chat.participants.all())]
    assert_hidden(" ".join(shown))
    assert "Sara" not in " ".join(shown)


@pytest.mark.parametrize("text", [SARA[1:], SARA[:-1], SARA + "9999", SARA + "x", SARA + "\n" + OMAR])
def test_no_exception_quotes_what_was_given(text):
    with pytest.raises(InvalidPhoneNumber) as caught:
        parse_phone_number(text)
    assert_hidden("".join(traceback.format_exception_only(caught.value)))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_reference_with_the_number_of_a_participant_is_refused_and_an_end_reason_loses_it(api, virtual_number):
    for reference in (f"ride {SARA}", "ride 415-555-0124"):
        response = api.post("/chats", body(reference=reference))
        assert (response.status_code, errors(response)) == (400, [("phone_number", "reference")])
    chat = api.post("/chats", body(reference="ride 4155550199")).json()
    ended = api.post(f"/chats/{chat['id']}/end", {"reason": "(415) 555-0123 did not come to gate 12"}).json()
    assert ended["end_reason"] == "••• did not come to gate 12"


def test_the_database_holds_no_number_and_no_name(platform, virtual_number):
    make_chat(platform, names=("Sara-the-first", "Omar-the-second"))
    with connection.cursor() as cursor:
        for table in ("chats_participant", "chats_chat", "messaging_message"):
            cursor.execute(f"SELECT row.*::text FROM {table} AS row")
            stored = str(cursor.fetchall())
            assert_hidden(stored)
            assert "the-first" not in stored and "the-second" not in stored
    assert [person.name for person in Participant.objects.all()] == ["Sara-the-first", "Omar-the-second"]


@pytest.mark.parametrize("number, masked", [("+14155550123", "+1••••••••23"), ("+4670174060", "+4•••••••60")])
def test_a_mask_shows_the_ends_only(number, masked):
    assert mask(number) == masked
