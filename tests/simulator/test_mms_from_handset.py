"""MMS that people send: the webhook the service gets, and the host from which it fetches the pictures."""

import json
import re
import time

import pytest
import requests

from simulator.media import MediaStore
from tests.harness.simulator import Simulator, SimulatorError, make_attachment, wait_until
from tests.simulator.conftest import SARA, VIRTUAL_NUMBER

JPEG = b"\xff\xd8\xff\xe0" + b" not much of a picture" * 100
KINDS = {
    "image/jpeg": "image",
    "image/heic": "image",
    "audio/amr": "audio",
    "video/3gpp": "video",
    "text/vcard": "vcard",
    "text/x-vcard; charset=utf-8": "vcard",
    "application/pdf": "file",
    "text/plain": "file",
}


def send_picture(simulator, text="", **kw):
    """Send a picture from Sara's handset and return its address at the media host."""
    simulator.mms(SARA, VIRTUAL_NUMBER, text, make_attachment(JPEG, name="IMG_1.jpg"), **kw)
    return simulator.texts()[-1]["media"][0]["url"]


def fetch(caller, url, **kw):
    return caller.session.get(url, timeout=60, allow_redirects=False, **kw)


def find_fetches(simulator):
    """Return the exchanges with the media host; the webhook of the picture may come before them or after."""
    return [exchange for exchange in simulator.traffic() if exchange["kind"] == "media"]


# --- The webhook ---------------------------------------------------------------------------------------------


def test_a_picture_with_a_caption(simulator, receiver):
    message_uuid = simulator.mms(SARA, VIRTUAL_NUMBER, "look", make_attachment(JPEG, name="IMG_1.jpg"))
    payload = receiver.wait_for(message_uuid)[0].payload
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", payload.pop("timestamp"))
    url = payload["image"].pop("url")
    assert re.fullmatch(rf"{re.escape(simulator.url)}/v3/media/[0-9a-f-]{{36}}", url)
    assert payload == {
        "channel": "mms",
        "message_uuid": message_uuid,
        "to": VIRTUAL_NUMBER[1:],
        "from": SARA[1:],
        "message_type": "image",
        "image": {"name": "IMG_1.jpg", "caption": "look"},
        "origin": {"network_code": "310260"},
    }
    [text] = simulator.texts()
    assert (text["channel"], text["text"]) == ("mms", "look")
    assert text["media"] == [
        {
            "type": "image",
            "url": url,
            "caption": "look",
            "name": "IMG_1.jpg",
            "content_type": "image/jpeg",
            "size": len(JPEG),
            "content": text["media"][0]["content"],
        }
    ]
    assert simulator.read_media(text["media"][0]) == JPEG


@pytest.mark.parametrize(("content_type", "kind"), KINDS.items())
def test_the_message_type_follows_the_content_type(simulator, receiver, content_type, kind):
    attachment = make_attachment(b"123", content_type, name="it")
    payload = receiver.wait_for(simulator.mms(SARA, VIRTUAL_NUMBER, "", attachment))[0].payload
    assert payload["message_type"] == kind
    assert set(payload[kind]) == {"url", "name"}
    assert "content" not in payload


def test_several_attachments_are_all_in_content(simulator, receiver):
    attachments = [make_attachment(b"1"), make_attachment(b"2", "text/vcard", name="c.vcf")]
    payload = receiver.wait_for(simulator.mms(SARA, VIRTUAL_NUMBER, "both", *attachments))[0].payload
    assert payload["message_type"] == "image"
    assert payload["image"]["caption"] == "both"
    first, second = (each["url"] for each in simulator.texts()[0]["media"])
    assert payload["image"]["url"] == first
    assert payload["content"] == [{"type": "image", "url": first}, {"type": "vcard", "url": second}]


def test_a_long_text_can_be_an_mms(simulator, receiver):
    payload = receiver.wait_for(simulator.mms(SARA, VIRTUAL_NUMBER, "a long text"))[0].payload
    assert (payload["channel"], payload["message_type"], payload["text"]) == ("mms", "text", "a long text")


def test_payload_replaces_what_the_webhook_of_an_mms_says(simulator, receiver):
    attachment = make_attachment(JPEG)
    message_uuid = simulator.mms(SARA, VIRTUAL_NUMBER, "", attachment, payload={"origin": None})
    assert "origin" not in receiver.wait_for(message_uuid)[0].payload


