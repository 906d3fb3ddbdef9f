"""The people of a run: they are put into chats through the API, and text each other from their handsets."""

import itertools
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from chaos.carrier import Carrier

# What is texted names its chat and writer, and nothing else looks like it.
TOKEN = re.compile(r"chaos-\d+ [ab] \d+")
_TAKEN_EVERY_SECONDS = 0.5
# Area codes of the United States, each with a hundred numbers set aside for fiction.
_AREAS = (202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219)

_open = build_opener(ProxyHandler({})).open


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat as it was started: `handsets` are its people's phone numbers, a and b."""

    id: str
    reference: str
    virtual_number: str
    handsets: tuple[str, str]


@dataclass(slots=True)
class Written:
    """A text that somebody has typed. `taken_at` is when its webhook was seen to have been answered 2xx."""

    gateway_id: str
    chat: Chat
    side: int
    body: str
    typed_at: float
    taken_at: float | None = None


def make_phone_numbers() -> Iterator[str]:
    """Make phone numbers that nobody has."""
    for area in _AREAS:
        yield from (f"+1{area}555{number:04}" for number in range(100, 200))


class People:
    """Starts the chats one after the other, and has people text in those there are, until told to stop.

    Nobody writes again before their text before was taken: the carrier's webhooks overtake each other.
    """

    def __init__(
        self, *, carrier: Carrier, api_url: str, api_key: str, choices: random.Random, chats: int, per_second: float
    ) -> None:
        self.chats: list[Chat] = []
        self.written: list[Written] = []
        self.repeated_calls = 0
        self.error: BaseException | None = None
        self._carrier = carrier
        self._url = api_url
        self._key = api_key
        self._choices = choices
        self._chooses_when = random.Random(choices.random())
        self._pairs = self._choose_pairs(chats)
        self._per_second = per_second
        self._waits_for: dict[tuple[str, int], Written] = {}
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []

    def start_next_chat(self) -> None:
        """Start a chat through the API, as a platform does that gets no answer or a 5xx: again until there is one."""
        number = len(self.chats)
        reference, (first, second) = f"chaos-{number}", self._pairs[number]
        body = {"reference": reference, "participants": [{"phone_number": first}, {"phone_number": second}]}
        chat = self.call("/chats", body)
        [virtual_number] = chat["virtual_numbers"]
        self.chats.append(Chat(chat["id"], reference, virtual_number, (first, second)))

    def call(self, path: str, body: object) -> dict[str, Any]:
        for attempt in itertools.count():
            request = Request(
                self._url + path,
                data=json.dumps(body).encode(),
                headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            )
            try:
                with _open(request, timeout=20) as response:
                    answer: dict[str, Any] = json.load(response)
                return answer
            except HTTPError as error:
                if error.code < 500 or attempt > 120:
                    raise
            except (OSError, HTTPException, ValueError):
                if attempt > 120:
                    raise
            self.repeated_calls += 1
            time.sleep(0.25)
        raise AssertionError

    def start(self, *, within_seconds: float) -> None:
        """Have them text from now on, and start the chats that are missing, in threads."""
        left = len(self._pairs) - len(self.chats)

        def start_chats() -> None:
            while len(self.chats) < len(self._pairs):
                if self._end.wait(self._chooses_when.expovariate(left / within_seconds)):
                    break
                self.start_next_chat()

        for work in (self._text, start_chats):
            thread = threading.Thread(target=self._do, args=[work], daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Have them stop, and wait until they have; raises what went wrong."""
        self._end.set()
        for thread in self._threads:
            thread.join(120)
        if self.error:
            raise self.error

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.error = error

    def _text(self) -> None:
        looked_at = 0.0
        while not self._end.wait(self._choices.expovariate(self._per_second)):
            if time.monotonic() - looked_at > _TAKEN_EVERY_SECONDS:
                self._see_what_was_taken()
                looked_at = time.monotonic()
            chat, side = self._choices.choice(self.chats), self._choices.randrange(2)
            if (chat.id, side) not in self._waits_for:
                self._write(chat, side)

    def _write(self, chat: Chat, side: int) -> None:
        body = f"{chat.reference} {'ab'[side]} {len(self.written)}"
        typed_at = time.monotonic()
        gateway_id = self._carrier.text(from_number=chat.handsets[side], to_number=chat.virtual_number, body=body)
        text = Written(gateway_id, chat, side, body, typed_at)
        self.written.append(text)
        self._waits_for[chat.id, side] = text

    def _see_what_was_taken(self) -> None:
        done = {
            text["message_uuid"]
            for text in self._carrier.texts()
            if text["direction"] == "from_handset" and text["webhook"]["done"]
        }
        now = time.monotonic()
        for who, text in list(self._waits_for.items()):
            if text.gateway_id in done:
                text.taken_at = now
                del self._waits_for[who]

    def _choose_pairs(self, chats: int) -> list[tuple[str, str]]:
        """Choose who is in a chat with whom: most people are in several chats, and some have much to keep apart."""
        people = list(itertools.islice(make_phone_numbers(), 100, 100 + max(4, chats)))
        pairs = list(itertools.combinations(people, 2)) if chats < 50 else []
        if not pairs:
            chosen: set[tuple[str, str]] = set()
            while len(chosen) < chats:
                first, second = sorted(self._choices.sample(people, 2))
                chosen.add((first, second))
            pairs = sorted(chosen)
        return self._choices.sample(pairs, chats)
