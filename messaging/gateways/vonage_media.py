"""Fetch what somebody attached to an MMS, from Vonage's hosts and no others."""

import re
import time
from fnmatch import fnmatchcase
from urllib.parse import urljoin, urlsplit

import requests
from django.conf import settings
from urllib3.exceptions import HTTPError

from messaging.gateways import MediaError

_MAX_REDIRECTS = 3
_CHUNK_BYTES = 65_536
_CONNECT_SECONDS = 5
_READ_SECONDS = 10


def fetch_media(url: str, *, max_bytes: int, max_seconds: float) -> bytes:
    """Return the bytes behind a URL of an inbound MMS; raises MediaError.

    Our token goes along, since media may be secured, and so no host but Vonage's is ever asked.
    https://developer.vonage.com/en/messages/concepts/secure-inbound-media
    """
    from messaging.gateways.vonage import make_token  # messaging.gateways.vonage_client says why here

    deadline = time.monotonic() + max_seconds
    with requests.Session() as session:
        session.proxies = requests.utils.get_environ_proxies(url)
        session.trust_env = False
        for _ in range(1 + _MAX_REDIRECTS):
            _refuse_strange_host(url)
            try:
                with session.get(
                    url,
                    headers={"Authorization": f"Bearer {make_token()}"},
                    timeout=(_CONNECT_SECONDS, _READ_SECONDS),
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    if response.is_redirect:
                        url = urljoin(url, response.headers["Location"])
                        continue
                    _refuse_status(response.status_code)
                    return _read(response, max_bytes, deadline)
            except (requests.RequestException, HTTPError) as error:
                # Its text quotes the address, and nothing of it is chained.
                name = type(error).__name__
            raise MediaError("no_connection", f"The connection to Vonage failed: {name}.", again=True)
    raise MediaError("redirected", "The address redirects without end.", again=False)


def _refuse_strange_host(url: str) -> None:
    parts = urlsplit(url)
    if (parts.scheme, parts.netloc) == urlsplit(settings.VONAGE_API_URL)[:2]:
        return
    try:
        is_default_port = parts.port in (None, 443)
    except ValueError:
        is_default_port = False
    host = parts.hostname or ""
    known = any(fnmatchcase(host, pattern) for pattern in settings.VONAGE_MEDIA_HOSTS)
    if not (parts.scheme == "https" and is_default_port and known and re.fullmatch(r"[a-z0-9.-]+", parts.netloc)):
        raise MediaError("strange_host", "The address is not one of VONAGE_MEDIA_HOSTS.", again=False)


def _refuse_status(status: int) -> None:
    if status == 200:
        return
    # 404 may come early, before the file has reached the host that serves it; 401 and 403 until a setting is mended.
    again = status in (401, 403, 404, 408, 425, 429) or status >= 500
    raise MediaError(f"http_{status}", f"Vonage answered {status} instead of the file.", again=again)


def _read(response: requests.Response, max_bytes: int, deadline: float) -> bytes:
    too_large = MediaError("too_large", f"It is larger than {max_bytes / 1e6:g} MB.", again=False)
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    data = bytearray()
    # Whatever has come, and not a whole chunk: a host that sends byte by byte would hold us in one call for hours.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        data += chunk
        if len(data) > max_bytes:
            raise too_large
        if time.monotonic() > deadline:
            raise MediaError("too_slow", "Vonage sent the file too slowly.", again=True)
    is_short = announced.isdecimal() and len(data) < int(announced) and "Content-Encoding" not in response.headers
    if is_short or not data:
        raise MediaError("broken_off", "Vonage sent only a part of the file.", again=True)
    return bytes(data)
