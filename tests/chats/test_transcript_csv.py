"""GET /chats/{id}/messages.csv, and the same from the admin's page of a chat."""

import csv
import io

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chats import transcript
from chats.models import Chat
from messaging.models import Attachment, Message
from tests.admin.conftest import operator, viewer  # noqa: F401 - fixtures
from tests.admin.pages import page_of
from tests.admin.population import PEOPLE, log_answer, log_inbound, log_relay, populate
from tests.chats.helpers import errors
from tests.factories import SARA, make_api_client, make_chat

HEAD = ["Time", "From", "To", "Kind", "Text", "Attachments", "Outcome", "Error", "Message"]


@pytest.fixture
def chat(platform, virtual_number):
    chat = make_chat(platform)
    Message.objects.all().delete()
    return chat


@pytest.fixture
def sara(chat):
    return chat.participants.get(position=1)


@pytest.fixture
def omar(chat):
    return chat.participants.get(position=2)


def export(client, chat, **headers):
    response = client.get(f"/chats/{chat.pk}/messages.csv", headers=headers)
    assert response.status_code == 200
    return response


def read_lines(response):
    """Return the lines as a spreadsheet reads them, which is by the byte order mark."""
    content = response.getvalue()
    assert content.startswith(b"\xef\xbb\xbf")
    head, *lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert head == HEAD
    return [dict(zip(HEAD, line, strict=True)) for line in lines]


def test_a_text_and_what_became_of_it_are_one_line(api, chat, sara):
    relay = log_relay(sara, 'Hi, "Omar",\nI am at the zürich gate 🚕')
    [line] = read_lines(export(api, chat))
    moment = relay.relays.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert line == {
        "Time": moment,
        "From": "Sara (+1••••••••23)",
        "To": "Omar (+1••••••••24)",
        "Kind": "text",
        "Text": 'Hi, "Omar",\nI am at the zürich gate 🚕',
        "Attachments": "",
        "Outcome": "delivered to Omar",
        "Error": "",
        "Message": str(relay.relays.pk),
    }


def test_texts_of_the_service_and_failures_are_lines_too(api, chat, sara, omar):
    log_answer(sara, "Welcome")
    log_relay(omar, "hm", status="failed", error_code="1320", error_detail=f"{SARA[1:]} is unreachable")
    first, second = read_lines(export(api, chat))
    assert (first["From"], first["To"]) == ("Service", "Sara (+1••••••••23)")
    assert second["Outcome"] == "could not be delivered to Sara"
    assert second["Error"] == "1••••••••23 is unreachable (1320)" or "unreachable (1320)" in second["Error"]
    assert SARA[1:] not in second["Error"]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =HYPERLINK(1)",
        "＝1",
        "＋1",
        "－1",
        "＠x",
        '=cmd|"/C"!A0',
    ],
)
def test_nothing_is_a_formula(api, chat, sara, text):
    log_relay(sara, text)
    [line] = read_lines(export(api, chat))
    assert line["Text"] == f"'{text}"


@pytest.mark.parametrize("text", ["hello", "1+1=2", "'=1", "a\tb", ""])
def test_other_texts_are_as_they_were_written(api, chat, sara, text):
    log_relay(sara, text)
    [line] = read_lines(export(api, chat))
    assert line["Text"] == text


def test_a_name_is_no_formula_either(api, platform, virtual_number):
    chat = make_chat(platform, names=("=Sara", "@Omar"))
    assert {line["To"][:2] for line in read_lines(export(api, chat))} == {"'=", "'@"}


def test_attachments_are_what_they_are_and_a_link_while_there_is_one(api, chat, sara):
    message = log_inbound(sara, "look", media_count=2)
    Attachment.objects.create(
        message=message, position=1, kind="image", status="stored", file="f", stored_at=message.created_at,
        content_type="image/jpeg", size=120_000,
    )  # fmt: skip
    Attachment.objects.create(message=message, position=2, kind="vcard", status="withheld")
    [line] = read_lines(export(api, chat))
    picture, card = line["Attachments"].split("\n")
    assert picture.startswith("Picture, 117.2\N{NO-BREAK SPACE}KB: passed on http")
    assert card == "Contact card: withheld"


def test_no_number_is_shown(db):
    [rides, _] = populate().platforms
    api = make_api_client(rides)
    for chat in Chat.objects.filter(platform=rides):
        response = export(api, chat)
        shown = response.getvalue().decode() + str(response.headers)
        digits = "".join(character for character in shown if character.isdigit() or character in "\n,")
        assert not [number for number in PEOPLE if number[1:] in digits or number[2:] in shown]


def test_it_is_a_download_named_by_the_chat_that_nobody_keeps(api, chat):
    response = export(api, chat)
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == f'attachment; filename="chat-{chat.pk}.csv"'
    assert "no-store" in response.headers["Cache-Control"]
    assert read_lines(response) == []


@pytest.mark.parametrize("accept", ["text/csv", "*/*", "application/json", "text/html"])
def test_it_is_csv_whatever_is_accepted_and_errors_are_json(api, other_api, chat, accept):
    assert export(api, chat, Accept=accept).headers["Content-Type"].startswith("text/csv")
    missing = other_api.get(f"/chats/{chat.pk}/messages.csv", headers={"Accept": accept})
    assert (missing.status_code, errors(missing)) == (404, [("not_found", None)])


def test_a_long_transcript_is_read_in_parts(api, monkeypatch, chat, sara):
    monkeypatch.setattr(transcript, "_AT_ONCE", 3)
    for index in range(10):
        log_relay(sara, f"no. {index}")
    response = export(api, chat)
    with CaptureQueriesContext(connection) as captured:
        lines = read_lines(response)
    assert [line["Text"] for line in lines] == [f"no. {index}" for index in range(10)]
    # It is read while it is sent: each part of three, with its relays and the answers of approval hooks.
    assert len(captured) == 13


class TestInTheAdmin:
    def url(self, chat):
        return page_of(chat, "export_transcript")

    def test_an_operator_exports_what_the_api_exports(self, operator, api, chat, sara):  # noqa: F811
        log_relay(sara, "=1")
        assert f'href="{self.url(chat)}"' in operator.get(page_of(chat)).content.decode()
        exported = operator.get(self.url(chat))
        assert exported.headers["Content-Disposition"] == f'attachment; filename="chat-{chat.pk}.csv"'
        assert read_lines(exported) == read_lines(export(api, chat))

    def test_the_button_stays_when_the_chat_has_ended(self, operator, chat):  # noqa: F811
        assert f'href="{page_of(chat, "end_one_chat")}"' in operator.get(page_of(chat)).content.decode()
        Chat.objects.filter(pk=chat.pk).update(status="ended", ended_at=chat.created_at)
        page = operator.get(page_of(chat)).content.decode()
        assert f'href="{self.url(chat)}"' in page
        assert f'href="{page_of(chat, "end_one_chat")}"' not in page

    def test_nobody_else_does(self, client, chat):
        assert client.get(self.url(chat)).status_code == 302
        client.force_login(User.objects.create_user("una", is_staff=True))
        assert client.get(self.url(chat)).status_code == 403

    def test_what_does_not_exist_is_not_found(self, operator, chat):  # noqa: F811
        missing = self.url(chat).replace(str(chat.pk), "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11")
        assert operator.get(missing).status_code == 404
