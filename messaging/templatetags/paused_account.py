"""Tell operators, on every page of the admin, that the account at the gateway is paused."""

from django import template

from messaging.models import GatewayAccount
from messaging.pauses import read_pause

register = template.Library()


@register.inclusion_tag("messaging/paused_account.html")
def paused_account_banner() -> dict[str, GatewayAccount | None]:
    return {"account": read_pause()}
