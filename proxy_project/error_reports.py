"""Errors for Sentry, when SENTRY_DSN is set: built from what may be known, so that nothing else can get into them."""

import logging
from typing import Any

import structlog

# Loggers whose lines are constants, with ids beside them.
_OURS = ("audit", "chats", "messaging", "operators", "platforms", "proxy_project")
# What lines of the log have besides: ids, and words of ours.
_FIELDS = (
    "request",
    "message",
    "chat",
    "relay",
    "attachment",
    "event_id",
    "endpoint",
    "virtual_number",
    "error",
    "code",
)
_FRAME = ("filename", "function", "module", "lineno", "in_app")
_KEPT = ("event_id", "timestamp", "platform", "level", "logger", "release", "environment", "server_name", "sdk")


def start(*, dsn: str, **options: Any) -> None:
    """Report exceptions and errors of the log from now on; the package is in requirements-observability.txt."""
    import sentry_sdk
    from sentry_sdk.integrations import Integration
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration
    from sentry_sdk.integrations.threading import ThreadingIntegration

    # Django logs what a view raises. Its own integration would send requests, and is not needed.
    integrations: list[Integration] = [
        LoggingIntegration(level=None, event_level=logging.ERROR, sentry_logs_level=None),
        ExcepthookIntegration(),
        ThreadingIntegration(),
        AtexitIntegration(lambda pending, timeout: None),
        DedupeIntegration(),
    ]
    sentry_sdk.init(
        dsn=dsn,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=integrations,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        traces_sample_rate=None,
        auto_session_tracking=False,
        before_send=build_report,
        **options,
    )


def build_report(event: Any, hint: dict[str, Any]) -> Any:
    """Return a report with the places in the code, types and ids of `event`, and nothing else that is in it."""
    report: dict[str, Any] = {name: event[name] for name in _KEPT if name in event}
    line = getattr(hint.get("log_record"), "msg", None)
    if isinstance(line, dict) and str(event.get("logger", "")).partition(".")[0] in _OURS:
        report["message"] = str(line.get("event", ""))
    else:
        line = {}
    line = {**structlog.contextvars.get_contextvars(), **line}
    report["tags"] = {name: str(line[name]) for name in _FIELDS if line.get(name)}
    values = (event.get("exception") or {}).get("values") or ()
    report["exception"] = {"values": [_describe(value) for value in values]}
    if values:
        # Sentry shows it as the title; never what the exception says, which may quote.
        report.setdefault("message", str(values[-1].get("type", "")))
    return report


def _describe(value: dict[str, Any]) -> dict[str, Any]:
    frames = (value.get("stacktrace") or {}).get("frames") or ()
    return {
        "type": value.get("type"),
        "module": value.get("module"),
        "stacktrace": {"frames": [{name: frame[name] for name in _FRAME if name in frame} for frame in frames]},
    }
