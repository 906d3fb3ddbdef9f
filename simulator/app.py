"""Put the simulator together: the carrier, the control API and the page, in one HTTP server."""

from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from simulator import carrier
from simulator.account import Account
from simulator.carrier import Carrier
from simulator.control import Control
from simulator.faults import FaultSet
from simulator.fetching import Fetcher
from simulator.handsets import Handsets
from simulator.media import MediaStore
from simulator.media_host import MediaHost
from simulator.opt_outs import OptOuts
from simulator.receipts import Receipts
from simulator.settings import Settings
from simulator.state import State
from simulator.stream import Stream
from simulator.tokens import TokenChecker, WebhookSigner
from simulator.webhooks import Deliverer
from simulator.wire import make_problem

_STATIC = Path(__file__).parent / "static"
# Attachments come as base64 in JSON.
_LARGEST_BODY = 32 * 1024 * 1024
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def make_app(settings: Settings) -> web.Application:
    """Make the application; it starts and stops its own webhook deliveries."""
    state = State(keep_texts=settings.keep_texts)
    faults = FaultSet()
    signer = WebhookSigner(
        api_key=settings.api_key, application_id=settings.application_id, secret=settings.signature_secret
    )
    deliverer = Deliverer(
        state=state,
        faults=faults,
        signer=signer,
        clock_scale=settings.clock_scale,
        connections=settings.webhook_connections,
        timeout_s=settings.webhook_timeout_s,
    )
    tokens = TokenChecker(
        public_key=settings.public_key,
        application_id=settings.application_id,
        api_key=settings.api_key,
        api_secret=settings.api_secret,
    )
    opt_outs = OptOuts()
    store = MediaStore(clock_scale=settings.clock_scale)
    fetcher = Fetcher(state=state, store=store, timeout_s=settings.webhook_timeout_s)
    receipts = Receipts(settings=settings, faults=faults, deliverer=deliverer)
    sender = Carrier(state=state, faults=faults, tokens=tokens, receipts=receipts, fetcher=fetcher, opt_outs=opt_outs)
    handsets = Handsets(
        settings=settings, state=state, faults=faults, deliverer=deliverer, store=store, opt_outs=opt_outs
    )
    account = Account(settings)
    control = Control(
        settings=settings,
        state=state,
        faults=faults,
        carrier=sender,
        handsets=handsets,
        deliverer=deliverer,
        store=store,
        opt_outs=opt_outs,
        account=account,
    )

    async def start(app: web.Application) -> None:
        await deliverer.start()
        await fetcher.start()

    async def stop(app: web.Application) -> None:
        await sender.forget_all()
        await fetcher.stop()
        await deliverer.stop()

    app = web.Application(client_max_size=_LARGEST_BODY)
    app.router.add_post(carrier.PATH, sender.answer_send)
    account.add_routes(app.router)
    control.add_routes(app.router)
    MediaHost(state=state, faults=faults, store=store, tokens=tokens).add_routes(app.router)
    app.router.add_get("/api/stream", Stream(state=state, faults=faults).answer)
    app.router.add_get("/", _serve_file(_STATIC / "index.html"))
    for path in sorted(_STATIC.iterdir()):
        app.router.add_get(f"/static/{path.name}", _serve_file(path))
    app.router.add_route("*", "/{tail:.*}", _answer_not_found)
    app.on_startup.append(start)
    app.on_cleanup.append(stop)
    return app


def _serve_file(path: Path) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(path, headers=_PAGE_HEADERS)

    return serve


async def _answer_not_found(request: web.Request) -> web.Response:
    return web.Response(status=404, body=make_problem(404), content_type="application/problem+json")
