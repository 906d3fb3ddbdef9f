"""Tell operators, on every page of the admin, what is wrong with the account at the gateway."""

from typing import Any
from uuid import UUID

from django import template

from chats.models import Participant, VirtualNumber
from messaging.models import GatewayAccount
from messaging.pauses import ACCOUNT

register = template.Library()


@register.inclusion_tag("messaging/account_banners.html")
def account_banners() -> dict[str, Any]:
    missing = list(VirtualNumber.objects.filter(missing_since__isnull=False).values_list("pk", flat=True))
    return {"account": GatewayAccount.objects.filter(name=ACCOUNT).first(), "missing": missing and _count_used(missing)}


def _count_used(numbers: list[UUID]) -> int:
    """Return how many of the virtual numbers have open chats, by the index participant_open_by_number."""
    open_on = Participant.objects.filter(virtual_number__in=numbers, ended_at=None).order_by()
    return open_on.values("virtual_number").distinct().count()
