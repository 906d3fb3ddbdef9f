"""The filters of GET /chats and GET /chats/{id}/messages, and how the pages of both are found."""

import json
import re
from base64 import b64encode
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chats.models import Chat, Participant, VirtualNumber
from chats.phone_numbers import parse_phone_number
from chats.services import end_chat, replace_participant
from messaging.models import Message
from proxy_project.encryption import digest_number
from tests.chats.helpers import errors
from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA, make_chat, make_pool, make_virtual_number

NOBODYS = "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11"
HEADER = "Participant-Phone-Number"
NOW = timezone.now().replace(microsecond=0)


def at(**ago):
    return (NOW - timedelta(**ago)).isoformat().replace("+00:00", "Z")


def cursor_at(**ago):
    """Return the cursor of a page that begins that long ago."""
    return b64encode(urlencode({"p": at(**ago)}).encode()).decode()


def fill_in(query):
    """Return a query in which `{3 hours}` is that long ago; a time of now would be in the name of the test."""
    return re.sub(r"{(-?\d+) (\w+)}", lambda match: at(**{match[2]: int(match[1])}), query)


def ids(response):
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


def list_all(api, url, **headers):
    """Return the ids on every page, following `next` with nothing but the key."""
    page = api.get(url, headers=headers)
    found = ids(page)
    while url := page.json()["next"]:
        assert not any(number[2:] in url for number in (SARA, OMAR, ALICE, BOB))
        page = api.get(url)
        found += ids(page)
    return found


class TestChats:
    @pytest.fixture
    def numbers(self, db):
        return make_pool(3)

    @pytest.fixture
    def chats(self, platform, numbers):
        """Three chats of Sara, the newest first: with Charlie to come, with Alice, and with Omar, which has ended."""
        omar = make_chat(platform, (SARA, OMAR), reference="omar")
        alice = make_chat(platform, (SARA, ALICE), reference="alice")
        charlie = make_chat(platform, (SARA, CHARLIE), reference="charlie", starts_at=NOW + timedelta(hours=2))
        end_chat(chat_id=omar.pk, reason="over", now=NOW - timedelta(hours=1))
        for hours, chat in ((5, omar), (3, alice), (1, charlie)):
            Chat.objects.filter(pk=chat.pk).update(created_at=NOW - timedelta(hours=hours))
        return [str(chat.pk) for chat in (charlie, alice, omar)]

    @pytest.mark.parametrize(
        "query, shown",
        [
            ("", [0, 1, 2]),
            ("status=open", [1]),
            ("status=open&status=ended", [1, 2]),
            ("status=open&status=scheduled&status=ended", [0, 1, 2]),
            ("reference=alice", [1]),
            ("reference=alice&status=ended", []),
            ("started_after={3 hours}", [0, 1]),
            ("started_before={3 hours}", [2]),
            ("started_after={3 hours}&started_before={0 hours}", [1]),
            ("started_after={-1 hours}", [0]),
            ("ended_after={1 hours}", [2]),
            ("ended_before={1 hours}", []),
            ("ended_before={59 minutes}", [2]),
            (f"virtual_number={NOBODYS}", []),
            (f"person={NOBODYS}", []),
        ],
    )
    def test_are_filtered(self, api, chats, query, shown):
        assert ids(api.get(f"/chats?{fill_in(query)}")) == [chats[index] for index in shown]
        assert list_all(api, f"/chats?page_size=1&{fill_in(query)}") == [chats[index] for index in shown]

    def test_by_virtual_number(self, api, chats):
        for number in VirtualNumber.objects.all():
            on_it = Participant.objects.filter(virtual_number=number).values_list("chat_id", flat=True)
            expected = [chat for chat in chats if chat in map(str, on_it)]
            assert ids(api.get(f"/chats?virtual_number={number.pk}")) == expected

    @pytest.mark.parametrize("number, shown", [(SARA, [0, 1, 2]), (ALICE, [1]), ("+1 (415) 555-0124", [2]), (BOB, [])])
    def test_by_a_phone_number_that_no_link_holds(self, api, chats, number, shown):
        expected = [chats[index] for index in shown]
        assert list_all(api, "/chats?page_size=1", **{HEADER: number}) == expected
        status = "status=open&status=scheduled"
        assert list_all(api, f"/chats?page_size=1&{status}", **{HEADER: number}) == [
            chat for chat in expected if chat != chats[2]
        ]

    def test_a_client_that_sends_the_header_with_the_next_link_too_gets_the_same(self, api, chats):
        url, seen = "/chats?page_size=1", []
        while url:
            page = api.get(url, headers={HEADER: SARA})
            seen += ids(page)
            url = page.json()["next"]
        assert seen == chats

    def test_of_the_same_person_as_a_participant(self, api, chats):
        sara = Participant.objects.get(chat=chats[1], phone_digest=digest_number(SARA))
        assert ids(api.get(f"/chats?person={sara.pk}")) == chats
        assert ids(api.get(f"/chats?person={sara.pk}&status=ended")) == [chats[2]]

    def test_of_somebody_who_was_replaced(self, api, chats):
        alice = Participant.objects.get(chat=chats[1], phone_digest=digest_number(ALICE))
        replace_participant(
            chat_id=alice.chat_id,
            participant_id=alice.pk,
            phone_number=parse_phone_number(BOB),
            name="Bob",
            now=timezone.now(),
        )
        for number in (ALICE, BOB):
            assert ids(api.get("/chats", headers={HEADER: number})) == [chats[1]]

    def test_of_another_platform_are_not_found_by_anything(self, api, other_api, other_platform, chats):
        make_virtual_number()
        mine = make_chat(other_platform, (SARA, BOB))
        sara = Participant.objects.get(chat=chats[1], phone_digest=digest_number(SARA))
        assert ids(other_api.get("/chats", headers={HEADER: SARA})) == [str(mine.pk)]
        assert ids(other_api.get("/chats", headers={HEADER: ALICE})) == []
        assert ids(other_api.get(f"/chats?person={sara.pk}")) == []
        assert ids(other_api.get(f"/chats?virtual_number={sara.virtual_number_id}&status=ended")) == []

    @pytest.mark.parametrize(
        "query, error",
        [
            ("started_after=yesterday", ("invalid", "started_after")),
            ("ended_before=2030-01-31T18:00:00 02:00", ("invalid", "ended_before")),
            ("virtual_number=%2B14155550100", ("invalid", "virtual_number")),
            ("person=1", ("invalid", "person")),
            ("status=open&status=closed", ("invalid_choice", "status")),
            ("phone_number=1", ("unknown_parameter", None)),
        ],
    )
    def test_a_filter_that_cannot_be_used_is_refused(self, api, query, error):
        response = api.get(f"/chats?{query}")
        assert (response.status_code, errors(response)) == (400, [error])

    @pytest.mark.parametrize("number", ["", "Sara", "4155550123", "+1415555", "+١"])
    def test_a_phone_number_that_is_none_is_refused_and_not_quoted(self, api, number):
        response = api.get("/chats", headers={HEADER: number.encode().decode("latin-1")})
        assert response.status_code == 400
        [(_, attr)] = errors(response)
        assert attr == HEADER
        assert not number or number not in response.content.decode()

    def test_a_link_keeps_every_filter(self, api, chats):
        query = f"page_size=1&status=open&status=ended&started_before={at(hours=0)}"
        link = api.get(f"/chats?{query}").json()["next"]
        kept = parse_qs(urlsplit(link).query)
        assert kept.pop("cursor") and kept == parse_qs(query)


