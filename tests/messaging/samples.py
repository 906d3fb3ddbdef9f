"""Make pictures, films and files as phones send them."""

import io
import struct

from PIL import Image

CAMERA = "Spyglass 9000"


def make_jpeg(width: int = 64, height: int = 48, *, orientation: int = 1) -> bytes:
    """Return a photo with everything a camera notes: make, position, a comment; red on its left half."""
    image = Image.new("RGB", (width, height), "blue")
    image.paste("red", (0, 0, width // 2, height))
    exif = Image.Exif()
    exif[0x010F] = CAMERA
    exif[0x0112] = orientation
    exif.get_ifd(0x8825).update({1: "N", 2: (37.0, 48.0, 30.0), 3: "W", 4: (122.0, 25.0, 10.0)})
    return _write(image, "JPEG", exif=exif, comment=CAMERA.encode(), quality=95)


def make_png(*, transparent: bool = False, noise: int = 0) -> bytes:
    """Return a PNG with a text chunk; of `noise` pixels to a side, which no compression makes small."""
    from PIL import PngImagePlugin

    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", CAMERA)
    if noise:
        image = Image.effect_noise((noise, noise), 100).convert("RGB")
    else:
        image = Image.new("RGBA", (20, 20), (255, 0, 0, 0 if transparent else 255))
    return _write(image, "PNG", pnginfo=notes)


def make_gif(frames: int = 3) -> bytes:
    images = [Image.new("RGB", (20, 20), (50 * n, 0, 0)) for n in range(frames)]
    return _write(
        images[0], "GIF", save_all=True, append_images=images[1:], duration=40, loop=2, comment=CAMERA.encode()
    )


def make_video(brand: bytes = b"isom") -> bytes:
    """Return the skeleton of a film, with a position and a model where phones write them."""
    position = make_box(b"\xa9xyz", b"+37.8085-122.4194/")
    model = make_box(b"meta", b"com.apple.quicktime.model " + CAMERA.encode())
    track = make_box(b"trak", make_box(b"tkhd", bytes(20)) + make_box(b"udta", CAMERA.encode()))
    movie = make_box(b"moov", make_box(b"mvhd", bytes(100)) + track + make_box(b"udta", position + model))
    return (
        make_box(b"ftyp", brand + bytes(4) + brand)
        + movie
        + make_box(b"uuid", CAMERA.encode())
        + make_box(b"mdat", b"the film itself")
    )


def make_box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


VCARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Sara Example\r\nTEL:+14155550123\r\nEND:VCARD\r\n"
PDF = b"%PDF-1.7\n1 0 obj\n<< /Author (Sara Example) >>\nendobj\n"
MP3 = b"ID3\x03\x00\x00\x00\x00\x00\x00" + bytes(64)
AMR = b"#!AMR\n" + bytes(64)


def _write(image: Image.Image, image_format: str, **options: object) -> bytes:
    written = io.BytesIO()
    image.save(written, image_format, **options)
    return written.getvalue()
