"""What has been kept for long enough is erased, what is younger is not, and rows tell of nobody afterwards."""

from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from chats.models import Chat
from chats.services import end_chat
from messaging.keeping import retention
from messaging.keeping.retention import erase_old_chats, erase_strangers
from messaging.models import Attachment, Message
from messaging.tasks import erase_what_is_old, forget_media
from tests.chats.helpers import errors
from tests.factories import ALICE, BOB, OMAR, SARA, make_chat, make_platform, make_pool
from tests.keeping.helpers import assert_absent, read_everything, receive, spellings
from tests.messaging.media import JPEG, fetch
from tests.messaging.media import receive as receive_media
from tests.messaging.rows import make_queued, read_inbound

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage")]

NOW = timezone.now()


def end(chat: Chat, *, days_ago: float) -> None:
    end_chat(chat_id=chat.pk, reason="trip over", now=NOW - timedelta(days=days_ago))
    Message.objects.filter(chat=chat, direction="out").update(status="delivered", due_at=None)


def is_erased(chat: Chat) -> bool:
    chat.refresh_from_db()
    return chat.erased_at is not None


def test_an_old_chat_keeps_what_became_of_its_texts_and_nothing_of_its_people(settings, chat, platform):
    platform.records_events = True
    platform.save()
    settings.KEEP_FOR_DAYS = 10
    receive("the blue gate")
    receive_media("gate.jpg", caption="this gate")
    fetch(**{"gate.jpg": JPEG})
    end(chat, days_ago=11)
    Message.objects.update(price="0.0075", segments=2)
    before = Message.objects.order_by("position").values_list("id", "status", "kind", "price", "segments", "created_at")
    rows = list(before)

    erase_what_is_old(0)

    assert is_erased(chat)
    assert list(before.all()) == rows
    assert_absent(read_everything(), "Sara", "Omar", "blue gate", "this gate", *spellings(SARA), *spellings(OMAR))
    assert erase_old_chats(now=NOW) == 0


def test_files_go_when_their_links_expire_whether_the_chat_is_kept_for_less_or_more(settings, chat):
    settings.KEEP_FOR_DAYS, settings.MEDIA_LINK_HOURS = 1, 72
    receive_media("gate.jpg", "later.jpg")
    fetch(**{"gate.jpg": JPEG})
    end(chat, days_ago=2)
    erase_what_is_old(0)
    forget_media(0)
    assert is_erased(chat)
    # The link to the one is good; the other will not be fetched any more.
    assert list(Attachment.objects.values_list("status", flat=True)) == ["stored", "forgotten"]
    assert len(default_storage.listdir("media")[1]) == 1
    Attachment.objects.filter(status="stored").update(stored_at=NOW - timedelta(hours=73))
    forget_media(0)
    assert default_storage.listdir("media")[1] == []


@pytest.mark.parametrize(
    ("own_days", "service_days", "cool_down_hours", "days_ago", "erased"),
    [
        (None, 10, None, 9.9, False),
        (None, 10, None, 10.1, True),
        (20, 10, None, 10.1, False),
        (20, 10, None, 20.1, True),
        (2, 10, None, 3, True),
        (0, 1, None, 400, False),  # never
        (None, 0, None, 400, False),
        (5, 0, None, 6, True),
        (1, 10, 72, 2, False),  # late texts are answered until then
        (1, 10, 72, 3.1, True),
    ],
)
def test_when_a_chat_is_erased(settings, chat, own_days, service_days, cool_down_hours, days_ago, erased):
    settings.KEEP_FOR_DAYS = service_days
    chat.platform.keep_for_days, chat.platform.cool_down_hours = own_days, cool_down_hours
    chat.platform.save()
    end(chat, days_ago=days_ago)
    erase_old_chats(now=NOW)
    assert is_erased(chat) is erased