class TestMessages:
    @pytest.fixture
    def messages(self, platform, virtual_number):
        """An introduction of each, a text and its relay; each a minute after the one before."""
        chat = make_chat(platform)
        sara, omar = chat.participants.all()
        text = {"virtual_number_id": sara.virtual_number_id, "chat": chat, "body": "hi"}
        inbound = Message.objects.create(direction="in", kind="text", status="relayed", participant=sara, **text)
        relay = {"direction": "out", "kind": "relay", "status": "delivered", "participant": omar, "relays": inbound}
        Message.objects.create(**relay, **text)
        rows = list(Message.objects.order_by("position"))
        for minute, row in enumerate(rows):
            Message.objects.filter(pk=row.pk).update(created_at=NOW + timedelta(minutes=minute))
        self.url = f"/chats/{chat.pk}/messages"
        return [str(row.pk) for row in rows]

    @pytest.mark.parametrize(
        "query, shown",
        [
            ("direction=in", [2]),
            ("kind=introduction", [0, 1]),
            ("kind=relay&kind=text", [2, 3]),
            ("status=queued", [0, 1]),
            ("status=delivered&status=relayed&direction=out", [3]),
            ("after={-1 minutes}", [1, 2, 3]),
            ("before={-1 minutes}", [0]),
            ("after={-1 minutes}&before={-3 minutes}", [1, 2]),
        ],
    )
    def test_are_filtered(self, api, messages, query, shown):
        assert list_all(api, f"{self.url}?page_size=1&{fill_in(query)}") == [messages[index] for index in shown]

    @pytest.mark.parametrize(
        "query, error",
        [
            ("direction=up", ("invalid_choice", "direction")),
            ("kind=sms", ("invalid_choice", "kind")),
            ("after=1", ("invalid", "after")),
            ("since=1", ("unknown_parameter", None)),
        ],
    )
    def test_a_filter_that_cannot_be_used_is_refused(self, api, messages, query, error):
        response = api.get(f"{self.url}?{query}")
        assert (response.status_code, errors(response)) == (400, [error])


