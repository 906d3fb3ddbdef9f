"""Tell pages what happens, as server-sent events."""

import asyncio
import json
from typing import Any

from aiohttp import web

from simulator.faults import FaultSet
from simulator.jsonapi import is_whole
from simulator.records import Exchange, Text
from simulator.state import State

PAUSE_S = 0.05
HEARTBEAT_S = 15.0
FIRST_TEXTS = 500
FIRST_EXCHANGES = 200


class Stream:
    """Answers GET /api/stream."""

    def __init__(self, *, state: State, faults: FaultSet) -> None:
        self._state = state
        self._faults = faults

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Tell a page what happens as server-sent events: `reset`, `faults`, `text` and `exchange`.

        A listener follows the state with a cursor and not through a queue of its own, so a slow one costs no memory.
        """
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        listener = asyncio.Event()
        state = self._state
        state.listeners.add(listener)
        cursor, resets = self._read_cursor(request)
        shown_faults: dict[str, Any] | None = None
        try:
            while True:
                listener.clear()
                events: list[tuple[str, dict[str, Any]]] = []
                if resets != state.resets:
                    cursor, resets = 0, state.resets
                    events.append(("reset", {}))
                if shown_faults != (faults := self._faults.as_json()):
                    shown_faults = faults
                    events.append(("faults", faults))
                events += [
                    ("text" if isinstance(changed, Text) else "exchange", changed.as_json())
                    for changed in self._list_changes(cursor)
                ]
                cursor = state.counter
                event_id = f"{state.run}-{resets}-{cursor}"
                told = b"".join(_format_event(event_id, *event) for event in events)
                await response.write(told or b": still here\n\n")
                await asyncio.sleep(PAUSE_S)
                try:
                    await asyncio.wait_for(listener.wait(), HEARTBEAT_S)
                except TimeoutError:
                    continue
        except ConnectionError:
            return response
        finally:
            state.listeners.discard(listener)

    def _read_cursor(self, request: web.Request) -> tuple[int, int]:
        """Return where a listener left off and after how many resets; -1 resets when it must start afresh."""
        run, _, rest = request.headers.get("Last-Event-ID", "").partition("-")
        resets, _, cursor = rest.partition("-")
        if run == self._state.run and is_whole(resets) and is_whole(cursor):
            return int(cursor), int(resets)
        if is_whole(after := request.query.get("after", "")):
            return int(after), self._state.resets
        return 0, -1

    def _list_changes(self, cursor: int) -> list[Text | Exchange]:
        changes = self._state.changes
        if cursor and changes and changes[0][0] <= cursor + 1:
            # A text may have changed several times since: its newest state is told once.
            newest: dict[int, Text | Exchange] = {}
            for number, changed in reversed(changes):
                if number <= cursor:
                    break
                newest.setdefault(id(changed), changed)
            return list(reversed(newest.values()))
        texts = [text for text in self._state.list_texts() if text.changed > cursor][-FIRST_TEXTS:]
        exchanges = self._state.list_exchanges(after=cursor)[-FIRST_EXCHANGES:]
        return [*texts, *exchanges]


def _format_event(event_id: str, name: str, data: dict[str, Any]) -> bytes:
    return f"id: {event_id}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
