"""From the webhook of an MMS to the text that goes out: what is fetched, kept, withheld, tried again or given up."""

from threading import Barrier

import pytest
from django.core.files.storage import default_storage
from django.test import Client

from chats.models import Chat
from messaging import wording
from messaging.media.fetching import fetch_due_media
from messaging.media.forgetting import forget_expired_media
from messaging.models import Attachment, Message
from platforms.models import Platform
from tests.chats.helpers import at_once
from tests.factories import AUSTRALIAN_VIRTUAL_NUMBER, OLIVIA_IN_AUSTRALIA, SARA, make_chat, make_virtual_number
from tests.messaging.media import HOST, JPEG, LATER, NEVER, Host, fetch, make_due, read_attachments, receive
from tests.messaging.payloads import mms
from tests.messaging.rows import Kind, Status, ago, forget_introductions, make_queued, read_answers, read_outbound
from tests.messaging.samples import AMR, PDF, VCARD, make_png, make_video
from tests.messaging.signing import INBOUND, signed_post

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage")]

# --- Passed on -----------------------------------------------------------------------------------------------


def test_a_picture_waits_until_it_is_fetched_and_then_goes(chat, capable, omar):
    relay = receive("a", caption="look")
    assert (relay.status, relay.participant, relay.body) == (Status.PREPARING, omar, "look")
    host = fetch(a=JPEG)
    relay.refresh_from_db()
    assert (relay.status, relay.channel, relay.media_count, relay.body) == (Status.QUEUED, "mms", 1, "look")
    assert host.asked == ["a"]
    assert read_attachments() == [("image", "stored", "")]
    assert read_answers() == []


def test_its_address_is_forgotten_and_the_file_is_encrypted(chat, sara):
    receive("a")
    fetch(a=JPEG)
    [attachment] = Attachment.objects.all()
    assert attachment.source_url == ""
    kept = default_storage.open(attachment.file).read()
    assert b"\xff\xd8\xff" not in kept and kept.startswith(b"gAAAA")


def test_several_attachments_go_together_in_their_order(chat, capable):
    relay = receive("a", "b", "c", caption="the flat")
    fetch(a=JPEG, b=make_video(), c=AMR)
    relay.refresh_from_db()
    assert (relay.channel, relay.media_count, relay.body) == ("mms", 3, "the flat")
    assert [kind for kind, *_ in read_attachments()] == ["image", "video", "audio"]


def test_until_the_last_one_is_there_the_text_waits(chat, capable):
    relay = receive("a", "b")
    fetch(a=JPEG, b=LATER)
    relay.refresh_from_db()
    assert relay.status == Status.PREPARING
    make_due()
    assert fetch(b=JPEG).asked == ["b"]
    relay.refresh_from_db()
    assert (relay.status, relay.media_count) == (Status.QUEUED, 2)


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ({"can_mms": False}, JPEG),
        ({"can_mms": True, "country": "GB"}, JPEG),
        ({"can_mms": True, "country": "CA"}, make_video(b"qt  ")),
        ({"can_mms": True, "country": "CA"}, AMR + bytes(2_000_001)),
    ],
    ids=["the number cannot", "the country cannot", "a type that cannot", "too heavy"],
)
def test_where_an_mms_cannot_go_a_text_with_a_link_does(chat, fields, data):
    chat.participants.first().virtual_number.__class__.objects.update(**fields)
    relay = receive("a", caption="look")
    fetch(a=data)
    relay.refresh_from_db()
    assert (relay.status, relay.channel, relay.media_count, relay.body) == (Status.QUEUED, "sms", 1, "look")


def test_an_mms_goes_to_north_america_only(platform, virtual_number):
    make_virtual_number(AUSTRALIAN_VIRTUAL_NUMBER, country="AU", can_mms=True)
    virtual_number.__class__.objects.update(can_mms=True)
    chat = make_chat(platform, (SARA, OLIVIA_IN_AUSTRALIA))
    forget_introductions()
    relay = receive("a", to=chat.participants.get(position=1).virtual_number.number[1:])
    fetch(a=JPEG)
    relay.refresh_from_db()
    assert relay.channel == "sms"


# --- Withheld ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "data", "mark"),
    [
        ("vcard", VCARD, wording.WITHHELD["vcard"]),
        ("file", PDF, wording.WITHHELD["file"]),
        # Whatever it was called.
        ("image", VCARD, wording.WITHHELD["vcard"]),
        ("video", PDF, wording.WITHHELD["file"]),
    ],
)
def test_what_would_give_a_person_away_is_withheld_and_both_are_told(chat, sara, declared, data, mark):
    relay = receive("a", kind=declared, caption="my card")
    fetch(a=data)
    relay.refresh_from_db()
    assert (relay.status, relay.channel, relay.media_count) == (Status.QUEUED, "sms", 0)
    assert relay.body == f"my card {mark}"
    assert read_answers() == [(sara.pk, wording.YOURS_WAS_WITHHELD)]
    [(_, status, _)] = read_attachments()
    assert status == "withheld"
    assert Attachment.objects.get().file == ""


