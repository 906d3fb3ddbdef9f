"""The JSON API that tests and the page use to type texts, look at what happened and make things go wrong."""

import asyncio
import json
import re
from typing import Any

from aiohttp import web

from simulator.carrier import Carrier
from simulator.faults import FaultError, FaultSet
from simulator.legacy import take_format
from simulator.settings import PHONE_NUMBER, Settings
from simulator.state import Exchange, State, Text
from simulator.webhooks import Deliverer

MOST_COPIES = 1_000
STREAM_PAUSE_S = 0.05
STREAM_HEARTBEAT_S = 15.0
STREAM_FIRST_TEXTS = 500
STREAM_FIRST_EXCHANGES = 200
_TEXT_KEYS = {"from", "to", "text", "copies", "message_uuid", "payload", "sign"}
# Besides full numbers: short codes, and the names that companies text under.
_SENDER = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{5,6}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")


class Control:
    """Answers /api/…; every error is 400 with `{"error": "what is wrong"}`."""

    def __init__(
        self, *, settings: Settings, state: State, faults: FaultSet, carrier: Carrier, deliverer: Deliverer
    ) -> None:
        self._settings = settings
        self._state = state
        self._faults = faults
        self._carrier = carrier
        self._deliverer = deliverer

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/healthz", self.answer_health)
        router.add_get("/api/settings", self.get_settings)
        router.add_post("/api/texts", self.post_text)
        router.add_get("/api/texts", self.get_texts)
        router.add_get("/api/traffic", self.get_traffic)
        router.add_get("/api/stats", self.get_stats)
        router.add_get("/api/faults", self.get_faults)
        router.add_put("/api/faults", self.put_faults)
        router.add_delete("/api/faults", self.delete_faults)
        router.add_delete("/api/state", self.delete_state)
        router.add_get("/api/stream", self.stream)

    async def answer_health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def get_settings(self, request: web.Request) -> web.Response:
        settings = self._settings
        return web.json_response(
            {
                "handsets": settings.handsets,
                "virtual_numbers": settings.virtual_numbers,
                "inbound_url": settings.inbound_url,
                "status_url": settings.status_url,
                "clock_scale": settings.clock_scale,
            }
        )

    async def post_text(self, request: web.Request) -> web.Response:
        try:
            body = await _read_json(request)
            legacy = take_format(body)
            wanted = _check_text(body)
        except ValueError as error:
            return _refuse(str(error))
        text = self._carrier.send_from_handset(**wanted, legacy=legacy)
        return web.json_response({"message_uuid": text.message_uuid, "seq": text.seq}, status=201)

    async def get_texts(self, request: web.Request) -> web.Response:
        try:
            texts = self._state.list_texts(**_read_window(request))
        except ValueError as error:
            return _refuse(str(error))
        return web.json_response({"texts": [text.as_json() for text in texts], "last_seq": self._state.counter})

    async def get_traffic(self, request: web.Request) -> web.Response:
        try:
            exchanges = self._state.list_exchanges(**_read_window(request))
        except ValueError as error:
            return _refuse(str(error))
        traffic = [exchange.as_json() for exchange in exchanges]
        return web.json_response({"traffic": traffic, "last_seq": self._state.counter})

    async def get_stats(self, request: web.Request) -> web.Response:
        return web.json_response(self._state.as_stats() | {"faults_struck": self._faults.struck})

    async def get_faults(self, request: web.Request) -> web.Response:
        return web.json_response(self._faults.as_json())

    async def put_faults(self, request: web.Request) -> web.Response:
        try:
            self._faults.replace(await _read_json(request))
        except (ValueError, FaultError) as error:
            return _refuse(str(error))
        self._state.wake_listeners()
        return web.json_response(self._faults.as_json())

    async def delete_faults(self, request: web.Request) -> web.Response:
        self._faults.replace({})
        self._state.wake_listeners()
        return web.Response(status=204)

    async def delete_state(self, request: web.Request) -> web.Response:
        # No text can come between these: it would be counted before the reset and its webhook after.
        dropped = self._deliverer.forget_all()
        self._faults.clear()
        self._state.reset()
        await dropped
        return web.Response(status=204)

    async def stream(self, request: web.Request) -> web.StreamResponse:
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
                await asyncio.sleep(STREAM_PAUSE_S)
                try:
                    await asyncio.wait_for(listener.wait(), STREAM_HEARTBEAT_S)
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
        if run == self._state.run and _is_whole(resets) and _is_whole(cursor):
            return int(cursor), int(resets)
        if _is_whole(after := request.query.get("after", "")):
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
        texts = [text for text in self._state.list_texts() if text.changed > cursor][-STREAM_FIRST_TEXTS:]
        exchanges = self._state.list_exchanges(after=cursor)[-STREAM_FIRST_EXCHANGES:]
        return [*texts, *exchanges]


async def _read_json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise ValueError("the body must be JSON") from error


def _read_window(request: web.Request) -> dict[str, int]:
    window = {}
    for name in ("after", "limit"):
        if (value := request.query.get(name)) is not None:
            if not _is_whole(value):
                raise ValueError(f"{name} must be a whole number")
            window[name] = int(value)
    return window


def _is_whole(value: str) -> bool:
    return value.isdecimal() and len(value) <= 18


def _check_text(wanted: Any) -> dict[str, Any]:
    """Check a text somebody wants to type on a handset; raises ValueError saying what is wrong."""
    if not isinstance(wanted, dict):
        raise ValueError("a text must be a JSON object")
    if unknown := [key for key in wanted if key not in _TEXT_KEYS]:
        raise ValueError(f"unknown key {unknown[0]!r}; there are {', '.join(sorted(_TEXT_KEYS))}")
    from_number, to_number, body = wanted.get("from"), wanted.get("to"), wanted.get("text")
    if not isinstance(from_number, str) or not _SENDER.fullmatch(from_number):
        raise ValueError("from must be a phone number with +, a short code or a sender's name")
    if not isinstance(to_number, str) or not PHONE_NUMBER.fullmatch(to_number):
        raise ValueError("to must be a phone number with +")
    if not isinstance(body, str):
        raise ValueError("text must be a string")
    copies, message_uuid = wanted.get("copies", 1), wanted.get("message_uuid")
    if type(copies) is not int or not 1 <= copies <= MOST_COPIES:
        raise ValueError(f"copies must be a whole number from 1 to {MOST_COPIES}")
    if message_uuid is not None and (not isinstance(message_uuid, str) or not message_uuid):
        raise ValueError("message_uuid must be a string")
    payload, sign = wanted.get("payload") or {}, wanted.get("sign", "good")
    if not isinstance(payload, dict):
        raise ValueError("payload must be an object whose keys replace those of the webhook")
    if sign not in ("good", "wrong", "none"):
        raise ValueError("sign must be good, wrong or none")
    return {
        "from_number": from_number,
        "to_number": to_number,
        "body": body,
        "copies": copies,
        "message_uuid": message_uuid,
        "payload": payload,
        "sign": sign,
    }


def _refuse(error: str) -> web.Response:
    return web.json_response({"error": error}, status=400)


def _format_event(event_id: str, name: str, data: dict[str, Any]) -> bytes:
    return f"id: {event_id}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
