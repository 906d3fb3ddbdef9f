"""How gunicorn's workers speak HTTP: uvicorn's, with what it needs to know of this service."""

from typing import Any

from uvicorn_worker import UvicornWorker


class WebWorker(UvicornWorker):
    """An event loop, which reads requests and runs what is plain of them, before the threads that Django runs in."""

    CONFIG_KWARGS: dict[str, Any] = {
        "loop": "uvloop",
        # llhttp, which is strict about what smuggles requests, and takes a tenth of the time of gunicorn's own parser.
        "http": "httptools",
        "ws": "none",
        "lifespan": "on",
        # Who a request comes from is decided by TRUSTED_PROXIES, from what the socket says and the header.
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config.timeout_graceful_shutdown = self.cfg.graceful_timeout
