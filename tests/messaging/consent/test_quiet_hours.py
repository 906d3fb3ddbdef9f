"""Introductions and texts of a platform wait for the morning of who gets them; what people write never does."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from chats.services import end_chat, reopen_chat
from messaging.models import Message
from messaging.outbox import queue_text
from messaging.quiet_hours import find_morning, find_zones
from platforms.models import Platform
from tests.chats.helpers import body, errors
from tests.factories import ELSA_IN_SWEDEN, OMAR, SARA, make_chat, make_platform
from tests.messaging.consent.helpers import send_all, text
from tests.messaging.rows import Kind, Status, ago, forget_introductions, read_outbound

EVENING, MORNING = time(21), time(8)
CALIFORNIA, NEW_YORK, STOCKHOLM = "America/Los_Angeles", "America/New_York", "Europe/Stockholm"

# At (UTC), where → when it is morning (UTC), or None when it is day.
MORNINGS = {
    "day": ("2026-06-01T12:00", [STOCKHOLM], None),
    "just before the evening": ("2026-06-01T18:59", [STOCKHOLM], None),
    "the evening": ("2026-06-01T19:00", [STOCKHOLM], "2026-06-02T06:00"),
    "after midnight": ("2026-06-01T23:30", [STOCKHOLM], "2026-06-02T06:00"),
    "just before the morning": ("2026-06-02T05:59", [STOCKHOLM], "2026-06-02T06:00"),
    "the morning": ("2026-06-02T06:00", [STOCKHOLM], None),
    "winter": ("2026-01-01T06:30", [STOCKHOLM], "2026-01-01T07:00"),
    "the night on which clocks go forward": ("2026-03-28T23:00", [STOCKHOLM], "2026-03-29T06:00"),
    "the night on which clocks go back": ("2026-10-24T22:00", [STOCKHOLM], "2026-10-25T07:00"),
    "day in the west, evening in the east": ("2026-06-02T01:30", [NEW_YORK, CALIFORNIA], "2026-06-02T15:00"),
    "morning in the east, night in the west": ("2026-06-02T12:30", [NEW_YORK, CALIFORNIA], "2026-06-02T15:00"),
    "day in both": ("2026-06-02T18:00", [NEW_YORK, CALIFORNIA], None),
    "always night somewhere": (
        "2026-06-02T18:00",
        ["Pacific/Auckland", "Europe/London", CALIFORNIA],
        "2026-06-03T15:00",
    ),
}


@pytest.mark.parametrize(("at", "zones", "morning"), MORNINGS.values(), ids=MORNINGS)
def test_a_morning_is_one_everywhere_that_somebody_may_be(at, zones, morning):
    found = find_morning(
        now=datetime.fromisoformat(at).replace(tzinfo=UTC),
        zones=[ZoneInfo(zone) for zone in zones],
        quiet_from=EVENING,
        quiet_until=MORNING,
    )
    assert found == (morning and datetime.fromisoformat(morning).replace(tzinfo=UTC))


@pytest.mark.parametrize(("at", "is_quiet"), [("13:00", True), ("12:59", False), ("15:00", False), ("14:59", True)])
def test_quiet_hours_within_a_day(at, is_quiet):
    now = datetime.fromisoformat(f"2026-06-01T{at}").replace(tzinfo=UTC)
    found = find_morning(now=now, zones=[ZoneInfo("UTC")], quiet_from=time(13), quiet_until=time(15))
    assert found == (datetime(2026, 6, 1, 15, tzinfo=UTC) if is_quiet else None)


@pytest.mark.parametrize(
    ("number", "time_zone", "zones"),
    [
        (SARA, "", [CALIFORNIA]),
        (SARA, "Europe/Paris", ["Europe/Paris"]),
        (ELSA_IN_SWEDEN, "", [STOCKHOLM]),
        ("+8835100012345", "", ["UTC"]),
        ("nonsense", "", ["UTC"]),
        (SARA, "Mars/Olympus", ["UTC"]),
    ],
)
def test_where_somebody_is(number, time_zone, zones):
    assert [zone.key for zone in find_zones(phone_number=number, time_zone=time_zone)] == zones


def test_a_number_of_no_place_may_be_anywhere_in_its_country():
    zones = {zone.key for zone in find_zones(phone_number="+15005550123", time_zone="")}
    assert {NEW_YORK, CALIFORNIA} <= zones


# --- In the queue ----------------------------------------------------------------------------------------------------


@pytest.fixture
def platform(db):
    """It is night for everybody, for two hours yet."""
    now = timezone.now()
    zone = ZoneInfo(CALIFORNIA)
    return make_platform(
        "Rides",
        quiet_from=(now - timedelta(hours=2)).astimezone(zone).time(),
        quiet_until=(now + timedelta(hours=2)).astimezone(zone).time(),
    )


def let_morning_come() -> None:
    Platform.objects.update(quiet_from=None, quiet_until=None)
    Message.objects.filter(status=Status.HELD).update(due_at=ago(minutes=1))


def test_introductions_wait_for_the_morning_and_relays_do_not_wait_for_them(platform, virtual_number):
    make_chat(platform)
    assert send_all() == []
    held = read_outbound(Kind.INTRODUCTION)
    assert [(row.status, row.attempts, row.error_code) for row in held] == [(Status.HELD, 0, "quiet_hours")] * 2
    assert all(timedelta(hours=1) < row.due_at - timezone.now() < timedelta(hours=3) for row in held)
    assert all(row.expires_at - row.due_at > timedelta(hours=23) for row in held)
    text("are you there?", OMAR)
    text("HELP")
    assert [(to, words[:14]) for to, words in send_all()] == [(SARA, "are you there?"), (SARA, "Rides: texts t")]
    let_morning_come()
    assert sorted(to for to, _ in send_all()) == [SARA, OMAR]
    assert send_all() == []


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        (Kind.INTRODUCTION, True),
        (Kind.CLOSING, True),
        (Kind.PLATFORM, True),
        (Kind.RELAY, False),
        (Kind.AUTO_REPLY, False),
        (Kind.ANNOUNCEMENT, False),
        (Kind.CONSENT, False),
    ],
)
@pytest.mark.django_db
def test_the_kind_decides(platform, virtual_number, kind, waits):
    sara = make_chat(platform).participants.get(position=1)
    forget_introductions()
    queue_text(kind=kind, recipient=sara, body="psst")
    assert (send_all() == []) is waits


def test_who_is_awake_elsewhere_is_introduced(platform, virtual_number, api):
    noon = next(
        zone
        for zone in ("Asia/Kolkata", "Europe/Paris", "Pacific/Auckland")
        if find_morning(
            now=datetime.now(UTC),
            zones=[ZoneInfo(zone)],
            quiet_from=platform.quiet_from,
            quiet_until=platform.quiet_until,
        )
        is None
    )
    people = [{"phone_number": SARA, "time_zone": noon}, {"phone_number": OMAR}]
    assert api.post("/chats", {"participants": people}).status_code == 201
    assert [to for to, _ in send_all()] == [SARA]


def test_a_time_zone_that_there_is_not_is_refused(api, virtual_number):
    people = [{"phone_number": SARA, "time_zone": "Mars/Olympus"}, {"phone_number": OMAR}]
    response = api.post("/chats", {"participants": people})
    assert response.status_code == 400
    assert errors(response) == [("invalid_choice", "participants.0.time_zone")]


def test_nobody_is_introduced_in_the_morning_to_a_chat_that_ended_in_the_night(platform, virtual_number):
    chat = make_chat(platform)
    send_all()
    end_chat(chat_id=chat.pk, reason="cancelled", now=timezone.now())
    let_morning_come()
    assert send_all() == []
    assert {(row.status, row.error_code) for row in read_outbound()} == {(Status.FAILED, "chat_ended")}
    reopen_chat(chat_id=chat.pk, changes={}, now=timezone.now())
    assert sorted(to for to, _ in send_all()) == [SARA, OMAR]


def test_nor_does_its_platform_text_them(platform, virtual_number, api):
    chat = make_chat(platform)
    forget_introductions()
    assert api.post(f"/chats/{chat.pk}/messages", {"text": "your car is here"}).status_code == 201
    assert send_all() == []
    assert [row.status for row in read_outbound(Kind.PLATFORM)] == [Status.HELD] * 2
    end_chat(chat_id=chat.pk, reason="cancelled", now=timezone.now())
    let_morning_come()
    assert send_all() == []
    assert {(row.status, row.error_code) for row in read_outbound()} == {(Status.FAILED, "chat_ended")}


def test_a_platform_without_quiet_hours_texts_at_any_time(virtual_number, other_platform):
    make_chat(other_platform)
    assert sorted(to for to, _ in send_all()) == [SARA, OMAR]


def test_a_chat_shows_that_an_introduction_waits(platform, virtual_number, api):
    chat = api.post("/chats", body()).json()
    send_all()
    [shown, _] = api.get(f"/chats/{chat['id']}").json()["participants"]
    assert shown["introduction"]["status"] == "held"
    assert shown["introduction"]["error"]["code"] == "quiet_hours"
