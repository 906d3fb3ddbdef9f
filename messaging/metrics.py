"""What a Prometheus server is told at /metrics: the state that all processes share, read when it asks.

Why not by counters of a process: docs/decisions/0012-metrics.md
"""

import hmac
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from chats.models import Report, VirtualNumber
from messaging.gateways import Outcome
from messaging.heartbeats import read_beats
from messaging.measurements import BEYOND, HISTOGRAMS, SUM, read_measurements
from messaging.models import GatewayAccount, Heartbeat
from messaging.pauses import ACCOUNT
from platforms.models import Platform
from proxy_project.errors import error_response

LATEST_TEXTS = 1_000

# By the indexes message_queued, message_in_doubt and message_held, whose conditions these are.
_PENDING = """
    SELECT 'queued', count(*), min(due_at) FROM messaging_message WHERE status = 'queued'
    UNION ALL
    SELECT status, count(*), min(due_at) FROM messaging_message
     WHERE status IN ('sending', 'unconfirmed') GROUP BY status
    UNION ALL
    SELECT 'held', count(*), min(due_at) FROM messaging_message WHERE direction = 'out' AND status = 'held'
"""
# By the index attachment_waiting, and the primary key, which is ordered by time.
_ATTACHMENTS_WAITING = "SELECT count(*), min(created_at) FROM messaging_attachment WHERE status = 'waiting'"
_LATEST_ATTACHMENTS = """
    SELECT status, count(*) FROM (SELECT status FROM messaging_attachment ORDER BY id DESC LIMIT %s) AS latest
     GROUP BY status ORDER BY status
"""
# By the index message_newest, however long the log is.
_LATEST = """
    SELECT direction, status, concerns, code, count(*)
      FROM (SELECT direction, status, CASE WHEN status = 'failed' THEN error_kind END AS concerns,
                   CASE WHEN status = 'failed' THEN error_code END AS code
              FROM messaging_message ORDER BY position DESC LIMIT %s) AS latest
     GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
# Of each endpoint by the indexes delivery_due and delivery_failed.
_EVENTS = """
    SELECT platform_id, sum(waiting), sum(failed), min(since)
      FROM platforms_webhookendpoint AS endpoint
     CROSS JOIN LATERAL (
               SELECT count(*) AS waiting, min(queued_at) AS since FROM platforms_eventdelivery
                WHERE endpoint_id = endpoint.id AND status IN ('waiting', 'sending')
           ) AS pending
     CROSS JOIN LATERAL (
               SELECT count(*) AS failed FROM platforms_eventdelivery
                WHERE endpoint_id = endpoint.id AND status = 'failed'
           ) AS given_up
     GROUP BY platform_id ORDER BY platform_id
"""
# By the same index: why texts were not passed on, and what rules on disclosures found.
_LATEST_STOPPED = """
    WITH latest AS MATERIALIZED (
        SELECT direction, status, error_code, disclosures FROM messaging_message ORDER BY position DESC LIMIT %s
    )
    SELECT 'blocked', error_code, count(*) FROM latest WHERE direction = 'in' AND status = 'blocked' GROUP BY error_code
    UNION ALL
    SELECT 'disclosed', kind, count(*) FROM latest CROSS JOIN unnest(disclosures) AS kind GROUP BY kind
    ORDER BY 1, 2
"""


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer whoever has METRICS_TOKEN; without one set, nobody, except with DEBUG."""
    if not settings.METRICS_TOKEN and not settings.DEBUG:
        raise Http404
    if not may_read_metrics(request):
        answer = error_response(
            status=401, code="not_authenticated", detail="Send METRICS_TOKEN as `Authorization: Bearer`."
        )
        answer["WWW-Authenticate"] = "Bearer"
        return answer
    return HttpResponse(generate_latest(_REGISTRY), content_type=CONTENT_TYPE_LATEST)


def may_read_metrics(request: HttpRequest) -> bool:
    """Return whether the request has METRICS_TOKEN; without one set, nobody has, except with DEBUG."""
    token: str = settings.METRICS_TOKEN
    if not token:
        return settings.DEBUG
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())


