"""Sara and Omar send each other pictures, through web, worker and sender, and the media host has its troubles."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from messaging import wording
from tests.factories import OMAR, SARA
from tests.harness.service import Deployment, Service
from tests.harness.simulator import make_attachment
from tests.messaging.samples import AMR, CAMERA, VCARD, make_jpeg

PHOTO = make_attachment(make_jpeg(), name="IMG_1.jpg", caption="the blue gate")
MEMO = make_attachment(AMR, "audio/amr", name="memo.amr")
CARD = make_attachment(VCARD, "text/vcard", name="sara.vcf")


@pytest.fixture
def service(tmp_path: Path, deployment: Deployment) -> Iterator[Service]:
    with Service(tmp_path, deployment=deployment, MEDIA_FETCH_MINUTES="0") as service:
        service.start_web()
        service.start_sender()
        service.start_worker()
        service.query("UPDATE chats_virtualnumber SET can_mms = true")
        yield service


def wait_for_mms(service: Service, handset: str, count: int, *, after: int) -> dict[str, Any]:
    """Wait until the simulator has fetched all attachments of an MMS to a handset."""

    def has_all(text: dict[str, Any]) -> bool:
        media = text.get("media") or []
        return len(media) == count and all(each.get("content") for each in media)

    return service.simulator.wait_for_text(handset, predicate=has_all, after=after)


@pytest.mark.slow
def test_pictures_travel_both_ways_without_what_the_camera_noted(service: Service) -> None:
    simulator = service.simulator
    simulator.set_faults(secure_media=True)
    [number] = service.start_chat((SARA, "Sara"), (OMAR, "Omar"))["virtual_numbers"]
    service.wait_until_sent()
    seq = simulator.texts()[-1]["seq"]

    simulator.mms(SARA, number, "", PHOTO)
    # Else they may overtake each other before they are here.
    simulator.wait_until_quiet()
    simulator.text(SARA, number, "do you see it?")
    got = wait_for_mms(service, OMAR, 1, after=seq)
    assert (got["virtual_number"], got["media"][0]["caption"]) == (number, "the blue gate")
    seen = simulator.read_media(got["media"][0])
    assert seen.startswith(b"\xff\xd8\xff") and CAMERA.encode() not in seen
    # What was written after it arrives after it.
    assert simulator.wait_for_text(OMAR, "do you see it?")["seq"] > got["seq"]

    simulator.mms(OMAR, number, "", PHOTO, MEMO, CARD)
    got = wait_for_mms(service, SARA, 2, after=seq)
    assert [each["type"] for each in got["media"]] == ["image", "audio"]
    assert wording.WITHHELD["vcard"] in got["media"][0]["caption"]
    simulator.wait_for_text(OMAR, wording.YOURS_WAS_WITHHELD)

    # Where the media host fails, the text goes without, and its writer learns of it.
    simulator.set_faults(media_respond_with=404)
    simulator.mms(SARA, number, "", PHOTO)
    simulator.wait_for_text(OMAR, f"the blue gate {wording.MISSING['image']}")
    simulator.wait_for_text(SARA, wording.YOURS_IS_MISSING)
    simulator.clear_faults()

    # Taken as an MMS and then rejected as one, it goes as a link, and nobody is told of a failure.
    simulator.set_faults(final_status={"status": "rejected", "error_code": "1430", "times": 1})
    told = len(simulator.texts_to(SARA))
    simulator.mms(SARA, number, "", PHOTO)
    simulator.wait_for_text(OMAR, f"the blue gate\n{service.url}/media/")
    service.wait_until_sent()
    simulator.wait_until_quiet()
    [rejected] = [text for text in simulator.texts_to(OMAR) if text["status"] == "rejected"]
    assert (rejected["channel"], len(simulator.texts_to(SARA))) == ("mms", told)
    seq = simulator.texts()[-1]["seq"]

    # Without MMS, a link.
    service.query("UPDATE chats_virtualnumber SET can_mms = false")
    simulator.mms(SARA, number, "", PHOTO)
    got = simulator.wait_for_text(OMAR, f"the blue gate\n{service.url}/media/", after=seq)
    link = got["text"].split()[-1]
    status, headers, body = service.fetch(link)
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert CAMERA.encode() not in body

    service.wait_until_sent()
    simulator.wait_until_quiet()
    assert service.query("SELECT count(*) FROM messaging_attachment WHERE source_url <> ''") == [(0,)]
    for process, log in service.logs().items():
        for secret in (SARA[1:], OMAR[1:], "blue gate", "/v3/media/", "/media/"):
            assert secret not in log, f"{process} logged what it must not"
