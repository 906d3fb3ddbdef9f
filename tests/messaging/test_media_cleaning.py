"""What an attachment is found to be, and what is taken out of it."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from messaging.gateways import MediaKind
from messaging.media.cleaning import MMS_MAX_BYTES, UnusableMedia, clean_media, name_file
from tests.messaging.samples import (
    AMR,
    CAMERA,
    MP3,
    PDF,
    VCARD,
    make_box,
    make_gif,
    make_jpeg,
    make_png,
    make_video,
)


def read(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


FOUND = {
    "a photo": (make_jpeg(), MediaKind.IMAGE, "image/jpeg"),
    "a drawing": (make_png(), MediaKind.IMAGE, "image/jpeg"),
    "a drawing on nothing": (make_png(transparent=True), MediaKind.IMAGE, "image/png"),
    "an animation": (make_gif(), MediaKind.IMAGE, "image/gif"),
    "a GIF that does not move": (make_gif(frames=1), MediaKind.IMAGE, "image/jpeg"),
    "a recording": (AMR, MediaKind.AUDIO, "audio/amr"),
    "music": (MP3, MediaKind.AUDIO, "audio/mpeg"),
    "a film": (make_video(), MediaKind.VIDEO, "video/mp4"),
    "a film of an iPhone": (make_video(b"qt  "), MediaKind.VIDEO, "video/quicktime"),
    "a film of an old phone": (make_video(b"3gp4"), MediaKind.VIDEO, "video/3gpp"),
    "a contact card": (VCARD, MediaKind.VCARD, "text/vcard"),
    "a contact card with a byte order mark": (b"\xef\xbb\xbf" + VCARD.lower(), MediaKind.VCARD, "text/vcard"),
    "a document": (PDF, MediaKind.FILE, "application/pdf"),
    "a program": (b"\x7fELF" + bytes(60), MediaKind.FILE, "application/octet-stream"),
    "a page": (b"<html><script>alert(1)</script>", MediaKind.FILE, "application/octet-stream"),
}


@pytest.mark.parametrize(("data", "kind", "content_type"), FOUND.values(), ids=FOUND)
def test_bytes_say_what_they_are_whatever_they_were_called(data, kind, content_type):
    media = clean_media(data)
    assert (media.kind, media.content_type) == (kind, content_type)


@pytest.mark.parametrize("data", [make_jpeg(), make_png(), make_gif(), make_png(transparent=True), make_video()])
def test_where_and_with_what_it_was_made_is_gone(data):
    assert CAMERA.encode() in data
    cleaned = clean_media(data).data
    assert CAMERA.encode() not in cleaned
    assert b"Exif" not in cleaned
    assert b"+37.8085" not in cleaned


def test_a_photo_keeps_its_picture_and_loses_its_notes():
    image = read(clean_media(make_jpeg()).data)
    assert (image.size, dict(image.getexif()), image.info.get("comment")) == ((64, 48), {}, None)
    assert image.getpixel((10, 24))[0] > 200
    assert image.getpixel((54, 24))[2] > 200


def test_a_photo_taken_sideways_stands_upright():
    image = read(clean_media(make_jpeg(orientation=6)).data)
    assert image.size == (48, 64)
    # What was on the left is on top.
    assert image.getpixel((24, 10))[0] > 200


def test_a_large_photo_is_made_smaller():
    assert read(clean_media(make_jpeg(4000, 1000)).data).size == (2048, 512)


def test_a_picture_too_heavy_for_an_mms_is_made_lighter():
    data = make_png(noise=1900)
    assert len(data) > MMS_MAX_BYTES
    media = clean_media(data)
    assert media.content_type == "image/jpeg"
    assert 100_000 < len(media.data) <= MMS_MAX_BYTES


def test_an_animation_still_moves():
    image = read(clean_media(make_gif(frames=4)).data)
    assert (image.n_frames, image.info["duration"], image.info["loop"]) == (4, 40, 2)


def test_a_film_keeps_its_place_for_every_byte():
    data = make_video()
    cleaned = clean_media(data).data
    assert len(cleaned) == len(data)
    assert cleaned.index(b"the film itself") == data.index(b"the film itself")
    assert cleaned.count(b"free") == 3


def _bomb() -> bytes:
    written = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(written, "PNG")
    return written.getvalue()


UNUSABLE = {
    "nothing": b"",
    "half a photo": make_jpeg()[:200],
    "the beginning of a photo": b"\xff\xd8\xff\xe0" + bytes(20),
    "a picture that unpacks to 100 million pixels": _bomb(),
    "a photo of a kind that no phone shows": b"II*\x00" + bytes(60),
}


@pytest.mark.parametrize("data", UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_shown_is_refused(data):
    with pytest.raises(UnusableMedia):
        clean_media(data)


BOXES = st.recursive(
    st.binary(max_size=30),
    lambda inner: st.builds(make_box, st.sampled_from([b"moov", b"trak", b"udta", b"meta", b"mdat"]), inner),
)


@given(
    start=st.sampled_from([make_jpeg()[:80], make_png(), make_gif()[:200], make_box(b"ftyp", b"mp42isom"), AMR, b""]),
    rest=st.one_of(st.binary(max_size=300), st.lists(BOXES, max_size=4).map(b"".join)),
)
def test_whatever_the_bytes_are_there_is_an_answer(start, rest):
    try:
        media = clean_media(start + rest)
    except UnusableMedia:
        return
    assert media.data
    assert name_file(media.content_type).startswith("file.")


def test_boxes_nested_without_end_are_no_trouble():
    nested = b"".join(b"\x00\x10\x00\x00moov" for _ in range(100_000))
    assert clean_media(make_box(b"ftyp", b"mp42isom") + nested).kind is MediaKind.VIDEO
