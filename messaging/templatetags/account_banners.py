"""Tell operators, on every page of the admin, what is wrong with the account at the gateway."""

from typing import Any

from django import template

from chats.models import Participant, VirtualNumber
from messaging.models import GatewayAccount
from messaging.pauses import ACCOUNT

register = template.Library()


@register.inclusion_tag("messaging/account_banners.html")
def account_banners() -> dict[str, Any]:
    open_chats = Participant.objects.filter(ended_at=None).values("virtual_number")
    return {
        "account": GatewayAccount.objects.filter(name=ACCOUNT).first(),
        "missing": VirtualNumber.objects.filter(missing_since__isnull=False, pk__in=open_chats).count(),
    }
