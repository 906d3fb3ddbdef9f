"""The JSON API that tests and the page use to type texts, look at what happened and make things go wrong."""

from aiohttp import web
from yarl import URL

from simulator.account import Account
from simulator.carrier import Carrier
from simulator.fault_kinds import is_number
from simulator.faults import FaultError, FaultSet
from simulator.handsets import Handsets
from simulator.jsonapi import read_json, read_window, refuse
from simulator.media import MediaStore
from simulator.opt_outs import OptOuts
from simulator.settings import Settings
from simulator.state import State
from simulator.typed import read_typed
from simulator.webhooks import Deliverer

LONGEST_ADVANCE_S = 366 * 24 * 3600


class Control:
    """Answers /api/…; every error is 400 with `{"error": "what is wrong"}`."""

    def __init__(
        self,
        *,
        settings: Settings,
        state: State,
        faults: FaultSet,
        carrier: Carrier,
        handsets: Handsets,
        deliverer: Deliverer,
        store: MediaStore,
        opt_outs: OptOuts,
        account: Account,
    ) -> None:
        self._settings = settings
        self._state = state
        self._faults = faults
        self._carrier = carrier
        self._handsets = handsets
        self._deliverer = deliverer
        self._store = store
        self._opt_outs = opt_outs
        self._account = account

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
        router.add_get("/api/arrivals", self.get_arrivals)
        router.add_post("/api/clock", self.post_clock)

    async def answer_health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def get_settings(self, request: web.Request) -> web.Response:
        settings = self._settings
        return web.json_response(
            {
                "handsets": settings.handsets,
                "virtual_numbers": settings.virtual_numbers,
                "inbound_url": settings.inbound_url,
                "service_url": settings.service_url or str(URL(settings.inbound_url).origin()),
                "status_url": settings.status_url,
                "clock_scale": settings.clock_scale,
            }
        )

    async def post_text(self, request: web.Request) -> web.Response:
        try:
            typed = await read_typed(request)
        except ValueError as error:
            return refuse(str(error))
        origin = self._settings.media_url or str(request.url.origin())
        text = self._handsets.send(typed, media_origin=origin)
        return web.json_response({"message_uuid": text.message_uuid, "seq": text.seq}, status=201)

    async def get_texts(self, request: web.Request) -> web.Response:
        try:
            texts = self._state.list_texts(**read_window(request))
        except ValueError as error:
            return refuse(str(error))
        return web.json_response({"texts": [text.as_json() for text in texts], "last_seq": self._state.counter})

    async def get_traffic(self, request: web.Request) -> web.Response:
        try:
            exchanges = self._state.list_exchanges(**read_window(request))
        except ValueError as error:
            return refuse(str(error))
        traffic = [exchange.as_json() for exchange in exchanges]
        return web.json_response({"traffic": traffic, "last_seq": self._state.counter})

    async def get_stats(self, request: web.Request) -> web.Response:
        return web.json_response(self._state.as_stats() | {"faults_struck": self._faults.struck})

    async def get_arrivals(self, request: web.Request) -> web.Response:
        return web.json_response(self._carrier.arrivals.as_json())

    async def post_clock(self, request: web.Request) -> web.Response:
        try:
            body = await read_json(request)
        except ValueError as error:
            return refuse(str(error))
        seconds = body.get("advance_s") if isinstance(body, dict) else None
        if not is_number(seconds) or not 0 <= seconds <= LONGEST_ADVANCE_S:
            return refuse(f"advance_s must be a number of seconds from 0 to {LONGEST_ADVANCE_S}")
        self._store.advance(seconds)
        return web.Response(status=204)

    async def get_faults(self, request: web.Request) -> web.Response:
        return web.json_response(self._faults.as_json())

    async def put_faults(self, request: web.Request) -> web.Response:
        try:
            self._faults.replace(await read_json(request))
        except (ValueError, FaultError) as error:
            return refuse(str(error))
        self._state.wake_listeners()
        return web.json_response(self._faults.as_json())

    async def delete_faults(self, request: web.Request) -> web.Response:
        self._faults.replace({})
        self._state.wake_listeners()
        return web.Response(status=204)

    async def delete_state(self, request: web.Request) -> web.Response:
        # No text can come between these: it would be counted before the reset and its webhook after.
        fetches, dropped = self._carrier.forget_all(), self._deliverer.forget_all()
        self._faults.clear()
        self._store.clear()
        self._opt_outs.clear()
        self._account.reset()
        self._state.reset()
        await fetches
        await dropped
        return web.Response(status=204)
