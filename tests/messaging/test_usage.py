"""GET /usage: the books agree with the log, whatever happens to it."""

import random
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import import_module

import pytest
from django.db import connection

from chats.models import VirtualNumber
from messaging import usage
from messaging.models import Message, UsageDay, UsageProgress, UsageTotal
from messaging.scheduled import cancel_text, queue_scheduled_texts
from messaging.usage import GroupBy, count_usage, read_usage
from tests.chats.helpers import at_once, errors
from tests.factories import ALICE, BOB, make_chat, make_virtual_number
from tests.messaging.payloads import receipt, sms
from tests.messaging.rows import Status, ago, begin_log_anew, make_queued, make_relay
from tests.messaging.signing import INBOUND, STATUS, signed_post

pytestmark = pytest.mark.django_db

# A module whose name begins with a digit.
fill_totals = import_module("messaging.migrations.0025_fill_usage_totals").fill_totals
TODAY = datetime.now(UTC).date()


def move(message: Message, **ago_by: float) -> Message:
    """Let a text have been queued so long ago, and have come in, if it was passed on; it was not counted yet."""
    Message.objects.filter(pk__in=[message.pk, message.relays_id]).update(created_at=ago(**ago_by))
    message.refresh_from_db()
    return message


def get(api, **parameters):
    response = api.get("/usage", parameters | ({"from": parameters.pop("from_")} if "from_" in parameters else {}))
    assert response.status_code == 200, response.content
    return response.json()


def recount(platform, group=lambda row: str(row.created_at.date())):
    """Return what the log itself says, without SQL: by (group, direction), figures."""
    found = {}
    for row in Message.objects.filter(chat__platform=platform):
        counts = found.setdefault((group(row), row.direction), Counter())
        is_mms = row.channel == "mms" or (row.direction == "in" and row.media_count > 0)
        counts.update(
            {
                "texts": 1,
                "segments": 0 if is_mms else row.segments or 0,
                "mms": int(is_mms),
                "attachments": row.media_count,
                f"kind {row.kind}": 1,
                f"status {row.status}": 1,
                f"price {row.currency}": row.price or 0,
            }
        )
    return {key: +counts for key, counts in found.items()}


def flatten(answer):
    """Return an answer in the form of `recount`."""
    found = {}
    for line in answer["results"]:
        for name, direction in (("inbound", "in"), ("outbound", "out")):
            side = line[name]
            counts = Counter({each: side[each] for each in ("texts", "segments", "mms", "attachments")})
            counts.update({f"kind {kind}": count for kind, count in side["by_kind"].items()})
            counts.update({f"status {status}": count for status, count in side["by_status"].items()})
            counts.update({f"price {price['currency']}": Decimal(price["amount"]) for price in side["prices"]})
            if side["texts"]:
                found[line["group"], direction] = +counts
    return found


def assert_totals_are_those_of_the_books() -> None:
    """Compare what the trigger has added up with the rows it is added up from."""
    keys = ("platform", "day", "direction", "kind", "status", "currency")
    amounts = ("texts", "segments", "mms", "attachments", "price")
    books: dict[tuple[object, ...], Counter[str]] = {}
    for row in UsageDay.objects.filter(is_late=False).values():
        key = tuple(row[f"{name}_id" if name == "platform" else name] for name in keys)
        books.setdefault(key, Counter()).update({name: row[name] for name in amounts})
    totals = {tuple(row[:6]): Counter(dict(zip(amounts, row[6:], strict=True)))
              for row in UsageTotal.objects.values_list(*keys, *amounts)}  # fmt: skip
    assert {key: +counts for key, counts in totals.items() if +counts} == {
        key: +counts for key, counts in books.items() if +counts
    }


@pytest.fixture
def long_ago() -> str:
    return str(TODAY - timedelta(days=300))


def make_texts(omar, sara) -> list[Message]:
    """Return texts of every kind of row, from 40 days ago to now."""
    fields = [
        {"segments": 1},
        {"segments": 2, "status": Status.SENT, "price": Decimal("0.0144"), "currency": "EUR"},
        {"segments": 1, "status": Status.DELIVERED, "price": Decimal("0.0072"), "currency": "EUR"},
        {"status": Status.DELIVERED, "channel": "mms", "media_count": 2, "price": Decimal("0.02"), "currency": "USD"},
        {"segments": 3, "status": Status.FAILED},
        {"segments": 1, "status": Status.SENDING},
    ]
    ages = [24 * 40, 24 * 3, 26, 2, 0.5, 0]
    return [move(make_relay(sara, omar, **each), hours=age) for age in ages for each in fields]


