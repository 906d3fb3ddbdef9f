"""Home: what needs a person, today and the week, each with the rows behind it, in a handful of queries."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chats.models import Chat, Report
from desk import figures
from desk.counting import count_figures
from desk.figures import Day, find_percentile, read_week
from desk.models import Figure
from messaging.models import Attachment, GatewayAccount, Message
from operators.models import Preferences
from proxy_project.sql import execute_planned
from tests.admin.pages import MESSAGES, listed, words_of
from tests.desk.population import make_id_at, populate_week
from tests.factories import OMAR, SARA, make_chat, make_platform, make_virtual_number
from tests.messaging.rows import Status, ago, begin_log_anew, make_queued, make_relay

pytestmark = pytest.mark.django_db

HOME = reverse("admin:index")
# What a page costs whatever is on it (session, user, rights, banners), and what Home asks: figures, progress, account,
# failures, attachments, numbers, platforms, endpoints, and what is set up.
QUERIES = 15


def home(client) -> str:
    response = client.get(HOME)
    assert response.status_code == 200
    return words_of(response)


def test_a_new_installation_says_what_to_do(operator):
    page = home(operator)
    assert "Something is still to be set up." in page
    assert "Nothing. Texts, numbers and platforms are well" in page
    assert "Nothing has been counted yet: the worker does it every minute." in page
    assert "Nobody has texted this week." in page


def test_what_needs_a_person(operator, sara, omar):
    make_relay(sara, omar, status=Status.FAILED, error_code="1180", failed_at=ago(minutes=3))
    GatewayAccount.objects.create(
        name="vonage", paused_at=ago(minutes=2), probe_at=ago(), pause_detail="Vonage refused."
    )
    make_virtual_number("+14155550101", missing_since=ago(hours=1))
    make_virtual_number("+14155550102", unlinked_since=ago(hours=1))
    make_virtual_number("+14155550103", unlinked_since=ago(hours=1), state="retired")
    make_platform("Rentals", running_out_at=ago(hours=2))
    make_platform("Care", running_out_at=ago(days=2))
    Report.objects.create(chat=sara.chat, reporter=sara, reported=omar)
    page = home(operator)
    assert "1 text has failed" in page
    assert "1 person was reported" in page
    assert "No text is sent: the account is paused Vonage refused." in page
    assert "1 virtual number is gone from the account" in page
    assert "1 virtual number is not linked to our application" in page
    assert "Rentals: somebody is close to running out of numbers" in page
    assert "Care: " not in page


def test_attachments_that_could_not_be_passed_on_since_yesterday(operator, sara, omar):
    inbound = make_relay(sara, omar).relays
    for position, (status, hours) in enumerate([("failed", 1), ("failed", 23), ("failed", 25), ("withheld", 1)]):
        made = Attachment.objects.create(message=inbound, position=position, kind="image", status=status)
        Attachment.objects.filter(pk=made.pk).update(created_at=ago(hours=hours))
    page = home(operator)
    assert "2 attachments could not be passed on since yesterday" in page
    answer = operator.get(f"{reverse('admin:messaging_attachment_changelist')}?status__exact=failed")
    assert words_of(answer).count("could not be passed on") >= 3


def test_more_failures_than_anybody_counts(monkeypatch, operator, sara, omar):
    monkeypatch.setattr("desk.needs.COUNTED", 2)
    for _ in range(3):
        make_relay(sara, omar, status=Status.FAILED, error_code="1180", failed_at=ago(minutes=3))
    assert "More than 2 texts have failed" in home(operator)


def test_a_worker_that_stands_still_is_noticed(operator):
    count_figures(now=ago(minutes=6))
    assert "The worker does not run" in home(operator)


def test_the_figures_of_a_week(operator):
    populate_week()
    page = home(operator)
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    found = Message.objects.filter(direction="in", created_at__gte=midnight).count()
    assert f"Texts from people {found} " in page
    assert re.search(r"Numbers in use \d of 4", page) and "EUR" in page
    assert "The recipient's phone cannot be reached for now." in page
    assert "Rides does not take its events" in page


def test_each_figure_leads_to_its_rows(operator):
    populate_week()
    response = operator.get(HOME)
    links = {tile.label: (tile.link, tile.value) for tile in response.context["tiles"]}
    for label in ("Texts from people", "Texts to people", "Failed"):
        link, value = links[label]
        assert len(listed(operator.get(link))) == min(int(value), 50), label
    link, value = links["Chats opened"]
    assert len(listed(operator.get(link))) == int(value)
    for chart in response.context["charts"]:
        for bar in chart.bars:
            assert operator.get(bar.link).status_code == 200


def test_a_reason_leads_to_the_failures_of_the_week(operator):
    rides = populate_week()
    at = ago(days=8)
    writer = make_chat(rides).participants.get(position=1)
    make_queued(writer, pk=make_id_at(at), created_at=at, status=Status.FAILED, error_code="1180", failed_at=at)
    reason = operator.get(HOME).context["reasons"][0]
    assert "The recipient's phone cannot be reached for now." in reason.label
    assert len(listed(operator.get(reason.link))) == int(reason.words)


def test_a_day_of_the_log_is_that_of_the_operator(operator, omar):
    at = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    for moment in (at - timedelta(days=1), at, at + timedelta(hours=2)):
        make_queued(omar, pk=make_id_at(moment), created_at=moment)
    with time_machine.travel(at + timedelta(days=3), tick=False):
        operator.force_login(User.objects.get(username="olga"))
        assert len(listed(operator.get(MESSAGES, {"day": "2026-11-20"}))) == 1
        assert len(listed(operator.get(MESSAGES, {"day": "2026-11-21"}))) == 1
        assert len(listed(operator.get(MESSAGES, {"day": "2026-11-22"}))) == 0
        assert operator.get(MESSAGES, {"day": "2026-13-41"}).status_code == 200
        olga = User.objects.get(username="olga")
        Preferences.objects.create(user=olga, time_zone="Asia/Kathmandu", language="en")
        assert len(listed(operator.get(MESSAGES, {"day": "2026-11-21"}))) == 2


def test_days_are_those_of_the_operators_time_zone(db):
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    # A quarter before midnight in Nepal, 5:45 hours ahead, and a quarter after it.
    for at in (datetime(2026, 11, 20, 18, 0, tzinfo=UTC), datetime(2026, 11, 20, 18, 15, tzinfo=UTC)):
        Figure.objects.create(at=at, name="in", key="relayed", amount=1)
    with timezone.override(ZoneInfo("Asia/Kathmandu")):
        week = read_week(now=now)
    assert [day.count("in") for day in week.days] == [0, 0, 0, 0, 0, 1, 1]
    with timezone.override(UTC):
        assert [day.count("in") for day in read_week(now=now).days] == [0, 0, 0, 0, 0, 2, 0]


def test_percentiles_add_up(db):
    now = timezone.now()
    day = Day(now.date(), now, now)
    # 2^(40/4) ms is a second.
    day.amounts["relay"].update({"40": 90, "60": 10})
    assert 0.84 < find_percentile([day], "relay", 50) <= 1.03
    assert 27 < find_percentile([day, day], "relay", 95) < 33
    assert find_percentile([], "relay", 50) is None


@pytest.mark.parametrize("size", [0, 3])
def test_it_is_a_handful_of_queries_however_much_there_is(operator, size):
    if size:
        populate_week(texts_a_day=20 * size)
    operator.get(HOME)
    with CaptureQueriesContext(connection) as queries:
        operator.get(HOME)
    raw = 2
    assert len(queries) + raw <= QUERIES


@pytest.mark.slow
def test_a_long_log_is_not_read(monkeypatch, operator, omar):
    begin_log_anew()
    Message.objects.bulk_create(
        Message(direction="out", kind="relay", status="delivered", virtual_number=omar.virtual_number,
                participant=omar, chat=omar.chat)
        for _ in range(5_000)
    )  # fmt: skip
    Chat.objects.bulk_create(Chat(platform_id=omar.chat.platform_id, status="ended", ended_at=ago(days=20))
                             for _ in range(3_000))  # fmt: skip
    count_figures(now=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    statements = []

    def note(sql, params):
        with connection.cursor() as cursor:
            statements.append(cursor.mogrify(sql, params) if params else sql.replace("%%", "%"))
        return execute_planned(sql, params)

    for module in ("desk.figures", "desk.setup"):
        monkeypatch.setattr(f"{module}.execute_planned", note)
    with CaptureQueriesContext(connection) as queries:
        assert operator.get(HOME).status_code == 200
    assert len(statements) == 2
    for sql in [*statements, *(query["sql"] for query in queries)]:
        if re.search("messaging_message|chats_chat|chats_participant", sql):
            with connection.cursor() as cursor:
                # So little is read more cheaply as a whole: whether there is another way shows when that is dear.
                cursor.execute("SET LOCAL enable_seqscan = off")
                cursor.execute(f"EXPLAIN {sql}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
            assert not re.search("Seq Scan on (messaging_message|chats_chat|chats_participant)", plan), plan
    assert figures.DAYS == 7


class TestRights:
    def test_a_viewer_sees_it_all_and_can_press_nothing(self, viewer):
        populate_week()
        page = viewer.get(HOME)
        assert "texts have failed" in words_of(page)
        assert "Numbers in use" in words_of(page)
        assert not re.search("<button[^>]*desk-button", page.content.decode())

    def test_who_may_see_chats_only(self, db):
        populate_week()
        user = User.objects.create_user("una", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="view_chat"))
        client = Client()
        client.force_login(user)
        page = home(client)
        assert "Chats opened" in page
        for hidden in ("texts have failed", "Texts from people", "Numbers in use", "Why texts failed", "Rides"):
            assert hidden not in page

    def test_who_may_see_nothing(self, db):
        populate_week()
        client = Client()
        client.force_login(User.objects.create_user("una", is_staff=True))
        assert "You may not see any figures." in home(client)

    def test_no_phone_number(self, operator):
        populate_week()
        digits = re.sub(r"\D", "", operator.get(HOME).content.decode())
        for number in (SARA, OMAR, "+14155550130", "+14155550140"):
            assert number[1:] not in digits


def test_links_say_nothing_but_days_and_kinds(operator):
    populate_week()
    for tile in operator.get(HOME).context["tiles"]:
        for values in parse_qs(urlsplit(tile.link).query).values():
            assert all(re.fullmatch(r"[\w:.+-]+", value) for value in values)
