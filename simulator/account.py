"""What the simulated account owns: its numbers, its balance and its application, asked for with key and secret."""

import base64
import hmac
import json
import re
from typing import Any

import phonenumbers
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from simulator.phone_numbers import PHONE_NUMBER
from simulator.settings import Settings
from simulator.wire import drop_plus, make_problem

LARGEST_PAGE = 100
DEFAULT_PAGE = 10
FEATURES = ("SMS", "MMS", "VOICE")
_PATHS = ("numbers", "balance", "application", "update")
_REFUSED = {"error-code": "401", "error-code-label": "authentication failed"}
_FAILED = {"error-code": "420", "error-code-label": "method failed"}


class Account:
    """Answers Vonage's account APIs, and says and takes at /api/account what they answer.

    https://developer.vonage.com/en/api/numbers, https://developer.vonage.com/en/api/application.v2
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        credentials = f"{settings.api_key}:{settings.api_secret}".encode()
        self._authorization = f"Basic {base64.b64encode(credentials).decode()}" if settings.api_secret else ""
        self.reset()

    def reset(self) -> None:
        """Own again what the simulator was started with."""
        settings = self._settings
        self._balance: dict[str, Any] = {"value": 100.0, "autoReload": False}
        self._numbers = [
            {
                "number": number,
                "country": _find_country(number),
                "features": list(FEATURES),
                "application_id": settings.application_id,
            }
            for number in settings.virtual_numbers
        ]
        public_key = settings.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self._application: dict[str, Any] | None = {
            "id": settings.application_id,
            "name": "Simulated application",
            "keys": {"public_key": public_key.decode()},
            "privacy": {"improve_ai": False},
            "capabilities": {
                "messages": {
                    "webhooks": {
                        "inbound_url": {"address": settings.inbound_url, "http_method": "POST"},
                        "status_url": {"address": settings.status_url, "http_method": "POST"},
                    },
                    "version": "v1",
                    "authenticate_inbound_media": True,
                }
            },
            "_links": {"self": {"href": f"/v2/applications/{settings.application_id}"}},
        }
        self._fail: dict[str, Any] | None = None

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/account/numbers", self.list_numbers)
        router.add_get("/account/get-balance", self.get_balance)
        router.add_get("/v2/applications/{id}", self.get_application)
        router.add_post("/number/update", self.update_number)
        router.add_get("/api/account", self.show)
        router.add_put("/api/account", self.change)

    # --- What Vonage answers ------------------------------------------------------------------------------------

    async def list_numbers(self, request: web.Request) -> web.Response:
        if refused := self._refuse(request, "numbers"):
            return refused
        size, index = request.query.get("size", str(DEFAULT_PAGE)), request.query.get("index", "1")
        if not (_is_whole(size) and 1 <= int(size) <= LARGEST_PAGE and _is_whole(index) and int(index) >= 1):
            return web.json_response(_FAILED, status=420)
        found = [_show_on_wire(number) for number in self._numbers if _fits(number, request.query)]
        first = (int(index) - 1) * int(size)
        page = found[first : first + int(size)]
        # An account without any, or a page beyond the last, is an empty object.
        return web.json_response({"count": len(found), "numbers": page} if page else {})

    async def get_balance(self, request: web.Request) -> web.Response:
        return self._refuse(request, "balance") or web.json_response(self._balance)

    async def get_application(self, request: web.Request) -> web.Response:
        if refused := self._refuse(request, "application"):
            return refused
        if self._application is None or request.match_info["id"] != self._application["id"]:
            return _answer_problem(404)
        return web.json_response(self._application)

    async def update_number(self, request: web.Request) -> web.Response:
        """Link a number to an application, or to none; other parameters are taken and forgotten."""
        if refused := self._refuse(request, "update"):
            return refused
        form = await request.post()
        for number in self._numbers:
            if (number["country"], drop_plus(str(number["number"]))) == (form.get("country"), form.get("msisdn")):
                if (application_id := form.get("app_id")) is not None:
                    number["application_id"] = str(application_id)
                return web.json_response({"error-code": "200", "error-code-label": "success"})
        return web.json_response(_FAILED, status=420)

    def _refuse(self, request: web.Request, what: str) -> web.Response | None:
        fail = self._fail
        if fail and fail["path"] in (None, what) and fail["index"] in (None, request.query.get("index", "1")):
            return _answer_problem(fail["status"])
        given = request.headers.get("Authorization", "")
        if self._authorization and hmac.compare_digest(given.encode(), self._authorization.encode()):
            return None
        return _answer_problem(401) if what == "application" else web.json_response(_REFUSED, status=401)

    # --- What tests and people set ------------------------------------------------------------------------------

    async def show(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "numbers": self._numbers,
                "balance": self._balance["value"],
                "application": self._application,
                "fail": self._fail and {key: value for key, value in self._fail.items() if value is not None},
            }
        )

    async def change(self, request: web.Request) -> web.Response:
        """Replace what the body names and leave the rest; when one thing is wrong nothing is changed."""
        try:
            body = json.loads(await request.read())
            if not isinstance(body, dict) or not body.keys() <= {"numbers", "balance", "application", "fail"}:
                raise ValueError("the body must be an object of numbers, balance, application and fail")
            numbers = [self._read_number(given) for given in body["numbers"]] if "numbers" in body else self._numbers
            balance = _read_balance(body["balance"]) if "balance" in body else self._balance
            application = _read_application(body["application"]) if "application" in body else self._application
            fail = _read_fail(body["fail"]) if "fail" in body else self._fail
        except (ValueError, TypeError, RecursionError) as error:
            return web.json_response({"error": str(error)}, status=400)
        self._numbers, self._balance, self._application, self._fail = numbers, balance, application, fail
        return await self.show(request)

    def _read_number(self, given: Any) -> dict[str, Any]:
        given = {"number": given} if isinstance(given, str) else given
        if not isinstance(given, dict) or not given.keys() <= {"number", "country", "features", "application_id"}:
            raise ValueError("a number is a string, or an object of number, country, features and application_id")
        number, features = given.get("number"), given.get("features", list(FEATURES))
        application_id = given.get("application_id", self._settings.application_id)
        # Besides full numbers: short codes.
        if not isinstance(number, str) or not (PHONE_NUMBER.fullmatch(number) or re.fullmatch(r"[0-9]{5,6}", number)):
            raise ValueError("number must be a phone number with +, or a short code")
        if not isinstance(features, list) or not set(features) <= set(FEATURES):
            raise ValueError(f"features must be a list of {', '.join(FEATURES)}")
        if not isinstance(application_id, str):
            raise ValueError("application_id must be a string; an empty one links the number to nothing")
        country = given.get("country") or _find_country(number)
        return {"number": number, "country": country, "features": features, "application_id": application_id}


def _show_on_wire(number: dict[str, Any]) -> dict[str, Any]:
    shown = {
        "country": number["country"],
        "msisdn": drop_plus(number["number"]),
        "moHttpUrl": "",
        "type": "mobile-lvn",
        "features": number["features"],
    }
    if application_id := number["application_id"]:
        shown |= {
            "messagesCallbackType": "app",
            "messagesCallbackValue": application_id,
            "app_id": application_id,
        }
    return shown


def _fits(number: dict[str, Any], query: Any) -> bool:
    """Return whether a number passes the filters of the query; as Vonage's, there is none for features."""
    digits, pattern = drop_plus(number["number"]), query.get("pattern", "")
    where = query.get("search_pattern", "0")
    matches = {"0": digits.startswith(pattern), "1": pattern in digits, "2": digits.endswith(pattern)}
    linked = query.get("has_application", "").lower()
    return (
        matches.get(where, False)
        and query.get("country", number["country"]) == number["country"]
        and query.get("application_id", number["application_id"]) == number["application_id"]
        and linked in ("", "true" if number["application_id"] else "false")
    )


