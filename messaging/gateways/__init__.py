"""What a carrier's API must do for us, in our words; each gateway translates to and from its own."""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Protocol
from uuid import UUID


class MediaKind(Enum):
    """What an attachment is."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    VCARD = "vcard"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Media:
    """An attachment, and where it can be fetched."""

    kind: MediaKind
    url: str


@dataclass(frozen=True, slots=True)
class OutboundText:
    """A text to hand over, as an MMS when it has `media`; numbers are E.164 with `+`."""

    reference: UUID
    from_number: str
    to_number: str
    body: str
    media: tuple[Media, ...] = ()


@dataclass(frozen=True, slots=True)
class InboundText:
    """A text that reached one of our numbers.

    `from_number` is E.164 with `+` when a person can be texted there; a short code or a name is as it came.
    `undeliverable` says why there is nothing to pass on, such as "empty"; `body` may still hold a caption.
    """

    gateway_id: str
    from_number: str
    to_number: str
    body: str
    undeliverable: str = ""
    media: tuple[Media, ...] = ()
    # What the carrier charges for it, as far as it says so.
    segments: int | None = None
    price: Decimal | None = None
    currency: str = ""
    # When the carrier had it, in seconds since 1970; 0 when it does not say.
    written_at: float = 0.0

    @property
    def can_be_answered(self) -> bool:
        return self.from_number.startswith("+")


@dataclass(frozen=True, slots=True)
class InboundPart:
    """One of `total` parts, counted from 1, of a long text; all of them carry the same `reference`.

    The sender's phone counts references from 0 to 255 or 65535 and begins again: they are soon used for another text.
    """

    text: InboundText
    reference: str
    part: int
    total: int


class Progress(Enum):
    """What a delivery receipt says of a text."""

    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"


class ErrorKind(Enum):
    """Whom or what an error concerns, and so who can do something about it."""

    RECIPIENT = "recipient"
    OPT_OUT = "opt_out"
    CONFIGURATION = "configuration"
    MONEY = "money"
    CARRIER = "carrier"
    UNKNOWN = "unknown"


class Remedy(Enum):
    """What may still be done about a text that the carrier took, and then rejected."""

    PAUSE = "pause"  # no text of the account is carried until somebody mends that: this one waits as well
    AS_TEXT = "as_text"  # if it was an MMS, it may go as a text with links


@dataclass(frozen=True, slots=True)
class Receipt:
    """A delivery receipt. `reference` is ours, when the carrier gave it back; `at` is seconds since 1970.

    SENT with an error is a text of which nobody can say whether it arrived. With `is_of_part` the gateway id is that
    of one part of the text, which the carrier need not have told us before.
    """

    gateway_id: str
    reference: UUID | None
    progress: Progress
    at: float
    error_code: str = ""
    error_detail: str = ""
    error_kind: ErrorKind | None = None
    remedy: Remedy | None = None
    is_of_part: bool = False
    segments: int | None = None
    price: Decimal | None = None
    currency: str = ""


class Gateway(Protocol):
    """One client of a carrier's API, used by one thread."""

    def send(self, text: OutboundText) -> str:
        """Hand over a text with at most one request; return the gateway id, or raise SendError."""
        ...


@dataclass(frozen=True, slots=True)
class OwnedNumber:
    """A number that the account rents: E.164 with `+`, and the ISO 3166 code of its country.

    `application_id` is where its texts go; "" when it is linked to nothing.
    """

    number: str
    country: str
    can_sms: bool
    can_mms: bool
    application_id: str


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left on the account."""

    amount: Decimal
    currency: str


class Account(Protocol):
    """One client of a carrier's API for what an account owns, used by one thread."""

    def list_numbers(self) -> list[OwnedNumber]:
        """Return all numbers of the account, or raise AccountError."""
        ...

    def read_balance(self) -> Balance:
        """Return the balance of the account, or raise AccountError."""
        ...


class AccountError(Exception):
    """The carrier did not tell about the account; `again` says whether it may at another time. Holds no secret."""

    def __init__(self, code: str, detail: str, *, again: bool) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.again = again


class Outcome(Enum):
    """Whether a text that was not accepted may be sent again."""

    AGAIN = "again"  # surely not accepted, and may be next time
    PAUSE = "pause"  # surely not accepted, and no other text of the account will be until somebody mends it
    NEVER = "never"  # surely not accepted, and never will be
    UNKNOWN = "unknown"  # the answer was lost: a receipt will tell


class SendError(Exception):
    """A text was not, or not surely, accepted. Holds neither number nor text."""

    def __init__(
        self,
        outcome: Outcome,
        code: str,
        detail: str,
        *,
        kind: ErrorKind = ErrorKind.UNKNOWN,
        retry_after: float | None = None,
        throttled: bool = False,
    ) -> None:
        super().__init__(f"{outcome.value}: {code} {detail}")
        self.outcome = outcome
        self.code = code
        self.detail = detail
        self.kind = kind
        self.retry_after = retry_after
        self.throttled = throttled


class MediaError(Exception):
    """An attachment could not be fetched; `again` says whether it may work later. Holds no address."""

    def __init__(self, code: str, detail: str, *, again: bool) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.again = again


class WebhookError(Exception):
    """A webhook is not to be believed or understood; the message is for whoever set it up."""


class Unsigned(WebhookError):
    """The signature is missing. The carrier sends the webhook again, and signs it then."""


class Forged(WebhookError):
    """The signature does not prove that the carrier sent this body to us."""


class NotAccepted(WebhookError):
    """The service is not set up to take this webhook. The carrier sends it again, until somebody has."""


class Malformed(WebhookError):
    """The body is not what the carrier documents."""
