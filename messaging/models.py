"""The message log, which is also the outbox: every text in or out is one row."""

from typing import NamedTuple
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Func, Q, Value
from django.db.models.functions import Now

from chats.models import Chat, Participant, VirtualNumber
from messaging.operation_models import Heartbeat, Measurement
from messaging.usage_models import UsageDay, UsageProgress, UsageTotal
from platforms.models import Platform
from proxy_project.encryption import EncryptedTextField
from proxy_project.ids import make_id

__all__ = [
    "NO_PLATFORM",
    "UNHANDLED_FAILURE",
    "Attachment",
    "GatewayAccount",
    "Heartbeat",
    "Measurement",
    "Message",
    "TextPart",
    "UsageDay",
    "UsageProgress",
    "UsageTotal",
]

# Whose turn it is with texts that are no platform's.
NO_PLATFORM = UUID(int=0)

# A text that somebody should see to. One whose recipient has opted out or was replaced, or whose chat had ended, was
# rightly not sent.
UNHANDLED_FAILURE = (
    Q(direction="out", status="failed", handled_at__isnull=True)
    & ~Q(error_kind="opt_out")
    & ~Q(error_code__in=("recipient_replaced", "chat_ended"))
)


class Message(models.Model):
    """One text, in or out.

    An inbound message is RECEIVED for as long as the transaction that logs it, and ends as what was decided:

        RELAYED     passed on to the counterpart
        LATE        its chat has ended; its sender was told
        UNMATCHED   no chat goes with its sender and number
        BLOCKED     it could not be passed on, or its platform did not approve of it; its sender was told
        KEYWORD     it was for the service: STOP, START, HELP, or YES when that was asked for

    An outbound message moves forward only, each step by a conditional update:

        SCHEDULED → QUEUED, or PREPARING, when its time has come
            │ └───→ FAILED (its chat has ended by then, its recipient was replaced, opted out or was erased)
            └─────→ deleted by the platform

        PREPARING → QUEUED → SENDING → SENT → DELIVERED
            │          ▲        │        └──→ FAILED (undeliverable, rejected, expired)
            └──→ FAILED (there is no text, and nothing of what was to go with it could be fetched)
                       │        ├──→ QUEUED (refused for now: 429, 5xx, no connection)
                       │        ├──→ QUEUED (the account is paused; the attempt does not count)
                       │        ├──→ QUEUED (as a text with links, when it was refused as an MMS)
                       │        │       ▲ from SENT as well, when a receipt says one of the last two
                       │        ├──→ HELD → QUEUED (its recipient sleeps, or has not said YES yet)
                       │        ├──→ FAILED (refused for good, or tried for too long) → QUEUED (by an operator)
                       └────────┴──→ UNCONFIRMED (the answer was lost: timeout, dropped connection, a crash)

    `due_at` is when the sender has to look at the row next: QUEUED, when it may be sent; SENDING, when its lease
    ends and it becomes UNCONFIRMED; UNCONFIRMED, when no receipt has come for so long that it is sent again.
    PREPARING, while its attachments are fetched and its platform is asked, it is until when later texts to the same
    person wait for it; SCHEDULED, when it gets its place among the texts to its person, none of which has waited for
    it until then; HELD, when it is morning, or when nobody waits for a YES any more. Nothing waits for a text that is
    HELD.
    The gateway is given the id as `client_ref`, and receipts bring it back.
    """

    class Direction(models.TextChoices):
        INBOUND = "in", "from a person"
        OUTBOUND = "out", "to a person"

    class Kind(models.TextChoices):
        TEXT = "text", "text"
        INTRODUCTION = "introduction", "introduction"
        RELAY = "relay", "relay"
        AUTO_REPLY = "auto_reply", "automatic reply"
        ANNOUNCEMENT = "announcement", "announcement"
        CLOSING = "closing", "closing text"
        PLATFORM = "platform", "text by the platform"
        CONSENT = "consent", "answer to STOP, START or HELP"

    class Status(models.TextChoices):
        RELAYED = "relayed"
        LATE = "late"
        UNMATCHED = "unmatched"
        BLOCKED = "blocked"
        KEYWORD = "keyword"
        SCHEDULED = "scheduled"
        PREPARING = "preparing"
        QUEUED = "queued"
        SENDING = "sending"
        HELD = "held"
        UNCONFIRMED = "unconfirmed"
        SENT = "sent"
        DELIVERED = "delivered"
        FAILED = "failed"

    class Channel(models.TextChoices):
        """How a text travels; with attachments, SMS is a text with links to them."""

        SMS = "sms", "SMS"
        MMS = "mms", "MMS"

    class ErrorKind(models.TextChoices):
        """Whom or what an error concerns; the gateways use the same words."""

        RECIPIENT = "recipient"
        OPT_OUT = "opt_out", "Opt-out"
        CONFIGURATION = "configuration"
        MONEY = "money"
        CARRIER = "carrier"
        UNKNOWN = "unknown"

    INBOUND_STATUSES = (Status.RELAYED, Status.LATE, Status.UNMATCHED, Status.BLOCKED, Status.KEYWORD)
    PENDING_STATUSES = (Status.SCHEDULED, Status.PREPARING, Status.QUEUED, Status.SENDING, Status.UNCONFIRMED)

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    # The order of texts is the database's, whatever the clocks of the machines say.
    position = models.BigIntegerField(
        editable=False, db_default=Func(Value("messaging_message_position"), function="nextval")
    )
    direction = models.CharField(max_length=3, choices=Direction)
    kind = models.CharField(max_length=12, choices=Kind)
    status = models.CharField(max_length=12, choices=Status)
    virtual_number = models.ForeignKey(VirtualNumber, on_delete=models.PROTECT, null=True, db_index=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, null=True, related_name="messages", db_index=False)
    # Whose text it is: the sender of an inbound one, the recipient of an outbound one.
    participant = models.ForeignKey(
        Participant, on_delete=models.CASCADE, null=True, related_name="messages", db_index=False
    )
    # Somebody who is no participant, kept only then.
    stranger_number = EncryptedTextField(blank=True, default="", db_default="")
    stranger_digest = models.BinaryField(null=True)
    relays = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="relayed_as", db_index=False)
    body = EncryptedTextField(blank=True, default="", db_default="")
    channel = models.CharField(max_length=3, choices=Channel, default=Channel.SMS, db_default=Channel.SMS)
    # How many attachments came with it, or go with it: its own, or those of the message it relays.
    media_count = models.PositiveSmallIntegerField(default=0, db_default=0)

    # What in an inbound text gives its writer away (messaging.disclosure.Kind), where a rule does not let it pass.
    disclosures = ArrayField(models.CharField(max_length=7), null=True)

    # When a platform wants its text to go, unless that was at once.
    send_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    due_at = models.DateTimeField(null=True)
    # When a text that still waits has waited too long; decided when it is queued.
    expires_at = models.DateTimeField(null=True)
    # Texts wait in turns with those of other platforms: the platform's id. No foreign key, which would cost each
    # text a lookup; nobody reads more from it than that two texts have the same.
    turn_of = models.UUIDField(default=NO_PLATFORM, db_default=NO_PLATFORM, editable=False)
    # Says at most once what must be said at most once, such as that a chat has ended.
    once_key = models.CharField(max_length=120, null=True)  # noqa: DJ001 - null: may be said any number of times

    gateway_id = models.CharField(max_length=64, null=True)  # noqa: DJ001 - null: not known yet
    error_code = models.CharField(max_length=40, blank=True, default="", db_default="")
    error_detail = models.CharField(max_length=200, blank=True, default="", db_default="")
    error_kind = models.CharField(max_length=13, choices=ErrorKind, blank=True, default="", db_default="")
    # Counted by us when the text is queued, then by the carrier when it tells.
    segments = models.PositiveSmallIntegerField(null=True)
    price = models.DecimalField(max_digits=12, decimal_places=6, null=True)
    currency = models.CharField(max_length=3, blank=True, default="", db_default="")

    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    # When its text, and the number of a stranger, were erased.
    erased_at = models.DateTimeField(null=True)

    # Set while an answer about it was lost, and for good when it was not settled before the next attempt.
    may_have_arrived = models.BooleanField(default=False, db_default=False)
    # Of a text that failed and was sent again: what the gateway called the attempts before, if it took them.
    earlier_gateway_ids = ArrayField(models.CharField(max_length=64), null=True, editable=False)
    # Of a text that the gateway took, rejected by a receipt, and was given again by itself: what it called it then.
    rejected_gateway_ids = ArrayField(models.CharField(max_length=64), null=True, editable=False)
    # A failure that an operator is done with, and which of them.
    handled_at = models.DateTimeField(null=True, editable=False)
    handled_by = models.CharField(max_length=150, blank=True, default="", db_default="", editable=False)

    class Meta:
        ordering = ("-position",)
        constraints = (
            # A webhook delivered again logs nothing: the carrier's id of an inbound text is seen once.
            models.UniqueConstraint(
                fields=["gateway_id"], condition=Q(direction="in"), name="inbound_gateway_id_is_unique"
            ),
            # One inbound text is one relay, whatever happens around it.
            models.UniqueConstraint(
                fields=["relays"], condition=Q(relays__isnull=False), name="inbound_is_relayed_once"
            ),
            models.UniqueConstraint(fields=["once_key"], condition=Q(once_key__isnull=False), name="said_at_most_once"),
            models.CheckConstraint(
                condition=Q(direction="in", status__in=("relayed", "late", "unmatched", "blocked", "keyword"))
                | Q(
                    direction="out",
                    status__in=(
                        *("scheduled", "preparing", "queued", "held", "sending", "unconfirmed"),
                        *("sent", "delivered", "failed"),
                    ),
                ),
                name="message_status_fits_direction",
            ),
            # A row nobody has to look at is never claimed; a pending one is never forgotten.
            models.CheckConstraint(
                condition=~Q(status__in=("scheduled", "preparing", "queued", "held", "sending", "unconfirmed"))
                | Q(due_at__isnull=False),
                name="message_pending_is_due",
            ),
            # Texts to our own participants go from the number they know, or from none.
            models.CheckConstraint(
                condition=Q(direction="in") | Q(virtual_number__isnull=False),
                name="outbound_has_a_virtual_number",
            ),
        )
        # The queue is empty most of the time, and PostgreSQL plans with that: it takes any of these indexes whose
        # condition fits a query for a handful of rows, and reads it all. `direction` makes each fit its own query only.
        indexes = (
            # The transcript of a chat, in the API and the admin.
            models.Index(fields=["chat", "position"], name="message_transcript"),
            # The sender: which platforms have texts on which virtual numbers, and what of them is due.
            models.Index(
                fields=["turn_of", "virtual_number", "due_at", "position"],
                condition=Q(status="queued"),
                name="message_queued_in_turn",
            ),
            # The sender: the first text of each person who has some on a number. `attempts` is never below 0: that is
            # for no other query to fit.
            models.Index(
                fields=["turn_of", "virtual_number", "participant", "position"],
                condition=Q(status="queued", attempts__gte=0),
                name="message_queued_by_person",
            ),
            # The sender: does an earlier text to the same person still wait?
            models.Index(
                fields=["participant", "position"],
                condition=Q(direction="out", status__in=("preparing", "queued", "sending", "unconfirmed")),
                name="message_pending_by_person",
            ),
            # The sender: leases that ended and waits that are over.
            models.Index(
                fields=["due_at"], condition=Q(status__in=("sending", "unconfirmed")), name="message_in_doubt"
            ),
            # The sender: what has waited too long, and what does not say yet how long it may.
            models.Index(
                fields=["expires_at"], condition=Q(direction="out", status="queued"), name="message_to_expire"
            ),
            # The sender: whose morning has come?
            models.Index(fields=["due_at"], condition=Q(direction="out", status="held"), name="message_held"),
            # A YES, a STOP: what was held back from a person?
            models.Index(
                fields=["participant"], condition=Q(direction="out", status="held"), name="message_held_by_person"
            ),
            # The sender: which texts of platforms have come to their time?
            models.Index(fields=["due_at"], condition=Q(direction="out", status="scheduled"), name="message_scheduled"),
            # Receipts that bring no client_ref.
            models.Index(
                fields=["gateway_id"],
                condition=Q(direction="out", gateway_id__isnull=False),
                name="outbound_gateway_id",
            ),
            # The admin's log, newest first.
            models.Index(fields=["position"], name="message_newest"),
            # The worker that erases what strangers wrote, the oldest first.
            models.Index(
                fields=["created_at"],
                condition=Q(participant__isnull=True, erased_at__isnull=True),
                name="message_of_stranger",
            ),
            # Erasing and exporting what is held about one person who is in no chat.
            models.Index(
                fields=["stranger_digest"],
                condition=Q(stranger_digest__isnull=False),
                name="message_by_stranger",
            ),
            # The desk: failures that nobody has seen to, by reason. And the few failures among many texts.
            models.Index(
                fields=["error_code", "position"],
                condition=UNHANDLED_FAILURE,
                name="message_failed_unhandled",
            ),
            models.Index(fields=["position"], condition=Q(status="failed"), name="message_failed"),
        )

    def __str__(self) -> str:
        return f"message {self.pk}"


