"""Read Vonage's errors in its receipts, and explain its answers to a request."""

import re
from typing import Any

import requests

from messaging.gateways import ErrorKind, Outcome, SendError
from messaging.gateways.vonage_client import Answer
from messaging.gateways.vonage_codes import MESSAGES_API, CarrierError

# A number that rests for days because of one header is worse than one more 429.
_LONGEST_RETRY_AFTER_SECONDS = 3600

_CARRIER = ErrorKind.CARRIER


def read_error(error: dict[str, Any]) -> tuple[str, CarrierError | None]:
    """Return the code of a receipt's `error` and what it means in our words; nothing when it is empty."""
    code = re.sub(r"[^\w.-]", "", storable(str(error.get("title") or "")))[:40]
    # The carrier's words, less anything in them that could be a number.
    words = re.sub(r"\+?\d[\d\s().-]{5,}", "…", storable(str(error.get("detail") or ""))).strip()
    if not (code or words):
        return "", None
    return code, _explain_code(code, words)


def storable(text: str) -> str:
    """Return `text` without what JSON can carry and PostgreSQL cannot: NUL and lone surrogates."""
    return text.encode("utf-8", "ignore").decode().replace("\x00", "")


def _explain_code(code: str, carriers_words: str) -> CarrierError:
    """Return what a code means; a code that is not in the table is shown with the carrier's own words."""
    if known := MESSAGES_API.get(code):
        return known
    return CarrierError(
        ErrorKind.UNKNOWN, f"Unknown to this service: {carriers_words or 'the carrier did not say why.'}"
    )


# --- Answers to a request ----------------------------------------------------------------------------------------


def explain_answer(response: Answer | requests.Response) -> SendError:
    """Say what an HTTP status of the Messages API means. The `type` in its body means too many things."""
    code = str(response.status_code)
    match response.status_code:
        case 429:
            return SendError(
                Outcome.AGAIN,
                code,
                "Vonage asked to slow down.",
                kind=_CARRIER,
                retry_after=_seconds(response.headers.get("Retry-After")),
                throttled=True,
            )
        case 401 | 403:
            return pause(code, "Vonage refused the credentials of this service.")
        case 402:
            return pause(code, "The balance of the Vonage account is too low.", kind=ErrorKind.MONEY)
        case 404 | 405:
            return pause(code, "There is no Messages API at VONAGE_API_URL.")
        case 504:
            return SendError(Outcome.UNKNOWN, code, "Vonage's gateway timed out; the text may have been accepted.")
        case 408 | 425:
            return SendError(Outcome.AGAIN, code, "Vonage did not take the request in time.", kind=_CARRIER)
        case status if status >= 500:
            return SendError(
                Outcome.AGAIN,
                code,
                "Vonage has an internal error.",
                kind=_CARRIER,
                retry_after=_seconds(response.headers.get("Retry-After")),
            )
        case status if status >= 400:
            names, title = _read_problem(response)
            detail = "Vonage refused the text" + (f": invalid {', '.join(names)}." if names else ".")
            blamed = [_BLAMED[word] for word in (*names, title) if word in _BLAMED]
            return SendError(Outcome.NEVER, code, detail, kind=blamed[0] if blamed else ErrorKind.UNKNOWN)
        case _:
            return pause(code, "VONAGE_API_URL does not answer as the Messages API; is it right?")


def pause(code: str, detail: str, *, kind: ErrorKind = ErrorKind.CONFIGURATION) -> SendError:
    """Say that no text of the account will be accepted until somebody mends what is wrong."""
    return SendError(Outcome.PAUSE, code, detail, kind=kind)


# Whose a parameter is that a 422 complains of, or what its title says.
_BLAMED = {
    "to": ErrorKind.RECIPIENT,
    "from": ErrorKind.CONFIGURATION,
    "Invalid recipient": ErrorKind.RECIPIENT,
    "Invalid sender": ErrorKind.CONFIGURATION,
    "Unsupported channel": ErrorKind.CONFIGURATION,
    "Invalid message type": ErrorKind.CONFIGURATION,
}


def _read_problem(response: Answer | requests.Response) -> tuple[list[str], str]:
    """Return the names of the parameters that a 422 complains of, and its title; its reasons may quote a number."""
    try:
        problem = response.json()
        title = str(problem.get("title", ""))
        names = [str(entry["name"]) for entry in problem.get("invalid_parameters", [])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [], ""
    return [name for name in names if re.fullmatch(r"[a-z_.]{1,30}", name)], title


def _seconds(value: str | None) -> float | None:
    return min(float(value), _LONGEST_RETRY_AFTER_SECONDS) if value and re.fullmatch(r"[0-9]{1,6}", value) else None
