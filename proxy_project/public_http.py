"""Call URLs that others gave us: only hosts on the public internet, in bounded time, with bounded answers.

What is connected to is exactly the address that was checked: aiohttp asks `_PublicResolver` for addresses and
`_open_socket` for each socket, so that a name that resolves differently the next time (DNS rebinding) gains nothing.
Certificates are checked for the host name. Redirects are not followed, and no proxy of the environment is used.
docs/decisions/0014-events.md
"""

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from django.conf import settings
from yarl import URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Python's `is_global` lacks some of them, depending on its version.
# https://www.iana.org/assignments/iana-ipv4-special-registry
# https://www.iana.org/assignments/iana-ipv6-special-registry
_NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # carrier-grade NAT
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # the host of a virtual machine on Azure, public by its number only
        "64:ff9b:1::/48",  # NAT64 within a network
        "2001::/23",  # protocol assignments, Teredo among them
        "3fff::/20",  # documentation
    )
]
_IPV6_IN_USE = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# A resolver of the system may try for half a minute.
RESOLVE_SECONDS = 3.0
_HEADERS = {"User-Agent": "masked-texting"}


class PublicHttpError(Exception):
    """A URL was not called, or gave no answer; the message says why, and names no address of our network."""


class NotPublic(PublicHttpError):
    """The URL is none that may be called: not https, or of a host that is not on the public internet."""


class NoAnswer(PublicHttpError):
    """The host cannot be found or reached, has no valid certificate, or did not answer in time."""


class TooLarge(PublicHttpError):
    """The answer is larger than was allowed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host answered; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def check_form(url: str) -> None:
    """Raise NotPublic unless `url` is one of those that may be called, if its host is public; asks nobody."""
    _parse(url)


def check_url(url: str) -> None:
    """Raise NotPublic unless `url` may be called as its name resolves now, and NoAnswer when it does not resolve.

    It takes up to RESOLVE_SECONDS: not to be called within a transaction.
    """
    parsed = _parse(url)
    for address in _resolve(parsed.host or "", parsed.port):
        _require_public(address)


def get(url: str, *, timeout_seconds: float, max_bytes: int, headers: Mapping[str, str] | None = None) -> Answer:
    """GET `url` and return the answer, whatever its status; all of it within `timeout_seconds`.

    Raises NotPublic, NoAnswer and TooLarge. Not to be called where an event loop runs: use `request` there.
    """
    return asyncio.run(_request_once("GET", url, timeout_seconds, max_bytes, None, headers))


def post(
    url: str, *, body: bytes, timeout_seconds: float, max_bytes: int, headers: Mapping[str, str] | None = None
) -> Answer:
    """POST `body` to `url` and return the answer, like `get`."""
    return asyncio.run(_request_once("POST", url, timeout_seconds, max_bytes, body, headers))


@asynccontextmanager
async def open_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Return a session for `request`, which keeps connections open for the next request to the same host."""
    connector = aiohttp.TCPConnector(
        resolver=_PublicResolver(), socket_factory=_open_socket, use_dns_cache=False, ssl=_tls(), limit=0
    )
    async with aiohttp.ClientSession(
        connector=connector,
        trust_env=False,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        headers=_HEADERS,
    ) as session:
        yield session


async def request(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    timeout_seconds: float,
    max_bytes: int | None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Call `url` within a session of `open_session`; see `get`. Without `max_bytes`, no body is read."""
    parsed = _parse(url)
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            session.request(method, parsed, data=body, headers=headers, allow_redirects=False) as response,
        ):
            return Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=b"" if max_bytes is None else await _read(response, max_bytes),
            )
    except TimeoutError:
        raise NoAnswer(f"It did not answer within {timeout_seconds:g} seconds.") from None
    except aiohttp.ClientConnectorCertificateError:
        raise NoAnswer("Its TLS certificate is not valid for this host name.") from None
    except aiohttp.ClientSSLError:
        raise NoAnswer("It does not speak TLS as it should.") from None
    except aiohttp.ClientConnectorDNSError:
        raise NoAnswer("The host name cannot be resolved.") from None
    except aiohttp.InvalidURL:
        raise NotPublic("The URL is not valid.") from None
    except aiohttp.ClientConnectorError:
        raise NoAnswer("It cannot be connected to.") from None
    except (aiohttp.ClientError, OSError, ValueError):
        raise NoAnswer("It closed the connection, or did not answer in HTTP.") from None


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet, also when it is an IPv4 address within an IPv6 one."""
    try:
        ip: Address = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if inner := ip.ipv4_mapped or ip.sixtofour:
            return is_public(str(inner))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip.scope_id or ip not in _IPV6_IN_USE:
            return False
    if ip.is_multicast or ip.is_reserved or not ip.is_global:
        return False
    return not any(ip in network for network in _NOT_PUBLIC if network.version == ip.version)


async def _request_once(
    method: str,
    url: str,
    timeout_seconds: float,
    max_bytes: int,
    body: bytes | None,
    headers: Mapping[str, str] | None,
) -> Answer:
    async with open_session() as session:
        return await request(
            session, method, url, timeout_seconds=timeout_seconds, max_bytes=max_bytes, body=body, headers=headers
        )


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            # Not read to its end: the connection cannot be used again.
            response.close()
            raise TooLarge(f"Its answer is larger than {max_bytes} bytes.")
    return bytes(body)


def _resolve(host: str, port: int | None) -> list[str]:
    """Return the addresses of a host. Raises NoAnswer, also when they are not known in time."""
    found: list[str] = []
    failed: list[Exception] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(str(address[0]) for *_, address in answers)
        except (OSError, UnicodeError) as error:
            failed.append(error)

    # Nothing ends it early; a thread of its own delays neither the caller nor the end of the process.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(RESOLVE_SECONDS)
    if thread.is_alive():
        raise NoAnswer(f"The host name was not resolved within {RESOLVE_SECONDS:g} seconds. Try again later.")
    if failed:
        raise NoAnswer("The host name cannot be resolved.")
    return found


def _parse(url: str) -> URL:
    """Return the URL as aiohttp will read it, so that nobody is shown one host and connected to another."""
    try:
        parsed = URL(url)
        port = parsed.port
    except ValueError:
        raise NotPublic("The URL is not valid.") from None
    schemes = ("https", "http") if settings.ALLOW_PRIVATE_ENDPOINTS else ("https",)
    if parsed.scheme not in schemes or not parsed.host or not port:
        raise NotPublic("The URL must begin with https:// and name a host.")
    if parsed.user is not None or parsed.password is not None:
        raise NotPublic("The URL must not hold a user name or password.")
    return parsed


def _require_public(address: str) -> None:
    if not (settings.ALLOW_PRIVATE_ENDPOINTS or is_public(address)):
        raise NotPublic("Its host is not on the public internet.")


class _PublicResolver(AbstractResolver):
    """Resolves names, and refuses one of whose addresses any is not public."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            _require_public(each["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _open_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """Make the socket for one address, the last moment to refuse it; one that stands in the URL comes only here."""
    family, kind, protocol, _, address = address_info
    _require_public(str(address[0]))
    return socket.socket(family=family, type=kind, proto=protocol)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
