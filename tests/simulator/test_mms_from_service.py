"""MMS that the service sends: what is accepted, what is fetched, and what becomes of what cannot be fetched."""

import uuid
from collections.abc import Iterator

import pytest

from tests.simulator.conftest import ABSENT, SARA, VIRTUAL_NUMBER, list_statuses
from tests.simulator.media_server import MediaServer

JPEG = b"\xff\xd8\xff\xe0 not much of a picture"
MMS = {"channel": "mms", "text": ABSENT}


@pytest.fixture(scope="session")
def media() -> Iterator[MediaServer]:
    with MediaServer() as server:
        yield server


@pytest.fixture
def reference():
    return str(uuid.uuid4())


def make_image(media, path="/door.jpg", **fields):
    return MMS | {"message_type": "image", "image": {"url": f"{media.url}{path}", **fields}}


def wait_for_statuses(simulator, receiver, reference):
    simulator.wait_until_quiet()
    return list_statuses(receiver.webhooks(reference))


def test_a_picture_is_fetched_and_arrives_on_the_handset(simulator, caller, receiver, media, reference):
    media.serve("/door.jpg", JPEG, "image/jpeg")
    caller.send_accepted(**make_image(media, caption="Front door"), client_ref=reference)
    assert wait_for_statuses(simulator, receiver, reference) == ["submitted", "delivered"]
    [text] = simulator.texts_to(SARA)
    assert (text["channel"], text["text"], text["segments"], text["status"]) == ("mms", "Front door", 1, "delivered")
    [picture] = text["media"]
    assert picture.pop("content").startswith("/api/media/")
    assert picture == {
        "type": "image",
        "url": f"{media.url}/door.jpg",
        "caption": "Front door",
        "name": "door.jpg",
        "content_type": "image/jpeg",
        "size": len(JPEG),
    }
    assert simulator.read_media(simulator.texts_to(SARA)[0]["media"][0]) == JPEG


def test_the_receipts_of_an_mms_say_its_channel_and_price_and_no_segments(caller, receiver, media, reference):
    media.serve("/door.jpg", JPEG, "image/jpeg")
    caller.send_accepted(**make_image(media), client_ref=reference)
    for receipt in receiver.wait_for(reference, count=2):
        assert receipt.payload["channel"] == "mms"
        assert receipt.payload["usage"] == {"currency": "EUR", "price": "0.0195"}
        assert "sms" not in receipt.payload


def test_several_attachments_of_every_kind_are_fetched(simulator, caller, receiver, media, reference):
    kinds = {
        "image": ("/1.PNG", "image/png"),
        "audio": ("/2.mp3", "audio/mpeg"),
        "video": ("/3.mp4", "video/mp4"),
        "vcard": ("/4.vcf", "text/vcard"),
        "file": ("/5.pdf?signed=1", "application/pdf"),
    }
    for path, content_type in kinds.values():
        media.serve(path, path.encode(), content_type)
    content = [{"type": kind, "url": f"{media.url}{path}"} for kind, (path, _) in kinds.items()]
    caller.send_accepted(**MMS, message_type="content", content=content, client_ref=reference)
    assert wait_for_statuses(simulator, receiver, reference) == ["submitted", "delivered"]
    [text] = simulator.texts_to(SARA)
    assert [each["type"] for each in text["media"]] == list(kinds)
    assert [simulator.read_media(each) for each in text["media"]] == [path.encode() for path, _ in kinds.values()]


def test_a_text_can_be_an_mms_of_any_length(simulator, caller, receiver, reference):
    caller.send_accepted(channel="mms", text="x" * 5000, client_ref=reference)
    assert wait_for_statuses(simulator, receiver, reference) == ["submitted", "delivered"]
    [text] = simulator.texts_to(SARA)
    assert (text["channel"], text["segments"], text["media"]) == ("mms", 1, [])


REJECTED = {
    "not there": ("/gone.jpg", 404, b"", "image/jpeg", "1380"),
    "broken": ("/broken.jpg", 500, b"", "image/jpeg", "1380"),
    "one byte too large": ("/large.jpg", 200, b"x" * 2_000_001, "image/jpeg", "1381"),
    "a page in place of a picture": ("/page.jpg", 200, b"<html>", "text/html", "1382"),
}


@pytest.mark.parametrize(("path", "status", "content", "content_type", "code"), REJECTED.values(), ids=REJECTED)
def test_what_cannot_be_fetched_is_rejected(
    simulator, caller, receiver, media, reference, path, status, content, content_type, code
):
    media.serve(path, content, content_type, status=status)
    caller.send_accepted(**make_image(media, path), client_ref=reference)
    assert wait_for_statuses(simulator, receiver, reference) == ["rejected"]
    [receipt] = receiver.webhooks(reference)
    assert receipt.payload["error"]["title"] == code
    assert simulator.texts_to(SARA)[0]["media"][0]["content"] is None


def test_a_picture_of_2_mb_is_not_too_large(simulator, caller, receiver, media, reference):
    media.serve("/2mb.jpg", b"x" * 2_000_000, "image/jpeg")
    caller.send_accepted(**make_image(media, "/2mb.jpg"), client_ref=reference)
    assert wait_for_statuses(simulator, receiver, reference) == ["submitted", "delivered"]


