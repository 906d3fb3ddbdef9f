"""What needs a person now. A new kind of need is a function and a line in NEEDS."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chats.models import Report, VirtualNumber
from desk.figures import Week
from desk.words import say_clock, say_count
from messaging.models import UNHANDLED_FAILURE, Attachment, Message
from messaging.pauses import read_pause
from platforms.models import Platform, WebhookEndpoint

# More are not counted: the answer is the same.
COUNTED = 1_000
_STALE_AFTER = timedelta(minutes=5)
_RUNNING_OUT_FOR = timedelta(days=1)
_LOST_FOR = timedelta(days=1)
_AT_MOST = 5


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that will not get better by itself, what it means, and where it is seen to."""

    level: Literal["danger", "warning"]
    icon: str
    title: str
    detail: str
    link: str = ""
    button: str = ""


def list_needs(*, user: User | AnonymousUser, week: Week, now: datetime) -> list[Need]:
    """Return what needs a person, the worst first: of what this one may see, in one query for each kind."""
    found = [need for permission, find in NEEDS if user.has_perm(permission) for need in find(week, now)]
    return sorted(found, key=lambda need: need.level != "danger")


def _find_pause(week: Week, now: datetime) -> Iterator[Need]:
    if account := read_pause():
        yield Need(
            level="danger",
            icon="pause_circle",
            title=_("No text is sent: the account is paused"),
            detail=_("%(why)s (since %(time)s). Texts wait, and go out by themselves once it is mended.")
            % {"why": account.pause_detail, "time": say_clock(account.paused_at)},
            link=reverse("desk_setup"),
            button=_("Check the account"),
        )


def _find_failures(week: Week, now: datetime) -> Iterator[Need]:
    count = Message.objects.filter(UNHANDLED_FAILURE).order_by()[: COUNTED + 1].count()
    if count:
        shown = say_count(count) if count <= COUNTED else _("More than %(count)s") % {"count": say_count(COUNTED)}
        yield Need(
            level="danger",
            icon="sms_failed",
            title=ngettext("%(count)s text has failed", "%(count)s texts have failed", count) % {"count": shown},
            detail=_("By reason, with what can be done: try again, tell the sender, or tick off."),
            link=reverse("desk_failures"),
            button=_("See failures"),
        )


def _find_lost_attachments(week: Week, now: datetime) -> Iterator[Need]:
    # By the index attachment_failed.
    lost = Attachment.objects.filter(status=Attachment.Status.FAILED, created_at__gte=now - _LOST_FOR)
    if count := lost.order_by()[: COUNTED + 1].count():
        shown = say_count(count) if count <= COUNTED else _("More than %(count)s") % {"count": say_count(COUNTED)}
        yield Need(
            level="warning",
            icon="broken_image",
            title=ngettext(
                "%(count)s attachment could not be passed on since yesterday",
                "%(count)s attachments could not be passed on since yesterday",
                count,
            )
            % {"count": shown},
            detail=_("Their texts went without them, and who wrote them was told. Why is said beside each."),
            link=f"{reverse('admin:messaging_attachment_changelist')}?status__exact={Attachment.Status.FAILED.value}",
            button=_("See attachments"),
        )


def _find_reports(week: Week, now: datetime) -> Iterator[Need]:
    # By the constraint one_open_report_a_reporter.
    if count := Report.objects.filter(handled_at=None).count():
        yield Need(
            level="danger",
            icon="flag",
            title=ngettext("%(count)s person was reported", "%(count)s people were reported", count)
            % {"count": say_count(count)},
            detail=_("By the one they text with, who hears nothing more of them until somebody has looked at it."),
            link=f"{reverse('admin:chats_report_changelist')}?state=open",
            button=_("See reports"),
        )


