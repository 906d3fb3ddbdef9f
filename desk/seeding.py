"""Fill an empty database with chats and texts as months of service leave them, to find out what grows with them.

Rows are copied in, and indexes and references are made afterwards: in one transaction, so that the database is empty
or whole. The log is in the order of time, as if it had been written text by text.
"""

import itertools
import random
import secrets
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import phonenumbers
from django.db import connection, transaction

from chats.models import Chat, Participant, VirtualNumber
from desk.counting import count_figures
from messaging.models import NO_PLATFORM, Message
from messaging.usage import count_usage
from platforms.models import Platform
from platforms.services import create_platform
from proxy_project.encryption import digest_number, encrypt

Say = Callable[[str], object]

DAYS = 90
# Within this part of the time a chat is texted in, and after it the chats end that do.
_LIVELY = 0.1
_ENDED_SHARE = 0.1
_ROWS_AT_ONCE = 5_000
_SAID_EVERY = 1_000_000
_TRIES = 200
# Of a thousand texts to people, so many failed, and of so many nobody ever heard whether they arrived.
_FAILED, _UNHEARD = 20, 10
_FAILURES = (("1180", "recipient"), ("1210", "carrier"), ("1260", "unknown"))
# Failures older than this have been seen to.
_UNHANDLED_DAYS = 2
_WORDS = (
    "See you at the main entrance in ten minutes.",
    "I am at the corner, in the blue car.",
    "Can you wait five minutes? The lift is slow.",
    "The key is under the mat, the code is on the note beside the door.",
    "Thank you!",
    "Which platform does the train leave from? I see two of them, and no clock at either.",
)
_NULL = r"\N"
_TABLES = ("chats_chat", "chats_participant", "messaging_message", "chats_pace")


class CannotSeed(Exception):
    """The database is not empty, or there are too few numbers or people; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much there is to be: open chats, those that have ended, texts, virtual numbers and people."""

    chats: int
    messages: int
    numbers: int
    people: int

    @property
    def ended(self) -> int:
        return int(self.chats * _ENDED_SHARE)

    @property
    def all_chats(self) -> int:
        return self.chats + self.ended


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """The platform whose chats these are, with its key, which is kept nowhere else; all rows, and their seconds."""

    platform: Platform
    api_key: str
    rows: int
    seconds: float


def phone_numbers() -> Iterator[str]:
    """Yield the numbers of exchange 555 in every area of the United States, where no subscriber is.

    First those that are set aside for fiction, 555-0100 to 555-0199 in each area.
    """
    areas = [area for area in range(201, 990) if _is_area(area)]
    for area in areas:
        yield from (f"+1{area}555{line:04}" for line in range(100, 200))
    for area in areas:
        yield from (f"+1{area}555{line:04}" for line in range(200, 10_000))


def _is_area(area: int) -> bool:
    number = phonenumbers.parse(f"+1{area}5550100")
    return (
        phonenumbers.region_code_for_number(number) == "US"
        and phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE
    )


def seed(plan: Plan, *, now: datetime, say: Say) -> Seeded:
    """Fill the database, which has to be empty: nothing in it is changed or removed. Raises CannotSeed."""
    _refuse(plan)
    started = time.monotonic()
    # The same numbers give the same chats.
    seeding = _Seeding(plan, now=now, say=say, chance=random.Random(plan.chats))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {', '.join(_TABLES)} IN ACCESS EXCLUSIVE MODE")
        _refuse_what_is_there()
        created = create_platform(name="Load")
        with _without_indexes(say):
            rows = seeding.run(created.platform)
    say("Counting the books and the figures of the desk.")
    # Nobody waits for it here.
    count_usage(at_once=plan.messages)
    count_figures(now=now)
    say("Collecting statistics.")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)" if not connection.in_atomic_block else "ANALYZE")
    return Seeded(platform=created.platform, api_key=created.api_key, rows=rows, seconds=time.monotonic() - started)


