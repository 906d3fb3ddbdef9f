"""Attachments kept in what speaks S3, against such a server on the wire."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core.files.storage import default_storage

from messaging.media.forgetting import forget_expired_media
from messaging.media.links import make_link
from messaging.models import Attachment, Message
from tests.messaging.media import JPEG, fetch, receive
from tests.messaging.rows import Status, ago

pytestmark = pytest.mark.django_db


class Bucket(BaseHTTPRequestHandler):
    """The few requests of S3 that keeping a file takes."""

    kept: dict[str, bytes]
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200)

    def do_GET(self) -> None:
        self._answer(200, self.kept[self.path]) if self.path in self.kept else self._answer(404)

    def do_HEAD(self) -> None:
        self._answer(200 if self.path in self.kept else 404)

    def do_DELETE(self) -> None:
        self.kept.pop(self.path, None)
        self._answer(204)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def bucket(settings, monkeypatch) -> Iterator[dict[str, bytes]]:
    kept: dict[str, bytes] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnBucket", (Bucket,), {"kept": kept}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    # Else a body is sent in signed chunks, which only S3 itself can put together.
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    options = {
        "bucket_name": "texting-media",
        "endpoint_url": f"http://127.0.0.1:{server.server_port}",
        "addressing_style": "path",
        "region_name": "eu-central-1",
        "access_key": "a",
        "secret_key": "s",
    }
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
    }
    yield kept
    server.shutdown()
    server.server_close()


def test_a_picture_is_kept_encrypted_served_and_deleted(chat, client, bucket, settings):
    relay = receive("a")
    fetch(a=JPEG)
    relay.refresh_from_db()
    assert relay.status == Status.QUEUED
    [(path, content)] = bucket.items()
    assert path.startswith("/texting-media/media/") and b"\xff\xd8\xff" not in content

    attachment = Attachment.objects.get()
    assert default_storage.exists(attachment.file)
    link = make_link(attachment_id=attachment.pk, content_type=attachment.content_type)
    assert client.get(link.removeprefix(settings.PUBLIC_URL)).content.startswith(b"\xff\xd8\xff")

    Message.objects.filter(pk=relay.pk).update(status=Status.DELIVERED, due_at=None, sent_at=ago(hours=10_000))
    Attachment.objects.update(stored_at=ago(hours=10_000))
    assert forget_expired_media() == 1
    assert bucket == {}
