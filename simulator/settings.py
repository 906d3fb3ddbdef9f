"""What the simulator can be told, on the command line or in the environment."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from yarl import URL

from simulator.legacy import LegacyFormat, read_format
from simulator.phone_numbers import PHONE_NUMBER

DEFAULT_HANDSETS = "+14155550123,+14155550124"
_Number = TypeVar("_Number", int, float)

_DESCRIPTION = """\
A stand-in for the Vonage Messages API: it takes texts at POST /v1/messages, sends signed inbound and
status webhooks, and shows handsets in the browser at http://HOST:PORT/. Every option can be given as the
environment variable named in brackets instead."""


class SettingsError(Exception):
    """Says in one sentence which setting is missing or wrong, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    host: str
    port: int
    inbound_url: str
    status_url: str
    api_key: str
    api_secret: str
    application_id: str
    signature_secret: str
    public_key: RSAPublicKey
    clock_scale: float
    handsets: tuple[str, ...]
    virtual_numbers: tuple[str, ...]
    webhook_connections: int
    webhook_timeout_s: float
    keep_texts: int
    service_url: str = ""  # empty: the origin of `inbound_url`
    media_url: str = ""  # empty: where the text was typed
    receipts: LegacyFormat | None = None  # None: those of the Messages API


def read_settings(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the command line, with the environment for what it leaves out; raises SettingsError."""
    given = _make_parser(environment).parse_args(arguments)
    for name, variable in (
        ("api_key", "VONAGE_API_KEY"),
        ("application_id", "VONAGE_APPLICATION_ID"),
        ("signature_secret", "VONAGE_SIGNATURE_SECRET"),
    ):
        if not getattr(given, name):
            raise SettingsError(f"{variable} is not set: give it or --{name.replace('_', '-')}.")
    return Settings(
        host=given.host,
        port=_read_number(given.port, "--port", int, 0, 65535),
        inbound_url=_check_url(given.inbound_url, "--inbound-url"),
        status_url=_check_url(given.status_url, "--status-url"),
        api_key=given.api_key,
        api_secret=given.api_secret,
        application_id=given.application_id,
        signature_secret=given.signature_secret,
        public_key=_find_public_key(given.public_key_path, environment),
        clock_scale=_read_number(given.clock_scale, "--clock-scale", float, 0.00001, 100),
        handsets=_read_phone_numbers(given.handset, "SIMULATOR_HANDSETS", environment, DEFAULT_HANDSETS),
        virtual_numbers=_read_phone_numbers(given.virtual_number, "SIMULATOR_VIRTUAL_NUMBERS", environment, ""),
        webhook_connections=_read_number(given.webhook_connections, "--webhook-connections", int, 1, 10_000),
        webhook_timeout_s=_read_number(given.webhook_timeout, "--webhook-timeout", float, 0.01, 600),
        keep_texts=_read_number(given.keep_texts, "--keep-texts", int, 1, 10_000_000),
        service_url=_check_url(given.service_url, "--service-url").rstrip("/") if given.service_url else "",
        media_url=_check_url(given.media_url, "--media-url").rstrip("/") if given.media_url else "",
        receipts=_read_receipts(given.receipts),
    )


def _make_parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(option: str, variable: str, default: str, meaning: str) -> None:
        shown = f", default {default}" if default else ""
        parser.add_argument(option, default=environment.get(variable) or default, help=f"{meaning} [{variable}{shown}]")

    add("--host", "SIMULATOR_HOST", "127.0.0.1", "address to listen on")
    add("--port", "SIMULATOR_PORT", "8099", "port to listen on; 0 picks a free one")
    add("--inbound-url", "SIMULATOR_INBOUND_URL", "http://127.0.0.1:8000/webhooks/inbound",
        "where texts from handsets are delivered")  # fmt: skip
    add("--status-url", "SIMULATOR_STATUS_URL", "http://127.0.0.1:8000/webhooks/status",
        "where delivery receipts are delivered")  # fmt: skip
    add("--api-key", "VONAGE_API_KEY", "", "the api_key claim of signed webhooks; required")
    add("--api-secret", "VONAGE_API_SECRET", "",
        "with the api_key, asks for the account's numbers, balance and application; without it nobody may")  # fmt: skip
    add("--application-id", "VONAGE_APPLICATION_ID", "", "the application whose tokens are taken; required")
    add("--signature-secret", "VONAGE_SIGNATURE_SECRET", "", "the secret webhooks are signed with; required")
    add("--public-key-path", "SIMULATOR_PUBLIC_KEY_PATH", "",
        "PEM file with the application's public key, or its private key, of which the public half is used; "
        "without it VONAGE_PRIVATE_KEY or VONAGE_PRIVATE_KEY_PATH is used")  # fmt: skip
    add("--clock-scale", "SIMULATOR_CLOCK_SCALE", "1.0",
        "length of a simulated second: 0.01 makes the 5 s before the first retry 50 ms")  # fmt: skip
    add("--webhook-connections", "SIMULATOR_WEBHOOK_CONNECTIONS", "64", "webhooks delivered at once")
    add("--webhook-timeout", "SIMULATOR_WEBHOOK_TIMEOUT", "15",
        "seconds an answer to a webhook is waited for, whatever the clock scale")  # fmt: skip
    add("--keep-texts", "SIMULATOR_KEEP_TEXTS", "100000", "texts remembered; the oldest are forgotten")
    add("--service-url", "SIMULATOR_SERVICE_URL", "",
        "where people reach the service: what the page links to; without it, where texts are delivered")  # fmt: skip
    add("--media-url", "SIMULATOR_MEDIA_URL", "",
        "where the service reaches this simulator, to fetch what handsets attach; without it the address the page "
        "was opened at")  # fmt: skip
    add("--receipts", "SIMULATOR_RECEIPTS", "messages",
        "format of delivery receipts: messages, or one of the SMS API and how it is signed, "
        "as legacy-form:sha256")  # fmt: skip
    parser.add_argument(
        "--handset", action="append", metavar="PHONE_NUMBER",
        help=f"a handset the page shows; repeat for more [SIMULATOR_HANDSETS, commas; default {DEFAULT_HANDSETS}]",
    )  # fmt: skip
    parser.add_argument(
        "--virtual-number", action="append", metavar="PHONE_NUMBER",
        help="a number the page offers to text to before any text has arrived; repeat for more "
        "[SIMULATOR_VIRTUAL_NUMBERS, commas; default none]",
    )  # fmt: skip
    return parser


def _read_number(value: str, option: str, kind: type[_Number], least: float, most: float) -> _Number:
    try:
        number = kind(value)
    except ValueError:
        number = kind(-1)
    if not least <= number <= most:
        raise SettingsError(f"{option} must be a number from {least} to {most}, not {value!r}.")
    return number


def _read_receipts(value: str) -> LegacyFormat | None:
    try:
        return read_format(value)
    except ValueError as error:
        raise SettingsError(f"--receipts {error}.") from None


def _check_url(value: str, option: str) -> str:
    try:
        url = URL(value)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise SettingsError(f"{option} must be an http:// or https:// address.")
    return value


def _read_phone_numbers(
    given: list[str] | None, variable: str, environment: Mapping[str, str], default: str
) -> tuple[str, ...]:
    values = given if given is not None else (environment.get(variable) or default).split(",")
    numbers = tuple(dict.fromkeys(value.strip() for value in values if value.strip()))
    for number in numbers:
        if not PHONE_NUMBER.fullmatch(number):
            raise SettingsError(f"A number of {variable} is not a phone number with + and 7 to 15 digits.")
    return numbers


def _find_public_key(path: str, environment: Mapping[str, str]) -> RSAPublicKey:
    text = environment.get("VONAGE_PRIVATE_KEY", "")
    source = "VONAGE_PRIVATE_KEY"
    if path:
        source = "SIMULATOR_PUBLIC_KEY_PATH (--public-key-path)"
    elif not text:
        path = environment.get("VONAGE_PRIVATE_KEY_PATH", "")
        source = "VONAGE_PRIVATE_KEY_PATH"
        if not path:
            raise SettingsError(
                "No key to check tokens with: give --public-key-path, VONAGE_PRIVATE_KEY or VONAGE_PRIVATE_KEY_PATH."
            )
    try:
        pem = Path(path).read_bytes() if path else text.replace("\\n", "\n").encode()
        key = load_pem_private_key(pem, None).public_key() if b"PRIVATE KEY" in pem else load_pem_public_key(pem)
    except OSError as error:
        raise SettingsError(f"{source} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{source} does not hold an unencrypted PEM key.") from error
    if not isinstance(key, RSAPublicKey):
        raise SettingsError(f"{source} does not hold an RSA key.")
    return key
