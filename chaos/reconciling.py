"""Compare what people typed, what reached their handsets, what the log says and what the platform was told.

Everything that does not fit is a line that names ids only.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from chaos.log import Event, Log, Row
from chaos.people import TOKEN, Chat, Written
from chaos.receiver import Received

Text = dict[str, Any]

_NOT_ARRIVED = ("rejected", "undeliverable")
_ENDS = {"delivered": "message.delivered", "failed": "message.failed"}


def reconcile(
    *, log: Log, chats: Sequence[Chat], written: Sequence[Written], texts: Sequence[Text], received: Sequence[Received]
) -> Iterator[str]:
    """Yield every difference; nothing when all is well."""
    yield from log.stuck
    yield from _check_chats(log, chats)
    yield from _check_texts(log, written, texts)
    yield from _check_nothing_crossed(written, texts)
    yield from _check_order(written, texts)
    yield from _check_receipts(log.rows, texts)
    yield from _check_events(log)
    yield from check_deliveries(log.events, received)


def _check_chats(log: Log, chats: Sequence[Chat]) -> Iterator[str]:
    for chat in chats:
        if log.chats.get(chat.reference) != chat.id:
            yield f"chat {chat.id} is not the one of its reference"
    if len(log.chats) != len(chats):
        yield f"{len(log.chats)} chats are in the log, and {len(chats)} were started"


def _check_texts(log: Log, written: Sequence[Written], texts: Sequence[Text]) -> Iterator[str]:
    """Each text is logged once, relayed once, and arrives once; or the log says why not, and its writer was told."""
    inbound = _group((row for row in log.rows if row.direction == "in"), lambda row: row.gateway_id)
    relays = _group((row for row in log.rows if row.relays), lambda row: row.relays)
    told = {row.participant_id for row in log.rows if row.kind == "auto_reply"}
    arrived = _group(_find_arrived(texts), lambda text: text["text"])
    for text in written:
        logged = inbound.get(text.gateway_id, [])
        if len(logged) != 1:
            yield f"text {text.gateway_id} of chat {text.chat.id} is {len(logged)} times in the log"
            continue
        [row] = logged
        relayed, copies = relays.get(row.id, []), arrived.get(text.body, [])
        if row.chat_id != text.chat.id:
            yield f"message {row.id} is in the log of chat {row.chat_id}, and was written in {text.chat.id}"
        if row.status != "relayed" or len(relayed) != 1:
            yield f"message {row.id} is {row.status}, with {len(relayed)} relays"
        elif relayed[0].status == "failed":
            if copies:
                yield f"message {relayed[0].id} has failed, and arrived {len(copies)} times"
            if not relayed[0].error_code or row.participant_id not in told:
                yield f"message {relayed[0].id} has failed without a reason, or without its writer being told"
        elif [copy["client_ref"] for copy in copies] != [relayed[0].id]:
            yield f"message {relayed[0].id} is {relayed[0].status}, and arrived {len(copies)} times"
    if stray := inbound.keys() - {text.gateway_id for text in written}:
        yield f"{len(stray)} texts are in the log that nobody wrote"


def _check_nothing_crossed(written: Sequence[Written], texts: Sequence[Text]) -> Iterator[str]:
    """What was written in a chat reached nobody but the counterpart, from the number of that chat."""
    meant = {text.body: (text.chat.handsets[1 - text.side], text.chat.virtual_number) for text in written}
    for text in texts:
        if text["direction"] == "to_handset":
            for token in TOKEN.findall(text["text"]):
                if meant.get(token) != (text["handset"], text["virtual_number"]):
                    yield f"message {text['client_ref']} reached somebody else"


def _check_order(written: Sequence[Written], texts: Sequence[Text]) -> Iterator[str]:
    """Of one writer in a chat, a text that was taken before another was typed arrives before it."""
    place = {text["text"]: index for index, text in enumerate(_find_arrived(texts))}
    for one in _group(written, lambda text: (text.chat.id, text.side)).values():
        arrived = [text for text in one if text.body in place]
        for index, later in enumerate(arrived):
            for earlier in arrived[:index]:
                is_before = earlier.taken_at is not None and earlier.taken_at <= later.typed_at
                if is_before and place[earlier.body] > place[later.body]:
                    yield f"text {later.gateway_id} of chat {later.chat.id} overtook {earlier.gateway_id}"


def _check_receipts(rows: Sequence[Row], texts: Sequence[Text]) -> Iterator[str]:
    """What the carrier says of each text it took is what the log says of it; it took each at most once."""
    taken = _group((text for text in texts if text["direction"] == "to_handset"), lambda text: text["client_ref"])
    outbound = {row.id: row for row in rows if row.direction == "out"}
    for row in outbound.values():
        copies = taken.get(row.id, [])
        if len(copies) > 1 or (not copies and row.status != "failed"):
            yield f"message {row.id} is {row.status}, and the carrier took it {len(copies)} times"
        for copy in copies:
            expected = "failed" if copy["status"] in _NOT_ARRIVED else copy["status"]
            if row.status != expected:
                yield f"message {row.id} is {row.status}, and the carrier says {copy['status']}"
            if copy["message_uuid"] != row.gateway_id and len(copies) == 1:
                yield f"message {row.id} has not the id that the carrier gave it"
    if stray := taken.keys() - outbound.keys():
        yield f"the carrier took {len(stray)} texts that are not in the log"


def _check_events(log: Log) -> Iterator[str]:
    """Whatever happened is one event, and nothing else is."""
    expected: Counter[tuple[str, str | None]] = Counter()
    for row in log.rows:
        if row.direction == "in":
            expected["message.received", row.id] += 1
        elif row.participant_id and row.status in _ENDS:
            expected[_ENDS[row.status], row.id] += 1
    for chat_id in log.chats.values():
        expected["chat.started", chat_id] += 1
    found: Counter[tuple[str, str | None]] = Counter(
        (event.type, event.message_id or event.chat_id) for event in log.events
    )
    for (type, of), times in ((expected - found) + (found - expected)).items():
        yield f"{type} of {of} is {times} times too often or too seldom among the events"


def check_deliveries(events: Sequence[Event], received: Sequence[Received]) -> Iterator[str]:
    """Yield what the platform was not told, or told of a chat in another order than that of the positions.

    An event may come again, but not after a later one of its chat.
    """
    for missing in {event.id for event in events} - {each.id for each in received}:
        yield f"event {missing} never came"
    positions = {event.id: event.position for event in events}
    for chat_id, came in _group(received, lambda each: each.chat_id).items():
        latest = -1
        for each in came:
            position = positions.get(each.id)
            if position is None:
                yield f"event {each.id} came, and is not in the log"
            elif position < latest:
                yield f"event {each.id} of chat {chat_id} came after a later one"
            else:
                latest = position


def _find_arrived(texts: Iterable[Text]) -> Iterator[Text]:
    """Yield what people got of each other, as they got it."""
    for text in texts:
        if text["direction"] == "to_handset" and text["status"] not in _NOT_ARRIVED and TOKEN.fullmatch(text["text"]):
            yield text


def _group(things: Iterable[Any], key: Any) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for thing in things:
        found[key(thing)].append(thing)
    return found
