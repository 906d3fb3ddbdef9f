"""Ask for a phone number so that it stands in no shell history and in no list of processes."""

import getpass
import sys

from django.core.management.base import CommandError

from chats.phone_numbers import InvalidPhoneNumber, parse_phone_number
from proxy_project.encryption import digest_number

ARGUMENT_HELP = (
    "The number, such as +14155550123. Better leave it out: it is asked for then, or read from standard input, and "
    "stands in no history of a shell."
)


def ask_for_digest(given: str | None) -> bytes:
    """Return the digest of the number that is `given`, or typed, or on standard input; raises CommandError."""
    if given is None:
        given = getpass.getpass("Phone number (it is not shown): ") if sys.stdin.isatty() else sys.stdin.readline()
    try:
        return digest_number(parse_phone_number(given).e164)
    except InvalidPhoneNumber as error:
        raise CommandError(str(error)) from None
