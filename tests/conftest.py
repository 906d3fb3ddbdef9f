"""Fixtures that many tests share."""

import pytest
from rest_framework.test import APIClient

from chats.models import VirtualNumber
from platforms.models import Platform
from tests.factories import make_api_client, make_platform, make_virtual_number


@pytest.fixture
def platform(db: None) -> Platform:
    return make_platform("Rides")


@pytest.fixture
def other_platform(db: None) -> Platform:
    return make_platform("Rentals")


@pytest.fixture
def api(platform: Platform) -> APIClient:
    """The API as `platform` calls it."""
    return make_api_client(platform)


@pytest.fixture
def other_api(other_platform: Platform) -> APIClient:
    return make_api_client(other_platform)


@pytest.fixture
def virtual_number(db: None) -> VirtualNumber:
    return make_virtual_number()