def test_a_picture_that_was_called_a_file_is_passed_on(chat, capable):
    relay = receive("a", kind="file")
    fetch(a=make_png())
    relay.refresh_from_db()
    assert (relay.channel, relay.media_count, relay.body) == ("mms", 1, "")
    assert read_attachments() == [("image", "stored", "")]


def test_a_platform_may_pass_on_contact_cards_and_files(chat, capable):
    Platform.objects.update(passes_on_files=True)
    relay = receive("a", "b", kind="file")
    fetch(a=VCARD, b=PDF)
    relay.refresh_from_db()
    assert (relay.channel, relay.media_count, relay.body) == ("mms", 2, "")
    assert read_answers() == []


def test_a_picture_beside_a_contact_card_is_passed_on(chat, capable, sara):
    relay = receive("a", "b", caption="hello")
    fetch(a=JPEG, b=VCARD)
    relay.refresh_from_db()
    assert (relay.channel, relay.media_count) == ("mms", 1)
    assert relay.body == f"hello {wording.WITHHELD['vcard']}"
    assert read_answers() == [(sara.pk, wording.YOURS_WAS_WITHHELD)]


# --- Tried again, and given up -------------------------------------------------------------------------------


def test_what_cannot_be_fetched_yet_is_tried_again_later_and_later(chat, settings):
    relay = receive("a")
    for wait in (5, 15, 45, 135, 300, 300):
        settings.MEDIA_FETCH_MINUTES = 1_000_000
        fetch(a=LATER)
        [attachment] = Attachment.objects.all()
        assert attachment.status == "waiting"
        assert wait - 5 < (attachment.due_at - ago()).total_seconds() <= wait
        assert fetch_due_media(fetch=Host()) == 0
        make_due()
    fetch(a=JPEG)
    relay.refresh_from_db()
    assert relay.status == Status.QUEUED


def test_what_could_not_be_fetched_for_too_long_is_given_up_and_the_text_goes(chat, sara, settings, caplog):
    settings.MEDIA_FETCH_MINUTES = 15
    relay = receive("a", caption="the door code is 4711")
    Attachment.objects.update(created_at=ago(minutes=15))
    fetch(a=LATER)
    relay.refresh_from_db()
    assert (relay.status, relay.channel, relay.media_count) == (Status.QUEUED, "sms", 0)
    assert relay.body == f"the door code is 4711 {wording.MISSING['image']}"
    assert read_answers() == [(sara.pk, wording.YOURS_IS_MISSING)]
    assert read_attachments() == [("image", "failed", "http_404")]
    assert any(record.levelname == "ERROR" and "given up" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("trouble", "code"),
    [(NEVER, "too_large"), (b"", "unusable"), (JPEG[:99], "unusable"), (b"II*\x00" + bytes(60), "unusable")],
)
def test_what_will_never_do_is_given_up_at_once(chat, sara, trouble, code):
    relay = receive("a")
    fetch(a=trouble)
    relay.refresh_from_db()
    assert (relay.status, relay.body) == (Status.QUEUED, wording.MISSING["image"])
    assert read_answers() == [(sara.pk, wording.YOURS_IS_MISSING)]
    assert read_attachments() == [("image", "failed", code)]


def test_an_unexpected_error_is_tried_again_and_stops_nothing_else(chat, caplog):
    receive("a")
    receive("b")
    host = fetch(a=ZeroDivisionError("+14155550123"), b=JPEG)
    assert host.asked == ["a", "b"]
    assert read_attachments() == [("image", "waiting", "ZeroDivisionError"), ("image", "stored", "")]
    assert "5550123" not in caplog.text + "".join(Attachment.objects.values_list("error_detail", flat=True))


def test_links_that_do_not_fit_into_one_text_are_given_up_and_the_writer_is_told(chat, sara):
    relay = receive(*"abcdefghijkl", caption="x" * 2600)
    fetch(**dict.fromkeys("abcdefghijkl", JPEG))
    relay.refresh_from_db()
    assert 0 < relay.media_count < 5
    assert relay.body.endswith(wording.MISSING["image"])
    assert read_answers() == [(sara.pk, wording.YOURS_IS_MISSING)]


# --- Order ---------------------------------------------------------------------------------------------------


def test_what_is_written_after_a_picture_waits_for_it_a_minute_at_most(chat):
    relay = receive("a")
    assert 55 < (relay.due_at - ago()).total_seconds() <= 60


