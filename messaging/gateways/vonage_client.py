"""Make a client of Vonage's SDK that asks once, follows nowhere and ends in time.

The SDK takes a fifth of the time in which web and worker start, and they hardly ever use it: nothing that they import
imports it before it is used.
"""

import json as json_module
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import NewConnectionError

if TYPE_CHECKING:
    from vonage import Auth, Vonage


def make_client(auth: "Auth", *, url: str, timeout_seconds: int) -> "Vonage":
    """Return a client of the API at `url`, for one thread and one way to authenticate.

    The SDK keeps the headers of the last request: shared, it sends one API the credentials of another.
    """
    from vonage import HttpClientOptions, Vonage

    host = urlsplit(url)
    client = Vonage(
        auth,
        HttpClientOptions(
            api_host=host.netloc,
            rest_host=host.netloc,
            timeout=timeout_seconds,
            # The SDK repeats a POST once for each connection its pool may hold: one connection, one POST.
            pool_connections=1,
            pool_maxsize=1,
            max_retries=0,
        ),
    )
    session = session_of(client)
    # A redirected POST comes out as a GET whose answer looks like success.
    session.max_redirects = 0
    # Read the proxy settings once, not at every request.
    session.proxies = requests.utils.get_environ_proxies(url)
    session.trust_env = False
    if host.scheme == "http":
        session.mount(f"https://{host.netloc}", _PlainHTTP(pool_connections=1, pool_maxsize=1, max_retries=0))
    return client


def hasten(client: "Vonage", *, url: str) -> "LeanSession":
    """Put a LeanSession in the place of the session of a client of the API at `url`, and return it."""
    client.http_client._session = session = LeanSession(url)
    return session


def session_of(client: "Vonage") -> requests.Session:
    session: requests.Session = client.http_client._session
    return session


def was_never_connected(error: requests.exceptions.ConnectionError) -> bool:
    """Return whether there was no connection at all: refused, no route, or no such name."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


class Redirected(Exception):
    """The answer is a redirect, which is not followed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the SDK reads of an answer, and `explain_answer` after it."""

    url: str
    status_code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        return json_module.loads(self.content)

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class LeanSession:
    """Stands in for a client's `requests.Session` where one kind of request goes to one host, again and again.

    What requests finds out anew for each takes twice as long as to send it: proxy, TLS and which connection. Here it
    finds that out once, and each request is left to urllib3. Raises urllib3's errors, and Redirected.
    """

    def __init__(self, url: str) -> None:
        host = urlsplit(url)
        # What the SDK makes of the host.
        self._prefix = f"https://{host.netloc}"
        self._request = requests.Request("POST", f"{host.scheme}://{host.netloc}/").prepare()
        self._proxies = requests.utils.get_environ_proxies(url)
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1)
        self._connect()

    def request(
        self, *, method: str, url: str, headers: Mapping[str, str], timeout: float, json: dict[str, Any]
    ) -> Answer:
        """Send a request once, and return the answer to it, whatever its status."""
        response = self._pool.urlopen(
            method,
            self._target + url.removeprefix(self._prefix),
            json_module.dumps(json).encode(),
            headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=timeout,
        )
        if response.get_redirect_location():
            raise Redirected
        return Answer(url, response.status, response.headers, response.data)

    def hang_up(self) -> None:
        """Close the connection; the next request makes another."""
        self._adapter.close()
        self._connect()

    def _connect(self) -> None:
        pool = self._adapter.get_connection_with_tls_context(self._request, verify=True, proxies=self._proxies)
        assert isinstance(pool, HTTPConnectionPool)  # also for https, and for any proxy
        self._pool = pool
        self._adapter.cert_verify(self._pool, self._request.url, verify=True, cert=None)
        # Through a proxy for plain http the whole address is asked for, else what follows the host.
        self._target = self._adapter.request_url(self._request, self._proxies).removesuffix("/")


class _PlainHTTP(HTTPAdapter):
    """The SDK speaks https only; the simulator does not."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.url = "http://" + request.url.removeprefix("https://")
        return super().send(request, *args, **kwargs)
