"""A platform with a receiver of its events."""

from collections.abc import Iterator

import pytest

from platforms.endpoints import add_endpoint
from platforms.models import Platform, WebhookEndpoint
from tests.events.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def endpoint(platform: Platform, receiver: Receiver) -> WebhookEndpoint:
    return add_endpoint(platform=platform, url=receiver.url, include_bodies=False, event_types=[]).endpoint