class _SharedState(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from _collect_account()
        yield from _collect_numbers()
        yield from _collect_pending()
        yield from _collect_latest()
        yield from _collect_attachments()
        yield from _collect_stopped()
        # By the constraint one_open_report_a_reporter.
        reports = Report.objects.filter(handled_at=None).count()
        yield _gauge("open_reports", "Reports of participants that nobody has handled.", reports)
        yield from _collect_events()
        yield from _collect_processes()
        yield from _collect_measurements()

    def describe(self) -> list[Metric]:
        # Nothing is read from the database when it is registered.
        return []


_REGISTRY = CollectorRegistry(auto_describe=False)
_REGISTRY.register(_SharedState())


def _collect_account() -> Iterator[Metric]:
    account = GatewayAccount.objects.filter(name=ACCOUNT).first() or GatewayAccount(name=ACCOUNT)
    yield _gauge("account_paused", "1 while the account at the gateway takes no texts.", account.paused_at is not None)
    yield _gauge("account_paused_since_timestamp_seconds", "When the pause began.", account.paused_at)
    balance = GaugeMetricFamily(
        "texting_account_balance", "What is left on the account at the gateway.", labels=["currency"]
    )
    if account.balance is not None:
        balance.add_metric([account.balance_currency], float(account.balance))
    yield balance
    yield _gauge(
        "account_balance_low", "1 while the balance is below BALANCE_WARNING.", account.balance_low_since is not None
    )
    yield _gauge("account_balance_read_timestamp_seconds", "When the balance was read.", account.balance_read_at)
    yield _gauge(
        "account_numbers_read_timestamp_seconds", "When the account's numbers were read.", account.numbers_read_at
    )


def _collect_numbers() -> Iterator[Metric]:
    numbers = GaugeMetricFamily("texting_virtual_numbers", "Virtual numbers by their state.", labels=["state"])
    counts = dict(VirtualNumber.objects.order_by().values_list("state").annotate(Count("pk")))
    for state in VirtualNumber.State.values:
        numbers.add_metric([state], counts.get(state, 0))
    yield numbers
    problems = VirtualNumber.objects.filter(Q(missing_since__isnull=False) | Q(unlinked_since__isnull=False))
    flagged = GaugeMetricFamily(
        "texting_virtual_number_problem",
        "When a virtual number was found missing in the account, or not linked to our application.",
        labels=["virtual_number", "problem"],
    )
    missing = unlinked = 0
    for pk, missing_since, unlinked_since in problems.values_list("pk", "missing_since", "unlinked_since"):
        if missing_since:
            missing += 1
            flagged.add_metric([str(pk), "missing"], missing_since.timestamp())
        if unlinked_since:
            unlinked += 1
            flagged.add_metric([str(pk), "unlinked"], unlinked_since.timestamp())
    yield _gauge("virtual_numbers_missing", "Virtual numbers that the account no longer has.", missing)
    yield _gauge("virtual_numbers_unlinked", "Virtual numbers whose texts do not reach us.", unlinked)
    yield flagged
    running_out = GaugeMetricFamily(
        "texting_virtual_numbers_running_out_timestamp_seconds",
        "When a new chat last left somebody fewer than WARN_BELOW_FREE_NUMBERS; noted once a day, by platform.",
        labels=["platform"],
    )
    for pk, running_out_at in Platform.objects.values_list("pk", "running_out_at"):
        if running_out_at:
            running_out.add_metric([str(pk)], running_out_at.timestamp())
    yield running_out


def _collect_pending() -> Iterator[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(_PENDING)
        rows = {status: (count, due_at) for status, count, due_at in cursor.fetchall()}
    pending = GaugeMetricFamily("texting_texts_pending", "Texts on their way out, by status.", labels=["status"])
    for status in ("queued", "held", "sending", "unconfirmed"):
        pending.add_metric([status], rows.get(status, (0, None))[0])
    yield pending
    yield _gauge(
        "texts_oldest_due_timestamp_seconds",
        "When the queued text that has been due for longest was due; in the future while all wait to be tried again.",
        rows["queued"][1],
    )


def _collect_latest() -> Iterator[Metric]:
    latest = GaugeMetricFamily(
        "texting_latest_texts",
        f"What became of the latest {LATEST_TEXTS:,} texts in the log, by direction and status.",
        labels=["direction", "status"],
    )
    failed = GaugeMetricFamily(
        "texting_latest_failures",
        f"Why those of the latest {LATEST_TEXTS:,} texts failed that did: whom it concerns, and the error's code.",
        labels=["concerns", "code"],
    )
    with connection.cursor() as cursor:
        cursor.execute(_LATEST, [LATEST_TEXTS])
        rows = cursor.fetchall()
    counts: Counter[tuple[str, str]] = Counter()
    for direction, status, concerns, code, count in rows:
        counts[direction, status] += count
        if status == "failed":
            failed.add_metric([concerns, code], count)
    for (direction, status), count in sorted(counts.items()):
        latest.add_metric([direction, status], count)
    yield latest
    yield failed


def _collect_events() -> Iterator[Metric]:
    waiting = GaugeMetricFamily("texting_events_waiting", "Events to be delivered, by platform.", labels=["platform"])
    failed = GaugeMetricFamily(
        "texting_events_failed", "Events that were given up, and are kept yet, by platform.", labels=["platform"]
    )
    oldest = GaugeMetricFamily(
        "texting_events_waiting_since_timestamp_seconds",
        "When the event that waits longest was recorded, by platform.",
        labels=["platform"],
    )
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS)
        for platform, waits, gave_up, since in cursor.fetchall():
            waiting.add_metric([str(platform)], float(waits))
            failed.add_metric([str(platform)], float(gave_up))
            if since:
                oldest.add_metric([str(platform)], since.timestamp())
    yield from (waiting, failed, oldest)


def _collect_processes() -> Iterator[Metric]:
    each = GaugeMetricFamily(
        "texting_heartbeat_timestamp_seconds",
        "When a sender or worker last gave a sign of life; for an hour, unless it stopped as it should.",
        labels=["kind", "host", "process"],
    )
    last = GaugeMetricFamily(
        "texting_last_heartbeat_timestamp_seconds",
        "When any sender, or any worker, last gave a sign of life; 0 when none is known.",
        labels=["kind"],
    )
    latest = dict.fromkeys(Heartbeat.Kind.values, 0.0)
    for beat in read_beats():
        each.add_metric([beat.kind, beat.host, beat.process], beat.beat_at.timestamp())
        latest[beat.kind] = max(latest[beat.kind], beat.beat_at.timestamp())
    for kind, at in latest.items():
        last.add_metric([kind], at)
    yield from (each, last)


def _collect_measurements() -> Iterator[Metric]:
    measured = read_measurements()
    yield _histogram("gateway_seconds", "How long the gateway took to answer, of each attempt.", measured)
    yield _histogram(
        "relay_seconds", "From a text's arrival here to its acceptance by the gateway; held texts wait long.", measured
    )
    attempts = CounterMetricFamily(
        "texting_attempts", "Texts handed to the gateway, by what it answered.", labels=["outcome"]
    )
    for outcome in ("accepted", *(outcome.value for outcome in Outcome)):
        attempts.add_metric([outcome], measured.get(("attempts", outcome), 0.0))
    yield attempts


def _histogram(name: str, meaning: str, measured: Mapping[tuple[str, str], float]) -> Metric:
    total, buckets = 0.0, []
    for bound in HISTOGRAMS[name]:
        total += measured.get((name, f"{bound:g}"), 0.0)
        buckets.append((floatToGoString(bound), total))
    buckets.append(("+Inf", total + measured.get((name, BEYOND), 0.0)))
    return HistogramMetricFamily(f"texting_{name}", meaning, buckets=buckets, sum_value=measured.get((name, SUM), 0.0))


def _collect_stopped() -> Iterator[Metric]:
    blocked = GaugeMetricFamily(
        "texting_latest_blocked",
        f"How many of the latest {LATEST_TEXTS:,} texts in the log were not passed on, by why.",
        labels=["reason"],
    )
    disclosed = GaugeMetricFamily(
        "texting_latest_disclosures",
        f"How many of the latest {LATEST_TEXTS:,} texts in the log held what a rule does not let pass, by kind.",
        labels=["kind"],
    )
    with connection.cursor() as cursor:
        cursor.execute(_LATEST_STOPPED, [LATEST_TEXTS])
        for what, label, count in cursor.fetchall():
            (blocked if what == "blocked" else disclosed).add_metric([label], count)
    yield blocked
    yield disclosed


def _gauge(name: str, meaning: str, value: float | datetime | None) -> Metric:
    """Return a figure without labels, in seconds since 1970 for a time; without a sample when there is no value."""
    if isinstance(value, datetime):
        value = value.timestamp()
    return GaugeMetricFamily(f"texting_{name}", meaning, value=value)


def _collect_attachments() -> Iterator[Metric]:
    latest = GaugeMetricFamily(
        "texting_latest_attachments",
        f"What became of the latest {LATEST_TEXTS:,} pictures, recordings and files, by status.",
        labels=["status"],
    )
    with connection.cursor() as cursor:
        cursor.execute(_ATTACHMENTS_WAITING)
        waiting, since = cursor.fetchone()
        cursor.execute(_LATEST_ATTACHMENTS, [LATEST_TEXTS])
        for status, count in cursor.fetchall():
            latest.add_metric([status], count)
    yield _gauge("attachments_waiting", "Attachments that are to be fetched before their texts go out.", waiting)
    yield _gauge("attachments_waiting_since_timestamp_seconds", "When the one that waits longest came.", since)
    yield latest