MANY = 30_000
# Of many chats nearly all have ended long ago; every hundredth is another platform's.
_MANY_CHATS = """
    INSERT INTO chats_chat (id, platform_id, status, end_reason, metadata, created_at, ended_at, reference)
    SELECT gen_random_uuid(), CASE WHEN n %% 100 = 0 THEN %(other)s ELSE %(platform)s END::uuid,
           CASE WHEN n %% 1000 = 7 THEN 'open' ELSE 'ended' END, '', '{}', now() - n * interval '1 minute',
           CASE WHEN n %% 1000 <> 7 THEN now() - (n - 1) * interval '1 minute' END, 'r' || n
      FROM generate_series(1, %(many)s) AS n
"""
_THEIR_PEOPLE = """
    INSERT INTO chats_participant (id, chat_id, position, name, phone_number, phone_digest, virtual_number_id, ended_at)
    SELECT gen_random_uuid(), id, position, '', '', sha256((reference || position)::bytea),
           CASE WHEN reference = 'r29999' THEN %(rare)s
                WHEN substr(reference, 2)::int %% 20 = 3 THEN %(some)s
                ELSE %(number)s END::uuid,
           COALESCE(ended_at, now())
      FROM chats_chat CROSS JOIN generate_series(1, 2) AS position
"""
_THEIR_TEXTS = """
    INSERT INTO messaging_message (id, direction, kind, status, virtual_number_id, chat_id, created_at)
    SELECT gen_random_uuid(), 'in', 'text', 'relayed', %(number)s, id, created_at
      FROM chats_chat CROSS JOIN generate_series(1, 3)
"""


class TestOfManyChatsFewAreRead:
    @pytest.fixture
    def many(self, platform, other_platform):
        number, rare, some = make_pool(3)
        with connection.cursor() as cursor:
            names = {"platform": platform.pk, "other": other_platform.pk, "many": MANY}
            cursor.execute(_MANY_CHATS, names)
            cursor.execute(_THEIR_PEOPLE, {"number": number.pk, "rare": rare.pk, "some": some.pk})
            cursor.execute(_THEIR_TEXTS, {"number": number.pk})
            cursor.execute("ANALYZE chats_chat, chats_participant, messaging_message")
        chat = Chat.objects.get(reference="r29999")
        return {
            "rare": rare.pk,
            "number": number.pk,
            "some": some.pk,
            "person": chat.participants.all()[0].pk,
            "chat": chat.pk,
        }

    def count_rows_read(self, api, url):
        """Return how many rows the statements of a request read and sort, and check that none reads a whole table."""
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert api.get(url).status_code == 200
        total = 0
        for query in captured.captured_queries:
            if not query["sql"].startswith("SELECT") or "FROM" not in query["sql"]:
                continue
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query['sql']}".replace("%", "%%"), [])
                [(plan,)] = cursor.fetchall()
            plan = json.loads(plan) if isinstance(plan, str) else plan
            for node in walk(plan[0]["Plan"]):
                tables = ("chats_chat", "chats_participant", "messaging_message")
                assert (node["Node Type"], node.get("Relation Name")) not in [("Seq Scan", table) for table in tables]
                total += (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        return total

    @pytest.mark.slow
    def test_whatever_they_are_filtered_by(self, api, many):
        queries = [
            "",
            "status=open",
            "status=scheduled",
            "status=open&status=scheduled",
            "status=ended",
            "reference=r29999",
            f"started_before={at(days=20, hours=12)}",
            f"started_after={at(days=1)}&started_before={at(hours=23)}",
            f"ended_before={at(days=20, hours=12)}",
            f"ended_after={at(days=1)}&ended_before={at(hours=23)}",
            f"virtual_number={many['rare']}",
            f"virtual_number={many['number']}",
            # Neither few nor most: 1,500.
            f"virtual_number={many['some']}",
            f"virtual_number={many['some']}&cursor={cursor_at(days=10)}",
            f"virtual_number={many['some']}&status=ended",
            f"virtual_number={NOBODYS}",
            f"person={many['person']}",
        ]
        read = {query: self.count_rows_read(api, f"/chats?{query}") for query in queries}
        assert {query: rows for query, rows in read.items() if rows > 4_000} == {}

    @pytest.mark.slow
    @pytest.mark.parametrize("number", ["rare", "some", "number"])
    def test_by_virtual_number_in_the_admin_too(self, client, many, number):
        client.force_login(User.objects.create_superuser("nadia"), backend="operators.backends.OperatorBackend")
        # A page has fifty chats.
        assert self.count_rows_read(client, f"/admin/chats/chat/?number={many[number]}") < 8_000

    @pytest.mark.slow
    def test_and_of_the_texts_those_of_the_chat(self, api, many):
        for query in ("", "direction=in&kind=text", "status=failed", f"after={at(days=99)}&before={at(days=0)}"):
            assert self.count_rows_read(api, f"/chats/{many['chat']}/messages?{query}") < 100


def walk(node):
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)
