"""Who may text whom: virtual numbers, chats and their participants."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

# Kept in a module of their own.
from chats.number_models import NumberHealth, NumberUse, PoolForecast  # noqa: F401
from platforms.models import DisclosureRule, Platform
from platforms.templates import LONGEST_TAG
from proxy_project.encryption import UNREADABLE, EncryptedJSONField, EncryptedTextField
from proxy_project.ids import make_id


class VirtualNumber(models.Model):
    """A number we rent; the only number people see."""

    class State(models.TextChoices):
        ACTIVE = "active", "active"
        RESERVED = "reserved", "reserved: only given when asked for by name"
        DRAINING = "draining", "draining: open chats go on, no new ones"
        RETIRED = "retired", "retired"

    class PacedBy(models.TextChoices):
        TEXTS = "texts", "texts"
        SEGMENTS = "segments", "segments: a long text counts several times (10DLC)"

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    number = models.CharField(
        max_length=16,
        unique=True,
        validators=[RegexValidator(r"^\+[1-9][0-9]{6,14}$", "Use the E.164 format, such as +14155550100.")],
    )
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166 code, such as US.")
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    can_sms = models.BooleanField("SMS", default=True)
    can_mms = models.BooleanField("MMS", default=False)
    messages_per_second = models.FloatField(
        default=10,
        validators=[MinValueValidator(0.01)],
        help_text="How many texts or segments a second Vonage lets this number send.",
    )
    paced_by = models.CharField(
        "counted in",
        max_length=8,
        choices=PacedBy,
        default=PacedBy.TEXTS,
        db_default=PacedBy.TEXTS.value,
        help_text="What the rate counts. US carriers count the segments of registered long numbers (10DLC).",
    )
    platform = models.ForeignKey(
        Platform,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="virtual_numbers",
        help_text="Only this platform's chats use the number. Empty: shared by all.",
    )
    next_send_at = models.DateTimeField(
        db_default=Now(),
        editable=False,
        help_text="Pacing: when the number may send again. Only the sender moves it.",
    )
    # Country and capabilities as the gateway had them at the last sync, which only chats.number_sync moves: what an
    # operator has changed since is kept until they change there.
    at_gateway = models.JSONField(null=True, editable=False)
    # What is wrong with it at the gateway, as of the last sync; only chats.number_sync moves them.
    missing_since = models.DateTimeField(
        null=True, editable=False, help_text="The account at the gateway no longer has the number."
    )
    unlinked_since = models.DateTimeField(
        null=True, editable=False, help_text="The number is not linked to our application: its texts do not reach us."
    )
    # Pacing by segments: when each of the last second was sent. Only the sender changes it.
    segments_sent_at = ArrayField(models.DateTimeField(), null=True, blank=True, editable=False)
    # When the carrier last said "slow down" to a text from it, and how often, each within a day of the one before.
    # Only the sender moves them (messaging.claims, messaging.results).
    throttled_at = models.DateTimeField(null=True, editable=False)
    throttled_times = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("number",)
        constraints = (
            # Everything on the wire is E.164; what is not would never be matched by a webhook.
            models.CheckConstraint(condition=Q(number__regex=r"^\+[1-9][0-9]{6,14}$"), name="virtual_number_is_e164"),
            # The sender divides by it.
            models.CheckConstraint(condition=Q(messages_per_second__gt=0), name="virtual_number_has_a_rate"),
        )
        # Opening a chat reads the active numbers of a platform, or the shared ones.
        indexes = (
            models.Index(fields=["platform", "country"], condition=Q(state="active"), name="virtual_number_pool"),
        )

    def __str__(self) -> str:
        return f"virtual number {self.pk}"


def _rule_field() -> "models.CharField[str | None, str | None]":
    return models.CharField(max_length=6, choices=DisclosureRule, null=True, blank=True)


class Chat(models.Model):
    """Two people texting through virtual numbers, open until ended.

        SCHEDULED → OPEN ⇄ ENDED      by its start, end or expiry, and reopening
            └────────────────↑        called off before it started

    Moved only by `chats.services`, which moves the participants with it. A chat that is scheduled holds its virtual
    numbers like an open one, and passes nothing on. docs/decisions/0017-lifecycle.md
    """

    class Status(models.TextChoices):
        SCHEDULED = "scheduled"
        OPEN = "open"
        ENDED = "ended"

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    platform = models.ForeignKey(Platform, on_delete=models.PROTECT, related_name="chats", db_index=False)
    reference = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001 - null: none, many may have none
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    end_reason = models.CharField(max_length=100, blank=True)
    metadata = EncryptedJSONField(default=dict, blank=True)
    starts_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    # The end after silence: how much of it, and when it will have been enough; texts move that, coarsely.
    idle_timeout_seconds = models.PositiveIntegerField(null=True, blank=True)
    idle_ends_at = models.DateTimeField(null=True, blank=True)
    # Which `expires_at` the platform was told of as coming soon; one that is moved is told of again.
    told_of_end_at = models.DateTimeField(null=True, blank=True, editable=False)
    # How often it changed who is texted here. A relay that was decided on before is decided anew.
    revision = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    # Rules of its own; without one, the platform's.
    phone_numbers_in_texts = _rule_field()
    emails_in_texts = _rule_field()
    links_in_texts = _rule_field()
    handles_in_texts = _rule_field()
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    # When its people's numbers and names and all its texts were erased; what is left tells nothing of them.
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            # The same booking posted twice, at once or a day later, is one chat.
            models.UniqueConstraint(
                fields=["platform", "reference"],
                condition=Q(reference__isnull=False),
                name="chat_reference_is_unique",
            ),
            # An ended chat says when; any other has not ended.
            models.CheckConstraint(
                condition=Q(status__in=("scheduled", "open"), ended_at__isnull=True)
                | Q(status="ended", ended_at__isnull=False),
                name="chat_ended_at_follows_status",
            ),
            # The worker finds it by that time, and by nothing else.
            models.CheckConstraint(
                condition=~Q(status="scheduled") | Q(starts_at__isnull=False), name="scheduled_chat_has_a_start"
            ),
        )
        indexes = (
            # GET /chats: a platform's chats, newest first.
            models.Index(fields=["platform", "created_at"], name="chat_by_platform"),
            # GET /chats?status=: the few that are open, among many that have ended.
            models.Index(fields=["platform", "status", "created_at"], name="chat_by_status"),
            # GET /chats?started_after=&started_before=.
            models.Index("platform", Coalesce("starts_at", "created_at"), name="chat_by_start"),
            # The admin's list, over all platforms.
            models.Index(fields=["created_at"], name="chat_newest"),
            # The worker that ends chats on time, and tells platforms a while before.
            models.Index(
                fields=["expires_at"],
                condition=Q(status="open", expires_at__isnull=False),
                name="chat_to_expire",
            ),
            # The worker that ends chats after silence.
            models.Index(
                fields=["idle_ends_at"],
                condition=Q(status="open", idle_ends_at__isnull=False),
                name="chat_gone_silent",
            ),
            # The worker that starts chats on time.
            models.Index(fields=["starts_at"], condition=Q(status="scheduled"), name="chat_to_start"),
            # GET /virtual-numbers: a platform's chats that hold a number, or whose people cool down from it.
            # GET /chats?ended_after=&ended_before=.
            models.Index(fields=["platform", "ended_at"], name="chat_by_end"),
            # The worker that erases what has been kept for long enough: a platform's oldest chats first.
            models.Index(
                fields=["platform", "ended_at"],
                condition=Q(status="ended", erased_at__isnull=True),
                name="chat_to_erase",
            ),
        )

    def __str__(self) -> str:
        return f"chat {self.pk}"


class Participant(models.Model):
    """One person in one chat.

    `ended_at` is empty while the chat is scheduled or open: then they hold their virtual number. `replaced_at` is
    when another person or phone took their side of it; the row stays, so that their late texts are known.
    """

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="participants")
    position = models.PositiveSmallIntegerField(help_text="1 or 2: the order in which the platform named them.")
    name = EncryptedTextField(blank=True, default="")
    # BCP 47: in what language the service texts them; empty: the platform's.
    language = models.CharField(max_length=LONGEST_TAG, blank=True, default="", db_default="")
    phone_number = EncryptedTextField()
    phone_digest = models.BinaryField()
    virtual_number = models.ForeignKey(
        VirtualNumber, on_delete=models.PROTECT, related_name="participants", db_index=False
    )
    # IANA, as the platform gave it; empty: what the phone number tells.
    time_zone = models.CharField(max_length=40, blank=True, default="", db_default="")
    # Asked for YES, and not answered yet; only messaging.consent moves it. What was texted then is kept for auditors.
    awaits_consent = models.BooleanField(default=False, db_default=False)
    consented_at = models.DateTimeField(null=True, blank=True)
    consent_text = EncryptedTextField(blank=True, default="", db_default="")
    # When the platform was told that few virtual numbers are left them (chats.services.shortages).
    running_out_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    replaced_at = models.DateTimeField(null=True, blank=True)
    # Muted, what they text is not passed on; blocked, nothing is sent to them either; the reasons say why they are or
    # no longer are. Only chats.restrictions moves them.
    muted_at = models.DateTimeField(null=True, blank=True)
    mute_reason = models.CharField(max_length=100, blank=True, default="", db_default="")
    blocked_at = models.DateTimeField(null=True, blank=True)
    block_reason = models.CharField(max_length=100, blank=True, default="", db_default="")

    class Meta:
        ordering = ("position", "id")
        constraints = (
            # The rule of masking: an inbound text carries nothing but the two numbers, and must name one open chat.
            models.UniqueConstraint(
                fields=["virtual_number", "phone_digest"],
                condition=Q(ended_at__isnull=True),
                name="open_chat_is_named_by_both_numbers",
            ),
            # Nobody texts themselves. Who was replaced may come back.
            models.UniqueConstraint(
                fields=["chat", "phone_digest"], condition=Q(replaced_at__isnull=True), name="people_of_a_chat_differ"
            ),
            # A chat is two people, also when it is reopened.
            models.UniqueConstraint(
                fields=["chat", "position"], condition=Q(replaced_at__isnull=True), name="chat_has_two_people"
            ),
            # Who was replaced holds no number any more.
            models.CheckConstraint(
                condition=Q(replaced_at__isnull=True) | Q(ended_at__isnull=False), name="replaced_participant_has_ended"
            ),
            models.CheckConstraint(condition=Q(position__in=(1, 2)), name="participant_is_first_or_second"),
        )
        indexes = (
            # Opening a chat: the numbers a person holds or cools down from. A late text: their last chat on a number.
            models.Index(fields=["phone_digest", "virtual_number", "ended_at"], name="participant_by_phone"),
            # The admin's count of open chats for each number.
            models.Index(
                fields=["virtual_number"],
                condition=Q(ended_at__isnull=True),
                name="participant_open_by_number",
            ),
            # GET /chats?virtual_number=: the chats on a number, which may be few among many.
            models.Index(fields=["virtual_number", "chat"], name="participant_by_number"),
        )

    def __str__(self) -> str:
        return f"participant {self.pk}"


class Erasure(models.Model):
    """That a person was erased: kept so that it can be done again when a backup brings them back.

    Nothing but a keyed digest of their number is left here. https://gdpr-info.eu/art-17-gdpr/
    """

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    phone_digest = models.BinaryField()
    # Whose request it was, and then only about that platform's chats; without one, everywhere.
    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    # What was there at this time is erased. Asked for again later, it is this row with a later time.
    erased_at = models.DateTimeField()

    class Meta:
        constraints = (
            # Asked for again, at once or years later, it is one row.
            models.UniqueConstraint(
                fields=["phone_digest", "platform"], nulls_distinct=False, name="erasure_of_a_person_is_one"
            ),
        )

    def __str__(self) -> str:
        return f"erasure {self.pk}"


class Pace(models.Model):
    """How fast and how often a participant has texted lately, in texts that were passed on.

    Every text moves one, past the ORM (`messaging.inbox`), so the table is unlogged: after a crash all begin anew.
    docs/decisions/0024-abuse.md
    """

    participant = models.OneToOneField(Participant, on_delete=models.CASCADE, primary_key=True, related_name="pace")
    # When their allowance for a minute, and that for a day, is whole again (docs/decisions/0016-limits.md).
    minute_whole_at = models.DateTimeField()
    day_whole_at = models.DateTimeField()
    last_at = models.DateTimeField()
    # A digest of what they texted last, how often in a row, and since when.
    last_text = models.BinaryField()
    same_texts = models.PositiveIntegerField()
    same_since = models.DateTimeField()
    # How many of their texts in a row came as a quick answer to one of the counterpart.
    quick_answers = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"pace of {self.participant_id}"


class Report(models.Model):
    """A participant has reported their counterpart, who is muted since; open until somebody has looked at it."""

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="reports", db_index=False)
    reporter = models.ForeignKey(Participant, on_delete=models.CASCADE, related_name="reports", db_index=False)
    reported = models.ForeignKey(Participant, on_delete=models.CASCADE, related_name="reported_in")
    created_at = models.DateTimeField(db_default=Now())
    handled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            # REPORT again, while nobody has looked at the first, is one report.
            models.UniqueConstraint(
                fields=["reporter"], condition=Q(handled_at__isnull=True), name="one_open_report_a_reporter"
            ),
        )
        indexes = (
            # The admin's list, newest first; the metric counts the open ones by the constraint above.
            models.Index(fields=["created_at"], name="report_newest"),
        )

    def __str__(self) -> str:
        return f"report {self.pk}"


def mask(phone_number: str) -> str:
    """Return a number with only what tells its country and its last two digits: `+1•••••••••23`."""
    if phone_number == UNREADABLE:
        return phone_number
    return f"{phone_number[:2]}{'•' * (len(phone_number) - 4)}{phone_number[-2:]}"
