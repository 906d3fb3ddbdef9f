"""Pictures and files that a platform texts to people: fetched from its URLs, and passed on like those of people."""

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging.gateways import MediaError
from messaging.media.fetching import fetch_due_media
from messaging.media.public_media import fetch_public_media
from messaging.models import Attachment, Message
from messaging.scheduled import queue_scheduled_texts
from platforms.models import Event, Platform
from tests.factories import make_platform
from tests.messaging.media import JPEG, make_due, read_attachments
from tests.messaging.rows import Kind, Status, ago, read_answers, read_outbound
from tests.messaging.samples import PDF, VCARD
from tests.messaging.wire import Wire, answer, hang_up

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage")]


@pytest.fixture
def platform(db: None) -> Platform:
    return make_platform("Rides", records_events=True)


@pytest.fixture
def host(settings):
    """The host of the platform, which stands in for one on the public internet."""
    settings.ALLOW_PRIVATE_ENDPOINTS = True
    wire = Wire([answer(200, JPEG, Content_Type="image/jpeg")])
    yield wire
    wire.close()


def send(api, chat, host, *names, text="The gate", **fields) -> list[Message]:
    media = [f"{host.url}/{name}" for name in names or ("a",)]
    fields = {"text": text, "media": media, "to": str(chat.participants.get(position=2).pk), **fields}
    response = api.post(f"/chats/{chat.pk}/messages", fields)
    assert response.status_code == 201, response.content
    return list(Message.objects.filter(pk__in=[one["id"] for one in response.json()["messages"]]))


def fetch() -> int:
    return fetch_due_media(fetch=fetch_nothing_from_vonage)


def fetch_nothing_from_vonage(url, *, max_bytes, max_seconds):
    raise AssertionError("Vonage's token would go to the platform's host.")


def let_tries_be_over(settings) -> None:
    settings.MEDIA_FETCH_MINUTES = 0
    make_due()


def test_a_picture_goes_as_an_mms_to_both(api, chat, capable, host):
    texts = send(api, chat, host, to=None)
    assert [(text.status, text.media_count) for text in texts] == [(Status.PREPARING, 1)] * 2
    assert fetch() == 2
    for text in texts:
        text.refresh_from_db()
        assert (text.status, text.channel, text.media_count, text.body) == (Status.QUEUED, "mms", 1, "The gate")
    assert read_attachments() == [("image", "stored", "")] * 2
    [_, shown] = api.get(f"/chats/{chat.pk}/messages").json()["results"]
    [attachment] = shown["attachments"]
    assert (attachment["kind"], attachment["content_type"], attachment["error"]) == ("image", "image/jpeg", None)
    assert "authorization" not in host.requests[0].headers


@pytest.mark.parametrize(("data", "kind"), [(VCARD, "vcard"), (PDF, "file")])
def test_cards_and_files_of_a_platform_are_its_own_to_pass_on(api, chat, host, data, kind):
    host.answers = [answer(200, data)]
    [text] = send(api, chat, host)
    fetch()
    text.refresh_from_db()
    assert (text.status, text.media_count) == (Status.QUEUED, 1)
    assert read_attachments() == [(kind, "stored", "")]


@pytest.mark.parametrize("given", [answer(404), answer(503), hang_up], ids=["404", "503", "no answer"])
def test_what_is_not_there_yet_is_tried_again_and_then_left_out_without_a_word(api, chat, host, settings, given):
    host.answers = [given]
    [text] = send(api, chat, host)
    fetch()
    text.refresh_from_db()
    assert text.status == Status.PREPARING
    let_tries_be_over(settings)
    fetch()
    text.refresh_from_db()
    assert (text.status, text.body, text.media_count) == (Status.QUEUED, "The gate", 0)
    assert read_answers() == []
    [shown] = api.get(f"/chats/{chat.pk}/messages").json()["results"]
    [attachment] = shown["attachments"]
    assert attachment["status"] == "failed" and attachment["error"]["code"] and attachment["url"] is None
    assert not Event.objects.filter(type="message.failed").exists()