def _read_balance(value: Any) -> dict[str, Any]:
    if type(value) not in (int, float):
        raise ValueError("balance must be a number")
    return {"value": value, "autoReload": False}


def _read_application(value: Any) -> dict[str, Any] | None:
    if value is not None and not (isinstance(value, dict) and isinstance(value.get("id"), str)):
        raise ValueError("application must be an object with an id, or null for none")
    return value


def _read_fail(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not value.keys() <= {"status", "path", "index"}:
        raise ValueError("fail must be an object of status, path and index, or null for none")
    status, path, index = value.get("status"), value.get("path"), value.get("index")
    if type(status) is not int or not 400 <= status <= 599:
        raise ValueError("status must be a whole number from 400 to 599")
    if path not in (None, *_PATHS):
        raise ValueError(f"path must be one of {', '.join(_PATHS)}")
    if index is not None and type(index) is not int:
        raise ValueError("index must be the number of a page")
    return {"status": status, "path": path, "index": None if index is None else str(index)}


def _answer_problem(status: int) -> web.Response:
    return web.Response(status=status, body=make_problem(status), content_type="application/problem+json")


def _find_country(number: str) -> str:
    """Return the main country of a number's code: those of examples belong to no area."""
    try:
        return phonenumbers.region_code_for_country_code(phonenumbers.parse(number).country_code or 0)
    except phonenumbers.NumberParseException:
        return "US"


def _is_whole(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= 9