class TestTheBooksAgreeWithTheLog:
    def test_before_and_after_texts_are_counted(self, api, platform, sara, omar, long_ago):
        make_texts(omar, sara)
        expected = recount(platform)
        assert flatten(get(api, from_=long_ago)) == expected
        count_usage()
        assert UsageDay.objects.exists()
        assert flatten(get(api, from_=long_ago)) == expected
        count_usage()
        assert flatten(get(api, from_=long_ago)) == expected

    def test_by_month_and_by_virtual_number(self, api, platform, sara, omar, long_ago):
        make_texts(omar, sara)
        count_usage()
        by_month = get(api, from_=long_ago, group_by="month")
        assert flatten(by_month) == recount(platform, lambda row: row.created_at.strftime("%Y-%m"))
        by_number = get(api, from_=long_ago, group_by="virtual_number")
        assert flatten(by_number) == recount(platform, lambda row: row.virtual_number.number)
        assert by_month["total"] == by_number["total"]

    def test_when_texts_change_after_they_were_counted(self, client, api, platform, omar, long_ago):
        texts = [move(make_queued(omar, gateway_id=f"id-{age}", segments=1), hours=age) for age in (900, 100, 2, 0)]
        count_usage()
        for text in texts:
            answer = signed_post(
                client,
                STATUS,
                receipt(
                    status="delivered",
                    message_uuid=text.gateway_id,
                    client_ref=str(text.pk),
                    sms={"count_total": "2"},
                    usage={"currency": "EUR", "price": "0.0144"},
                ),
            )
            assert answer.status_code == 200
        expected = recount(platform)
        assert flatten(get(api, from_=long_ago)) == expected
        assert get(api, from_=long_ago)["total"]["outbound"] == {
            "texts": 4,
            "segments": 8,
            "mms": 0,
            "attachments": 0,
            "by_kind": {"introduction": 4},
            "by_status": {"delivered": 4},
            "prices": [{"currency": "EUR", "amount": "0.057600"}],
        }
        assert UsageDay.objects.filter(is_late=True).exists()
        count_usage()
        assert not UsageDay.objects.filter(is_late=True).exists()
        assert flatten(get(api, from_=long_ago)) == expected

    def test_when_texts_change_and_are_counted_in_any_order(self, api, platform, sara, omar, long_ago):
        chance = random.Random(8812)
        texts = make_texts(omar, sara)
        for _ in range(60):
            text = chance.choice(texts)
            match chance.randrange(6):
                case 0:
                    count_usage()
                case 1:
                    texts.append(move(make_queued(omar), hours=chance.choice([0, 2, 50])))
                case _:
                    status = chance.choice(["sent", "delivered", "failed"])
                    price = chance.choice([None, Decimal("0.0072"), Decimal("1.5")])
                    Message.objects.filter(pk=text.pk).update(
                        status=status,
                        price=price,
                        currency="EUR" if price else "",
                        channel=chance.choice(["sms", "mms"]),
                    )
            assert flatten(get(api, from_=long_ago)) == recount(platform)
        by_number = get(api, from_=long_ago, group_by="virtual_number")
        assert flatten(by_number) == recount(platform, lambda row: row.virtual_number.number)
        assert_totals_are_those_of_the_books()

    def test_after_bodies_are_erased_and_when_the_log_is_pruned(self, api, platform, sara, omar, long_ago):
        make_texts(omar, sara)
        Message.objects.update(created_at=ago(hours=3))
        count_usage()
        expected = get(api, from_=long_ago)
        Message.objects.update(body="")
        assert get(api, from_=long_ago) == expected
        Message.objects.filter(direction="out").delete()
        Message.objects.all().delete()
        assert get(api, from_=long_ago) == expected
        count_usage()
        assert get(api, from_=long_ago) == expected

    def test_as_the_carrier_charges_for_texts_that_come_in(self, client, api, sara, omar):
        for segments, price in ((1, "0.0057"), (2, "0.0114")):
            fields = {"sms": {"num_messages": str(segments)}, "usage": {"currency": "EUR", "price": price}}
            assert signed_post(client, INBOUND, sms(**fields)).status_code == 200
        inbound = get(api)["total"]["inbound"]
        assert (inbound["texts"], inbound["segments"]) == (2, 3)
        assert inbound["prices"] == [{"currency": "EUR", "amount": "0.017100"}]