def test_one_of_two_goes_alone(api, chat, capable, host):
    host.answers = [answer(410), answer(200, JPEG)]
    [text] = send(api, chat, host, "gone", "there")
    fetch()
    text.refresh_from_db()
    assert (text.status, text.media_count, text.body) == (Status.QUEUED, 1, "The gate")
    # Which of two that are due at once is fetched first, is nobody's business.
    assert sorted(status for _, status, _ in read_attachments()) == ["failed", "stored"]


def test_a_text_of_nothing_but_media_fails_without_them_and_the_platform_is_told(api, chat, host):
    host.answers = [answer(410)]
    [text] = send(api, chat, host, text="")
    fetch()
    text.refresh_from_db()
    assert (text.status, text.error_code, text.due_at) == (Status.FAILED, "media_unavailable", None)
    event = Event.objects.get(type="message.failed")
    assert event.message_id == text.pk


def test_what_is_too_large_is_left_out(api, chat, host, settings):
    settings.MEDIA_MAX_MEGABYTES = 0.0001
    send(api, chat, host)
    fetch()
    assert [(status, code) for _, status, code in read_attachments()] == [("failed", "too_large")]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/a",
        "https://[::1]/a",
        "https://10.0.0.1/a",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/a",
    ],
)
def test_nothing_is_fetched_from_our_own_network(api, chat, settings, url):
    settings.ALLOW_PRIVATE_ENDPOINTS = False
    api.post(f"/chats/{chat.pk}/messages", {"text": "look", "media": [url]})
    assert fetch() == 2
    assert read_attachments() == [("file", "failed", "not_public")] * 2
    assert [text.status for text in read_outbound(Kind.PLATFORM)] == ["queued", "queued"]


def test_a_redirect_is_followed_a_few_times_and_to_web_pages_only(host):
    def get():
        return fetch_public_media(f"{host.url}/a", max_bytes=10_000_000, max_seconds=5)

    host.answers = [answer(302, Location="/b"), answer(200, JPEG)]
    assert get() == JPEG
    assert [request.line.split()[1] for request in host.requests] == ["/a", "/b"]
    for given, code in (
        ([answer(302, Location="file:///etc/passwd")], "not_public"),
        ([answer(302, Location="/again")], "redirected"),
        ([answer(200, JPEG, Content_Encoding="gzip")], "compressed"),
        ([answer(200)], "empty"),
    ):
        host.answers = given
        with pytest.raises(MediaError) as raised:
            get()
        assert raised.value.code == code


class TestLater:
    def schedule(self, api, chat, host) -> Message:
        [text] = send(api, chat, host, send_at=(timezone.now() + timedelta(hours=1)).isoformat())
        return text

    def test_media_are_fetched_when_the_text_is_due(self, api, chat, capable, host):
        text = self.schedule(api, chat, host)
        assert fetch() == 0
        # Due, and no sender has looked yet: then nothing would release the text.
        Attachment.objects.update(due_at=ago(minutes=1))
        assert fetch() == 0
        Message.objects.update(due_at=ago(minutes=1))
        assert queue_scheduled_texts() == 1
        text.refresh_from_db()
        assert text.status == Status.PREPARING
        assert fetch() == 1
        text.refresh_from_db()
        assert (text.status, text.channel, text.media_count) == (Status.QUEUED, "mms", 1)

    def test_tries_are_counted_from_then_on(self, api, chat, host):
        host.answers = [answer(503)]
        text = self.schedule(api, chat, host)
        Attachment.objects.update(created_at=ago(days=3), due_at=ago(minutes=1))
        Message.objects.update(send_at=ago(minutes=1), due_at=ago(minutes=1))
        queue_scheduled_texts()
        fetch()
        text.refresh_from_db()
        assert text.status == Status.PREPARING
