"""GET /media/…: who has the link sees the attachment, until it expires."""

from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from messaging.media.links import make_link
from messaging.models import Attachment
from platforms.models import Platform
from tests.messaging.media import JPEG, fetch, receive
from tests.messaging.rows import read_inbound
from tests.messaging.samples import PDF, VCARD, make_jpeg, make_video

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage")]


def make_media(data: bytes, kind: str = "image") -> str:
    """Receive an attachment, and return the path of its link."""
    receive("a", kind=kind)
    fetch(a=data)
    attachment = Attachment.objects.latest("created_at")
    return path_of(attachment)


def path_of(attachment: Attachment) -> str:
    link = make_link(attachment_id=attachment.pk, content_type=attachment.content_type)
    return link.removeprefix("http://localhost:8000")


@pytest.fixture
def visitor() -> Client:
    return Client(raise_request_exception=True)


def test_a_link_shows_the_picture_and_lets_it_do_nothing(chat, visitor):
    path = make_media(make_jpeg())
    answer = visitor.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg")
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert answer["Content-Disposition"] == "inline; filename=file.jpg"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "noindex" in answer["X-Robots-Tag"]
    assert answer["Cache-Control"].startswith("private")
    assert "Set-Cookie" not in answer
    assert int(visitor.head(path)["Content-Length"]) == len(answer.content)


@pytest.mark.parametrize(("data", "name"), [(VCARD, "file.vcf"), (PDF, "file.pdf"), (b"MZ" + bytes(60), "file.bin")])
def test_a_file_is_downloaded_and_not_shown(chat, visitor, data, name):
    Platform.objects.update(passes_on_files=True)
    answer = visitor.get(make_media(data, "file"))
    assert answer["Content-Disposition"] == f"attachment; filename={name}"
    assert answer.content == data


@pytest.mark.parametrize(
    ("header", "status", "expected"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=4-", 206, slice(4, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=10-99999999", 206, slice(10, None)),
        ("bytes=0-", 200, slice(None)),
        ("bytes=99999999-", 200, slice(None)),
        ("bytes=9-3", 200, slice(None)),
        ("bytes=0-1,3-4", 200, slice(None)),
        ("bytes=-", 200, slice(None)),
        ("apples=1-2", 200, slice(None)),
        ("bytes=٣-٤", 200, slice(None)),
    ],
)
def test_a_film_can_be_asked_for_in_parts(chat, visitor, header, status, expected):
    path = make_media(make_video(), "video")
    whole = visitor.get(path).content
    answer = visitor.get(path, headers={"Range": header})
    assert (answer.status_code, answer.content) == (status, whole[expected])
    if status == 206:
        start = whole.index(answer.content) if header != "bytes=-5" else len(whole) - 5
        assert answer["Content-Range"] == f"bytes {start}-{start + len(answer.content) - 1}/{len(whole)}"


def test_a_link_expires(chat, visitor, settings, time_machine):
    settings.MEDIA_LINK_HOURS = 2
    now = timezone.now()
    path = make_media(JPEG)
    time_machine.move_to(now + timedelta(hours=1.9), tick=False)
    assert visitor.get(path).status_code == 200
    time_machine.move_to(now + timedelta(hours=2.1), tick=False)
    answer = visitor.get(path)
    assert (answer.status_code, answer["Cache-Control"]) == (410, "no-store")
    assert b"expired" in answer.content


def test_a_link_that_somebody_changed_is_none(chat, visitor):
    path = make_media(JPEG)
    _, _, token, name = path.split("/")
    for wrong in (
        f"/media/{token[:-1]}/{name}",
        f"/media/{token[1:]}/{name}",
        f"/media/{token.replace('.', '-')}/{name}",
        f"/media/{token}x/{name}",
        f"/media/x/{name}",
        f"/media/..%2f..%2fetc/{name}",
        f"/media/%00.{token}/{name}",
    ):
        assert visitor.get(wrong).status_code == 404, wrong
    assert visitor.get(f"/media/{token}/another-name").status_code == 200


def test_the_name_may_be_anything_but_the_token_may_not_be_another_purposes(chat, visitor):
    from django.core.signing import TimestampSigner

    make_media(JPEG)
    forged = TimestampSigner(sep=".", salt="something else").sign("AAAAAAAAAAAAAAAAAAAAAA")
    assert visitor.get(f"/media/{forged}/file.jpg").status_code == 404


def test_what_was_deleted_has_expired(chat, visitor):
    path = make_media(JPEG)
    Attachment.objects.update(status="forgotten", file="")
    assert visitor.get(path).status_code == 410


def test_a_file_that_cannot_be_read_is_our_fault(chat, visitor, caplog):
    path = make_media(JPEG)
    default_storage.delete(Attachment.objects.get().file)
    answer = visitor.get(path)
    assert (answer.status_code, answer["Cache-Control"]) == (503, "no-store")
    assert "attachment cannot be read" in caplog.text


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_a_link_can_only_be_read(chat, visitor, method):
    assert getattr(visitor, method)(make_media(JPEG)).status_code == 405


def test_nothing_of_a_number_or_a_chat_is_in_a_link(chat, visitor):
    path = make_media(JPEG)
    [inbound] = read_inbound()
    assert str(chat.pk)[:8] not in path and str(inbound.pk)[:8] not in path and "1415555" not in path
    assert len(path) < 120


def test_the_api_shows_attachments_with_links(api, chat, visitor):
    receive("a", "b", caption="look")
    fetch(a=JPEG, b=VCARD)
    received, passed_on, _ = api.get(f"/chats/{chat.pk}/messages").json()["results"][-3:]
    picture, card = received["attachments"]
    assert {**picture, "url": ""} == {
        "kind": "image",
        "status": "stored",
        "content_type": "image/jpeg",
        "size": picture["size"],
        "url": "",
        "error": None,
    }
    assert visitor.get(picture["url"].removeprefix("http://localhost:8000")).status_code == 200
    nothing = dict.fromkeys(("content_type", "size", "url", "error"))
    assert card == {"kind": "vcard", "status": "withheld", **nothing}
    assert passed_on["attachments"] == []
