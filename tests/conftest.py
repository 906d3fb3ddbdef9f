"""Fixtures that many tests share."""

import gc
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.db import connections
from rest_framework.test import APIClient

from chats.models import VirtualNumber
from platforms.models import Platform
from tests.factories import make_api_client, make_platform, make_virtual_number
from tests.harness.databases import find_migrated
from tests.harness.simulator import Simulator


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--everything", action="store_true", help="also what is marked slow; `.ci/run` does")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the whole suite, leave out what is slow unless everything is asked for; what is named is always run."""
    if not _is_in_a_hurry(config):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in set(slow)]


def _is_in_a_hurry(config: pytest.Config) -> bool:
    return not config.getoption("--everything") and config.args_source is pytest.Config.ArgsSource.TESTPATHS


def pytest_configure(config: pytest.Config) -> None:
    """Leave out what costs each test more than all it does: slow hashes, and a look at every static file."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
    settings.WHITENOISE_AUTOREFRESH = True
    hypothesis.settings.register_profile("some", max_examples=25)
    hypothesis.settings.load_profile("some" if _is_in_a_hurry(config) else "default")


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking through all modules and tests again and again: a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Let the database of the tests be a copy of the one that is migrated once a run."""
    connections["default"].settings_dict["TEST"]["TEMPLATE"] = find_migrated()


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


@pytest.fixture
def media_storage(settings: Any) -> None:
    """Keep attachments in memory."""
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}


@pytest.fixture(scope="session")
def _account_simulator() -> Iterator[Simulator]:
    ours = {name: value for name, value in os.environ.items() if name.startswith("VONAGE_") and "_URL" not in name}
    webhooks = {f"{name}_url": f"http://localhost:8000/webhooks/{name}" for name in ("inbound", "status")}
    with Simulator.start(**webhooks, **ours) as simulator:
        yield simulator


@pytest.fixture
def vonage(_account_simulator: Simulator, settings) -> Simulator:
    """The account of the tests' own settings, which owns nothing yet, in a simulated Vonage."""
    _account_simulator.reset()
    settings.VONAGE_API_URL = settings.VONAGE_REST_URL = _account_simulator.url
    return _account_simulator


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured: they say it with `record_property("measured", ...)`."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == "measured":
                    terminalreporter.line(f"\n{value}")