def _find_number_problems(week: Week, now: datetime) -> Iterator[Need]:
    ailing = VirtualNumber.objects.filter(Q(missing_since__isnull=False) | Q(unlinked_since__isnull=False))
    flags = list(ailing.exclude(state=VirtualNumber.State.RETIRED).values_list("missing_since", flat=True))
    missing, unlinked = sum(1 for since in flags if since), sum(1 for since in flags if not since)
    numbers = reverse("admin:chats_virtualnumber_changelist")
    if missing:
        yield Need(
            level="danger",
            icon="phonelink_erase",
            title=ngettext(
                "%(count)s virtual number is gone from the account",
                "%(count)s virtual numbers are gone from the account",
                missing,
            )
            % {"count": missing},
            detail=_("Texts of their chats arrive nowhere: rent the number again, or end its chats."),
            link=f"{numbers}?problem=missing",
            button=_("See numbers"),
        )
    if unlinked:
        yield Need(
            level="danger",
            icon="link_off",
            title=ngettext(
                "%(count)s virtual number is not linked to our application",
                "%(count)s virtual numbers are not linked to our application",
                unlinked,
            )
            % {"count": unlinked},
            detail=_("What people text to it does not reach us: link it in the Vonage dashboard."),
            link=f"{numbers}?problem=unlinked",
            button=_("See numbers"),
        )


def _find_shortages(week: Week, now: datetime) -> Iterator[Need]:
    noted = Platform.objects.filter(running_out_at__gte=now - _RUNNING_OUT_FOR).order_by("-running_out_at")
    for platform in noted[:_AT_MOST]:
        yield Need(
            level="warning",
            icon="dialpad",
            title=_("%(platform)s: somebody is close to running out of numbers") % {"platform": platform.name},
            detail=_(
                "At %(time)s a person had fewer than %(count)s free virtual numbers left; with none, they cannot be in "
                "another chat. Add numbers to the pool."
            )
            % {"time": say_clock(platform.running_out_at), "count": f"{settings.WARN_BELOW_FREE_NUMBERS:g}"},
            link=reverse("admin:chats_virtualnumber_changelist"),
            button=_("See numbers"),
        )


def _find_deaf_endpoints(week: Week, now: datetime) -> Iterator[Need]:
    failing = WebhookEndpoint.objects.filter(consecutive_failures__gt=0).select_related("platform")
    for endpoint in failing.defer("secret", "previous_secret").order_by("-consecutive_failures")[:_AT_MOST]:
        yield Need(
            level="warning",
            icon="webhook",
            title=_("%(platform)s does not take its events") % {"platform": endpoint.platform.name},
            detail=ngettext(
                "Its endpoint has failed %(count)s time in a row. The last answer: %(why)s",
                "Its endpoint has failed %(count)s times in a row. The last answer: %(why)s",
                endpoint.consecutive_failures,
            )
            % {"count": say_count(endpoint.consecutive_failures), "why": endpoint.last_failure or "–"},
            link=reverse("admin:platforms_webhookendpoint_change", args=[endpoint.pk]),
            button=_("See the endpoint"),
        )


def _find_stale_figures(week: Week, now: datetime) -> Iterator[Need]:
    if week.as_of and now - week.as_of > _STALE_AFTER:
        yield Need(
            level="danger",
            icon="hourglass_disabled",
            title=_("The worker does not run"),
            detail=_(
                "It has counted nothing since %(time)s: events are not delivered, chats do not end on time, and the "
                "figures below are old. Start manage.py procrastinate worker."
            )
            % {"time": say_clock(week.as_of)},
            link=reverse("desk_setup"),
            button=_("See what runs"),
        )


# Whose eyes it is for, and how it is found.
NEEDS: Sequence[tuple[str, Callable[[Week, datetime], Iterator[Need]]]] = (
    ("messaging.view_message", _find_pause),
    ("messaging.view_message", _find_stale_figures),
    ("messaging.view_message", _find_failures),
    ("messaging.view_attachment", _find_lost_attachments),
    ("chats.view_report", _find_reports),
    ("chats.view_virtualnumber", _find_number_problems),
    ("chats.view_virtualnumber", _find_shortages),
    ("platforms.view_webhookendpoint", _find_deaf_endpoints),
)
