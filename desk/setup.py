"""What is still to be set up before two people can text each other, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from desk.figures import Week
from desk.words import say_clock, say_money
from messaging.account_check import INBOUND_PATH, STATUS_PATH
from messaging.models import GatewayAccount
from messaging.outbox import WAKE_CHANNEL
from messaging.pauses import ACCOUNT
from proxy_project.sql import execute_planned

_ALIVE_FOR = timedelta(minutes=5)
# Among so many texts, the newest of the log, one is looked for that shows that webhooks arrive.
_LATEST_TEXTS = 1_000

# A sender that runs listens for new texts. Other roles' sessions show nothing of what they do: then nobody is seen.
_READ = f"""
    SELECT EXISTS (SELECT FROM chats_virtualnumber WHERE state IN ('active', 'reserved') AND can_sms),
           EXISTS (SELECT FROM platforms_platform),
           EXISTS (SELECT FROM platforms_apikey
                    WHERE NOT revoked AND (expiry_date IS NULL OR expiry_date > now())),
           EXISTS (SELECT FROM platforms_webhookendpoint WHERE is_enabled)
               OR EXISTS (SELECT FROM platforms_platform WHERE records_events),
           (SELECT max(COALESCE(delivered_at, created_at))
              FROM (SELECT direction, created_at, delivered_at FROM messaging_message
                     ORDER BY position DESC LIMIT {_LATEST_TEXTS}) AS latest
             WHERE direction = 'in' OR delivered_at IS NOT NULL),
           EXISTS (SELECT FROM pg_stat_activity
                    WHERE datname = current_database() AND query LIKE 'LISTEN {WAKE_CHANNEL}%%')
"""


@dataclass(frozen=True)
class Installation:
    """What there is of what is needed; `heard_at` is when a webhook of the carrier's was last believed."""

    has_number: bool
    has_platform: bool
    has_key: bool
    has_endpoint: bool
    heard_at: datetime | None
    has_sender: bool
    has_worker: bool

    @property
    def is_complete(self) -> bool:
        return all((self.has_number, self.has_key, self.has_endpoint, self.heard_at, self.has_sender, self.has_worker))


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to set up: whether it is done, what to do in a sentence, and where."""

    name: str
    title: str
    state: Literal["done", "missing", "unknown"]
    sentence: str
    link: str = ""
    button: str = ""


def read_installation(*, week: Week, now: datetime) -> Installation:
    """Return what there is, in one query; the worker runs when it has counted something lately."""
    [(has_number, has_platform, has_key, has_endpoint, heard_at, has_sender)] = execute_planned(_READ, {})
    return Installation(
        has_number=has_number,
        has_platform=has_platform,
        has_key=has_key,
        has_endpoint=has_endpoint,
        heard_at=heard_at,
        has_sender=has_sender,
        has_worker=week.as_of is not None and now - week.as_of <= _ALIVE_FOR,
    )


def is_set_up(*, week: Week, now: datetime) -> bool:
    return read_installation(week=week, now=now).is_complete


def list_steps(*, installation: Installation) -> Sequence[Step]:
    """Return what there is to set up, in the order in which it is done."""
    there = installation
    return [
        _step_account(),
        _step_number(there),
        _step_webhooks(there),
        _step_platform(there),
        _step_endpoint(there),
        Step(
            name="sender",
            title=_("Sender"),
            state="done" if there.has_sender else "missing",
            sentence=_("It runs, and hands texts to the carrier as they are queued.")
            if there.has_sender
            else _("None is seen: start manage.py send_texts. Until then texts wait."),
        ),
        Step(
            name="worker",
            title=_("Worker"),
            state="done" if there.has_worker else "missing",
            sentence=_("It runs: events are delivered, chats end on time, and figures are counted.")
            if there.has_worker
            else _("None is seen: start manage.py procrastinate worker. Its first sign comes within a minute."),
        ),
    ]  # fmt: skip


def _step_account() -> Step:
    account = GatewayAccount.objects.filter(name=ACCOUNT).first() or GatewayAccount(name=ACCOUNT)
    step = partial(Step, name="account", title=_("Vonage account"))
    if account.paused_at:
        sentence = _("It takes no texts since %(time)s: %(why)s") % {
            "time": say_clock(account.paused_at),
            "why": account.pause_detail,
        }
        return step(state="missing", sentence=sentence)
    if account.balance_read_at and account.balance is not None:
        sentence = _("It answers, and its balance is %(balance)s.") % {
            "balance": say_money(round(account.balance * 1_000_000), account.balance_currency)
        }
        return step(state="done", sentence=sentence)
    sentence = _("Nobody has asked it yet: check whether the credentials in .env are those of the account.")
    return step(state="unknown", sentence=sentence)


def _step_number(there: Installation) -> Step:
    return Step(
        name="number",
        title=_("Virtual number"),
        state="done" if there.has_number else "missing",
        sentence=_("There is at least one that new chats can have.")
        if there.has_number
        else _("Rent one that can do SMS in the Vonage dashboard, and add it here: chats need at least one."),
        link=reverse("admin:chats_virtualnumber_changelist" if there.has_number else "admin:chats_virtualnumber_add"),
        button=_("See numbers") if there.has_number else _("Add a number"),
    )


def _step_webhooks(there: Installation) -> Step:
    step = partial(Step, name="webhooks", title=_("Webhooks of Vonage"))
    if there.heard_at:
        sentence = _("They arrive and are believed; the newest came at %(time)s.") % {"time": say_clock(there.heard_at)}
        return step(state="done", sentence=sentence)
    sentence = _("Enter %(inbound)s and %(status)s in the Vonage application, then text a virtual number.") % {
        "inbound": settings.PUBLIC_URL + INBOUND_PATH,
        "status": settings.PUBLIC_URL + STATUS_PATH,
    }
    return step(state="missing", sentence=sentence)


def _step_platform(there: Installation) -> Step:
    step = partial(Step, name="platform", title=_("Platform and API key"))
    if there.has_key:
        return step(
            state="done",
            sentence=_("A platform has a key, and can open chats."),
            link=reverse("admin:platforms_platform_changelist"),
            button=_("See platforms"),
        )
    if there.has_platform:
        return step(
            state="missing",
            sentence=_("No platform has a key in use: make one, and give it to whoever calls the API."),
            link=reverse("admin:platforms_apikey_add"),
            button=_("Make a key"),
        )
    return step(
        state="missing",
        sentence=_("Add the platform that will open chats: its API key is shown to you once."),
        link=reverse("admin:platforms_platform_add"),
        button=_("Add a platform"),
    )


def _step_endpoint(there: Installation) -> Step:
    return Step(
        name="endpoint",
        title=_("Events to the platform"),
        state="done" if there.has_endpoint else "missing",
        sentence=_("A platform is told what happens, by webhook or by GET /events.")
        if there.has_endpoint
        else _("Add the platform's URL that is told of texts and chats, or let it ask GET /events."),
        link=reverse(
            "admin:platforms_webhookendpoint_changelist"
            if there.has_endpoint
            else "admin:platforms_webhookendpoint_add"
        ),
        button=_("See endpoints") if there.has_endpoint else _("Add an endpoint"),
    )
