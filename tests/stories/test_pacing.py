"""Two senders and a backlog: what they take on, counted second by second, and what reaches the carrier."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.service import Deployment, Service

SLOW, LONG, FAST, THROTTLED = NUMBERS = ("+14155550100", "+14155550101", "+14155550102", "+14155550103")
# A second, of texts; of segments for LONG.
RATES = {SLOW: 4, LONG: 12, FAST: 100, THROTTLED: 10}
ACCOUNT_RATE = 25
RETRY_AFTER = 1
PEOPLE = [f"+1201555{index:04}" for index in range(100, 108)]
# How many texts each person writes on a number, and how long they are; what counts most of all comes in between.
ROUNDS = {
    SLOW: ["Short"] * 2,
    LONG: ["Short", "y" * 300, "Short", "y" * 300, "y" * 200, "y" * 300],
    FAST: ["Short"] * 8,
    THROTTLED: ["Short"] * 2,
}
HUGE = "z" * 153 * 14
# Senders hand over at once what they claim, unless they are held up. When they claim is exact, by the database's clock,
# and so is from when on a number rests that was throttled.
NOTE_TIMES = """
    CREATE TABLE claim (number text, segments integer, at timestamptz);
    CREATE TABLE rest (number text, at timestamptz);
    CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO claim SELECT number, NEW.segments, now() FROM chats_virtualnumber WHERE id = NEW.virtual_number_id;
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_claim AFTER UPDATE ON messaging_message FOR EACH ROW
      WHEN (OLD.status = 'queued' AND NEW.status = 'sending') EXECUTE FUNCTION note_claim();
    CREATE FUNCTION note_rest() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO rest VALUES (NEW.number, now());
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_rest AFTER UPDATE ON chats_virtualnumber FOR EACH ROW
      WHEN (NEW.throttled_at IS DISTINCT FROM OLD.throttled_at) EXECUTE FUNCTION note_rest();
"""


@pytest.fixture
def service(tmp_path: Path, deployment: Deployment) -> Iterator[Service]:
    limit = str(ACCOUNT_RATE)
    with Service(tmp_path, deployment=deployment, VONAGE_MESSAGES_PER_SECOND=limit) as service:
        service.start_web()
        yield service


def queue_backlog(service: Service) -> dict[tuple[str, str], list[str]]:
    """Queue texts to each person on each number; return what they must read, introductions apart, in order."""
    service.query(
        "INSERT INTO chats_virtualnumber"
        " (id, number, country, state, can_sms, can_mms, messages_per_second, created_at)"
        f" VALUES (gen_random_uuid(), '{THROTTLED}', 'US', 'active', true, false, 1, now())"
    )
    expected: dict[tuple[str, str], list[str]] = defaultdict(list)
    pairs = [(PEOPLE[index], PEOPLE[index + 1]) for index in range(0, len(PEOPLE), 2)]
    for number in NUMBERS:
        service.query(
            f"UPDATE chats_virtualnumber SET messages_per_second = {RATES[number]},"
            f" paced_by = '{'segments' if number == LONG else 'texts'}' WHERE number = '{number}'"
        )
        service.query(
            f"UPDATE chats_virtualnumber SET state = CASE number WHEN '{number}' THEN 'active' ELSE 'reserved' END"
        )
        for first, second in pairs:
            assert service.start_chat((first, ""), (second, ""))["virtual_numbers"] == [number]
    counterparts = {**dict(pairs), **{second: first for first, second in pairs}}
    for turn in range(max(map(len, ROUNDS.values()))):
        for number in NUMBERS:
            for writer in PEOPLE if turn < len(ROUNDS[number]) else []:
                is_huge = (number, turn, writer) == (LONG, 1, PEOPLE[0])
                text = f"{turn} {HUGE if is_huge else ROUNDS[number][turn]}"
                service.simulator.text(writer, number, text)
                expected[counterparts[writer], number].append(text)
        # A person's texts overtake each other unless one is received before the next is sent.
        service.simulator.wait_until_quiet()
    return expected


def read_arrivals(service: Service) -> list[dict[str, Any]]:
    return [text for text in service.simulator.texts() if text["direction"] == "to_handset"]


def busiest_second(sent: list[tuple[float, int]]) -> int:
    """Return the most that was sent within any second, of (when, how much)."""
    return max(sum(much for at, much in sent if start <= at < start + 1) for start, _ in sent)


def per_second(sent: list[tuple[float, int]]) -> float:
    """Return how much was sent a second, from the first to the last, which ends the time and does not count."""
    return sum(much for _, much in sent[:-1]) / (sent[-1][0] - sent[0][0])


@pytest.mark.slow
def test_two_senders_keep_to_every_rate_and_use_it(service: Service) -> None:
    expected = queue_backlog(service)
    fault = {"status": 429, "retry_after": RETRY_AFTER, "virtual_number": THROTTLED, "times": 2}
    service.simulator.set_faults(respond_with=fault)
    service.query(NOTE_TIMES)
    # Nothing may be sent before both are there: to start one takes of what the other has.
    service.query("UPDATE chats_virtualnumber SET next_send_at = '2999-01-01'")
    for name in ("first", "second"):
        service.start_sender(name)
    service.query("UPDATE chats_virtualnumber SET next_send_at = now()")
    service.wait_until_sent()
    arrivals = read_arrivals(service)

    arrived: dict[tuple[str, str], list[str]] = defaultdict(list)
    for text in arrivals:
        if "STOP" not in text["text"]:
            arrived[text["handset"], text["virtual_number"]].append(text["text"])
    assert arrived == expected
    assert set(Counter(text["client_ref"] for text in arrivals).values()) == {1}
    sent_by = [service.log(name).count('"text sent"') for name in ("first", "second")]
    assert sum(sent_by) == len(arrivals)
    assert min(sent_by) > 0

    assert [exchange["status"] for exchange in service.simulator.traffic()].count(429) == 2
    claims = service.query("SELECT number, segments, extract(epoch FROM at)::float FROM claim ORDER BY at")
    of_account = [(at, 1) for _, _, at in claims]
    assert busiest_second(of_account) <= ACCOUNT_RATE
    by_number = {
        number: [(at, segments if number == LONG else 1) for each, segments, at in claims if each == number]
        for number in NUMBERS
    }
    for number in (SLOW, FAST, THROTTLED):
        assert busiest_second(by_number[number]) <= RATES[number]
    [huge] = [index for index, (_, segments) in enumerate(by_number[LONG]) if segments > RATES[LONG]]
    before, after = by_number[LONG][:huge], by_number[LONG][huge + 1 :]
    assert busiest_second(before) <= RATES[LONG]
    assert busiest_second(after) <= RATES[LONG]
    # It is alone in its second, and what comes after it waits for all of it.
    at, segments = by_number[LONG][huge]
    assert at - before[-1][0] >= 1
    assert after[0][0] - at >= segments / RATES[LONG]

    rests = service.query("SELECT number, extract(epoch FROM at)::float FROM rest")
    assert {number for number, _ in rests} == {THROTTLED}
    for _, since in rests:
        assert not [at for at, _ in by_number[THROTTLED] if since < at < since + RETRY_AFTER]
    busy_until = by_number[FAST][-1][0]
    assert per_second([each for each in of_account if each[0] <= busy_until]) >= 0.8 * ACCOUNT_RATE
    # The slower numbers have the account to themselves then.
    for number in (SLOW, LONG):
        alone = [each for each in by_number[number] if each[0] > busy_until]
        assert len(alone) > 5, number
        assert per_second(alone) >= 0.8 * RATES[number], number