def test_a_change_that_changes_nothing_in_the_books_leaves_no_trace(omar):
    text = move(make_queued(omar), hours=5)
    count_usage()
    Message.objects.filter(pk=text.pk).update(attempts=3, body="else")
    assert not UsageDay.objects.filter(is_late=True).exists()


def test_texts_of_the_last_hour_are_left_to_the_log(omar):
    make_queued(omar)
    count_usage()
    assert not UsageDay.objects.exists()


def test_strangers_count_for_whose_number_it_is(client, api, other_api, platform):
    make_virtual_number(platform=platform)
    signed_post(client, INBOUND, sms(from_=ALICE[1:]))
    assert get(api)["total"]["inbound"]["by_status"] == {"unmatched": 1}
    Message.objects.update(created_at=ago(hours=2))
    count_usage()
    assert get(api)["total"]["inbound"]["by_status"] == {"unmatched": 1}
    assert get(other_api)["results"] == []


def test_a_platform_sees_its_own_texts_only(api, other_api, other_platform, omar):
    make_virtual_number("+14155550101")
    make_chat(other_platform, (ALICE, BOB))
    make_queued(omar)
    assert get(other_api)["total"]["outbound"]["by_kind"] == {"introduction": 2}
    Message.objects.update(created_at=ago(hours=2))
    count_usage()
    assert get(other_api)["total"]["outbound"]["by_kind"] == {"introduction": 2}
    assert get(api)["total"]["outbound"]["by_kind"] == {"introduction": 1}


def test_a_range_holds_its_first_and_last_day_and_no_other(api, omar):
    for days in range(5):
        move(make_queued(omar), days=days)
    for _ in range(2):
        lines = get(api, from_=str(TODAY - timedelta(days=3)), to=str(TODAY - timedelta(days=1)))["results"]
        assert [line["group"] for line in lines] == [str(TODAY - timedelta(days=days)) for days in (3, 2, 1)]
        count_usage()


def test_nothing_used_is_an_answer_too(api, platform):
    answer = get(api)
    assert (answer["from"], answer["to"]) == (str(TODAY - timedelta(days=29)), str(TODAY))
    assert answer["results"] == []
    assert answer["total"]["outbound"]["prices"] == []


@pytest.mark.parametrize(
    "query, error",
    [
        ("from=2030-02-01&to=2030-01-31", ("bad_range", "from")),
        ("from=2029-01-01&to=2030-01-02", ("bad_range", "from")),
        ("from=yesterday", ("invalid", "from")),
        ("to=2030-02-30", ("invalid", "to")),
        ("from=%00", ("invalid", "from")),
        ("group_by=year", ("invalid_choice", "group_by")),
        ("since=2030-01-01", ("unknown_parameter", None)),
    ],
)
def test_a_parameter_that_cannot_be_used_is_refused(api, query, error):
    response = api.get(f"/usage?{query}")
    assert response.status_code == 400
    assert errors(response) == [error]


def test_a_year_is_not_too_long_and_the_first_day_there_ever_was_is_a_day(api):
    assert api.get("/usage?to=0001-01-01").status_code == 200
    assert get(api, from_="2028-01-01", to="2028-12-31")["results"] == []


@pytest.mark.django_db(transaction=True)
def test_counting_and_changing_at_once_loses_nothing(platform, sara, omar):
    """Whichever comes first: the text is counted as it is, or its change is counted as well."""
    texts = [move(make_queued(omar), hours=2) for _ in range(40)]

    def change(part):
        for text in texts[part::3]:
            Message.objects.filter(pk=text.pk).update(status=Status.SENT, price=Decimal("0.0072"), currency="EUR")

    at_once([count_usage, lambda: change(0), count_usage, lambda: change(1), lambda: change(2), count_usage])
    books = read_usage(platform_id=platform.pk, first=date(2020, 1, 1), last=TODAY, group_by=GroupBy.DAY)
    assert books.total.outbound.by_status == {"sent": 40}
    assert books.total.outbound.prices == {"EUR": Decimal("0.288")}
    assert_totals_are_those_of_the_books()
    count_usage()
    assert_totals_are_those_of_the_books()