def test_a_form_with_files_is_an_mms_too(simulator, receiver, caller):
    answer = caller.session.post(
        f"{simulator.url}/api/texts",
        data={"message": json.dumps({"from": SARA, "to": VIRTUAL_NUMBER, "text": "look"})},
        files=[("media", ("IMG_1.jpg", JPEG, "image/jpeg")), ("media", ("c.vcf", b"BEGIN:VCARD", "text/vcard"))],
        timeout=60,
    )
    assert answer.status_code == 201
    payload = receiver.wait_for(answer.json()["message_uuid"])[0].payload
    assert [each["type"] for each in payload["content"]] == ["image", "vcard"]
    assert payload["image"]["name"] == "IMG_1.jpg"
    assert [simulator.read_media(each) for each in simulator.texts()[0]["media"]] == [JPEG, b"BEGIN:VCARD"]


BAD = {
    "media that is an object": ({"media": {}, "channel": "sms"}, None),
    "media that is a string": ({"media": "image"}, "media must list attachments"),
    "no base64": ({"media": [{"data": "*", "content_type": "image/png"}]}, "must be base64"),
    "no data": ({"media": [{"content_type": "image/png"}]}, "must be base64"),
    "no content type": ({"media": [{"data": ""}]}, "must be one such as image/jpeg"),
    "content type with a line break": ({"media": [{"data": "", "content_type": "image/png\r\nX: y"}]}, "image/jpeg"),
    "unknown key": ({"media": [{"url": "https://proxy.invalid/1.jpg"}]}, "must be an object with caption,"),
    "unknown type": ({"media": [{"data": "", "content_type": "a/b", "type": "sticker"}]}, "must be one of image,"),
    "name that is a number": ({"media": [{"data": "", "content_type": "a/b", "name": 5}]}, "must be strings"),
    "too many": ({"media": [{"data": "", "content_type": "a/b"}] * 21}, "at most 20 attachments"),
    "media by sms": ({"media": [{"data": "", "content_type": "a/b"}], "channel": "sms"}, "leave channel out"),
    "unknown channel": ({"channel": "pigeon"}, "channel must be sms or mms"),
    "an MMS of the SMS API": ({"channel": "mms", "format": "legacy-json"}, "the SMS API has no MMS"),
}


@pytest.mark.parametrize(("fields", "said"), BAD.values(), ids=BAD)
def test_what_cannot_be_sent_is_400(simulator, fields, said):
    wanted = {"from": SARA, "to": VIRTUAL_NUMBER, "text": ""} | fields
    if said is None:  # nothing is nothing, however it is written
        simulator.call("POST", "/api/texts", wanted)
        return
    with pytest.raises(SimulatorError, match="400: ") as refused:
        simulator.call("POST", "/api/texts", wanted)
    assert said in str(refused.value)
    assert simulator.texts() == []


# --- The media host ------------------------------------------------------------------------------------------


def test_the_media_host_gives_the_picture_to_anybody(simulator, caller):
    answer = fetch(caller, send_picture(simulator))
    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (200, JPEG, "image/jpeg")
    [exchange] = find_fetches(simulator)
    assert (exchange["direction"], exchange["method"], exchange["status"]) == ("request", "GET", 200)


def test_an_attachment_is_gone_after_48_hours(simulator, caller):
    url = send_picture(simulator)
    # Real time passes as well, and a second of it is ten.
    simulator.advance_clock(seconds=48 * 3600 - 600)
    assert fetch(caller, url).status_code == 200
    simulator.advance_clock(seconds=600)
    assert fetch(caller, url).status_code == 404
    assert fetch(caller, send_picture(simulator)).status_code == 200
    assert simulator.read_media(simulator.texts()[0]["media"][0]) == JPEG


def test_what_is_not_there_is_404(simulator, caller):
    assert fetch(caller, f"{simulator.url}/v3/media/1b456509-974c-458b-aafa-45fc48a4d976").status_code == 404
    assert fetch(caller, f"{simulator.url}/api/media/nothing").status_code == 404


@pytest.mark.parametrize("body", [{"advance_s": -1}, {"advance_s": "1"}, {}, [], {"advance_s": 1e12}])
def test_the_clock_takes_a_number_of_seconds(simulator, body):
    with pytest.raises(SimulatorError, match=r"400: .*advance_s must be a number of seconds"):
        simulator.call("POST", "/api/clock", body)