def _refuse(plan: Plan) -> None:
    if min(plan.chats, plan.numbers) < 1 or plan.people < 2:
        raise CannotSeed("There must be a chat, a virtual number and two people at least.")
    if plan.messages < 2 * plan.all_chats:
        raise CannotSeed(f"Each chat has two introductions: that is {2 * plan.all_chats:,} messages at least.")
    if 2 * plan.all_chats > plan.people * plan.numbers / 2:
        raise CannotSeed("Nobody can be in two chats on one virtual number: give more people or more numbers.")
    _refuse_what_is_there()


def _refuse_what_is_there() -> None:
    if any(model.objects.exists() for model in (Chat, Message, Participant, VirtualNumber)):
        raise CannotSeed("There are chats, texts or virtual numbers in this database already: take an empty one.")


class _Seeding:
    """One filling: what is known of each chat, by its number, while its texts are written."""

    def __init__(self, plan: Plan, *, now: datetime, say: Say, chance: random.Random) -> None:
        self._plan = plan
        self._say = say
        self._chance = chance
        self._end = now.timestamp() - 60
        self._start = self._end - timedelta(days=DAYS).total_seconds()
        self._lively = max(1, int(plan.all_chats * _LIVELY))
        self._ended = self._choose_ended()
        # Of participant 2n and 2n + 1 of chat n: the place of the virtual number, and when they texted last.
        self._number_of = array("i")
        self._texted_at = array("d", bytes(8 * 2 * plan.all_chats))
        self._numbers: list[VirtualNumber] = []

    def run(self, platform: Platform) -> int:
        unused = phone_numbers()
        self._numbers = VirtualNumber.objects.bulk_create(
            VirtualNumber(number=number, country="US") for number in itertools.islice(unused, self._plan.numbers)
        )
        people = list(itertools.islice(unused, self._plan.people))
        if len(people) < self._plan.people:
            raise CannotSeed("There are not so many phone numbers that nobody has.")
        written = self._plan.numbers
        written += self._copy("chats_chat", _CHAT_COLUMNS, self._list_chats(platform.pk))
        written += self._copy("chats_participant", _PARTICIPANT_COLUMNS, self._list_participants(people))
        written += self._copy("messaging_message", _MESSAGE_COLUMNS, self._list_messages(platform.pk))
        written += self._copy("chats_pace", _PACE_COLUMNS, self._list_paces())
        with connection.cursor() as cursor:
            cursor.execute("SELECT setval('messaging_message_position', %s)", [self._plan.messages])
        return written

    def _choose_ended(self) -> bytearray:
        """Return for each chat whether it has ended: some of those that are old enough, everywhere among them."""
        ended = bytearray(self._plan.all_chats)
        old_enough = self._plan.all_chats - self._lively
        for chat in self._chance.sample(range(old_enough), min(self._plan.ended, old_enough)):
            ended[chat] = 1
        return ended

    def _opened_at(self, chat: int) -> float:
        return self._start + (self._end - self._start) * chat / self._plan.all_chats

    def _list_chats(self, platform_id: UUID) -> Iterator[str]:
        for chat in range(self._plan.all_chats):
            at = self._opened_at(chat)
            moment = _show(at)
            status, ended_at, reason = "open", _NULL, ""
            if self._ended[chat]:
                status, ended_at, reason = "ended", _show(self._opened_at(chat + self._lively)), "ended by the platform"
            yield _row(_chat_id(chat, at), str(platform_id), f"load-{chat}", status, reason, "{}", moment, ended_at)

    def _list_participants(self, people: list[str]) -> Iterator[str]:
        tokens, digests = [encrypt(number) for number in people], [digest_number(number).hex() for number in people]
        names = [encrypt(name) for name in ("Sara", "Omar", "Alice", "Bob", "Charlie")]
        held: set[int] = set()
        for chat in range(self._plan.all_chats):
            at = self._opened_at(chat)
            pair = self._chance.sample(range(len(people)), 2)
            number = self._find_number(held, pair)
            ended_at = _show(self._opened_at(chat + self._lively)) if self._ended[chat] else _NULL
            for position, person in enumerate(pair, start=1):
                self._number_of.append(number)
                yield _row(
                    _participant_id(chat, position, at), _chat_id(chat, at), str(position), names[person % len(names)],
                    tokens[person], f"\\\\x{digests[person]}", str(self._numbers[number].pk), ended_at,
                )  # fmt: skip

    def _find_number(self, held: set[int], pair: list[int]) -> int:
        """Return the place of a virtual number that neither of the two has, and note that they do."""
        count = self._plan.numbers
        for _ in range(_TRIES):
            number = self._chance.randrange(count)
            wanted = [person * count + number for person in pair]
            if not held.intersection(wanted):
                held.update(wanted)
                return number
        raise CannotSeed("Nobody can be in two chats on one virtual number: give more people or more numbers.")

    def _list_messages(self, platform_id: UUID) -> Iterator[str]:
        """Yield the introductions of each chat as it opens, and between two of these what others text meanwhile."""
        log = _Log(platform_id, [number.pk for number in self._numbers], self._chance, self._end)
        plan = self._plan
        chatter = plan.messages - 2 * plan.all_chats
        step = (self._end - self._start) / plan.all_chats
        for chat in range(plan.all_chats):
            at = self._opened_at(chat)
            for position in (1, 2):
                yield log.write_out("introduction", chat, position, at, at, self._number_of[2 * chat + position - 1])
            wanted = chatter * (chat + 1) // plan.all_chats - chatter * chat // plan.all_chats
            # Each text comes and goes on; of an odd number, the platform sends the last one.
            for nth in range(wanted // 2 + wanted % 2):
                text_at = at + step * (nth + 1) / (wanted // 2 + 2)
                lively = chat - min(int(self._chance.expovariate(4 / self._lively)), self._lively - 1, chat)
                opened_at, writer = self._opened_at(lively), self._chance.randrange(2)
                number = self._number_of[2 * lively]
                if nth == wanted // 2:
                    yield log.write_out("platform", lively, writer + 1, opened_at, text_at, number)
                    continue
                self._texted_at[2 * lively + writer] = text_at
                yield from log.write_both(lively, writer + 1, opened_at, text_at, number)

    def _list_paces(self) -> Iterator[str]:
        digest = secrets.token_hex(16)
        for index, at in enumerate(self._texted_at):
            if at:
                chat, side = divmod(index, 2)
                moment = _show(at)
                person = _participant_id(chat, side + 1, self._opened_at(chat))
                yield _row(person, moment, moment, moment, f"\\\\x{digest}", "1", moment, "0")

    def _copy(self, table: str, columns: str, rows: Iterable[str]) -> int:
        """Copy the rows, and return how many there were."""
        written, said_at, started = 0, _SAID_EVERY, time.monotonic()
        with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            while chunk := list(itertools.islice(rows, _ROWS_AT_ONCE)):
                copy.write("".join(chunk))
                written += len(chunk)
                if written >= said_at:
                    self._say(f"{table}: {written:,} rows, {written / (time.monotonic() - started):,.0f} a second")
                    said_at += _SAID_EVERY
        return written


class _Log:
    """The message log, row by row: its positions, the ids of the gateway, and what is on the rows."""

    def __init__(self, platform_id: UUID, number_ids: list[UUID], chance: random.Random, end: float) -> None:
        self._platform_id = str(platform_id)
        self._number_ids = [str(number_id) for number_id in number_ids]
        self._chance = chance
        self._bodies = [encrypt(words) for words in _WORDS for _ in range(40)]
        self._unhandled_since = end - timedelta(days=_UNHANDLED_DAYS).total_seconds()
        self._position = 0

    def write_both(self, chat: int, writer: int, opened_at: float, at: float, number: int) -> Iterator[str]:
        """Yield a text that came in, and its relay."""
        body = self._choose_body()
        inbound_id, moment, number_id = self._next(at), _show(at), self._number_ids[number]
        yield _row(
            inbound_id, str(self._position), "in", "text", "relayed", number_id, _chat_id(chat, opened_at),
            _participant_id(chat, writer, opened_at), _NULL, body, self._gateway_id(), "1", "0.006200", "EUR", moment,
            _NULL, _NULL, _NULL, "", "", "0", str(NO_PLATFORM), _NULL,
        )  # fmt: skip
        yield self._write_out("relay", chat, 3 - writer, opened_at, at, number, inbound_id, body)

    def write_out(self, kind: str, chat: int, recipient: int, opened_at: float, at: float, number: int) -> str:
        """Return a text to somebody that passes on nothing."""
        return self._write_out(kind, chat, recipient, opened_at, at, number, _NULL, self._choose_body())

    def _write_out(
        self, kind: str, chat: int, recipient: int, opened_at: float, at: float, number: int, relays: str, body: str
    ) -> str:
        message_id, moment, sent_at = self._next(at), _show(at), _show(at + 0.2)
        settled_at = _show(at + 1 + 6 * self._chance.random())
        lot = self._chance.randrange(1000)
        delivered_at = failed_at = handled_at = _NULL
        status, code, error_kind = "delivered", "", ""
        if lot < _FAILED:
            status, failed_at = "failed", settled_at
            code, error_kind = _FAILURES[lot % len(_FAILURES)]
            handled_at = settled_at if at < self._unhandled_since else _NULL
        elif lot < _FAILED + _UNHEARD:
            status = "sent"
        else:
            delivered_at = settled_at
        return _row(
            message_id, str(self._position), "out", kind, status, self._number_ids[number],
            _chat_id(chat, opened_at), _participant_id(chat, recipient, opened_at), relays, body, self._gateway_id(),
            "1", "0.008300", "EUR", moment, sent_at, delivered_at, failed_at, code, error_kind, "1",
            self._platform_id, handled_at,
        )  # fmt: skip

    def _choose_body(self) -> str:
        return self._bodies[self._chance.randrange(len(self._bodies))]

    def _gateway_id(self) -> str:
        bits = f"{self._chance.getrandbits(128):032x}"
        return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-a{bits[17:20]}-{bits[20:]}"

    def _next(self, at: float) -> str:
        self._position += 1
        return _make_id(at, 0, self._position)


_CHAT_COLUMNS = "id, platform_id, reference, status, end_reason, metadata, created_at, ended_at"
_PARTICIPANT_COLUMNS = "id, chat_id, position, name, phone_number, phone_digest, virtual_number_id, ended_at"
_MESSAGE_COLUMNS = (
    "id, position, direction, kind, status, virtual_number_id, chat_id, participant_id, relays_id, body, gateway_id, "
    "segments, price, currency, created_at, sent_at, delivered_at, failed_at, error_code, error_kind, attempts, "
    "turn_of, handled_at"
)
_PACE_COLUMNS = (
    "participant_id, minute_whole_at, day_whole_at, last_at, last_text, same_texts, same_since, quick_answers"
)


def _chat_id(chat: int, opened_at: float) -> str:
    return _make_id(opened_at, 3, chat)


def _participant_id(chat: int, position: int, opened_at: float) -> str:
    return _make_id(opened_at, position, chat)


def _row(*cells: str) -> str:
    """Return a line of what COPY reads."""
    return "\t".join(cells) + "\n"


def _make_id(at: float, kind: int, count: int) -> str:
    """Return a UUID of version 7 that is made of a time and of what is numbered, so that it need not be kept."""
    return f"{int(at * 1000):012x}7{count >> 44 & 0xFFF:03x}8{kind:03x}{count & 0xFFFFFFFFFFF:012x}"


def _show(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


_FIND_INDEXES = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
      FROM pg_index
     WHERE indrelid = ANY(%s::regclass[])
       AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
"""
_FIND_REFERENCES = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE conrelid = ANY(%s::regclass[]) AND contype = 'f'
"""


@contextmanager
def _without_indexes(say: Say) -> Iterator[None]:
    """Take the indexes and references of the tables away, and make them again in the end, in one transaction.

    That is several times faster than keeping them right row by row.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FIND_INDEXES, [list(_TABLES)])
        indexes = cursor.fetchall()
        cursor.execute(_FIND_REFERENCES, [list(_TABLES)])
        references = cursor.fetchall()
        for table, name, _ in references:
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield
        say("Making indexes.")
        # What was written above must be checked before a table can be changed.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        for _, definition in indexes:
            cursor.execute(definition)
        for table, name, definition in references:
            cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
