"""A client of the masked texting API: Python 3.11 or newer, and nothing to install. Copy it and make it yours.

    texting = Texting("https://texting.example.com", api_key="…")
    chat = texting.start_chat([{"phone_number": "+14155550123", "name": "Sara"}, …], reference="booking-8812")

Requests that were not answered, or answered 429 or 5xx, are sent again: every POST and PATCH has an Idempotency-Key, so
that a repeat has its effect once.
"""

import json
import random
import time
import uuid
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

# For longer than that, such as when the chats of a day are used up, the caller decides.
LONGEST_WAIT_SECONDS = 60
Json = dict[str, Any]


class TextingError(Exception):
    """The request did not succeed. `code` is for programs, `detail` for people; `errors` has all of them."""

    def __init__(self, status: int | None, errors: list[Json]) -> None:
        self.status = status
        self.errors = errors
        self.code: str = errors[0]["code"]
        self.detail: str = errors[0]["detail"]
        self.attr: str | None = errors[0].get("attr")
        super().__init__(f"{status}: " + "; ".join(f"{error['code']}: {error['detail']}" for error in errors))


class NotAllowed(TextingError):
    """401, 403: the API key is wrong, or may only read."""


class NotFound(TextingError):
    """404: there is none of yours with this id."""


class Conflict(TextingError):
    """409: what is there already stands against it; `code` says what."""


class Throttled(TextingError):
    """429: a limit of your platform is used up, and was still after all attempts."""


class Unavailable(TextingError):
    """No answer, or 5xx, after all attempts: send the same request again later, with its Idempotency-Key."""


_BY_STATUS = {401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict, 429: Throttled}


class Texting:
    """The API as one platform calls it. It may be shared by threads."""

    def __init__(self, url: str, *, api_key: str, timeout: float = 10, attempts: int = 5) -> None:
        self.url = url.rstrip("/")
        self.api_key = api_key
        self.timeout = timeout
        self.attempts = attempts

    def start_chat(self, participants: list[Json], **fields: Any) -> Json:
        """Start a chat of two people; `fields` as in the API: reference, starts_at, expires_at, metadata and others."""
        return self.call("POST", "/chats", {"participants": participants, **fields})

    def get_chat(self, chat_id: str) -> Json:
        return self.call("GET", f"/chats/{chat_id}")

    def list_chats(self, **filters: Any) -> Iterator[Json]:
        return self.read_pages("/chats", **filters)

    def list_messages(self, chat_id: str) -> Iterator[Json]:
        return self.read_pages(f"/chats/{chat_id}/messages")

    def change_chat(self, chat_id: str, **changes: Any) -> Json:
        return self.call("PATCH", f"/chats/{chat_id}", changes)

    def end_chat(self, chat_id: str, **fields: Any) -> Json:
        return self.call("POST", f"/chats/{chat_id}/end", fields)

    def reopen_chat(self, chat_id: str, **fields: Any) -> Json:
        return self.call("POST", f"/chats/{chat_id}/reopen", fields)

    def replace_participant(self, chat_id: str, participant_id: str, **person: Any) -> Json:
        return self.call("POST", f"/chats/{chat_id}/participants/{participant_id}/replace", person)

    def list_events(self, *, after: str | None = None) -> Iterator[Json]:
        """Yield your events, oldest first, from the one after the event `after`."""
        has_more = True
        while has_more:
            page = self.call("GET", "/events?" + urlencode({"limit": 200, **({"after": after} if after else {})}))
            yield from page["results"]
            has_more = page["has_more"]
            after = page["results"][-1]["id"] if page["results"] else after

    def read_pages(self, path: str, **parameters: Any) -> Iterator[Json]:
        """Yield the results of all pages. They stay where they are while rows are added."""
        query = urlencode(parameters)
        while True:
            page = self.call("GET", f"{path}?{query}")
            yield from page["results"]
            if not page["next"]:
                return
            # Of the link only the cursor is taken: the key is sent to no other host than ours.
            query = urlsplit(page["next"]).query

    def call(self, method: str, path: str, body: Json | None = None, *, idempotency_key: str | None = None) -> Any:
        """Send a request, and again while that may help; raises TextingError."""
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        if method in ("POST", "PATCH"):
            headers["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(1, self.attempts + 1):
            try:
                request = Request(self.url + path, data=data, method=method, headers=headers)
                with urlopen(request, timeout=self.timeout) as response:
                    return json.loads(response.read() or "null")
            except HTTPError as answer:
                error, retry_after = _read_error(answer)
                if answer.code != 429 and answer.code < 500 and error.code != "idempotency_key_in_use":
                    raise error from None
            except (OSError, HTTPException) as broken:
                error, retry_after = Unavailable(None, [{"code": "no_answer", "detail": str(broken)}]), None
            if attempt == self.attempts or (retry_after or 0) > LONGEST_WAIT_SECONDS:
                raise error
            time.sleep(retry_after or min(30, 2**attempt / 4) * random.uniform(0.5, 1))
        raise ValueError("attempts must be at least 1")


def _read_error(answer: HTTPError) -> tuple[TextingError, float | None]:
    try:
        with answer:
            errors = json.loads(answer.read())["errors"]
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        # A proxy in between has answered.
        errors = [{"code": "error", "detail": answer.reason}]
    kind = Unavailable if answer.code >= 500 else _BY_STATUS.get(answer.code, TextingError)
    retry_after = answer.headers.get("Retry-After", "")
    return kind(answer.code, errors), float(retry_after) if retry_after.isdecimal() else None
