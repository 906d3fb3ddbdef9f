"""What leaves for Sentry and OpenTelemetry: places, types and ids, and never a number, a name or a text."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sentry_sdk
import structlog
from django.test import Client
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sentry_sdk.transport import Transport

from chats.models import VirtualNumber
from messaging import webhooks
from messaging.claims import claim_texts
from messaging.sender import _send
from proxy_project import error_reports, tracing
from tests.factories import OMAR, SARA, VIRTUAL_NUMBER
from tests.messaging.payloads import sms
from tests.messaging.rows import ago, make_queued
from tests.messaging.signing import INBOUND, signed_post

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
SECRETS = ("the blue gate", SARA[1:], OMAR[1:], VIRTUAL_NUMBER[1:], "Bearer", "Omar")


class Captured(Transport):
    """Keeps what would have been sent, as the bytes that would have been."""

    sent: list[bytes] = []

    def capture_envelope(self, envelope):
        self.sent.append(envelope.serialize())


@pytest.fixture
def reports() -> Iterator[list[bytes]]:
    Captured.sent = []
    error_reports.start(dsn="https://key@sentry.example.com/1", transport=Captured)
    yield Captured.sent
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.start(exporter)
    yield exporter
    tracing.stop()


@pytest.fixture
def broken(monkeypatch) -> None:
    def fail(text, *, now):
        quoted = {"from": text.from_number, "body": text.body}
        raise RuntimeError(f"{text.from_number} wrote {text.body}: {quoted}")

    monkeypatch.setattr(webhooks, "receive_text", fail)


def write(client: Client):
    client.raise_request_exception = False
    return signed_post(client, INBOUND, sms(text="the blue gate"))


def test_an_exception_is_reported_with_its_place_and_request_and_nothing_it_quotes(client, chat, broken, reports):
    answer = write(client)
    assert answer.status_code == 500
    [report] = [each.decode() for each in reports]
    assert "RuntimeError" in report and "messaging/webhooks.py" in report and answer["X-Request-Id"] in report
    for secret in SECRETS:
        assert secret not in report


def test_an_error_of_our_log_is_reported_with_its_ids_and_no_more(chat, reports):
    structlog.get_logger("messaging.test").error("text broke", chat=str(chat.pk), reason=f"{SARA} wrote the blue gate")
    logging.getLogger("library").error("cannot send to %s", SARA)
    ours, theirs = (each.decode() for each in reports)
    assert "text broke" in ours and str(chat.pk) in ours
    assert '"logger":"library"' in theirs.replace(" ", "") and "cannot send" not in theirs
    for secret in SECRETS:
        assert secret not in ours + theirs


def test_whatever_is_in_an_event_is_left_out():
    event = {
        "event_id": "1", "user": {"id": SARA}, "extra": {"a": SARA}, "request": {"data": SARA, "url": SARA},
        "breadcrumbs": {"values": [SARA]}, "logentry": {"message": SARA}, "transaction": SARA, "contexts": {"a": SARA},
        "exception": {"values": [{"type": "E", "value": SARA, "stacktrace": {"frames": [
            {"function": "f", "vars": {"a": SARA}, "context_line": SARA, "lineno": 1}]}}]},
    }  # fmt: skip
    assert SARA not in str(error_reports.build_report(event, {}))


def test_a_request_is_traced_by_its_pattern_and_ids(client, chat, broken, spans):
    answer = write(client)
    client.get(f"/chats/{chat.pk}?{SARA[1:]}")
    client.get(f"/{SARA[1:]}")
    names = [span.name for span in spans.get_finished_spans()]
    assert names == ["POST /webhooks/inbound", "GET /chats/<uuid:chat_id>", "GET /nowhere"]
    told = "".join(span.to_json() for span in spans.get_finished_spans())
    assert answer["X-Request-Id"] in told
    for secret in SECRETS:
        assert secret not in told


def test_handing_over_a_text_is_traced_by_its_ids(omar, spans):
    VirtualNumber.objects.update(next_send_at=ago(hours=1))
    message = make_queued(omar, body="the blue gate")

    class Gateway:
        def send(self, text):
            raise RuntimeError(f"{text.to_number}: {text.body}")

    result = _send(Gateway(), claim_texts(limit=1)[0], time.monotonic() + 60)
    assert result.error and result.seconds is not None
    [span] = spans.get_finished_spans()
    assert dict(span.attributes) == {"message": str(message.pk), "chat": str(omar.chat_id)}
    for secret in SECRETS:
        assert secret not in span.to_json()


@pytest.mark.slow
def test_without_being_asked_for_nothing_is_imported():
    check = (
        "import django, sys; django.setup(); import proxy_project.wsgi;"
        "print([name for name in sys.modules if name.startswith(('sentry_sdk', 'opentelemetry'))])"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "proxy_project.settings"}
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_asked_for_without_its_package_the_start_says_what_to_install():
    # The exporter is not among the requirements of development.
    environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode and "-r requirements-observability.txt" in done.stderr
