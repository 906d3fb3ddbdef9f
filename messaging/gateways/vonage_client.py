"""Make a client of Vonage's SDK that asks once, follows nowhere and ends in time.

The SDK takes a fifth of the time in which web and worker start, and they hardly ever use it: nothing that they import
imports it before it is used.
"""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
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


def session_of(client: "Vonage") -> requests.Session:
    session: requests.Session = client.http_client._session
    return session


def was_never_connected(error: requests.exceptions.ConnectionError) -> bool:
    """Return whether there was no connection at all: refused, no route, or no such name."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


class _PlainHTTP(HTTPAdapter):
    """The SDK speaks https only; the simulator does not."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.url = "http://" + request.url.removeprefix("https://")
        return super().send(request, *args, **kwargs)