class Attachment(models.Model):
    """A picture, sound, film or file of a message: of an inbound text, or of one by a platform.

        WAITING → STORED    fetched, cleaned, and kept under `file`, encrypted
            │ └─→ WITHHELD  it would give the person away, so it is not passed on
            │ └─→ FAILED    it could not be fetched or is nothing that can be passed on; its sender was told
            └──→ WAITING    the worker tries again at `due_at`
        STORED → FORGOTTEN  its link has expired, and the file is deleted

    Moved by conditional updates; when none of a message is WAITING, the text goes out.
    """

    class Source(models.TextChoices):
        GATEWAY = "gateway", "the carrier's host"
        PLATFORM = "platform", "a URL of the platform"

    class Kind(models.TextChoices):
        IMAGE = "image", "picture"
        AUDIO = "audio", "audio recording"
        VIDEO = "video", "video"
        VCARD = "vcard", "contact card"
        FILE = "file", "file"

    class Status(models.TextChoices):
        WAITING = "waiting", "being fetched"
        STORED = "stored", "passed on"
        WITHHELD = "withheld", "withheld"
        FAILED = "failed", "could not be passed on"
        FORGOTTEN = "forgotten", "deleted"

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="attachments", db_index=False)
    position = models.PositiveSmallIntegerField()
    # What the carrier called it, until it is fetched; then, what it is.
    kind = models.CharField(max_length=5, choices=Kind)
    status = models.CharField(max_length=9, choices=Status, default=Status.WAITING)
    source = models.CharField(max_length=8, choices=Source, default=Source.GATEWAY, db_default=Source.GATEWAY.value)
    # Where it is to be fetched; empty from then on.
    source_url = EncryptedTextField(blank=True, default="")
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=40, blank=True, default="")
    error_detail = models.CharField(max_length=200, blank=True, default="")
    # Its name in Django's storage.
    file = models.CharField(max_length=100, blank=True, default="")
    content_type = models.CharField(max_length=60, blank=True, default="")
    size = models.PositiveIntegerField(null=True, help_text="Bytes.")
    stored_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("position",)
        constraints = (
            # Finds the attachments of messages, in the sender, transcripts and the API.
            models.UniqueConstraint(fields=["message", "position"], name="attachment_has_a_place"),
            # The worker looks at what is due: what waits is never forgotten.
            models.CheckConstraint(
                condition=~Q(status="waiting") | Q(due_at__isnull=False), name="attachment_waiting_is_due"
            ),
            # A link leads to a file.
            models.CheckConstraint(
                condition=Q(status="stored", stored_at__isnull=False) & ~Q(file="") | ~Q(status="stored"),
                name="attachment_stored_has_a_file",
            ),
        )
        indexes = (
            # The worker: what is to be fetched.
            models.Index(fields=["due_at"], condition=Q(status="waiting"), name="attachment_waiting"),
            # The worker: whose link has expired?
            models.Index(fields=["stored_at"], condition=Q(status="stored"), name="attachment_stored"),
            # The desk: which could not be passed on of late?
            models.Index(fields=["created_at"], condition=Q(status="failed"), name="attachment_failed"),
        )

    def __str__(self) -> str:
        return f"attachment {self.pk}"


