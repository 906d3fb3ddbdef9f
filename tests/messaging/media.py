"""Send attachments to the service, and play the host that they are fetched from."""

from django.test import Client

from messaging.gateways import MediaError
from messaging.media.fetching import fetch_due_media
from messaging.models import Attachment, Message
from tests.messaging.payloads import mms
from tests.messaging.rows import Kind, ago, read_outbound
from tests.messaging.samples import make_jpeg
from tests.messaging.signing import INBOUND, signed_post

HOST = "https://api-us.nexmo.com/v3/media/"
JPEG = make_jpeg()


class Host:
    """Stands in for Vonage's media host: bytes by name, or the error to raise; counts who asks."""

    def __init__(self, **files: bytes | Exception) -> None:
        self.files = files
        self.asked: list[str] = []

    def __call__(self, url: str, *, max_bytes: int, max_seconds: float) -> bytes:
        name = url.rpartition("/")[2]
        self.asked.append(name)
        found = self.files[name]
        if isinstance(found, Exception):
            raise found
        return found


def receive(*names: str, kind: str = "image", caption: str = "", **fields) -> Message:
    """Have Sara send attachments of these names, and return the relay that waits for them."""
    first = {"url": HOST + names[0]} | ({"caption": caption} if caption else {})
    content = [{"type": kind, "url": HOST + name} for name in names]
    payload = mms(kind, **{kind: first}, **({"content": content} if len(names) > 1 else {}), **fields)
    assert signed_post(Client(), INBOUND, payload).status_code == 200
    return read_outbound(Kind.RELAY)[-1]


def fetch(**files: bytes | Exception) -> Host:
    host = Host(**files)
    fetch_due_media(fetch=host)
    return host


def make_due() -> None:
    Attachment.objects.filter(status="waiting").update(due_at=ago(minutes=1))


def read_attachments() -> list[tuple[str, str, str]]:
    rows = Attachment.objects.order_by("message__position", "position")
    return list(rows.values_list("kind", "status", "error_code"))


LATER = MediaError("http_404", "Vonage answered 404 instead of the file.", again=True)
NEVER = MediaError("too_large", "It is larger than 10 MB.", again=False)
