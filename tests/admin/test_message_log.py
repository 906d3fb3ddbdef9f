"""The message log: to be read, newest first, without the texts; a text is on the page of its message."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse

from chats.models import Chat
from messaging.models import Message
from platforms.models import Platform
from tests.admin.pages import MESSAGES, listed, page_of, read
from tests.admin.population import STRANGER, log_answer, log_inbound, log_relay, log_stranger
from tests.factories import SARA, make_chat, make_pool

Status = Message.Status


@pytest.fixture
def chat(platform: Platform) -> Chat:
    """A chat in which nobody has texted yet."""
    make_pool(1)
    chat = make_chat(platform)
    Message.objects.all().delete()
    return chat


def test_the_log_is_newest_first(operator: Client, chat: Chat) -> None:
    sara, omar = chat.participants.all()
    first, second, third = (log_inbound(one, "text") for one in (sara, omar, sara))
    assert listed(operator.get(MESSAGES)) == [third.pk, second.pk, first.pk]


def test_a_row_says_who_what_and_in_which_chat_but_not_the_text(operator: Client, chat: Chat) -> None:
    log_relay(chat.participants.get(position=1), "meet me at the gate", status=Status.FAILED, error_code="1320")
    page = read(operator, MESSAGES)
    for shown in ("Omar +1••••••••24", "Sara +1••••••••23", "from a person", "to a person", "relay", "failed", "1320"):
        assert shown in page
    assert f"…{str(chat.pk)[-8:]}" in page
    assert "meet me" not in page


def test_the_list_reads_no_text_from_the_database(operator: Client, chat: Chat) -> None:
    log_inbound(chat.participants.get(position=1), "text")
    with CaptureQueriesContext(connection) as queries:
        operator.get(MESSAGES)
    reading = [query["sql"] for query in queries if '"messaging_message"' in query["sql"]]
    assert len(reading) == 1
    assert '"messaging_message"."body"' not in reading[0] and " LIMIT " in reading[0]
    assert "COUNT(" not in reading[0].upper()


def test_fifty_messages_cost_as_many_queries_as_one(operator: Client, chat: Chat) -> None:
    sara, omar = chat.participants.all()
    log_inbound(sara, "text")
    operator.get(MESSAGES)
    with CaptureQueriesContext(connection) as few:
        operator.get(MESSAGES)
    for _ in range(25):
        log_relay(omar, "text")
    with CaptureQueriesContext(connection) as many:
        operator.get(MESSAGES)
    assert len(many) == len(few) <= 10


def test_the_log_is_filtered_by_status_direction_and_kind(operator: Client, chat: Chat) -> None:
    sara = chat.participants.get(position=1)
    late = log_inbound(sara, "late", status=Status.LATE)
    answer = log_answer(sara, "ended", status=Status.SENT)
    relay = log_relay(sara, "Hi", status=Status.FAILED)
    assert listed(operator.get(MESSAGES, {"status__exact": "failed"})) == [relay.pk]
    assert listed(operator.get(MESSAGES, {"direction__exact": "in"})) == [relay.relays_id, late.pk]
    assert listed(operator.get(MESSAGES, {"kind__exact": "auto_reply"})) == [answer.pk]
    assert listed(operator.get(MESSAGES, {"kind__exact": "text", "status__exact": "late"})) == [late.pk]


def test_a_messages_page_shows_its_text_and_what_became_of_it(operator: Client, chat: Chat) -> None:
    relay = log_relay(
        chat.participants.get(position=1),
        "<b>at</b> the gate",
        status=Status.FAILED,
        error_code="1320",
        error_detail="unreachable",
        attempts=2,
        gateway_id="gateway-1",
        segments=1,
        price="0.00710000",
        currency="EUR",
    )
    source = operator.get(page_of(relay)).content.decode()
    assert "&lt;b&gt;at&lt;/b&gt; the gate" in source and "<b>at</b>" not in source
    page = read(operator, page_of(relay))
    for shown in ("unreachable (1320)", "gateway-1", "0.0071 EUR", "failed"):
        assert shown in page
    assert f'href="{page_of(relay.relays)}"' in source and f'href="{page_of(chat)}"' in source
    inbound = operator.get(page_of(relay.relays)).content.decode()
    assert f'href="{page_of(relay)}"' in inbound


def test_a_strangers_number_is_masked_in_the_list_and_on_the_page(operator: Client, chat: Chat) -> None:
    number = chat.participants.get(position=1).virtual_number
    ours, not_ours = log_stranger(number, f"call {STRANGER}"), log_stranger(None, "hello")
    assert "stranger +1••••••••29" in read(operator, MESSAGES)
    assert "call +1••••••••29" in read(operator, page_of(ours))
    assert "not ours" in read(operator, page_of(not_ours))


def test_a_number_in_a_text_of_a_chat_is_masked(operator: Client, chat: Chat) -> None:
    omar = chat.participants.get(position=2)
    assert "call +1••••••••23" in read(operator, page_of(log_inbound(omar, f"call {SARA}")))


def test_nothing_can_be_added_changed_or_deleted(operator: Client, chat: Chat) -> None:
    message = log_inbound(chat.participants.get(position=1), "Hi")
    page = operator.get(page_of(message))
    assert not page.context["adminform"].form.fields and 'name="_save"' not in page.content.decode()
    assert operator.get(reverse("admin:messaging_message_add")).status_code == 403
    assert operator.post(page_of(message), {"status": "late"}).status_code == 403
    assert operator.post(page_of(message, "delete"), {"post": "yes"}).status_code == 403
    operator.post(MESSAGES, {"action": "delete_selected", "_selected_action": str(message.pk), "post": "yes"})
    assert Message.objects.get().status == "relayed"


def test_jobs_have_no_page(operator: Client) -> None:
    with pytest.raises(NoReverseMatch):
        reverse("admin:procrastinate_procrastinatejob_changelist")
