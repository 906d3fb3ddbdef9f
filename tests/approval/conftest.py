"""A platform that is asked before a text is passed on, and its receiver."""

from collections.abc import Iterator

import pytest

from chats.models import Chat, VirtualNumber
from platforms.approval import set_hook
from platforms.models import ApprovalHook, Platform
from tests.admin.conftest import operator
from tests.approval.helpers import Approver
from tests.factories import make_chat, make_virtual_number
from tests.messaging.rows import forget_introductions

__all__ = ["operator"]


@pytest.fixture
def approver() -> Iterator[Approver]:
    with Approver() as approver:
        yield approver


@pytest.fixture
def fast_number(db: None) -> VirtualNumber:
    return make_virtual_number(messages_per_second=10_000)


@pytest.fixture
def hook(platform: Platform, approver: Approver) -> ApprovalHook:
    return set_hook(platform=platform, url=approver.url, timeout_seconds=1, default=ApprovalHook.Default.RELAY).hook


@pytest.fixture
def chat(platform: Platform, fast_number: VirtualNumber) -> Chat:
    chat = make_chat(platform, reference="booking-1")
    forget_introductions()
    return chat
