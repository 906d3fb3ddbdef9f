"""Write docs/vonage-codes.md: what each code of Vonage means and what becomes of a text with it, from the table."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from messaging.gateways.vonage_codes import CarrierError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "vonage-codes.md"
_STATUSES = (400, 401, 402, 403, 404, 405, 408, 413, 422, 425, 429, 500, 502, 503, 504)
_WHOSE = {
    "recipient": "recipient",
    "opt_out": "opt-out",
    "configuration": "our configuration",
    "money": "our money",
    "carrier": "carrier",
    "unknown": "unknown",
}
_OUTCOMES = {
    "again": "tried again by itself",
    "pause": "waits, and the account pauses",
    "never": "has failed; an MMS goes as a text with links",
    "unknown": "waits for a receipt, then tried again",
}
_HEAD = """\
# What Vonage's codes mean

Written by `python -m scripts.codes` from `messaging/gateways/vonage_codes.py`. In the message log, the API and the desk
stands the code with its sentence; a code that is not here is kept and shown with the carrier's own words.
"""


def main() -> int:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_project.settings")
    django.setup()
    PAGE.write_text(render(), encoding="utf-8")
    return 0


def render() -> str:
    """Return the page as it should be."""
    # Not at the top: it reads the settings.
    from messaging.gateways.vonage_codes import MESSAGES_API, SMS_API, SMS_API_ANSWERS

    return "\n".join(
        [
            _HEAD,
            *_list_answers(),
            *_list("Receipts of the Messages API: `error.title`", MESSAGES_API),
            *_list("Receipts of the SMS API: `err-code`, or their status", SMS_API),
            *_list(
                "Answers of the SMS API: `status`",
                SMS_API_ANSWERS,
                "This service does not send through the SMS API; they are for who reads Vonage's own records.",
            ),
        ]
    )


def _list_answers() -> Iterator[str]:
    import requests

    from messaging.gateways.vonage_errors import explain_answer

    yield "## Answers of the Messages API: HTTP statuses\n"
    yield "| status | what it means | whose matter it is | the text |\n|---|---|---|---|"
    for status in _STATUSES:
        response = requests.Response()
        response.status_code = status
        error = explain_answer(response)
        whose = "as its body says" if status == 422 else _WHOSE[error.kind.value]
        yield f"| {status} | {error.detail} | {whose} | {_OUTCOMES[error.outcome.value]} |"
    yield ""


def _list(title: str, codes: "Mapping[str, CarrierError]", note: str = "") -> Iterator[str]:
    yield f"## {title}\n"
    if note:
        yield f"{note}\n"
    yield "| code | what it means | whose matter it is | the text |\n|---|---|---|---|"
    for code, error in codes.items():
        yield f"| {code} | {error.meaning} | {_WHOSE[error.kind.value]} | {_say_what_becomes(code, error)} |"
    yield ""


def _say_what_becomes(code: str, error: "CarrierError") -> str:
    from messaging.gateways.vonage_codes import RESULT_UNKNOWN

    if code == RESULT_UNKNOWN:
        return "stays sent"
    remedy = error.remedy.value if error.remedy else ""
    what = {"pause": "waits, and the account pauses", "as_text": _OUTCOMES["never"]}.get(remedy)
    return what or ("has failed; worth another try" if error.retryable else "has failed")


if __name__ == "__main__":
    sys.exit(main())
