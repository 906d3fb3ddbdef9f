"""Who calls us, what they may use and were answered; and what they are told, events and where to."""

import phonenumbers
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Func, Q, Value
from django.db.models.functions import Cast, Greatest, Now
from rest_framework_api_key.models import AbstractAPIKey

from platforms.event_types import EventType
from platforms.templates import (
    LONGEST_TAG,
    LONGEST_TEMPLATE,
    TemplateKind,
    validate_introduction,
    validate_language,
    validate_template,
)
from proxy_project.encryption import EncryptedTextField
from proxy_project.ids import make_id

# A year.
LONGEST_COOL_DOWN_HOURS = 8784

LONGEST_WAIT_MINUTES = 7 * 24 * 60
LARGEST_LIMIT = 1_000_000
# A hundred years.
LONGEST_RETENTION_DAYS = 36_525
USUAL_EXPIRING_MINUTES = 15
LONGEST_EXPIRING_MINUTES = 24 * 60
LONGEST_APPROVAL_SECONDS = 10


def _limit_field(what: str) -> "models.PositiveIntegerField[int | None, int | None]":
    return models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(LARGEST_LIMIT)],
        help_text=f"{what} Empty: what the service's settings say. 0: no limit.",
    )


class DisclosureRule(models.TextChoices):
    """What becomes of a text that holds something by which people could reach each other without us."""

    PASS = "pass", "pass: it is passed on as it is"
    REDACT = "redact", "redact: it is passed on without that"
    BLOCK = "block", "block: it is not passed on"


def _rule_field(what: str) -> "models.CharField[str, str]":
    return models.CharField(
        f"{what} in texts",
        max_length=6,
        choices=DisclosureRule,
        default=DisclosureRule.PASS,
        db_default=DisclosureRule.PASS.value,
        help_text="Their writer is told. A chat may have a rule of its own.",
    )


def _as_number(transaction: Func) -> Cast:
    """PostgreSQL turns the number of a transaction (xid8) into a bigint by way of text only."""
    return Cast(Cast(transaction, models.TextField()), output_field=models.BigIntegerField())


def validate_country(code: str) -> None:
    """Raise ValidationError unless `code` is a country that has phone numbers."""
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise ValidationError("Use ISO 3166 codes of two capital letters, such as US.", code="unknown_country")


