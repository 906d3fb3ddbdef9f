"""The list of chats: what it shows, how it is filtered and searched, and what it costs."""

from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chats.models import Chat, VirtualNumber
from chats.services import end_chat
from platforms.models import Platform
from tests.admin.pages import CHATS, listed, read, search_chats, words_of
from tests.admin.population import log_relay
from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA, make_chat, make_pool


@pytest.fixture(autouse=True)
def _pool(db: None) -> None:
    make_pool(3)


def test_a_chat_shows_its_people_masked_its_number_and_its_platform(operator: Client, platform: Platform) -> None:
    chat = make_chat(platform, reference="booking-8812")
    page = read(operator, CHATS)
    number = chat.participants.get(position=1).virtual_number.number
    for shown in ("Sara +1••••••••23", "Rides", "booking-8812", "open", number):
        assert shown in page
    assert SARA not in page and OMAR not in page


def test_the_newest_chat_comes_first(operator: Client, platform: Platform) -> None:
    old, new = make_chat(platform), make_chat(platform, (ALICE, BOB))
    assert listed(operator.get(CHATS)) == [new.pk, old.pk]


def test_without_chats_the_list_says_where_they_come_from(operator: Client) -> None:
    assert "A platform opens one with POST /chats." in read(operator, CHATS)


def test_after_the_last_page_the_list_says_so(operator: Client, platform: Platform) -> None:
    make_chat(platform)
    page = read(operator, CHATS, p=2)
    assert "Nothing more here." in page
    assert "A platform opens one" not in page


def test_chats_are_filtered_by_status(operator: Client, platform: Platform) -> None:
    ended, still_open = make_chat(platform), make_chat(platform, (ALICE, BOB))
    end_chat(chat_id=ended.pk, reason="over", now=timezone.now())
    assert listed(operator.get(CHATS, {"status__exact": "open"})) == [still_open.pk]
    assert listed(operator.get(CHATS, {"status__exact": "ended"})) == [ended.pk]


def test_chats_are_filtered_by_platform(operator: Client, platform: Platform, other_platform: Platform) -> None:
    ours, theirs = make_chat(platform), make_chat(other_platform, (ALICE, BOB))
    page = operator.get(CHATS)
    assert f"?platform__id__exact={theirs.platform_id}" in page.content.decode()
    assert listed(operator.get(CHATS, {"platform__id__exact": str(ours.platform_id)})) == [ours.pk]


def test_a_chat_is_found_by_its_reference(operator: Client, platform: Platform, other_platform: Platform) -> None:
    wanted = make_chat(platform, reference="booking-8812")
    same_reference = make_chat(other_platform, (ALICE, BOB), reference="booking-8812")
    make_chat(platform, (CHARLIE, BOB), reference="booking-88")
    assert listed(search_chats(operator, " booking-8812 ")) == [same_reference.pk, wanted.pk]


def test_a_chat_is_found_by_its_exact_id(operator: Client, platform: Platform) -> None:
    wanted = make_chat(platform)
    make_chat(platform, (ALICE, BOB))
    assert listed(search_chats(operator, str(wanted.pk))) == [wanted.pk]
    assert listed(search_chats(operator, str(wanted.pk)[:-1])) == []


@pytest.mark.parametrize(
    "typed",
    ["+14155550123", "+1 415 555 0123", " +1 (415) 555-0123 ", "+1.415.555.0123", "14155550123", "1 415 555 0123",
     "0014155550123", "\u202a+1 415 555 0123\u202c", "\uff0b1\u00a0415\u2011555\u20110123"],
)  # fmt: skip
def test_all_chats_of_a_person_are_found_by_their_number(operator: Client, platform: Platform, typed: str) -> None:
    older, newer = make_chat(platform), make_chat(platform, (SARA, ALICE))
    make_chat(platform, (OMAR, BOB))
    page = search_chats(operator, typed)
    assert listed(page) == [newer.pk, older.pk]
    _assert_no_number_in_addresses(page)


@pytest.mark.parametrize(
    "typed", ["+14155550129", "+1 415 555 0129", "4155550129", "415-555-0129", "call +1 415 555 0129", "1" * 40]
)
def test_what_may_be_a_number_is_in_no_address_even_when_nobody_has_it(
    operator: Client, platform: Platform, typed: str
) -> None:
    make_chat(platform)
    page = search_chats(operator, typed)
    assert "nobody in a chat has this phone number" in words_of(page)
    _assert_no_number_in_addresses(page)


