"""Run every check that needs no test, all of them even when one fails: `scripts/lint`."""

import json
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
    # What the version before cannot live with, while both run.
    ("python", "-m", "scripts.lint_migrations"),
    # The admin in the other languages: everything is translated, and compiled as it is written.
    ("python", "-m", "scripts.translations", "--check"),
    # The API's document: printed only where it is wrong.
    ("python", "manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", os.devnull),
    ("python", "manage.py", "check", "--deploy", "--fail-level", "WARNING"),
)


# Some 60 packages are asked for, one by one.
AUDIT_SECONDS = 90


def main() -> int:
    environment = {**os.environ, **_production_environment()}
    failed = []
    for check in CHECKS:
        title = " ".join(check)
        print(f"--- {title}", flush=True)
        if subprocess.run([str(BIN / check[0]), *check[1:]], cwd=ROOT, env=environment).returncode != 0:
            failed.append(title)
    if _finds_vulnerabilities():
        failed.append("pip-audit")
    if failed:
        print(f"\nFailed: {'; '.join(failed)}")
        return 1
    print("\nAll checks passed.")
    return 0


def _finds_vulnerabilities() -> bool:
    """Return whether a pinned requirement has a known vulnerability; say so when nobody could be asked.

    The advisories are on the network: a change is never refused because it cannot be reached.
    """
    print("--- pip-audit", flush=True)
    command = ["pip-audit", "--requirement=requirements.txt", "--no-deps", "--disable-pip", "--format=json"]
    try:
        asked = subprocess.run(
            [str(BIN / command[0]), *command[1:], "--progress-spinner=off", "--timeout=5"],
            cwd=ROOT, capture_output=True, text=True, timeout=AUDIT_SECONDS,
        )  # fmt: skip
        packages = json.loads(asked.stdout)["dependencies"]
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        print(f"NOT ASKED for known vulnerabilities: whoever knows them cannot be reached ({type(error).__name__}).")
        return False
    if skipped := [package["name"] for package in packages if "skip_reason" in package]:
        print(f"NOT ASKED for known vulnerabilities of {len(skipped)} of {len(packages)} packages: nobody knows them.")
    found = [(package, flaw) for package in packages for flaw in package.get("vulns", ())]
    for package, flaw in found:
        mended = ", ".join(flaw["fix_versions"]) or "no version"
        print(f"{package['name']} {package['version']}: {flaw['id']}, mended in {mended}")
    return bool(found)


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