def test_a_picture_that_takes_its_time_holds_up_nothing(chat):
    relay = receive("a")
    fetch(a=LATER)
    relay.refresh_from_db()
    assert (relay.status, relay.due_at <= ago()) == (Status.PREPARING, True)


# --- Twice, at once, half-way --------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_attachments_of_one_text_fetched_at_once_let_it_go_once(chat, capable):
    for _ in range(5):
        relay = receive("a", "b", "c")
        together = Barrier(3)

        def host(url: str, *, together: Barrier = together, **limits) -> bytes:
            together.wait(60)
            return JPEG

        at_once([lambda: fetch_due_media(fetch=host)] * 3)
        relay.refresh_from_db()
        assert (relay.status, relay.media_count) == (Status.QUEUED, 3)
        Message.objects.all().delete()


def test_an_attachment_whose_worker_died_is_fetched_by_another(chat):
    receive("a")

    def die(url: str, **limits) -> bytes:
        raise SystemExit

    with pytest.raises(SystemExit):
        fetch_due_media(fetch=die)
    assert fetch_due_media(fetch=Host()) == 0
    make_due()
    fetch(a=JPEG)
    assert read_attachments() == [("image", "stored", "")]


def test_the_outcome_of_a_lease_that_has_ended_does_not_count(chat):
    receive("a")

    def slow(url: str, **limits) -> bytes:
        make_due()
        fetch(a=JPEG)
        return b""

    fetch_due_media(fetch=slow)
    assert read_attachments() == [("image", "stored", "")]
    assert len(read_outbound(Kind.RELAY)) == 1
    assert read_answers() == []


def test_two_fetches_of_the_same_leave_one_file(chat):
    receive("a")

    def slow(url: str, **limits) -> bytes:
        make_due()
        fetch(a=JPEG)
        return JPEG

    fetch_due_media(fetch=slow)
    assert len(default_storage.listdir("media")[1]) == 1


def test_the_webhook_again_asks_for_nothing_again(chat):
    payload = mms("image", image={"url": HOST + "a"})
    for _ in range(3):
        signed_post(Client(), INBOUND, payload)
    assert fetch(a=JPEG).asked == ["a"]
    signed_post(Client(), INBOUND, payload)
    assert fetch_due_media(fetch=Host()) == 0


def test_a_storage_that_fails_loses_nothing(chat, monkeypatch):
    relay = receive("a")

    def fail(*_: object) -> str:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr("django.core.files.storage.InMemoryStorage.save", fail)
        fetch(a=JPEG)
    assert read_attachments() == [("image", "waiting", "OSError")]
    make_due()
    fetch(a=JPEG)
    relay.refresh_from_db()
    assert relay.status == Status.QUEUED


# --- After the link has expired ------------------------------------------------------------------------------


def test_files_are_deleted_when_their_links_have_expired(chat, settings):
    settings.MEDIA_LINK_HOURS = 24
    receive("a")
    receive("b")
    fetch(a=JPEG, b=JPEG)
    old = Attachment.objects.earliest("message__position")
    Attachment.objects.filter(pk=old.pk).update(stored_at=ago(hours=24.1))
    Message.objects.filter(kind="relay").update(status=Status.SENT, sent_at=ago(hours=24.1), due_at=None)
    assert forget_expired_media() == 1
    assert not default_storage.exists(old.file)
    assert [status for _, status, _ in read_attachments()] == ["forgotten", "stored"]
    assert forget_expired_media() == 0


@pytest.mark.parametrize("status", ["preparing", "queued", "sending", "held", "unconfirmed"])
@pytest.mark.parametrize("whose", ["a person's", "a platform's"])
def test_files_are_kept_while_their_text_waits_and_as_long_again(chat, omar, settings, status, whose):
    settings.MEDIA_LINK_HOURS = 24
    text = receive("a")
    fetch(a=JPEG)
    if whose == "a platform's":
        text = make_queued(omar, kind="platform", media_count=1)
        Message.objects.filter(kind="relay").delete()
        Attachment.objects.update(message=text)
    Attachment.objects.update(stored_at=ago(hours=100))
    mine = Message.objects.filter(pk=text.pk)
    mine.update(status=status, due_at=ago())
    assert forget_expired_media() == 0
    mine.update(status=Status.SENT, sent_at=ago(hours=23), due_at=None)
    assert forget_expired_media() == 0
    mine.update(sent_at=ago(hours=25))
    assert forget_expired_media() == 1


def test_a_late_picture_is_not_fetched(chat, sara):
    Chat.objects.update(expires_at=ago(minutes=1))
    signed_post(Client(), INBOUND, mms("image", image={"url": HOST + "a"}))
    assert not Attachment.objects.exists()
    assert read_answers() == [(sara.pk, wording.CHAT_HAS_ENDED)]
