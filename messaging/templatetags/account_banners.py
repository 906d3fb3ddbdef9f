"""Tell operators, on every page of the admin, what is wrong with the account at the gateway, and whom people report."""

from typing import Any
from uuid import UUID

from django import template
from django.template import Context

from chats.models import Participant, Report, VirtualNumber
from messaging.models import GatewayAccount
from messaging.pauses import ACCOUNT

register = template.Library()


@register.inclusion_tag("messaging/account_banners.html", takes_context=True)
def account_banners(context: Context) -> dict[str, Any]:
    missing = list(VirtualNumber.objects.filter(missing_since__isnull=False).values_list("pk", flat=True))
    may_see_reports = context["request"].user.has_perm("chats.view_report")
    return {
        "account": GatewayAccount.objects.filter(name=ACCOUNT).first(),
        "missing": missing and _count_used(missing),
        # By the constraint one_open_report_a_reporter.
        "reports": may_see_reports and Report.objects.filter(handled_at=None).count(),
    }


def _count_used(numbers: list[UUID]) -> int:
    """Return how many of the virtual numbers have open chats, by the index participant_open_by_number."""
    open_on = Participant.objects.filter(virtual_number__in=numbers, ended_at=None).order_by()
    return open_on.values("virtual_number").distinct().count()