def test_a_chat_that_goes_on_or_has_a_text_to_send_is_left(settings, chat, omar):
    settings.KEEP_FOR_DAYS = 1
    assert erase_old_chats(now=NOW + timedelta(days=400)) == 0
    end(chat, days_ago=30)
    waiting = make_queued(omar, "on its way")
    assert erase_old_chats(now=NOW) == 0
    Message.objects.filter(pk=waiting.pk).update(status="held")
    assert erase_old_chats(now=NOW) == 0
    Message.objects.filter(pk=waiting.pk).update(status="delivered", due_at=None)
    assert erase_old_chats(now=NOW) == 1


def test_a_chat_with_many_texts_is_erased_in_batches(settings, chat, sara, monkeypatch):
    settings.KEEP_FOR_DAYS = 1
    monkeypatch.setattr(retention, "empty_some_texts", lambda **given: _empty(**given, limit=7))
    Message.objects.bulk_create(
        Message(direction="in", kind="text", status="late", chat=chat, participant=sara, body="secret")
        for _ in range(50)
    )
    end(chat, days_ago=2)
    assert erase_old_chats(now=NOW) == 1
    assert not Message.objects.filter(chat=chat, erased_at=None).exists()


_empty = retention.empty_some_texts


def test_an_erased_chat_cannot_be_reopened_and_a_late_text_finds_nobody(settings, api, chat):
    settings.KEEP_FOR_DAYS = 2
    end(chat, days_ago=3)
    erase_old_chats(now=NOW)
    assert errors(api.post(f"/chats/{chat.pk}/reopen")) == [("chat_erased", None)]
    receive("hello?")
    assert [row.status for row in read_inbound()] == ["unmatched"]


def test_what_strangers_wrote_is_erased_after_its_own_time(settings, virtual_number):
    settings.KEEP_STRANGERS_FOR_DAYS = 3
    receive("nobody knows me", from_=ALICE[1:])
    assert erase_strangers(now=NOW + timedelta(days=2.9)) == 0
    assert erase_strangers(now=NOW + timedelta(days=3.1)) == 1
    assert_absent(read_everything(), "nobody knows me", *spellings(ALICE))
    assert Message.objects.get().stranger_digest is None
    settings.KEEP_STRANGERS_FOR_DAYS = 0
    assert erase_strangers(now=NOW + timedelta(days=1000)) == 0


def test_what_is_due_is_found_by_indexes(platform, virtual_number, chat):
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO chats_chat (id, platform_id, status, end_reason, metadata, created_at, ended_at, erased_at)
               SELECT gen_random_uuid(), %s, 'ended', '', '{}', now(), now() - n * interval '1 minute', now()
                 FROM generate_series(1, 20000) AS n""",
            [platform.pk],
        )
        cursor.execute(
            """INSERT INTO messaging_message (id, direction, kind, status, chat_id)
               SELECT gen_random_uuid(), 'in', 'text', 'unmatched', NULL FROM generate_series(1, 20000)"""
        )
        cursor.execute("UPDATE messaging_message SET erased_at = now()")
        cursor.execute("ANALYZE chats_chat, messaging_message, platforms_platform")
        params = {"now": NOW, "days": 10, "cool_down_hours": 24.0, "answer_hours": 24.0, "limit": 100, "before": NOW}
        for statement, index in (
            (retention.DUE_CHATS, "chat_to_erase"),
            (retention.EMPTY_OF_STRANGERS, "message_of_stranger"),
        ):
            cursor.execute(f"EXPLAIN {statement}", params)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert index in plan and "Seq Scan on chats_chat" not in plan, plan


def test_platforms_are_served_alike(settings, db):
    settings.KEEP_FOR_DAYS = 1
    make_pool(4)
    platforms = [make_platform("Rides"), make_platform("Rentals")]
    chats = [make_chat(platform, people) for platform in platforms for people in ((SARA, OMAR), (ALICE, BOB))]
    for chat in chats:
        end(chat, days_ago=3)
    assert sum(erase_old_chats(now=NOW, limit=1) for _ in range(5)) == 4