class Platform(models.Model):
    """A booking platform: it opens chats, and sees only its own."""

    class OptOutScope(models.TextChoices):
        NUMBER = "number", "the virtual number it was texted to"
        PLATFORM = "platform", "all virtual numbers, in chats of this platform"

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    name = models.CharField(max_length=100, unique=True)
    introduction = models.TextField(
        blank=True,
        max_length=600,
        validators=[validate_introduction],
        help_text="The first text of a chat, to each person, where no template below says otherwise. Fields: {name} of "
        "the person, {counterpart}, {platform}, {reference}, {metadata.…}. Must say how to opt out. Empty: the "
        "service's own wording.",
    )
    language = models.CharField(
        max_length=LONGEST_TAG,
        blank=True,
        default="en",
        db_default="en",
        validators=[validate_language],
        help_text="In what language people are texted when POST /chats says nothing of it (BCP 47), such as en or es.",
    )
    passes_on_files = models.BooleanField(
        "pass on contact cards and files",
        default=False,
        db_default=False,
        help_text="They usually show who sent them. Off: they are withheld, and both people are told. Pictures, "
        "recordings and videos are always passed on.",
    )
    texts_expire_after_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_WAIT_MINUTES)],
        help_text="How many minutes a text may wait to be handed to Vonage; then it fails as expired, and its sender "
        "is told. Counts for texts from now on. Empty: the service's SEND_FOR_HOURS.",
    )
    cool_down_hours = models.FloatField(
        "cool-down (hours)",
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(LONGEST_COOL_DOWN_HOURS)],
        help_text="How long after a chat its people are not given its virtual numbers for somebody else. "
        "Empty: the service's own.",
    )
    keep_for_days = models.PositiveIntegerField(
        "keep for (days)",
        null=True,
        blank=True,
        validators=[MaxValueValidator(LONGEST_RETENTION_DAYS)],
        help_text="How many days after a chat has ended its texts, names and phone numbers are erased, but never "
        "before its cool-down is over. Empty: the service's KEEP_FOR_DAYS. 0: never.",
    )
    records_events = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Switched on by the platform's first webhook endpoint, and by its first GET /events. "
        "Off: nothing is recorded, and texts cost a little less work.",
    )
    opt_out_scope = models.CharField(
        "STOP counts for",
        max_length=8,
        choices=OptOutScope,
        default=OptOutScope.NUMBER,
        db_default=OptOutScope.NUMBER.value,
        help_text="Counts for whoever opts out from now on.",
    )
    cancel_words_stop = models.BooleanField(
        "END and CANCEL opt out",
        default=True,
        db_default=True,
        help_text="US rules name them beside STOP. Off: they are passed on, as words about a booking. "
        "Opt-Out Assist, where the account has it, decides for itself.",
    )
    asks_confirmation = models.BooleanField(
        "ask people before they are texted",
        default=False,
        db_default=False,
        help_text="The introduction asks for YES, and all other texts to a person wait for it. For chats from now on.",
    )
    quiet_from = models.TimeField(
        "quiet hours from",
        null=True,
        blank=True,
        help_text="Introductions and texts of the platform, never what people write, wait until morning where the "
        "person is. Empty: sent at any time.",
    )
    quiet_until = models.TimeField("quiet hours until", null=True, blank=True)
    # Whether there is an ApprovalHook, for the lookup of every text; only platforms.approval moves it.
    asks_for_approval = models.BooleanField(default=False, db_default=False, editable=False)
    expiring_minutes = models.PositiveIntegerField(
        "tell of the end (minutes before)",
        null=True,
        blank=True,
        validators=[MaxValueValidator(LONGEST_EXPIRING_MINUTES)],
        help_text="How many minutes before a chat's expires_at the event chat.expiring is recorded. Empty: 15. "
        "0: never.",
    )
    # When it was last told that a person will soon have no virtual number left; only chats.services moves it.
    running_out_at = models.DateTimeField(null=True, editable=False)
    phone_numbers_in_texts = _rule_field("phone numbers")
    emails_in_texts = _rule_field("e-mail addresses")
    links_in_texts = _rule_field("links")
    handles_in_texts = _rule_field("messenger names")
    allowed_countries = ArrayField(
        models.CharField(max_length=2, validators=[validate_country]),
        blank=True,
        default=list,
        db_default=[],
        help_text="ISO 3166 codes, separated by commas: only phone numbers of these countries are texted. "
        "Empty: what the service's settings say.",
    )
    # None: the service's own limit (settings); 0: no limit.
    texts_per_minute = _limit_field("Texts of one person in a chat that are passed on, a minute.")
    texts_per_day = _limit_field("Texts of one person in a chat that are passed on, a day.")
    reads_per_minute = _limit_field("Requests that read (GET), a minute.")
    writes_per_minute = _limit_field("Requests that change something, a minute.")
    chats_per_day = _limit_field("New chats, a day.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            # messaging.quiet_hours reckons with a beginning and an end.
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | (Q(quiet_from__isnull=False, quiet_until__isnull=False) & ~Q(quiet_from=models.F("quiet_until"))),
                name="quiet_hours_begin_and_end",
                violation_error_message="Quiet hours need both times, which differ; or neither.",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_authenticated(self) -> bool:
        """A platform is what an API request acts as, in the place where Django expects a user."""
        return True


class Template(models.Model):
    """What the service texts to people of a platform, instead of its own wording, in a language and on a side."""

    class Side(models.IntegerChoices):
        FIRST = 1, "the first participant"
        SECOND = 2, "the second participant"

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="templates", db_index=False)
    kind = models.CharField(max_length=30, choices=TemplateKind)
    language = models.CharField(max_length=LONGEST_TAG, validators=[validate_language], help_text="BCP 47, such as es.")
    side = models.PositiveSmallIntegerField(
        choices=Side, null=True, blank=True, help_text="Only for this participant of a chat. Empty: for both."
    )
    text = models.TextField(max_length=LONGEST_TEMPLATE)

    class Meta:
        ordering = ("kind", "language", "side")
        constraints = (
            # What somebody is texted is one template; also finds those of a platform.
            models.UniqueConstraint(
                fields=["platform", "kind", "language", "side"], nulls_distinct=False, name="template_is_the_only_one"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} ({self.language})"

    def clean(self) -> None:
        """Refuse a text that cannot be a template of this kind."""
        if self.kind in TemplateKind:
            try:
                validate_template(TemplateKind(self.kind), self.text)
            except ValidationError as error:
                raise ValidationError({"text": error}) from None


class ApiKey(AbstractAPIKey):
    """One of a platform's keys: shown once when it is made, kept as a hash, revocable."""

    class Role(models.TextChoices):
        READ = "read", "read: GET only"
        WRITE = "write", "write: everything"

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="api_keys")
    role = models.CharField(max_length=5, choices=Role.choices, default=Role.WRITE, db_default=Role.WRITE)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta(AbstractAPIKey.Meta):
        verbose_name = "API key"
        verbose_name_plural = "API keys"

    @property
    def audit_id(self) -> str:
        """What the audit log calls it."""
        return self.prefix


