"""A service of its own for each story."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.service import Deployment, Service


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    deployment = Deployment("+14155550100", "+14155550101", "+14155550102")
    yield deployment
    deployment.drop()


@pytest.fixture
def service(tmp_path: Path, deployment: Deployment) -> Iterator[Service]:
    """The service with web and sender running, three virtual numbers and no chats; leases and waits are short."""
    with Service(
        tmp_path,
        deployment=deployment,
        SEND_TIMEOUT_SECONDS="1",
        SEND_LEASE_SECONDS="3",
        UNCONFIRMED_WAIT_SECONDS="3",
    ) as service:
        service.start_web()
        service.start_sender()
        yield service
