"""Texts with attachments on the wire: as MMS, as links, and what becomes of an MMS that is refused."""

import pytest
from django.test import Client

from chats.models import VirtualNumber
from messaging.claims import Claim, claim_texts
from messaging.gateways import Outcome, SendError
from messaging.gateways.vonage import VonageGateway
from messaging.models import Attachment, Message
from messaging.results import Result, record_results
from tests.factories import ALICE, BOB, make_chat
from tests.messaging.media import JPEG, LATER, fetch, receive
from tests.messaging.payloads import sms
from tests.messaging.rows import Status, ago, forget_introductions, make_queued, make_relay, read_answers
from tests.messaging.samples import AMR, VCARD, make_jpeg
from tests.messaging.signing import INBOUND, signed_post
from tests.messaging.wire import Wire

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage")]


@pytest.fixture
def wire(settings):
    wire = Wire()
    settings.VONAGE_API_URL = wire.url
    yield wire
    wire.close()


def claim_due() -> list[Claim]:
    """Claim what is due, as if the test's transaction had begun just now."""
    Message.objects.filter(due_at__lte=ago()).update(due_at=ago(minutes=1))
    VirtualNumber.objects.update(next_send_at=ago(minutes=1))
    return claim_texts(limit=5)


def claim() -> Claim:
    [claim] = claim_due()
    return claim


def send(wire: Wire) -> dict:
    """Claim the one text that is due, hand it over, and return what was on the wire."""
    VonageGateway().send(claim().decrypt_text())
    sent: dict = wire.requests[-1].json
    return sent


def test_one_picture_is_an_mms_with_a_caption(chat, capable, wire, client):
    relay = receive("a", caption="look")
    fetch(a=JPEG)
    sent = send(wire)
    link = sent["image"]["url"]
    assert sent == {
        "to": "14155550124",
        "from": "14155550100",
        "channel": "mms",
        "message_type": "image",
        "image": {"url": link, "caption": "look"},
        "client_ref": str(relay.pk),
    }
    assert client.get(link.removeprefix("http://localhost:8000")).content.startswith(b"\xff\xd8\xff")


def test_one_recording_without_a_caption(chat, capable, wire):
    receive("a", kind="audio")
    fetch(a=AMR)
    sent = send(wire)
    assert (sent["message_type"], list(sent["audio"])) == ("audio", ["url"])


def test_several_are_one_mms_with_the_caption_at_the_first(chat, capable, wire):
    receive("a", "b", "c", caption="the flat")
    fetch(a=JPEG, b=AMR, c=make_jpeg(20, 20))
    sent = send(wire)
    assert sent["message_type"] == "content"
    assert [(item["type"], item.get("caption")) for item in sent["content"]] == [
        ("image", "the flat"),
        ("audio", None),
        ("image", None),
    ]
    assert len({item["url"] for item in sent["content"]}) == 3


def test_without_mms_the_links_stand_below_the_text(chat, wire, client):
    receive("a", "b", caption="look")
    fetch(a=JPEG, b=JPEG)
    sent = send(wire)
    assert (sent["channel"], sent["message_type"]) == ("sms", "text")
    words, *links = sent["text"].split("\n")
    assert (words, len(links)) == ("look", 2)
    for link in links:
        assert client.get(link.removeprefix("http://localhost:8000")).status_code == 200


def test_a_text_whose_only_attachment_was_withheld_is_a_text(chat, capable, wire):
    receive("a", kind="vcard")
    fetch(a=VCARD)
    sent = send(wire)
    assert (sent["channel"], sent["text"]) == ("sms", "[A contact card was withheld to protect privacy.]")


def test_an_mms_that_is_refused_for_good_goes_as_a_text_with_a_link(chat, capable, wire):
    relay = receive("a", caption="look")
    fetch(a=JPEG)
    record_results([Result(claim(), error=SendError(Outcome.NEVER, "422", "Invalid message type"))])
    relay.refresh_from_db()
    assert (relay.status, relay.channel, relay.error_code) == (Status.QUEUED, "sms", "422")
    assert "\nhttp" in send(wire)["text"]
    Message.objects.filter(pk=relay.pk).update(status="queued", due_at=ago())
    record_results([Result(claim(), error=SendError(Outcome.NEVER, "422", "Invalid sender"))])
    relay.refresh_from_db()
    assert relay.status == Status.FAILED
    assert len(read_answers()) == 1


@pytest.mark.parametrize("outcome", [Outcome.AGAIN, Outcome.PAUSE, Outcome.UNKNOWN])
def test_an_mms_that_was_not_accepted_yet_stays_one(chat, capable, outcome):
    relay = receive("a")
    fetch(a=JPEG)
    record_results([Result(claim(), error=SendError(outcome, "x", "x"))])
    relay.refresh_from_db()
    assert (relay.channel, relay.media_count) == ("mms", 1)


def test_what_is_written_after_a_picture_is_sent_after_it(chat, capable, omar):
    picture = receive("a")
    signed_post(Client(), INBOUND, sms(text="this one"))
    assert claim_due() == []
    fetch(a=JPEG)
    first = claim()
    assert first.id == picture.pk
    record_results([Result(first, gateway_id="1")])
    assert claim().decrypt_text().body == "this one"


def test_a_picture_that_takes_its_time_is_sent_when_it_is_there(chat, capable, sara, omar):
    picture = receive("a")
    later = make_relay(sara, omar, "this one")
    fetch(a=LATER)
    assert claim().id == later.pk
    Message.objects.filter(pk=later.pk).update(status="sent")
    Attachment.objects.update(due_at=picture.created_at)
    fetch(a=JPEG)
    assert claim().id == picture.pk


def test_a_picture_holds_up_nobody_else(chat, sara, omar):
    receive("a")
    other = make_queued(sara)
    assert claim().id == other.pk


def test_texts_with_pictures_take_one_query_more_to_claim(chat, capable, platform, django_assert_num_queries):
    receive("a", "b")
    fetch(a=JPEG, b=JPEG)
    make_chat(platform, (ALICE, BOB))
    forget_introductions()
    VirtualNumber.objects.update(messages_per_second=200)
    receive("a", from_=ALICE[1:])
    fetch(a=JPEG)
    # Two of the test's own.
    with django_assert_num_queries(3):
        assert sorted(len(claimed.media) for claimed in claim_due()) == [1, 2]
