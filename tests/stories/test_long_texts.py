"""An account whose webhooks are the SMS API's, with signatures: long texts come in parts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import OMAR, SARA
from tests.harness.service import Deployment, Service
from tests.harness.simulator import wait_until

LONG = "The blue gate is behind the bakery, second courtyard. " * 8
LAST = "Bring the two suitcases up to the fourth floor & ring twice = that is me. Привет 😀"


@pytest.fixture
def service(tmp_path: Path, deployment: Deployment) -> Iterator[Service]:
    environment = {"VONAGE_LEGACY_WEBHOOKS": "signed:sha256", "PARTS_WAIT_SECONDS": "3"}
    with Service(tmp_path, deployment=deployment, **environment) as service:
        service.start_web()
        service.start_sender()
        yield service


@pytest.mark.slow
def test_a_text_of_three_parts_shuffled_and_doubled_arrives_once_and_whole(service: Service) -> None:
    simulator = service.simulator
    [virtual_number] = service.start_chat((SARA, "Sara"), (OMAR, "Omar"))["virtual_numbers"]
    service.wait_until_sent()

    for index, form in enumerate(("legacy-get", "legacy-form", "legacy-json")):
        parts = {"total": 3, "order": [3, 1, 3, 2, 1], "ref": index}
        simulator.text(SARA, virtual_number, f"{index} {LONG}", format=form, signature="sha256", parts=parts)
        assert simulator.wait_for_text(OMAR, f"{index} ")["text"] == f"{index} {LONG}"
        simulator.text(OMAR, virtual_number, f"{index} {LAST}", format=form, signature="sha256")
        assert simulator.wait_for_text(SARA, f"{index} ")["text"] == f"{index} {LAST}"

    # What is not signed, or not as configured, reaches nobody.
    simulator.text(SARA, virtual_number, "forged", format="legacy-form", signature="md5hash")
    simulator.wait_until_quiet()

    service.start_worker()
    simulator.text(SARA, virtual_number, "abcdef", format="legacy-form", signature="sha256",
                   parts={"total": 3, "order": [3, 1]})  # fmt: skip
    simulator.wait_for_text(OMAR, "ab [part 2 of 3 is missing] ef", timeout=40)
    simulator.wait_until_quiet()
    service.wait_until_sent()
    assert [text["text"] for text in simulator.texts_to(OMAR)[1:]] == [
        *(f"{index} {LONG}" for index in range(3)),
        "ab [part 2 of 3 is missing] ef",
    ]
    assert service.query("SELECT count(*) FROM messaging_message WHERE direction = 'in'") == [(7,)]
    assert service.query("SELECT count(*) FROM messaging_textpart WHERE joined_at IS NULL OR body <> ''") == [(0,)]
    for process, log in service.logs().items():
        for secret in (SARA[1:], OMAR[1:], "bakery", "suitcases", "abcdef"):
            assert secret not in log, f"{process} logged what it must not"


@pytest.mark.slow
def test_receipts_of_the_sms_api_settle_texts(tmp_path: Path, deployment: Deployment) -> None:
    legacy = {"receipts": "legacy-json:md5hash", "VONAGE_LEGACY_WEBHOOKS": "signed:md5hash"}
    with Service(tmp_path, deployment=deployment, **legacy) as service:
        service.start_web()
        service.start_sender()
        service.start_chat((SARA, "Sara"), (OMAR, "Omar"))
        statuses = "SELECT DISTINCT status FROM messaging_message"
        wait_until(lambda: service.query(statuses) == [("delivered",)], waiting_for="both receipts")