class Approval(models.Model):
    """The question to a platform whether an inbound text is passed on; its relay is PREPARING meanwhile.

        WAITING ⇄ ASKING → APPROVED   the relay goes out, unless its attachments are still being fetched
                         → CHANGED    … with the words that the platform gave
                         → BLOCKED    there is no relay any more, and the writer was told
                         → MOOT       the relay did not wait for the answer: its recipient was replaced, opted out, or
                                      somebody was erased

    Moved by conditional updates. `due_at` is when it is asked: WAITING, at the earliest; ASKING, when its lease has
    ended. The next text to the same recipient is asked about when this one is settled.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "to be asked"
        ASKING = "asking", "being asked"
        APPROVED = "approved"
        CHANGED = "changed"
        BLOCKED = "blocked"
        MOOT = "moot"

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="approval")
    # Without constraints, which would cost each text lookups; the message has both.
    platform = models.ForeignKey(
        Platform, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    recipient = models.ForeignKey(
        Participant, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    # That of the relay.
    position = models.BigIntegerField()
    status = models.CharField(max_length=8, choices=Status, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    due_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    # Why there was no answer, so that it was settled as the platform's default says.
    error = models.CharField(max_length=200, blank=True, default="", db_default="")
    # What the platform gave as its reason for blocking it.
    reason = EncryptedTextField(blank=True, default="", db_default="")

    class Meta:
        constraints = (
            # What waits is looked at some time; what is settled never again.
            models.CheckConstraint(
                condition=Q(status__in=("waiting", "asking"), due_at__isnull=False)
                | (~Q(status__in=("waiting", "asking")) & Q(due_at__isnull=True)),
                name="pending_approval_is_due",
            ),
        )
        indexes = (
            # The worker: what is due for a platform.
            models.Index(
                fields=["platform", "due_at"], condition=Q(status__in=("waiting", "asking")), name="approval_due"
            ),
            # The worker: is the platform still to be asked about an earlier text to the same person?
            models.Index(
                fields=["recipient", "position"],
                condition=Q(status__in=("waiting", "asking")),
                name="approval_by_recipient",
            ),
        )

    def __str__(self) -> str:
        return f"approval of {self.message_id}"


class OptOut(models.Model):
    """Somebody has said STOP, to one virtual number or to all of a platform; in force until they say START.

    A row is written once, and ended once: what it was is there for an auditor. Only messaging.opt_outs does that.
    """

    class Source(models.TextChoices):
        TEXT = "text", "a text"
        CARRIER = "carrier", "the carrier"
        OPERATOR = "operator", "an operator, on request"

    class End(models.TextChoices):
        START = "start", "START"
        WIDENED = "widened", "STOP again, for all of the platform"

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    virtual_number = models.ForeignKey(VirtualNumber, on_delete=models.PROTECT, related_name="+", db_index=False)
    phone_digest = models.BinaryField()
    # Who it was, in the chat that they had there or had had last; of somebody in none, the number is kept here.
    participant = models.ForeignKey(Participant, on_delete=models.SET_NULL, null=True, related_name="+")
    stranger_number = EncryptedTextField(blank=True, default="")
    scope = models.CharField(max_length=8, choices=Platform.OptOutScope)
    # Whose chat it was, or whose number; None for a stranger's STOP to a number that several platforms share.
    platform = models.ForeignKey(Platform, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)

    source = models.CharField(max_length=8, choices=Source)
    # The word as we understood it, and what was texted.
    keyword = models.CharField(max_length=10, blank=True, default="")
    text = EncryptedTextField(blank=True, default="")
    message = models.ForeignKey(Message, on_delete=models.SET_NULL, null=True, related_name="+")
    # Our answer; empty when the carrier confirms.
    confirmation = EncryptedTextField(blank=True, default="")
    reason = EncryptedTextField(blank=True, default="", max_length=200)
    recorded_by = models.CharField(max_length=150, blank=True, default="")
    created_at = models.DateTimeField()

    ended_at = models.DateTimeField(null=True)
    end = models.CharField("ended by", max_length=8, choices=End, blank=True, default="")
    end_text = EncryptedTextField(blank=True, default="")
    end_message = models.ForeignKey(Message, on_delete=models.SET_NULL, null=True, related_name="+")
    end_confirmation = EncryptedTextField(blank=True, default="")
    # When all that tells who it was and what was said went; the digest of one in force stays, or it would end with it.
    erased_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "opt-out"
        constraints = (
            # One is in force, however often STOP is texted. By this index every text is asked whether it may go.
            models.UniqueConstraint(
                fields=["phone_digest", "virtual_number"], condition=Q(ended_at=None), name="opt_out_in_force_once"
            ),
            # All of whose numbers?
            models.CheckConstraint(
                condition=~Q(scope="platform") | Q(platform__isnull=False), name="opt_out_of_platform_names_it"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, end="") | (Q(ended_at__isnull=False) & ~Q(end="")),
                name="opt_out_says_how_it_ended",
            ),
        )
        indexes = (
            # The admin: the history of a person.
            models.Index(fields=["phone_digest", "created_at"], name="opt_out_by_person"),
            # The admin's list, newest first.
            models.Index(fields=["created_at"], name="opt_out_newest"),
            # The worker that erases what strangers said, the oldest first.
            models.Index(
                fields=["created_at"],
                condition=Q(participant__isnull=True, erased_at__isnull=True),
                name="opt_out_of_stranger",
            ),
        )

    def __str__(self) -> str:
        return f"opt-out {self.pk}"


class GatewayAccount(models.Model):
    """The account at the gateway, which all senders share: when it may send again, and whether it is paused.

    While it is paused, one text at a time is tried (a probe); `probe_at` is when the next may be, or, while one is
    on its way, when its sender is taken for dead, or, when it was accepted and its receipt is awaited, until when.
    docs/decisions/0011-paused-account.md
    """

    name = models.CharField(max_length=20, primary_key=True)
    next_send_at = models.DateTimeField(db_default=Now())
    paused_at = models.DateTimeField(null=True)
    pause_code = models.CharField(max_length=40, blank=True, default="", db_default="")
    pause_detail = models.CharField(max_length=200, blank=True, default="", db_default="")
    probe_at = models.DateTimeField(null=True)
    # The text that is being tried; no foreign key, so that the log may forget it.
    probe_message_id = models.UUIDField(null=True)
    # A receipt has refused the account: of a probe that is accepted, the receipt is awaited before it counts.
    refused_by_receipt = models.BooleanField(default=False, db_default=False)
    probe_was_accepted = models.BooleanField(default=False, db_default=False)
    failed_probes = models.PositiveSmallIntegerField(default=0, db_default=0)
    # Only messaging.balance moves these; low since the reading that was first below BALANCE_WARNING.
    balance = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    balance_currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    balance_read_at = models.DateTimeField(null=True)
    balance_low_since = models.DateTimeField(null=True)
    # When a webhook was last verified with the signature secret, and with which; only messaging.signatures moves them.
    signed_at = models.DateTimeField(null=True)
    signed_with = models.CharField(max_length=16, blank=True, default="", db_default="")
    # Only chats.number_sync moves it.
    numbers_read_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            # Paused without an end would be for ever.
            models.CheckConstraint(
                condition=Q(paused_at__isnull=True) | Q(probe_at__isnull=False), name="paused_account_is_probed"
            ),
        )

    def __str__(self) -> str:
        return self.name


class TextPart(models.Model):
    """One part of a long text that the carrier delivers in parts, kept until the others have come.

    It waits until it is joined: with the others when all are there, or without those that did not come in time.
    From then on it holds no number and no words, and is there only so that its webhook is known when it comes again.
    The text that was joined is one row of the message log.
    """

    class Key(NamedTuple):
        """What the parts of one text have in common; once they are joined, the same key is another text."""

        sender_digest: bytes
        to_number: str
        reference: str
        total: int

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    sender_digest = models.BinaryField()
    to_number = models.CharField(max_length=16)
    # The sender's phone counts them from 0 to 255 or 65535 and begins again.
    reference = models.CharField(max_length=40)
    total = models.PositiveSmallIntegerField()
    part = models.PositiveSmallIntegerField()

    gateway_id = models.CharField(max_length=64)
    from_number = EncryptedTextField(blank=True, default="")
    body = EncryptedTextField(blank=True, default="")
    # As of an InboundText, when a part is no text at all.
    undeliverable = models.CharField(max_length=20, blank=True, default="")
    received_at = models.DateTimeField(db_default=Now())
    joined_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            # A webhook delivered again keeps nothing, for as long as the carrier repeats it.
            models.UniqueConstraint(fields=["gateway_id"], name="part_gateway_id_is_unique"),
            # A text is joined from one of each part. Also finds the parts that wait for a new one.
            models.UniqueConstraint(
                fields=["sender_digest", "to_number", "reference", "total", "part"],
                condition=Q(joined_at=None),
                name="part_waits_once",
            ),
            # Who joins counts the parts: a number beyond the total would stand in for one that is missing.
            models.CheckConstraint(
                condition=Q(total__gte=2, total__lte=255, part__gte=1, part__lte=models.F("total")),
                name="part_is_one_of_total",
            ),
        )
        indexes = (
            # The worker, every ten seconds: whose other parts did not come in time?
            models.Index(fields=["received_at"], condition=Q(joined_at=None), name="part_waiting"),
            # The worker, every hour: which need not be known any more?
            models.Index(fields=["joined_at"], condition=Q(joined_at__isnull=False), name="part_joined"),
        )

    def __str__(self) -> str:
        return f"part {self.pk}"
