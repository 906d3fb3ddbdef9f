"""Sign what is posted to platforms, as Standard Webhooks says, and make the secrets for it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import secrets as random_secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta

from standardwebhooks import Webhook

# A receiver has this long to learn a new secret.
OLD_SECRET_LIVES = timedelta(hours=24)


def make_secret() -> str:
    """Return a new secret, which the platform is shown once."""
    return "whsec_" + b64encode(random_secrets.token_bytes(32)).decode()


def sign_webhook(*, id: str, body: str, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """Return the headers for a JSON `body`, with a signature by each live secret."""
    return {
        "Content-Type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(id, now, body) for secret in secrets),
    }
