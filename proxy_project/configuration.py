"""Read the environment once, and say of everything missing or wrong what to do about it."""

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
import phonenumbers
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

# https://developer.vonage.com/en/getting-started/concepts/signing-messages
_SIGNATURE_METHODS = ("md5hash", "md5", "sha1", "sha256", "sha512")

_HINT = "`python manage.py generate_keys` prints a complete set for .env; .env.example explains each name."


class Configuration:
    """The environment (and `.env`, which it overrides), with every problem collected for one clear message."""

    def __init__(self, env_file: Path) -> None:
        self.env = environ.Env()
        self._problems: list[str] = []
        # The one command that makes the secrets has to run before there are any.
        self.makes_secrets = sys.argv[1:2] == ["generate_keys"]
        path = os.environ.get("ENV_FILE", str(env_file))
        if path and Path(path).is_file():
            self.env.read_env(path)

    def secret(self, name: str) -> str:
        """Return a value that must be set; its absence stops the start."""
        value: str = self.env.str(name, default="").strip()
        if not value and not self.makes_secrets:
            self._problems.append(f"{name} is not set.")
        return value

    def encryption_keys(self, name: str) -> list[str]:
        """Return Fernet keys, the newest first; the first encrypts, all of them decrypt."""
        keys = [key.strip() for key in self.secret(name).split(",") if key.strip()]
        for key in keys:
            try:
                Fernet(key)
            except ValueError:
                self._problems.append(f"{name} holds something that is not a Fernet key.")
        return keys

    def text_or_file(self, name: str) -> str:
        r"""Return the text in `NAME`, with `\n` for line ends, or that of the file named by `NAME_PATH`."""
        text: str = self.env.str(name, default="").replace("\\n", "\n").strip()
        path: str = self.env.str(f"{name}_PATH", default="").strip()
        if text or self.makes_secrets:
            return text
        if not path:
            self._problems.append(f"Neither {name} nor {name}_PATH is set.")
            return ""
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            self._problems.append(f"The file of {name}_PATH cannot be read: {error.strerror}.")
            return ""

    def url(self, name: str, default: str) -> str:
        """Return an http(s) URL without a slash at its end."""
        value: str = self.env.str(name, default=default).strip().rstrip("/")
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            self._problems.append(f"{name} must be a URL such as {default}.")
        return value

    def number(self, name: str, default: float, *, minimum: float) -> float:
        """Return a number that is at least `minimum`."""
        try:
            value = float(self.env.str(name, default="") or default)
        except ValueError:
            value = minimum - 1
        if not value >= minimum:
            self._problems.append(f"{name} must be a number of at least {minimum:g}.")
        return value

    def countries(self, name: str) -> list[str]:
        """Return ISO 3166 codes of countries that have phone numbers."""
        codes = [code.strip().upper() for code in self.env.list(name, default=[]) if code.strip()]
        if unknown := sorted(set(codes) - phonenumbers.SUPPORTED_REGIONS):
            self._problems.append(f"{name} holds what is no ISO 3166 code, such as US: {', '.join(unknown)}.")
        return codes

    def json_object(self, name: str) -> dict[str, Any]:
        """Return a JSON object; without a value, an empty one."""
        try:
            value = json.loads(self.env.str(name, default="") or "{}")
        except ValueError:
            value = None
        if isinstance(value, dict):
            return value
        self._problems.append(f"{name} must be a JSON object.")
        return {}

    def legacy_webhooks(self, name: str, *, token: str) -> str:
        """Return what is believed of webhooks in the SMS API's format: nothing (""), `token` or `signed:METHOD`."""
        value: str = self.env.str(name, default="").strip().lower()
        if value not in ("", "token", *(f"signed:{method}" for method in _SIGNATURE_METHODS)):
            methods = ", ".join(_SIGNATURE_METHODS)
            self._problems.append(f"{name} must be empty, token, or signed: and one of {methods}.")
        if value == "token" and not re.fullmatch(r"[A-Za-z0-9_-]{20,}", token):
            self._problems.append(f"{name}=token needs a VONAGE_WEBHOOK_TOKEN of 20 or more letters, digits, - and _.")
        return value

    def package(self, name: str, *, needed_for: str, when: str) -> None:
        """Say what to install when `when` is set and an optional package is not there."""
        try:
            found = not when or importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:
            found = False
        if not found:
            self._problems.append(
                f"{needed_for} needs packages: pip install --no-deps --require-hashes -r requirements-observability.txt"
            )

    def problem(self, sentence: str) -> None:
        self._problems.append(sentence)

    def raise_problems(self) -> None:
        """Raise one ImproperlyConfigured that names everything that must be mended before a start."""
        if self._problems:
            raise ImproperlyConfigured("\n  ".join(["The service cannot start:", *self._problems, _HINT]))