def test_a_reference_that_is_a_number_is_found_without_being_in_an_address(
    operator: Client, platform: Platform, other_platform: Platform
) -> None:
    first = make_chat(platform, reference="4155550123")
    second = make_chat(other_platform, (ALICE, BOB), reference="4155550123")
    make_chat(platform, (CHARLIE, BOB))
    page = search_chats(operator, "4155550123")
    assert listed(page) == [second.pk, first.pk]
    _assert_no_number_in_addresses(page)


def test_a_number_in_a_typed_address_is_replaced_at_once(operator: Client, platform: Platform) -> None:
    make_chat(platform)
    answer = operator.get(CHATS, {"q": SARA})
    assert answer.status_code == 302
    assert SARA[-7:] not in answer.headers["Location"]


def test_a_search_keeps_the_filters_and_begins_at_the_first_page(operator: Client, platform: Platform) -> None:
    ended, still_open = make_chat(platform), make_chat(platform, (SARA, ALICE))
    end_chat(chat_id=ended.pk, reason="over", now=timezone.now())
    page = operator.post(f"{CHATS}?status__exact=open&p=7", {"q": SARA}, follow=True)
    assert listed(page) == [still_open.pk]


def test_an_empty_search_shows_all_again(operator: Client, platform: Platform) -> None:
    chat = make_chat(platform, reference="booking-1")
    page = operator.post(f"{CHATS}?q=booking-2", {"q": " "}, follow=True)
    assert listed(page) == [chat.pk]


def test_a_search_is_a_post_with_a_token(platform: Platform, operator: Client) -> None:
    page = operator.get(CHATS).content.decode()
    assert '<form id="changelist-search" method="post"' in page
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(CHATS, {"q": SARA}).status_code == 403


def test_a_search_that_no_row_can_hold_finds_nothing(operator: Client, platform: Platform) -> None:
    make_chat(platform)
    for typed in ("' OR 1=1 --", "%", "a" * 100):
        assert listed(search_chats(operator, typed)) == []


def test_fifty_chats_cost_as_many_queries_as_two_and_none_counts_them(
    operator: Client, platform: Platform, virtual_number: VirtualNumber
) -> None:
    operator.get(CHATS)
    few = _count_queries(operator, platform, range(2))
    many = _count_queries(operator, platform, range(2, 50))
    assert len(many) == len(few) <= 11
    # But for the banner's open reports, by an index of those alone.
    counting = [sql for sql in many if "COUNT(" in sql.upper() and '"handled_at" IS NULL' not in sql]
    assert counting == []


def test_the_list_reads_the_pages_chats_and_not_the_table(operator: Client, platform: Platform) -> None:
    """A sequential scan would, with a million chats, take seconds."""
    _start_chats(platform, range(5))
    with CaptureQueriesContext(connection) as queries:
        operator.get(CHATS)
    # All that read chats end after a page of them, or are of the chats of a page.
    reading = [sql for query in queries if '"chats_chat"' in (sql := query["sql"])]
    assert reading
    assert all(" LIMIT " in sql for sql in reading)


def _count_queries(client: Client, platform: Platform, indexes: range) -> list[str]:
    _start_chats(platform, indexes)
    with CaptureQueriesContext(connection) as queries:
        page = client.get(CHATS)
    assert len(listed(page)) == indexes.stop
    return [query["sql"] for query in queries]


def _start_chats(platform: Platform, indexes: range) -> None:
    for index in indexes:
        chat = make_chat(platform, (f"+1212555{1000 + index}", f"+1213555{1000 + index}"))
        log_relay(chat.participants.get(position=1), "hello")
    assert Chat.objects.count() == indexes.stop


def _assert_no_number_in_addresses(page: object) -> None:
    addresses = [address for address, _ in page.redirect_chain] + [page.request["QUERY_STRING"]]  # type: ignore[attr-defined]
    for address in addresses:
        query = address.partition("?")[2]
        digits = "".join(part for part in query.replace("+", "&").split("&") if not _is_id(part))
        assert "415" not in digits and "111111" not in digits, query


def _is_id(part: str) -> bool:
    try:
        UUID(part.rpartition("=")[2])
    except ValueError:
        return False
    return True