def test_secure_media_takes_the_applications_token(simulator, caller):
    url = send_picture(simulator)
    simulator.set_faults(secure_media=True)
    assert fetch(caller, url).status_code == 401
    bad = caller.make_token(application_id="another")
    assert fetch(caller, url, headers={"Authorization": f"Bearer {bad}"}).status_code == 401
    answer = fetch(caller, url, headers={"Authorization": f"Bearer {caller.make_token()}"})
    assert (answer.status_code, answer.content) == (200, JPEG)
    assert simulator.stats()["faults_struck"] == {"secure_media": 2}


def test_the_page_never_runs_what_somebody_attached(simulator, caller):
    simulator.mms(SARA, VIRTUAL_NUMBER, "", make_attachment(b"<script>alert(1)</script>", "text/html"))
    answer = fetch(caller, simulator.url + simulator.texts()[0]["media"][0]["content"])
    assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_oldest_media_are_dropped_when_there_are_too_many():
    store = MediaStore(clock_scale=1, most_bytes=10)
    first, second, third = (
        store.keep(content=b"1234", content_type="image/png", name="", virtual_number=VIRTUAL_NUMBER, handset=SARA)
        for _ in range(3)
    )
    assert [store.find(media.id) for media in (first, second, third)] == [None, second, third]


def test_media_can_be_at_another_address(receiver):
    with Simulator.start(inbound_url=f"{receiver.url}/inbound", SIMULATOR_MEDIA_URL="http://simulator:8099/") as other:
        assert send_picture(other).startswith("http://simulator:8099/v3/media/")


# --- What goes wrong with media ------------------------------------------------------------------------------


def test_media_can_fail_a_few_times_and_then_come(simulator, caller):
    url = send_picture(simulator)
    simulator.set_faults(media_respond_with={"status": 500, "times": 2})
    assert [fetch(caller, url).status_code for _ in range(3)] == [500, 500, 200]


def test_media_can_be_gone_for_one_handset(simulator, caller):
    url = send_picture(simulator)
    simulator.set_faults(media_respond_with={"status": 404, "handset": "+14155550199"})
    assert fetch(caller, url).status_code == 200
    simulator.set_faults(media_respond_with={"status": 404, "handset": SARA})
    assert fetch(caller, url).status_code == 404


def test_media_can_come_slowly(simulator, caller):
    url = send_picture(simulator)
    simulator.set_faults(media_drip={"bytes_per_s": 10_000})
    started = time.monotonic()
    assert fetch(caller, url).content == JPEG
    assert time.monotonic() - started > len(JPEG) / 10_000 * 0.8


def test_media_can_never_come(simulator, caller):
    url = send_picture(simulator)
    simulator.set_faults(media_timeout=True)
    with pytest.raises(requests.ReadTimeout):
        caller.session.get(url, timeout=0.2)


def test_media_can_be_elsewhere(simulator, caller):
    url = send_picture(simulator)
    simulator.set_faults(media_redirect={"to": "http://169.254.169.254/latest"})
    answer = fetch(caller, url)
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://169.254.169.254/latest")
    simulator.set_faults(media_redirect=True)
    assert fetch(caller, url).headers["Location"] == "http://elsewhere.invalid/"


def test_media_can_be_of_a_wrong_type(simulator, caller):
    url = send_picture(simulator)
    simulator.set_faults(media_content_type="text/html")
    assert fetch(caller, url).headers["Content-Type"] == "text/html"


@pytest.mark.parametrize(("announced", "header", "received"), [("all", "500000", 500_000), ("nothing", None, 500_000)])
def test_media_can_be_large(simulator, caller, announced, header, received):
    url = send_picture(simulator)
    simulator.set_faults(media_larger={"bytes": 500_000, "announced": announced})
    answer = fetch(caller, url)
    assert (answer.headers.get("Content-Length"), len(answer.content)) == (header, received)


def test_media_can_be_larger_than_announced(simulator, caller):
    url = send_picture(simulator)
    simulator.set_faults(media_larger=500_000)
    with caller.session.get(url, timeout=60, stream=True) as answer:
        assert answer.headers["Content-Length"] == str(len(JPEG))
        connection = answer.raw._fp.fp  # beneath what counts the announced bytes
        assert len(connection.read(len(JPEG) + 10_000)) == len(JPEG) + 10_000


@pytest.mark.parametrize("reset", [False, True])
def test_media_can_be_cut_off_halfway(simulator, caller, reset):
    url = send_picture(simulator)
    simulator.set_faults(media_drop_halfway={"reset": reset})
    with pytest.raises(requests.RequestException):
        fetch(caller, url)
    wait_until(lambda: [exchange["error"] for exchange in find_fetches(simulator)] == ["dropped halfway"])
