"""The payloads that Vonage documents, with any field replaced or left out."""

import uuid
from datetime import UTC, datetime
from typing import Any

from tests.factories import OMAR, SARA, VIRTUAL_NUMBER
from tests.messaging.signing import ABSENT

# https://developer.vonage.com/en/api/messages#inbound-message
_MEDIA = "https://api-us.nexmo.com/v3/media/1b456509-974c-458b-aafa-45fc48a4d976"
IMAGE = {"url": _MEDIA, "name": "IMG_1.jpg", "caption": "look"}
SEVERAL = [{"type": "image", "url": _MEDIA}, {"type": "vcard", "url": _MEDIA}]


def sms(**fields: Any) -> dict[str, Any]:
    """Return an inbound SMS from Sara to the virtual number; `from_` is `from`."""
    return _replace(
        {
            "channel": "sms",
            "message_uuid": str(uuid.uuid4()),
            "to": VIRTUAL_NUMBER[1:],
            "from": SARA[1:],
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "message_type": "text",
            "text": "Hello there",
            "context_status": "none",
            "sms": {"num_messages": "1", "count_total": "1", "keyword": "HELLO"},
            "usage": {"currency": "EUR", "price": "0.0057"},
            "origin": {"network_code": "310260"},
        },
        fields,
    )


def mms(message_type: Any, **fields: Any) -> dict[str, Any]:
    """Return an inbound MMS; the object of its type is given as a field."""
    without = {name: ABSENT for name in ("text", "context_status", "sms", "usage")}
    return sms(channel="mms", message_type=message_type, **(without | fields))


def receipt(**fields: Any) -> dict[str, Any]:
    """Return the receipt of a text to Omar; `from_` is `from`."""
    return _replace(
        {
            "message_uuid": str(uuid.uuid4()),
            "to": OMAR[1:],
            "from": VIRTUAL_NUMBER[1:],
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "status": "submitted",
            "channel": "sms",
            "usage": {"currency": "EUR", "price": "0.0072"},
            "destination": {"network_code": "310260"},
            "sms": {"count_total": "1"},
        },
        fields,
    )


def _replace(documented: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    merged = documented | {name.rstrip("_"): value for name, value in fields.items()}
    return {name: value for name, value in merged.items() if value is not ABSENT}
