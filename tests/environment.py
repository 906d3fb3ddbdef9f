"""The environment of the tests; pytest's `-p tests.environment` sets it before Django reads its settings."""

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from proxy_project import embedded_postgres

_ROOT = Path(__file__).resolve().parent.parent


def _make_private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode()


# The processes of one parallel run share what the first of them made.
if "TEST_ENVIRONMENT" not in os.environ:
    if not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = embedded_postgres.database_url(
            data_dir=_ROOT / ".data" / "test-postgres", volatile=True
        )
    for name in (
        "ALLOWED_HOSTS",
        "BALANCE_WARNING",
        "LOG_LEVEL",
        "LOG_FORMAT",
        "METRICS_TOKEN",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "PUBLIC_URL",
        "SENTRY_DSN",
        "VONAGE_LEGACY_WEBHOOKS",
        "VONAGE_PRIVATE_KEY_PATH",
    ):
        os.environ.pop(name, None)
    os.environ |= {
        "TEST_ENVIRONMENT": "true",
        "TEST_RUN": secrets.token_hex(8),
        "ENV_FILE": "",
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "DIGEST_KEY": secrets.token_urlsafe(32),
        # Nothing listens there: a test that sends texts starts a simulator of its own.
        "VONAGE_API_URL": "http://127.0.0.1:9",
        "VONAGE_REST_URL": "http://127.0.0.1:9",
        "VONAGE_API_KEY": "abcd1234",
        "VONAGE_API_SECRET": "test-api-secret",
        "VONAGE_APPLICATION_ID": "1c4d1d5e-8f5b-4d43-9a43-1f5f1f0a2f6e",
        "VONAGE_PRIVATE_KEY": _make_private_key(),
        # Most tests have one virtual number; those about running out of them say when it is.
        "WARN_BELOW_FREE_NUMBERS": "0",
        # Receivers of events listen on this machine.
        "ALLOW_PRIVATE_ENDPOINTS": "true",
        "VONAGE_SIGNATURE_SECRET": secrets.token_urlsafe(32),
    }
