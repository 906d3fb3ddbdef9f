"""What a Prometheus server is told at /metrics: the state that all processes share, read when it asks.

Why not by counters of a process: docs/decisions/0012-metrics.md
"""

import hmac
from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chats.models import Report, VirtualNumber
from messaging.models import GatewayAccount
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
    SELECT direction, status, count(*)
      FROM (SELECT direction, status FROM messaging_message ORDER BY position DESC LIMIT %s) AS latest
     GROUP BY direction, status ORDER BY direction, status
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
    token = settings.METRICS_TOKEN
    if not token and not settings.DEBUG:
        raise Http404
    given = request.headers.get("Authorization", "").partition(" ")
    if token and not (given[0].lower() == "bearer" and hmac.compare_digest(given[2].encode(), token.encode())):
        answer = error_response(
            status=401, code="not_authenticated", detail="Send METRICS_TOKEN as `Authorization: Bearer`."
        )
        answer["WWW-Authenticate"] = "Bearer"
        return answer
    return HttpResponse(generate_latest(_REGISTRY), content_type=CONTENT_TYPE_LATEST)


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
    with connection.cursor() as cursor:
        cursor.execute(_LATEST, [LATEST_TEXTS])
        for direction, status, count in cursor.fetchall():
            latest.add_metric([direction, status], count)
    yield latest


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
