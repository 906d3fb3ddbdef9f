"""Drive the simulator through its control API: handsets, faults and what has become of texts."""

import json
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

_open = build_opener(ProxyHandler({})).open


class Carrier:
    """The simulator at `url`, which nobody kills."""

    def __init__(self, url: str) -> None:
        self._url = url

    def text(self, *, from_number: str, to_number: str, body: str) -> str:
        """Type a text on a handset, and return the carrier's id of it."""
        typed = self._call("POST", "/api/texts", {"from": from_number, "to": to_number, "text": body})
        return str(typed["message_uuid"])

    def texts(self) -> list[dict[str, Any]]:
        """Return every text in both directions, oldest first."""
        found: list[dict[str, Any]] = self._call("GET", "/api/texts")["texts"]
        return found

    def set_faults(self, faults: dict[str, Any]) -> None:
        """Put these faults in the place of all others."""
        self._call("PUT", "/api/faults", faults)

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET", "/api/stats")
        return found

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, data=data, method=method, headers={"Content-Type": "application/json"})
        with _open(request, timeout=60) as response:
            answer = response.read()
        return json.loads(answer) if answer else None
