"""Find out what an attachment really is, and take out of it what says where and with what it was made."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import filetype
from PIL import Image, ImageOps, ImageSequence

from messaging.gateways import MediaKind

# https://developer.vonage.com/en/api/messages: what an MMS may hold, and how much of it.
MMS_TYPES = frozenset(
    {
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/bmp",
        "audio/mpeg",
        "audio/amr",
        "audio/midi",
        "audio/x-wav",
        "video/mp4",
        "video/3gpp",
        "video/x-msvideo",
        "video/mpeg",
        "text/vcard",
        "application/pdf",
    }
)
MMS_MAX_BYTES = 2_000_000

_IMAGES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/bmp": "BMP", "image/webp": "WEBP"}
_EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "audio/mpeg": "mp3",
    "audio/amr": "amr",
    "audio/midi": "midi",
    "audio/x-wav": "wav",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/ogg": "ogg",
    "video/mp4": "mp4",
    "video/x-m4v": "m4v",
    "video/3gpp": "3gp",
    "video/quicktime": "mov",
    "video/x-msvideo": "avi",
    "video/mpeg": "mpg",
    "video/webm": "webm",
    "text/vcard": "vcf",
    "application/pdf": "pdf",
}
_CONTAINERS = frozenset({"video/mp4", "video/x-m4v", "video/3gpp", "video/quicktime", "audio/mp4"})
# A picture of more is a bomb: a few kilobytes that unpack to gigabytes.
_MAX_PIXELS = 50_000_000
_MAX_SIDE = 2048
# Instead of Pillow's own check, which warns of what we take and raises at another size.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class CleanMedia:
    """An attachment that can be passed on, as far as its kind is allowed to be."""

    kind: MediaKind
    content_type: str
    data: bytes


class UnusableMedia(Exception):
    """The bytes are not what any phone shows; the message says why, in words for an operator."""


def clean_media(data: bytes) -> CleanMedia:
    """Return what the bytes are, whatever they were called; pictures anew, without location and camera data.

    A picture is at most 2,048 pixels wide and high, and small enough for an MMS when that can be done. Of films the
    boxes that hold location and camera are blanked. Other files stay as they are. Raises UnusableMedia.
    """
    content_type = "video/3gpp" if data[4:10] == b"ftyp3g" else filetype.guess_mime(data) or ""
    if content_type in _IMAGES:
        return _clean_image(data, content_type)
    if content_type.startswith("image/"):
        # What it says of place and person could not be taken out.
        raise UnusableMedia(f"Pictures of the type {content_type} cannot be passed on.")
    if content_type in _CONTAINERS:
        data = _blank_descriptions(data)
    if content_type in _EXTENSIONS and content_type.startswith("audio/"):
        return CleanMedia(MediaKind.AUDIO, content_type, data)
    if content_type in _EXTENSIONS and content_type.startswith("video/"):
        return CleanMedia(MediaKind.VIDEO, content_type, data)
    if data[:64].lstrip(b"\xef\xbb\xbf \r\n\t")[:11].upper() == b"BEGIN:VCARD":
        return CleanMedia(MediaKind.VCARD, "text/vcard", data)
    if not data:
        raise UnusableMedia("It is empty.")
    known = content_type if content_type in _EXTENSIONS else "application/octet-stream"
    return CleanMedia(MediaKind.FILE, known, data)


def name_file(content_type: str) -> str:
    """Return a file name that says nothing but the type."""
    return f"file.{_EXTENSIONS.get(content_type, 'bin')}"


def _clean_image(data: bytes, content_type: str) -> CleanMedia:
    try:
        with Image.open(io.BytesIO(data), formats=(_IMAGES[content_type],)) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise UnusableMedia("The picture has too many pixels.")
            if getattr(image, "is_animated", False) and content_type == "image/gif":
                return CleanMedia(MediaKind.IMAGE, "image/gif", _clean_animation(image))
            image.load()
            upright = ImageOps.exif_transpose(image)
    except UnusableMedia:
        raise
    except Exception:  # Pillow raises whatever its parsers stumble over, and its words quote the file
        raise UnusableMedia("The picture is damaged.") from None
    upright.thumbnail((_MAX_SIDE, _MAX_SIDE))
    if _is_transparent(upright):
        png = _write(upright.convert("RGBA"), "PNG", optimize=True)
        if len(png) <= MMS_MAX_BYTES:
            return CleanMedia(MediaKind.IMAGE, "image/png", png)
    return CleanMedia(MediaKind.IMAGE, "image/jpeg", _write_jpeg(upright))


def _is_transparent(image: Image.Image) -> bool:
    return image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255)


def _write_jpeg(image: Image.Image) -> bytes:
    if image.has_transparency_data:
        pixels = image.convert("RGBA")
        image = Image.new("RGB", pixels.size, "white")
        image.paste(pixels, mask=pixels)
    image = image.convert("RGB")
    while len(jpeg := _write(image, "JPEG", quality=85, optimize=True)) > MMS_MAX_BYTES:
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4))
    return jpeg


def _clean_animation(image: Image.Image) -> bytes:
    frames = getattr(image, "n_frames", 1)
    if image.width * image.height * frames > 4 * _MAX_PIXELS:
        raise UnusableMedia("The picture has too many pixels.")
    copies = [frame.copy().convert("RGBA") for frame in ImageSequence.Iterator(image)]
    durations = [frame.info.get("duration", 100) for frame in ImageSequence.Iterator(image)]
    for copy in copies:
        copy.info.clear()
    loop = image.info.get("loop", 0)
    return _write(copies[0], "GIF", save_all=True, append_images=copies[1:], duration=durations, loop=loop, disposal=2)


def _write(image: Image.Image, image_format: str, **options: object) -> bytes:
    # What Pillow has read besides the pixels would be written again: EXIF, XMP, comments, colour profiles.
    image.info.clear()
    written = io.BytesIO()
    image.save(written, image_format, **options)
    return written.getvalue()


# Boxes of ISO base media files that describe: GPS position, make and model, owner (ISO/IEC 14496-12, 8.10; QuickTime).
_DESCRIPTIONS = (b"udta", b"meta", b"uuid")
_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_MAX_DEPTH = 8


def _blank_descriptions(data: bytes) -> bytes:
    """Turn the boxes that describe into free space, so that no offset changes."""
    blanked = bytearray(data)
    for start, header, end in _find_descriptions(memoryview(data), 0, len(data), 0):
        blanked[start + 4 : start + 8] = b"free"
        blanked[start + header : end] = bytes(end - start - header)
    return bytes(blanked)


def _find_descriptions(data: memoryview, start: int, end: int, depth: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, length of the header, end) of each box that describes."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1 and start + 16 <= end:
            [size] = struct.unpack_from(">Q", data, start + 8)
            header = 16
        stop = end if size == 0 else min(start + size, end)
        if stop < start + header:
            return
        if kind in _DESCRIPTIONS:
            yield start, header, stop
        elif kind in _PARENTS and depth < _MAX_DEPTH:
            yield from _find_descriptions(data, start + header, stop, depth + 1)
        start = stop
