"""Fetch what a platform wants to go with its texts, from the public internet."""

import time
from urllib.parse import urljoin

from messaging.gateways import MediaError
from proxy_project import public_http

_MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
# What is compressed could unpack to gigabytes: it is not asked for, and not taken.
_HEADERS = {"Accept": "image/*, audio/*, video/*, */*;q=0.5", "Accept-Encoding": "identity"}


def fetch_public_media(url: str, *, max_bytes: int, max_seconds: float) -> bytes:
    """Return the bytes behind a URL that a platform gave; raises MediaError.

    No host within our own network is called, whatever the URL, a redirect or the DNS says (proxy_project.public_http).
    """
    deadline = time.monotonic() + max_seconds
    for _ in range(1 + _MAX_REDIRECTS):
        try:
            seconds_left = deadline - time.monotonic()
            answer = public_http.get(url, timeout_seconds=seconds_left, max_bytes=max_bytes, headers=_HEADERS)
        except public_http.NotPublic as error:
            raise MediaError("not_public", str(error), again=False) from None
        except public_http.TooLarge:
            raise MediaError("too_large", f"It is larger than {max_bytes / 1e6:g} MB.", again=False) from None
        except public_http.NoAnswer as error:
            raise MediaError("no_connection", str(error), again=True) from None
        if answer.status in _REDIRECTS and "location" in answer.headers:
            url = urljoin(url, answer.headers["location"])
            continue
        if answer.status != 200:
            again = answer.status in (404, 408, 425, 429) or answer.status >= 500
            raise MediaError(
                f"http_{answer.status}",
                f"The platform's host answered {answer.status} instead of the file.",
                again=again,
            )
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise MediaError("compressed", "The platform's host sent it compressed, unasked.", again=False)
        if not answer.body:
            raise MediaError("empty", "The platform's host answered with an empty file.", again=True)
        return answer.body
    raise MediaError("redirected", "The address redirects without end.", again=False)
