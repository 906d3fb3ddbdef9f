"""Run every check that needs no test, all of them even when one fails: `scripts/lint`."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports", "--no-cache"),
    ("python", "manage.py", "makemigrations", "--check", "--dry-run"),
    # The API's document: printed only where it is wrong.
    ("python", "manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", os.devnull),
    ("python", "manage.py", "check", "--deploy", "--fail-level", "WARNING"),
)


def main() -> int:
    environment = {**os.environ, **_production_environment()}
    failed = []
    for check in CHECKS:
        title = " ".join(check)
        print(f"--- {title}", flush=True)
        if subprocess.run([str(BIN / check[0]), *check[1:]], cwd=ROOT, env=environment).returncode != 0:
            failed.append(title)
    if failed:
        print(f"\nFailed: {'; '.join(failed)}")
        return 1
    print("\nAll checks passed.")
    return 0


def _production_environment() -> dict[str, str]:
    """Settings as in production, with secrets that nobody keeps."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        # Not that of this checkout: what is checked must not depend on it.
        "ENV_FILE": "",
        "DEBUG": "false",
        "PUBLIC_URL": "https://texting.example.com",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "DIGEST_KEY": secrets.token_urlsafe(32),
        "VONAGE_API_KEY": secrets.token_hex(4),
        "VONAGE_API_SECRET": secrets.token_urlsafe(12),
        "VONAGE_APPLICATION_ID": "00000000-0000-4000-8000-000000000000",
        "VONAGE_PRIVATE_KEY": pem,
        "VONAGE_SIGNATURE_SECRET": secrets.token_urlsafe(32),
    }


if __name__ == "__main__":
    sys.exit(main())
