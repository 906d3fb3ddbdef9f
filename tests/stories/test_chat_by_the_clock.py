"""A chat is started and ended by the worker, at its times, without anybody asking."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.factories import OMAR, SARA
from tests.harness.service import Service
from tests.harness.simulator import wait_until


@pytest.mark.slow
def test_a_chat_starts_and_ends_by_itself(service: Service) -> None:
    service.start_worker()
    starts_at = datetime.now(UTC) + timedelta(seconds=3)
    chat = service.start_chat((SARA, "Sara"), (OMAR, "Omar"), starts_at=starts_at.isoformat())
    assert chat["status"] == "scheduled"
    for handset in (SARA, OMAR):
        service.simulator.wait_for_text(handset, "can now text", timeout=60)
    assert datetime.now(UTC) >= starts_at

    address = f"/chats/{chat['id']}"
    expires_at = datetime.now(UTC) + timedelta(seconds=2)
    status, shown = service.call("PATCH", address, {"expires_at": expires_at.isoformat()})
    assert (status, shown["status"]) == (200, "open")

    def has_ended() -> bool:
        _, shown = service.call("GET", address)
        return (shown["status"], shown["end_reason"]) == ("ended", "expired")

    wait_until(has_ended, timeout=60, waiting_for="the chat to end")
    assert datetime.now(UTC) >= expires_at
