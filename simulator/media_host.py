"""The host from which the service fetches attachments, with every way in which such a host goes wrong."""

import asyncio
import time
from functools import partial

from aiohttp import web

from simulator.connections import hang_up, write_unchecked
from simulator.faults import FaultSet
from simulator.media import Media, MediaStore
from simulator.state import State
from simulator.tokens import TokenChecker
from simulator.wire import make_problem

MEDIA_PATH = "/v3/media/"
LONGEST_SILENCE_S = 600
_DRIPS_PER_S = 10
# An attachment is somebody's: looked at in a tab of its own it must not run as part of this page.
_LOCKED_UP = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=3600",
}


class MediaHost:
    """Answers GET /v3/media/ID as Vonage does, and GET /api/media/ID for the page and for tests."""

    def __init__(self, *, state: State, faults: FaultSet, store: MediaStore, tokens: TokenChecker) -> None:
        self._state = state
        self._faults = faults
        self._store = store
        self._tokens = tokens

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(MEDIA_PATH + "{id}", self.answer)
        router.add_get("/api/media/{id}", self.show)

    async def show(self, request: web.Request) -> web.Response:
        """Show what an attachment holds, whatever the faults are and however old it is."""
        media = self._store.find(request.match_info["id"])
        if media is None:
            return web.json_response({"error": "there is no such attachment, or it was dropped"}, status=404)
        return web.Response(body=media.content, headers=_LOCKED_UP | {"Content-Type": media.content_type})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as Vonage's media host, and note the exchange."""
        started = time.perf_counter()
        status: int | None = None
        error: str | None = "the caller hung up"
        try:
            response, error = await self._answer(request, self._store.find(request.match_info["id"]))
            status = response.status if error is None else None
        finally:
            self._state.add_exchange(
                direction="request",
                kind="media",
                method=request.method,
                url=request.path,
                status=status,
                ms=(time.perf_counter() - started) * 1000,
                body=b"",
                error=error,
            )
        return response

    async def _answer(self, request: web.Request, media: Media | None) -> tuple[web.StreamResponse, str | None]:
        """Return the answer, and what went wrong with it when it was cut off."""
        numbers = (media.virtual_number, media.handset) if media is not None else ("", "")
        strike = partial(self._faults.strike, virtual_number=numbers[0], handset=numbers[1])
        if (options := strike("media_respond_with")) is not None:
            return _refuse(options["status"]), None
        if strike("media_timeout") is not None:
            await asyncio.sleep(LONGEST_SILENCE_S)
            return hang_up(request), "no answer"
        if self._faults.look_up("secure_media", *numbers) is not None and not self._tokens.check(
            request.headers.get("Authorization"), time.time()
        ):
            strike("secure_media")
            return _refuse(401), None
        if media is None or self._store.is_expired(media):
            return _refuse(404), None
        if (options := strike("media_redirect")) is not None:
            return web.Response(status=302, headers={"Location": options["to"]}), None
        content_type = (strike("media_content_type") or {"value": media.content_type})["value"]
        if (options := strike("media_drop_halfway")) is not None:
            half = media.content[: len(media.content) // 2]
            write_unchecked(request, content_type=content_type, announced=len(media.content), content=half)
            return hang_up(request, reset=options["reset"]), "dropped halfway"
        if (options := strike("media_larger")) is not None:
            padded = media.content.ljust(options["bytes"], b"\0")
            announced = {"original": len(media.content), "all": len(padded), "nothing": None}[options["announced"]]
            write_unchecked(request, content_type=content_type, announced=announced, content=padded)
            return hang_up(request), None
        if (options := strike("media_drip")) is not None:
            return await _drip(request, content_type, media.content, options["bytes_per_s"]), None
        return web.Response(body=media.content, headers={"Content-Type": content_type}), None


def _refuse(status: int) -> web.Response:
    return web.Response(status=status, body=make_problem(status), content_type="application/problem+json")


async def _drip(request: web.Request, content_type: str, content: bytes, bytes_per_s: float) -> web.StreamResponse:
    """Answer so many bytes a second."""
    response = web.StreamResponse(headers={"Content-Type": content_type, "Content-Length": str(len(content))})
    await response.prepare(request)
    size = max(1, int(bytes_per_s / _DRIPS_PER_S))
    for start in range(0, len(content), size):
        await response.write(content[start : start + size])
        await asyncio.sleep(size / bytes_per_s)
    return response
