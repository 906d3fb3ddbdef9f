"""Fetch the attachments of an MMS from the service as Vonage does, after the request was accepted."""

import time

import aiohttp
import phonenumbers
from yarl import URL

from simulator.media import MediaStore, name_kind
from simulator.records import Attachment, Text
from simulator.state import State

# https://developer.vonage.com/en/messages/concepts/mms: an attachment is at most 2 MB.
LARGEST_BYTES = 2_000_000
MOST_REDIRECTS = 5
FETCHES_AT_ONCE = 16
UNREACHABLE, TOO_LARGE, WRONG_TYPE = "1380", "1381", "1382"
_WRONG_SENDER, _WRONG_RECIPIENT = "1420", "1430"


class Fetcher:
    """Fetches what an MMS refers to, so that handsets can show it."""

    def __init__(self, *, state: State, store: MediaStore, timeout_s: float) -> None:
        self._state = state
        self._store = store
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=FETCHES_AT_ONCE, force_close=True),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch_all(self, text: Text) -> str | None:
        """Fetch every attachment of a text; return the code of the first error, or None."""
        for attachment in text.media:
            error_code = await self._fetch(attachment, text)
            self._state.touch_text(text)
            if error_code is not None:
                return error_code
        return None

    async def _fetch(self, attachment: Attachment, text: Text) -> str | None:
        started = time.perf_counter()
        status, content, content_type, error = await self._get(attachment.url)
        error_code = _judge(attachment.type, status, content, content_type, error)
        self._state.add_exchange(
            direction="fetch",
            kind="media",
            method="GET",
            url=attachment.url,
            status=status,
            ms=(time.perf_counter() - started) * 1000,
            body=b"",
            answer=b"" if error_code is None else f"rejected with {error_code}".encode(),
            error=error,
        )
        if error_code is None:
            name = URL(attachment.url).name
            media = self._store.keep(
                content=content,
                content_type=content_type,
                name=name,
                virtual_number=text.virtual_number,
                handset=text.handset,
            )
            attachment.name, attachment.content_type = name, content_type
            attachment.size, attachment.media_id = len(content), media.id
        return error_code

    async def _get(self, url: str) -> tuple[int | None, bytes, str, str | None]:
        """Return status, content (one byte more than is allowed when it is larger), its type, and an error."""
        assert self._session is not None
        try:
            async with self._session.get(URL(url), max_redirects=MOST_REDIRECTS) as response:
                content = bytearray()
                async for piece in response.content.iter_chunked(65_536):
                    content += piece
                    if len(content) > LARGEST_BYTES:
                        break
                return response.status, bytes(content[: LARGEST_BYTES + 1]), response.content_type, None
        except TimeoutError:
            return None, b"", "", "no answer in time"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return None, b"", "", type(error).__name__


def find_route_error(text: Text) -> str | None:
    """Say why an MMS cannot travel between two numbers: it exists in the USA and Canada only; None when it can."""
    if not text.virtual_number.startswith("+1") and not (
        text.virtual_number.isdigit() and len(text.virtual_number) < 7
    ):
        return _WRONG_SENDER
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(text.handset))
    except phonenumbers.NumberParseException:
        return _WRONG_RECIPIENT
    return None if region in ("US", "CA") else _WRONG_RECIPIENT


def _judge(kind: str, status: int | None, content: bytes, content_type: str, error: str | None) -> str | None:
    if error is not None or status is None or not 200 <= status < 300:
        return UNREACHABLE
    if len(content) > LARGEST_BYTES:
        return TOO_LARGE
    # A file may be of any type.
    return None if kind in ("file", name_kind(content_type)) else WRONG_TYPE