class Event(models.Model):
    """Something that a platform is told: committed with what it tells of, and never changed.

    `payload` is the JSON of its `data` as it was at that time, with phone numbers masked and without any text: that is
    read from the message when the event is shown, so that a text that has been erased is in no event either.
    """

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="events", db_index=False)
    # The order in which webhooks of one chat are delivered.
    position = models.BigIntegerField(
        editable=False, db_default=Func(Value("platforms_event_position"), function="nextval")
    )
    # Positions are not committed in order. Among transactions that have all ended, this order is final: a poller that
    # has seen an event never finds an earlier one later. A transaction may have had its number long before it waited
    # for what others did to the chat, so that its events come after the latest of those that had ended by then.
    transaction = models.BigIntegerField(
        editable=False,
        db_default=Greatest(
            _as_number(Func(function="pg_current_xact_id")),
            _as_number(Func(Func(function="pg_current_snapshot"), function="pg_snapshot_xmax")) - Value(1),
        ),
    )
    type = models.CharField(max_length=30, choices=EventType)
    # What it is about. Without constraints: an event costs no lookups, and the log may forget what it names.
    chat = models.ForeignKey(
        "chats.Chat", on_delete=models.DO_NOTHING, null=True, db_index=False, db_constraint=False, related_name="+"
    )
    message = models.ForeignKey(
        "messaging.Message",
        on_delete=models.DO_NOTHING,
        null=True,
        db_index=False,
        db_constraint=False,
        related_name="+",
    )
    payload = EncryptedTextField()
    occurred_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-position",)
        indexes = (
            # GET /events: a platform's events after one it has seen.
            models.Index(fields=["platform", "transaction", "position"], name="event_by_platform"),
            # The admin's list, newest first.
            models.Index(fields=["position"], name="event_newest"),
            # The worker that forgets old events.
            models.Index(fields=["occurred_at"], name="event_oldest"),
            # Erasing and exporting what the events of a chat tell of its people.
            models.Index(fields=["chat"], condition=Q(chat__isnull=False), name="event_by_chat"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"


class WebhookEndpoint(models.Model):
    """A URL of a platform to which its events are delivered, signed as Standard Webhooks says.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="webhook_endpoints")
    url = models.CharField("URL", max_length=500)
    # Of both as long as the second is live: whoever receives an event may still know only the older one.
    secret = EncryptedTextField()
    previous_secret = EncryptedTextField(blank=True, default="", db_default="")
    previous_secret_until = models.DateTimeField(null=True, blank=True)
    is_enabled = models.BooleanField("Enabled", default=True, db_default=True)
    include_bodies = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether events hold what people wrote.",
    )
    event_types = ArrayField(
        models.CharField(max_length=30, choices=EventType),
        blank=True,
        default=list,
        help_text="Which events are delivered. None chosen: all of them.",
    )
    created_at = models.DateTimeField(db_default=Now())

    consecutive_failures = models.PositiveIntegerField(default=0, db_default=0)
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_failure_at = models.DateTimeField(null=True, blank=True)
    last_failure = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        ordering = ("created_at",)

    def __str__(self) -> str:
        return f"webhook endpoint {self.pk}"


class ApprovalHook(models.Model):
    """A URL of a platform that is asked before a text is passed on, signed like its events.

    Only `platforms.approval` makes and removes it, and moves `Platform.asks_for_approval` with it.
    docs/decisions/0021-approval-hook.md
    """

    class Default(models.TextChoices):
        RELAY = "relay", "pass the text on"
        BLOCK = "block", "block the text"

    platform = models.OneToOneField(Platform, on_delete=models.CASCADE, primary_key=True, related_name="approval_hook")
    url = models.CharField("URL", max_length=500)
    # As of a WebhookEndpoint.
    secret = EncryptedTextField()
    previous_secret = EncryptedTextField(blank=True, default="", db_default="")
    previous_secret_until = models.DateTimeField(null=True, blank=True)
    timeout_seconds = models.PositiveSmallIntegerField(
        "time limit (seconds)",
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_APPROVAL_SECONDS)],
        help_text="For so long a text waits for the answer.",
    )
    default = models.CharField(
        "without an answer", max_length=5, choices=Default, help_text="What becomes of a text when none comes in time."
    )
    created_at = models.DateTimeField(db_default=Now())

    consecutive_failures = models.PositiveIntegerField(default=0, db_default=0)
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_failure_at = models.DateTimeField(null=True, blank=True)
    last_failure = models.CharField(max_length=200, blank=True, default="", db_default="")
    # It has failed too often in a row, and until then it is not asked.
    skipped_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"approval hook of {self.platform_id}"


class EventDelivery(models.Model):
    """One event on its way to one endpoint.

    WAITING → SENDING → DELIVERED
       ▲        │
       └────────┼──→ FAILED (too many attempts, or for too long)
                └──→ SENDING again, by somebody else, when its lease has ended

    `due_at` is when it is tried: WAITING, at the earliest; SENDING, when its lease has ended. An event waits until the
    one before it in the same chat has been delivered to the endpoint or has failed.
    """

    class Status(models.TextChoices):
        WAITING = "waiting"
        SENDING = "sending"
        DELIVERED = "delivered"
        FAILED = "failed"

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    # Without a constraint: what is recorded while an endpoint is being deleted must not fail because of it.
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False, db_constraint=False
    )
    # Copied from the event, for the question whether an earlier one of its chat still waits.
    chat_id = models.UUIDField(null=True)
    position = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    due_at = models.DateTimeField(null=True, db_default=Now())
    queued_at = models.DateTimeField(db_default=Now())
    last_attempt_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        constraints = (
            # An event is delivered to an endpoint once, and delivered again in the same row. Also finds an event's.
            models.UniqueConstraint(fields=["event", "endpoint"], name="event_goes_to_an_endpoint_once"),
            # What waits is looked at some time; what is settled never again.
            models.CheckConstraint(
                condition=Q(status__in=("waiting", "sending"), due_at__isnull=False)
                | Q(status__in=("delivered", "failed"), due_at__isnull=True),
                name="pending_delivery_is_due",
            ),
        )
        indexes = (
            # The worker: what is due for an endpoint.
            models.Index(
                fields=["endpoint", "due_at"], condition=Q(status__in=("waiting", "sending")), name="delivery_due"
            ),
            # The worker: does an earlier event of the same chat still wait? The recording of one: until when?
            models.Index(
                fields=["endpoint", "chat_id", "position"],
                condition=Q(status__in=("waiting", "sending"), chat_id__isnull=False),
                name="delivery_pending_by_chat",
            ),
            # The health of an endpoint: how many have failed.
            models.Index(fields=["endpoint"], condition=Q(status="failed"), name="delivery_failed"),
        )

    def __str__(self) -> str:
        return f"delivery {self.pk}"


class Allowance(models.Model):
    """When a platform's allowance of something is whole again; the table is unlogged: a crash makes all of them whole.

    Every request moves one, past the ORM (`platforms.limits`).
    """

    # One row for each platform and bucket: the conflict by which platforms.limits finds the row it moves.
    pk = models.CompositePrimaryKey("platform_id", "bucket")
    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="+", db_index=False)
    bucket = models.CharField(max_length=10)
    whole_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.bucket} of {self.platform_id}"


class KeptAnswer(models.Model):
    """What a request with an Idempotency-Key was answered, for its repeats; in the transaction of its effect."""

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="+", db_index=False)
    # Digests, since a platform may put anything into its keys, and phone numbers are in the bodies.
    key_digest = models.BinaryField()
    fingerprint = models.BinaryField()
    status = models.PositiveSmallIntegerField()
    body = EncryptedTextField(blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            # Of two requests with one key at the same time, the second waits for the first (platforms.idempotency).
            models.UniqueConstraint(fields=["platform", "key_digest"], name="idempotency_key_is_used_once"),
        ]
        indexes = [
            # forget_answers finds the old ones.
            models.Index(fields=["created_at"], name="kept_answer_by_age"),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class EncryptionKey(models.Model):
    """One of ENCRYPTION_KEYS, by its fingerprint: whether something may still be encrypted with it.

    A process that does not have a key which is needed refuses to start (platforms.keys).
    """

    fingerprint = models.CharField(max_length=16, primary_key=True)
    first_used_at = models.DateTimeField(db_default=Now())
    # Set by rotate_keys, once it has looked at everything and found nothing under this key.
    not_needed_since = models.DateTimeField(null=True)
    # Set when an operator has said that it is lost, and what it encrypted with it.
    lost_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"key {self.fingerprint}"
