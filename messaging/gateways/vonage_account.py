"""Vonage's APIs for what an account owns: its numbers, its balance, its application.

https://developer.vonage.com/en/api/numbers, https://developer.vonage.com/en/api/developer/account and
https://developer.vonage.com/en/api/application.v2
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import requests
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from django.conf import settings

from messaging.gateways import AccountError, Balance, OwnedNumber
from messaging.gateways.vonage_client import make_client, was_never_connected

if TYPE_CHECKING:
    from vonage_numbers.responses import OwnedNumber as NumberOfVonage

PAGE_SIZE = 100
NO_SECRET = "Set VONAGE_API_SECRET: without it the numbers, the balance and the application cannot be asked for."

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """Where an application sends its webhooks, and how; "" when it is not set."""

    address: str
    method: str


@dataclass(frozen=True, slots=True)
class Application:
    """What Vonage knows of an application. `messages` is whether it has the Messages capability.

    `media_is_secured` says whether only the application itself can fetch pictures that people sent.
    """

    name: str
    public_key: str
    messages: bool
    inbound: WebhookUrl
    status: WebhookUrl
    media_is_secured: bool


class VonageAccount:
    """Asks with VONAGE_API_KEY and VONAGE_API_SECRET. Not for use by two threads at once.

    Every method raises AccountError, from which nothing leaks.
    """

    def __init__(self) -> None:
        if not settings.VONAGE_API_SECRET:
            raise AccountError("no_api_secret", NO_SECRET, again=False)
        from vonage import Auth

        auth = Auth(api_key=settings.VONAGE_API_KEY, api_secret=settings.VONAGE_API_SECRET)
        timeout = settings.SEND_TIMEOUT_SECONDS
        self._rest = make_client(auth, url=settings.VONAGE_REST_URL, timeout_seconds=timeout)
        self._api = make_client(auth, url=settings.VONAGE_API_URL, timeout_seconds=timeout)

    def list_numbers(self) -> list[OwnedNumber]:
        """Return all numbers of the account that can be texted, from as many pages as there are.

        An account that changes while it is read is not what any of the pages says: that is an AccountError too.
        """
        from vonage_numbers import ListOwnedNumbersFilter

        found: dict[tuple[str, str], OwnedNumber | None] = {}
        counts = set()
        page: int | None = 1
        while page is not None:
            read = partial(self._rest.numbers.list_owned_numbers, ListOwnedNumbersFilter(size=PAGE_SIZE, index=page))
            numbers, count, page = _ask("VONAGE_REST_URL", read)
            before = len(found)
            found |= {(number.country or "", number.msisdn or ""): _read_number(number) for number in numbers}
            counts.add(count)
            if len(found) == before:
                break
        if counts != {len(found)}:
            raise AccountError("answer_incomplete", "The pages of the account's numbers do not add up.", again=True)
        return [number for number in found.values() if number]

    def read_balance(self) -> Balance:
        value = _ask("VONAGE_REST_URL", self._rest.account.get_balance).value
        if not math.isfinite(value) or abs(value) >= 10**9:
            raise _unreadable("VONAGE_REST_URL")
        # Vonage bills in nothing else.
        return Balance(amount=Decimal(str(value)).quantize(Decimal("0.0001")), currency="EUR")

    def read_application(self) -> Application | None:
        """Return the application of VONAGE_APPLICATION_ID; None when the account has no such."""
        # Not by the SDK's model: it raises when a webhook's method is not POST, which is what has to be told.
        http, path = self._api.http_client, f"/v2/applications/{quote(settings.VONAGE_APPLICATION_ID, safe='')}"
        try:
            answer = _ask("VONAGE_API_URL", lambda: http.get(http.api_host, path, None, "basic"))
        except AccountError as error:
            if error.code == "404":
                return None
            raise
        if not isinstance(answer, dict) or "id" not in answer:
            raise _unreadable("VONAGE_API_URL")
        capabilities = _part(answer, "capabilities")
        messages = _part(capabilities, "messages")
        webhooks = _part(messages, "webhooks")
        return Application(
            name=_text(answer, "name"),
            public_key=_text(_part(answer, "keys"), "public_key"),
            messages="messages" in capabilities,
            inbound=_read_url(_part(webhooks, "inbound_url")),
            status=_read_url(_part(webhooks, "status_url")),
            media_is_secured=messages.get("authenticate_inbound_media") is True,
        )


def fits_private_key(public_key: str) -> bool | None:
    """Return whether VONAGE_PRIVATE_KEY is the other half of `public_key`; None when one of them cannot be read."""
    try:
        ours: Any = load_pem_private_key(settings.VONAGE_PRIVATE_KEY.encode(), None)
        theirs: Any = load_pem_public_key(public_key.encode())
        return bool(ours.public_key().public_numbers() == theirs.public_numbers())
    except (ValueError, TypeError, AttributeError):
        return None


def _read_number(number: "NumberOfVonage") -> OwnedNumber | None:
    """Return a number in our words; None for a short code, which is not E.164."""
    if not re.fullmatch(r"[1-9][0-9]{6,14}", number.msisdn or "", re.ASCII):
        return None
    features = {feature.upper() for feature in number.features or ()}
    return OwnedNumber(
        number=f"+{number.msisdn}",
        country=(number.country or "").upper(),
        can_sms="SMS" in features,
        can_mms="MMS" in features,
        application_id=number.app_id or number.messages_callback_value or "",
    )


def _ask(setting: str, request: Callable[[], _Answer]) -> _Answer:
    error = None
    try:
        return request()
    except Exception as raised:
        # What the SDK raises carries the request, with the secret, and quotes numbers. Nothing of it is chained.
        error = _explain(raised, setting)
    raise error


def _explain(error: Exception, setting: str) -> AccountError:
    from vonage_http_client.errors import HttpRequestError

    match error:
        case HttpRequestError():
            return _explain_status(error.response.status_code, setting)
        case requests.exceptions.Timeout():
            return AccountError("timeout", "Vonage did not answer in time.", again=True)
        case requests.exceptions.SSLError() | requests.exceptions.ProxyError():
            return AccountError("no_connection", "No secure connection to Vonage could be made.", again=True)
        case requests.exceptions.TooManyRedirects():
            return AccountError("redirected", f"{setting} answers with a redirect; is it right?", again=False)
        case requests.exceptions.ConnectionError() if was_never_connected(error):
            return AccountError("no_connection", f"Vonage could not be reached at {setting}.", again=True)
        case requests.exceptions.RequestException():
            return AccountError("answer_lost", "The connection was lost before Vonage answered.", again=True)
        case _:
            return _unreadable(setting)


def _explain_status(status: int, setting: str) -> AccountError:
    code = str(status)
    match status:
        case 401 | 403 | 420:
            return AccountError(
                code, "Vonage refused VONAGE_API_KEY and VONAGE_API_SECRET: copy both from API Settings.", again=False
            )
        case 404 | 405:
            return AccountError(code, f"There is no such thing at {setting}; is it right?", again=False)
        case 408 | 425 | 429:
            return AccountError(code, "Vonage asked to slow down.", again=True)
        case _ if status >= 500:
            return AccountError(code, "Vonage has an internal error.", again=True)
        case _:
            return AccountError(code, "Vonage refused the request.", again=False)


def _unreadable(setting: str) -> AccountError:
    return AccountError("answer_unreadable", f"{setting} does not answer as Vonage does; is it right?", again=True)


def _read_url(url: dict[str, Any]) -> WebhookUrl:
    return WebhookUrl(address=_text(url, "address"), method=_text(url, "http_method").upper())


def _part(answer: dict[str, Any], name: str) -> dict[str, Any]:
    value = answer.get(name)
    return value if isinstance(value, dict) else {}


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    return value if isinstance(value, str) else ""