def test_a_host_that_does_not_listen_is_rejected(simulator, caller, receiver, reference):
    image = {"url": "http://127.0.0.1:9/door.jpg"}
    caller.send_accepted(**MMS, message_type="image", image=image, client_ref=reference)
    assert wait_for_statuses(simulator, receiver, reference) == ["rejected"]
    assert receiver.webhooks(reference)[0].payload["error"]["title"] == "1380"


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ({"to": "447700900123"}, "1430"),
        ({"to": "18765550123"}, "1430"),
        ({"from_number": "447700900100"}, "1420"),
        ({"from_number": "ACME"}, "1420"),
        ({"to": "14165550123"}, None),
        ({"from_number": "12345"}, None),
    ],
    ids=["to the UK", "to Jamaica", "from the UK", "from a name", "to Canada", "from a short code"],
)
def test_mms_travel_in_the_usa_and_canada_only(simulator, caller, receiver, reference, numbers, code):
    caller.send_accepted(channel="mms", text="Hello", client_ref=reference, **numbers)
    expected = ["submitted", "delivered"] if code is None else ["rejected"]
    assert wait_for_statuses(simulator, receiver, reference) == expected
    assert receiver.webhooks(reference)[-1].payload.get("error", {}).get("title") == code


ACCEPTED = {
    "ttl of 300": {"ttl": 300},
    "ttl of 3 days": {"ttl": 259_200},
    "no caption": {"image": {"url": "https://proxy.invalid/1.jpeg"}},
    "caption of 3000": {"image": {"url": "https://proxy.invalid/1.jpg", "caption": "x" * 3000}},
    "query after the extension": {"image": {"url": "https://proxy.invalid/1.jpg?token=a.b"}},
    "file of any extension": {"message_type": "file", "file": {"url": "https://proxy.invalid/terms"}},
}


@pytest.mark.parametrize("fields", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_at_the_limit_is_accepted(caller, fields):
    usual = MMS | {"message_type": "image", "image": {"url": "https://proxy.invalid/1.jpg"}}
    assert caller.send(**usual | fields).status_code == 202


IMAGE = {"message_type": "image"}
CONTENT = {"message_type": "content"}
INVALID = {
    "no attachment": (IMAGE, ["image"]),
    "attachment that is a string": (IMAGE | {"image": "https://proxy.invalid/1.jpg"}, ["image"]),
    "no url": (IMAGE | {"image": {}}, ["image.url"]),
    "url that is none": (IMAGE | {"image": {"url": "1.jpg"}}, ["image.url"]),
    "no extension": (IMAGE | {"image": {"url": "https://proxy.invalid/1"}}, ["image.url"]),
    "another kind's extension": (IMAGE | {"image": {"url": "https://proxy.invalid/1.mp4"}}, ["image.url"]),
    "empty caption": (IMAGE | {"image": {"url": "https://proxy.invalid/1.jpg", "caption": ""}}, ["image.caption"]),
    "caption of 3001": (
        IMAGE | {"image": {"url": "https://proxy.invalid/1.jpg", "caption": "x" * 3001}},
        ["image.caption"],
    ),
    "content that is empty": (CONTENT | {"content": []}, ["content"]),
    "content of an unknown type": (
        CONTENT | {"content": [{"type": "sticker", "url": "https://proxy.invalid/1.jpg"}]},
        ["content[0].type"],
    ),
    "second of content without url": (
        CONTENT | {"content": [{"type": "vcard", "url": "https://proxy.invalid/1.vcf"}, {"type": "image"}]},
        ["content[1].url"],
    ),
    "ttl of 299": ({"message_type": "text", "text": "Hello", "ttl": 299}, ["ttl"]),
    "text that is a number": ({"message_type": "text", "text": 5}, ["text"]),
    "unknown message_type": ({"message_type": "sticker"}, ["message_type"]),
    "message_type that is a list": ({"message_type": ["image"]}, ["message_type"]),
}


@pytest.mark.parametrize(("fields", "names"), INVALID.values(), ids=INVALID)
def test_an_invalid_mms_is_422_and_says_what_is_wrong(simulator, caller, fields, names):
    answer = caller.send(**MMS | fields)
    assert answer.status_code == 422
    assert [each["name"] for each in answer.json()["invalid_parameters"]] == names
    assert simulator.texts() == []


def test_forgetting_everything_stops_fetching(simulator, caller, media):
    media.serve("/slow.jpg", JPEG, "image/jpeg", wait_s=60)
    caller.send_accepted(**make_image(media, "/slow.jpg"))
    assert simulator.stats()["mms_under_way"] == 1
    simulator.reset()
    assert simulator.stats()["mms_under_way"] == 0
    assert simulator.texts_to(SARA) == []


def test_a_fault_strikes_an_mms_too(simulator, caller, receiver, media, reference):
    media.serve("/door.jpg", JPEG, "image/jpeg")
    simulator.set_faults(final_status={"status": "undeliverable", "virtual_number": VIRTUAL_NUMBER})
    caller.send_accepted(**make_image(media), client_ref=reference)
    assert wait_for_statuses(simulator, receiver, reference) == ["submitted", "undeliverable"]


def test_not_even_a_rejection_is_told_when_no_receipts_come(simulator, caller, receiver, reference):
    simulator.set_faults(no_receipts=True)
    caller.send_accepted(channel="mms", text="Hello", to="447700900123", client_ref=reference)
    assert wait_for_statuses(simulator, receiver, reference) == []
