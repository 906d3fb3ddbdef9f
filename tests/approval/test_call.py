"""Where the approval hook is asked: never within our own network, whatever its URL has become."""

import pytest

from platforms.models import ApprovalHook
from tests.approval.helpers import approvals, ask, receive, relays

pytestmark = pytest.mark.django_db


def test_a_url_that_leads_into_our_network_is_not_called(chat, hook, approver, settings):
    settings.ALLOW_PRIVATE_ENDPOINTS = False
    ApprovalHook.objects.update(url=approver.url.replace("http:", "https:"))
    receive()
    ask()
    assert approver.received == []
    assert (relays(), approvals()) == (
        [("queued", "hello")],
        [("approved", "Its host is not on the public internet.")],
    )
