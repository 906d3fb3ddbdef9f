"""Print a complete set of secrets."""

import json
import secrets
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.management.base import BaseCommand, CommandParser

_SIMULATOR_URL = "http://127.0.0.1:8099"

# Each block of the file: what it is for, and its names.
_BLOCKS = (
    (
        "Signs sessions and forms. Changed: operators have to log in again.",
        ("SECRET_KEY",),
    ),
    (
        "Encrypts phone numbers, names and texts. KEEP A COPY: without it nobody can read what is stored.\n"
        "Put a new key in front, with a comma, to replace it; the old ones still decrypt.",
        ("ENCRYPTION_KEYS",),
    ),
    (
        "Finds a phone number without decrypting. KEEP A COPY: with another one, open chats no longer find\n"
        "their people.",
        ("DIGEST_KEY",),
    ),
    (
        "Vonage. These fit the simulator on this machine. For a real account take its own values, and remove\n"
        "the two URLs.",
        (
            "VONAGE_API_URL",
            "VONAGE_REST_URL",
            "VONAGE_API_KEY",
            "VONAGE_API_SECRET",
            "VONAGE_APPLICATION_ID",
            "VONAGE_SIGNATURE_SECRET",
            "VONAGE_PRIVATE_KEY",
        ),
    ),
)
_HEADER = """\
# Made by `python manage.py generate_keys`; .env.example explains every name there is.
# Whoever has this file can read every text: keep it out of version control, readable by the service only.

# DEBUG=true shows errors in full and, without a DATABASE_URL, starts an embedded PostgreSQL: for development.
# DEBUG=true
# DATABASE_URL=postgres://USER:PASSWORD@HOST:5432/DATABASE
# Where the world reaches the service; https:// switches on secure cookies and HSTS.
# PUBLIC_URL=https://texting.example.com
"""


class Command(BaseCommand):
    help = (
        "Print a complete .env with new secrets, and values for Vonage that fit the simulator. "
        "Nothing is stored or changed: python manage.py generate_keys > .env"
    )
    # It makes what everything else needs, so it needs nothing itself.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print an object of names and values instead.")

    def handle(self, **options: Any) -> str:
        values = _generate()
        return json.dumps(values, indent=2) if options["json"] else "\n".join(_format_file(values))


def _generate() -> dict[str, str]:
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ENCRYPTION_KEYS": Fernet.generate_key().decode("ascii"),
        "DIGEST_KEY": secrets.token_urlsafe(32),
        "VONAGE_API_URL": _SIMULATOR_URL,
        "VONAGE_REST_URL": _SIMULATOR_URL,
        "VONAGE_API_KEY": secrets.token_hex(4),
        "VONAGE_API_SECRET": secrets.token_urlsafe(12),
        "VONAGE_APPLICATION_ID": str(uuid4()),
        "VONAGE_SIGNATURE_SECRET": secrets.token_urlsafe(32),
        "VONAGE_PRIVATE_KEY": private_key.decode("ascii").strip().replace("\n", "\\n"),
    }


def _format_file(values: dict[str, str]) -> Iterable[str]:
    yield _HEADER
    for comment, names in _BLOCKS:
        yield from (f"# {line}" for line in comment.split("\n"))
        for name in names:
            yield f'{name}="{values[name]}"' if name == "VONAGE_PRIVATE_KEY" else f"{name}={values[name]}"
        yield ""
