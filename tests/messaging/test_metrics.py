"""/metrics: who may read it, and that its figures are those of the database."""

import re
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from messaging.gateways import Outcome
from messaging.heartbeats import Heart
from messaging.measurements import Measurements
from messaging.models import Attachment, GatewayAccount, Heartbeat, Message
from platforms.models import Event, EventDelivery, WebhookEndpoint
from tests.factories import OMAR, SARA, make_virtual_number
from tests.messaging.rows import Status, ago, begin_log_anew, make_queued, make_strangers_queued

pytestmark = pytest.mark.django_db

TOKEN = "token-of-the-metrics"


@pytest.fixture(autouse=True)
def token(settings):
    settings.METRICS_TOKEN = TOKEN


def read(client) -> dict[tuple[str, ...], float]:
    """Return the value of each sample, by its name and the values of its labels, as they are told: by their names."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        ("", 401),
        (TOKEN, 401),
        ("Bearer wrong", 401),
        ("Bearer ✗", 401),
        (f"Basic {TOKEN}", 401),
    ],
)
def test_only_who_has_the_token_may_read(client, authorization, status):
    answer = client.get("/metrics", headers={"Authorization": authorization})
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["errors"][0]["code"] == "not_authenticated"


@pytest.mark.parametrize(("debug", "status"), [(False, 404), (True, 200)])
def test_without_a_token_there_is_nothing_but_with_debug(client, settings, debug, status):
    settings.METRICS_TOKEN, settings.DEBUG = "", debug
    assert client.get("/metrics").status_code == status
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == status


def test_a_service_that_has_done_nothing(client):
    read_now = read(client)
    assert read_now[("texting_account_paused",)] == 0
    assert read_now[("texting_texts_pending", "queued")] == 0
    assert read_now[("texting_virtual_numbers", "active")] == 0
    for name in ("texting_account_balance", "texting_texts_oldest_due_timestamp_seconds"):
        assert not any(sample[0] == name for sample in read_now)


def test_the_account(client):
    at = ago(minutes=5)
    GatewayAccount.objects.create(
        name="vonage", paused_at=at, probe_at=at, balance="3.5", balance_currency="EUR", balance_read_at=at,
        balance_low_since=at, numbers_read_at=at,
    )  # fmt: skip
    read_now = read(client)
    assert read_now[("texting_account_paused",)] == 1
    assert read_now[("texting_account_balance", "EUR")] == 3.5
    assert read_now[("texting_account_balance_low",)] == 1
    for name in ("paused_since", "balance_read", "numbers_read"):
        assert read_now[(f"texting_account_{name}_timestamp_seconds",)] == pytest.approx(at.timestamp(), abs=0.001)


def test_virtual_numbers(client):
    make_virtual_number()
    gone = make_virtual_number("+14155550101", state="draining", missing_since=ago(hours=1))
    elsewhere = make_virtual_number("+14155550102", unlinked_since=ago(hours=2))
    read_now = read(client)
    assert read_now[("texting_virtual_numbers", "active")] == 2
    assert read_now[("texting_virtual_numbers", "draining")] == 1
    assert read_now[("texting_virtual_numbers_missing",)] == read_now[("texting_virtual_numbers_unlinked",)] == 1
    assert ("texting_virtual_number_problem", "missing", str(gone.pk)) in read_now
    assert ("texting_virtual_number_problem", "unlinked", str(elsewhere.pk)) in read_now


def test_texts(client, omar):
    oldest = make_queued(omar, due_at=ago(minutes=9))
    make_queued(omar)
    make_queued(omar, status=Status.SENDING)
    make_queued(omar, status=Status.UNCONFIRMED)
    make_queued(omar, status=Status.DELIVERED)
    make_queued(omar, status=Status.FAILED)
    read_now = read(client)
    pending = {status: read_now[("texting_texts_pending", status)] for status in ("queued", "sending", "unconfirmed")}
    assert pending == {"queued": 2, "sending": 1, "unconfirmed": 1}
    assert read_now[("texting_texts_oldest_due_timestamp_seconds",)] == pytest.approx(
        oldest.due_at.timestamp(), abs=0.001
    )
    latest = {key[1:]: value for key, value in read_now.items() if key[0] == "texting_latest_texts"}
    assert latest == {("out", "queued"): 2, ("out", "sending"): 1, ("out", "unconfirmed"): 1,
                      ("out", "delivered"): 1, ("out", "failed"): 1}  # fmt: skip


def test_no_number_and_no_name_is_told(client, omar):
    make_queued(omar, body="A secret")
    make_virtual_number("+14155550101", missing_since=ago())
    text = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()
    for secret in (SARA[1:], OMAR[1:], "14155550101", "Omar", "Rides", "secret"):
        assert secret not in text
    assert not re.search(r"\+\d{7}", text)


@pytest.mark.slow
def test_a_long_log_costs_a_handful_of_queries_that_scan_none_of_it(client, omar):
    begin_log_anew()
    make_strangers_queued(omar.virtual_number, 50)
    Message.objects.bulk_create(
        Message(
            direction="out", kind="relay", status="delivered", virtual_number=omar.virtual_number, participant=omar,
            chat=omar.chat, gateway_id=str(uuid.uuid4()),
        )
        for _ in range(5_000)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_message")
    with CaptureQueriesContext(connection) as queries:
        read_now = read(client)
    assert len(queries) <= 13
    assert sum(value for key, value in read_now.items() if key[0] == "texting_latest_texts") == 1_000
    for query in queries:
        if re.search("messaging_message|eventdelivery", query["sql"]):
            with connection.cursor() as cursor:
                # Of deliveries there are none: how many a plan expects depends on who has tidied up last.
                cursor.execute(f"SET LOCAL enable_seqscan = {'off' if 'eventdelivery' in query['sql'] else 'on'}")
                cursor.execute(f"EXPLAIN {query['sql']}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
            assert not re.search("Seq Scan on (messaging_message|platforms_eventdelivery)", plan) and "Index" in plan, (
                plan
            )


def test_attachments_that_wait_and_what_became_of_the_latest(client, chat, omar):
    text = make_queued(omar)
    since = ago(minutes=5)
    for position, status in enumerate(("waiting", "failed", "failed", "withheld")):
        Attachment.objects.create(
            message=text, position=position, kind="image", status=status, due_at=ago(), created_at=since
        )
    figures = read(client)
    assert figures["texting_attachments_waiting",] == 1
    assert figures["texting_attachments_waiting_since_timestamp_seconds",] == pytest.approx(since.timestamp())
    assert figures["texting_latest_attachments", "failed"] == 2
    assert figures["texting_latest_attachments", "withheld"] == 1


def test_what_senders_measured_is_added_up(client):
    first, second = Measurements(), Measurements()
    first.observe("gateway_seconds", 0.03)
    first.observe("gateway_seconds", 99)
    second.observe("gateway_seconds", 0.025)
    first.observe("relay_seconds", 1.5)
    first.count("attempts", "accepted")
    second.count("attempts", "accepted")
    for measurements in (first, second, second):
        measurements.write()
    figures = read(client)
    buckets = {key[1]: value for key, value in figures.items() if key[0] == "texting_gateway_seconds_bucket"}
    assert (buckets["0.01"], buckets["0.025"], buckets["0.05"], buckets["20.0"], buckets["+Inf"]) == (0, 1, 2, 2, 3)
    assert figures["texting_gateway_seconds_count",] == 3
    assert figures["texting_gateway_seconds_sum",] == pytest.approx(99.055)
    assert figures["texting_relay_seconds_bucket", "2.5"] == 1
    assert figures["texting_attempts_total", "accepted"] == 2
    assert {figures["texting_attempts_total", outcome.value] for outcome in Outcome} == {0}


def test_why_texts_failed(client, omar):
    make_queued(omar, status=Status.FAILED, error_kind="money", error_code="1340")
    make_queued(omar, status=Status.FAILED, error_kind="money", error_code="1340")
    make_queued(omar, status=Status.FAILED, error_kind="recipient", error_code="1")
    failures = {key[1:]: value for key, value in read(client).items() if key[0] == "texting_latest_failures"}
    assert failures == {("1340", "money"): 2, ("1", "recipient"): 1}


def test_events_by_platform(client, platform, other_platform):
    endpoint, _ = (
        WebhookEndpoint.objects.create(platform=each, url="https://example.com/", secret="whsec_x")
        for each in (platform, other_platform)
    )
    since = ago(minutes=7)
    for position, status in enumerate(("waiting", "sending", "failed", "delivered")):
        event = Event.objects.create(platform=platform, type="ping", position=position, payload="", occurred_at=since)
        EventDelivery.objects.create(
            event=event, endpoint=endpoint, position=position, status=status, queued_at=since,
            due_at=ago() if status in ("waiting", "sending") else None,
        )  # fmt: skip
    figures = read(client)
    mine, other = str(platform.pk), str(other_platform.pk)
    assert (figures["texting_events_waiting", mine], figures["texting_events_failed", mine]) == (2, 1)
    assert figures["texting_events_waiting_since_timestamp_seconds", mine] == pytest.approx(since.timestamp())
    assert figures["texting_events_waiting", other] == 0
    assert ("texting_events_waiting_since_timestamp_seconds", other) not in figures


def test_signs_of_life(client):
    assert read(client)["texting_last_heartbeat_timestamp_seconds", "sender"] == 0
    for _ in range(2):
        Heart(Heartbeat.Kind.SENDER).beat()
    first, last = Heartbeat.objects.all()
    Heartbeat.objects.filter(pk=first.pk).update(beat_at=ago(minutes=3))
    figures = read(client)
    assert figures["texting_last_heartbeat_timestamp_seconds", "sender"] == pytest.approx(last.beat_at.timestamp())
    assert figures["texting_last_heartbeat_timestamp_seconds", "worker"] == 0
    assert len([key for key in figures if key[0] == "texting_heartbeat_timestamp_seconds"]) == 2