def test_the_worker_may_be_killed_half_way(monkeypatch, api, sara, omar, long_ago):
    make_texts(omar, sara)
    before = get(api, from_=long_ago)

    class Killed(Exception):
        pass

    def kill(**fields):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(UsageProgress.objects.__class__, "update", lambda self, **fields: kill())
        with pytest.raises(Killed):
            count_usage()
    assert not UsageDay.objects.exists()
    assert get(api, from_=long_ago) == before


def test_of_a_long_log_only_what_is_not_counted_is_read(platform, chat, virtual_number):
    begin_log_anew()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO messaging_message (id, direction, kind, status, virtual_number_id, chat_id, created_at)
            SELECT gen_random_uuid(), 'out', 'relay', 'delivered', %s, %s, now() - (30000 - n) * interval '1 minute'
              FROM generate_series(1, 30000) AS n
            """,
            [virtual_number.pk, chat.pk],
        )
        count_usage()
        cursor.execute("ANALYZE messaging_message, messaging_usageday")
        parameters = {
            "platform_id": platform.pk,
            "first": TODAY - timedelta(days=365),
            "last": TODAY,
            "counted_to": UsageProgress.objects.get().counted_to,
        }
        cursor.execute(f"EXPLAIN (ANALYZE) {usage._STATEMENTS[GroupBy.DAY]}", parameters)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan on messaging_message" not in plan, plan
    assert "message_newest" in plan, plan
    [read] = re.findall(r"message_newest.*actual time=\S+ rows=([\d.]+)", plan)
    assert float(read) < 100
    books = read_usage(platform_id=platform.pk, first=date(2020, 1, 1), last=TODAY, group_by=GroupBy.DAY)
    assert books.total.outbound.texts == 30_000


def test_of_thousands_of_numbers_the_days_are_read_and_not_the_numbers(platform, chat):
    """Beside what changed since, which is found among a hundred times as much."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO chats_virtualnumber (id, number, country, state, can_sms, can_mms, messages_per_second,
                                             created_at)
            SELECT gen_random_uuid(), '+1202555' || n, 'US', 'active', true, false, 1, now()
              FROM generate_series(1000, 1999) AS n
            """
        )
        cursor.execute(
            """
            INSERT INTO messaging_message (id, direction, kind, status, virtual_number_id, chat_id, created_at)
            SELECT gen_random_uuid(), 'out', 'relay', 'sent', id, %s, now() - day * interval '1 day'
              FROM chats_virtualnumber CROSS JOIN generate_series(1, 30) AS day
            """,
            [chat.pk],
        )
        count_usage()
        cursor.execute("UPDATE messaging_message SET status = 'delivered' WHERE position % 500 = 0")
        cursor.execute("ANALYZE messaging_message, messaging_usageday, messaging_usagetotal")
        parameters = {
            "platform_id": platform.pk,
            "first": TODAY - timedelta(days=40),
            "last": TODAY,
            "counted_to": UsageProgress.objects.get().counted_to,
        }
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {usage._STATEMENTS[GroupBy.DAY]}", parameters)
        [(plan,)] = cursor.fetchall()
    read = [
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in walk(plan[0]["Plan"])
        if "Scan" in node["Node Type"]
    ]
    assert UsageDay.objects.count() > 30_000
    assert sum(read) < 1_000, plan
    books = read_usage(platform_id=platform.pk, first=date(2020, 1, 1), last=TODAY, group_by=GroupBy.MONTH)
    assert books.total.outbound.by_status["delivered"] >= 60
    assert books.total.outbound.texts == Message.objects.filter(direction="out").count()


def walk(node):
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


class TestTheTotals:
    """They follow the books, whoever writes there, and were filled from books that were there before them."""

    @pytest.fixture
    def counted(self, sara, omar) -> list[Message]:
        make_stranger_text()
        texts = make_texts(omar, sara)
        count_usage()
        return texts

    def test_receipts_do_not_wait_for_each_other(self, counted):
        before = list(UsageTotal.objects.order_by("pk").values())
        for text in counted:
            Message.objects.filter(pk=text.pk).update(status=Status.DELIVERED)
        assert UsageDay.objects.filter(is_late=True).exists()
        assert list(UsageTotal.objects.order_by("pk").values()) == before

    def test_follow_an_operator_who_corrects_the_books(self, counted):
        UsageDay.objects.filter(status="delivered").update(price=Decimal("7"), status="failed")
        assert_totals_are_those_of_the_books()
        UsageDay.objects.filter(direction="in").delete()
        assert_totals_are_those_of_the_books()
        assert not UsageTotal.objects.filter(direction="in", texts__gt=0).exists()

    def test_are_filled_from_what_was_counted_before(self, api, platform, counted, long_ago):
        expected = recount(platform)
        # As an old version leaves the books: without totals, with changes that are not added up yet.
        UsageTotal.objects.all().delete()
        Message.objects.filter(pk=counted[0].pk).update(status=Status.DELIVERED, price=Decimal("3"), currency="USD")
        assert flatten(get(api, from_=long_ago)) != expected
        for _ in range(2):
            fill_totals(None, connection.schema_editor())
            assert flatten(get(api, from_=long_ago)) == recount(platform)
            assert_totals_are_those_of_the_books()
        assert UsageTotal.objects.filter(platform=None).exists()
        count_usage()
        assert flatten(get(api, from_=long_ago)) == recount(platform)
        assert_totals_are_those_of_the_books()


def make_stranger_text() -> None:
    """Add a text to a number that all platforms share, by somebody in no chat: it counts for nobody."""
    text = Message.objects.create(direction="in", kind=Message.Kind.TEXT, status=Status.UNMATCHED,
                                  virtual_number=VirtualNumber.objects.first())  # fmt: skip
    move(text, days=3)


@pytest.mark.django_db(transaction=True)
def test_totals_are_filled_while_texts_are_counted_and_change(platform, sara, omar):
    texts = [move(make_queued(omar), hours=hours) for hours in (200, 100, 60, 30, 2) for _ in range(8)]
    count_usage()
    more = [move(make_queued(omar), hours=hours) for hours in (200, 100, 2) for _ in range(8)]
    UsageTotal.objects.all().delete()

    def change(part):
        for text in (*texts, *more)[part::2]:
            Message.objects.filter(pk=text.pk).update(status=Status.SENT, price=Decimal("0.0072"), currency="EUR")

    def fill():
        fill_totals(None, connection.schema_editor())

    at_once([fill, count_usage, lambda: change(0), fill, count_usage, lambda: change(1), count_usage])
    assert_totals_are_those_of_the_books()
    books = read_usage(platform_id=platform.pk, first=date(2020, 1, 1), last=TODAY, group_by=GroupBy.MONTH)
    assert books.total.outbound.by_status == {"sent": 64}
    assert books.total.outbound.prices == {"EUR": Decimal("0.0072") * 64}


class TestATextThatWaitsForItsTime:
    """It may be cancelled, and comes into the order of texts only then."""

    @pytest.fixture
    def waiting(self, omar) -> Message:
        waiting = make_queued(omar, kind=Message.Kind.PLATFORM, status=Status.SCHEDULED, due_at=ago(minutes=-5))
        move(waiting, hours=2)
        count_usage()
        return waiting

    def test_is_not_counted_before(self, api, waiting):
        assert get(api)["total"]["outbound"]["texts"] == 0
        assert cancel_text(message_id=waiting.pk)
        assert get(api)["total"]["outbound"]["texts"] == 0

    def test_is_counted_once_after(self, api, waiting):
        Message.objects.filter(pk=waiting.pk).update(due_at=ago(minutes=1))
        assert queue_scheduled_texts() == 1
        for _ in range(2):
            assert get(api)["total"]["outbound"]["by_status"] == {"queued": 1}
            count_usage()
        Message.objects.filter(pk=waiting.pk).update(status=Status.SENT, due_at=None)
        assert get(api)["total"]["outbound"]["by_status"] == {"sent": 1}

    def test_is_counted_once_when_it_fails_where_it_stood(self, api, waiting):
        Message.objects.filter(pk=waiting.pk).update(status=Status.FAILED, due_at=None)
        count_usage()
        assert get(api)["total"]["outbound"]["by_status"] == {"failed": 1}
