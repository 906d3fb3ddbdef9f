"""The figures of the desk: how texts and chats fare, by quarter of an hour, kept apart from the log."""

from django.db import models
from django.db.models import Q


class Figure(models.Model):
    """How often something was so in a quarter of an hour; the pages add these up and never read the log.

    `name` and `key` are of desk.counting. A text counts in the quarter in which it was written or queued, whatever
    becomes of it later: what links lead to and what they say agree. docs/decisions/0027-desk.md
    """

    at = models.DateTimeField()
    name = models.CharField(max_length=10)
    key = models.CharField(max_length=40, blank=True)
    amount = models.BigIntegerField()
    # Of texts that are too young to be counted once and for all: replaced each time.
    is_recent = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = (
            # What is counted later is added to the row that is there. Also finds the figures of a week.
            models.UniqueConstraint(fields=["at", "name", "key", "is_recent"], name="figure_is_added_up"),
        )
        indexes = (
            # The worker replaces them.
            models.Index(fields=["at"], condition=Q(is_recent=True), name="figure_recent"),
        )

    def __str__(self) -> str:
        return f"figure {self.pk}"


class LateChange(models.Model):
    """A text that changed after it was counted: one row takes it away as it was, another adds it as it is.

    A trigger on the log writes here (migration 0001), with the columns of the log that desk.counting reads.
    """

    sign = models.SmallIntegerField()
    created_at = models.DateTimeField()
    direction = models.CharField(max_length=3)
    kind = models.CharField(max_length=40)
    status = models.CharField(max_length=40)
    error_code = models.CharField(max_length=40, blank=True)
    sent_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    is_resent = models.BooleanField()
    price = models.DecimalField(max_digits=12, decimal_places=6, null=True)
    currency = models.CharField(max_length=3, blank=True)

    def __str__(self) -> str:
        return f"late change {self.pk}"


class Progress(models.Model):
    """How far the log has been counted: every text before `counted_to`, a position of the log, is counted for good."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    counted_to = models.BigIntegerField()
    counted_at = models.DateTimeField()

    class Meta:
        constraints = (
            # There is one log.
            models.CheckConstraint(condition=Q(pk=1), name="desk_has_one_progress"),
        )

    def __str__(self) -> str:
        return f"counted to {self.counted_to}"


class Errand(models.Model):
    """What an operator wants done about all texts that failed for a reason, when they are too many for one request.

    The worker goes through them by their position, a few at a time; `cursor` is how far it has come. What has failed
    since it was asked for is not meant.
    """

    class Action(models.TextChoices):
        RESEND = "resend"
        TELL = "tell"
        TICK_OFF = "tick_off"

    action = models.CharField(max_length=10, choices=Action)
    error_code = models.CharField(max_length=40, blank=True)
    last_position = models.BigIntegerField()
    cursor = models.BigIntegerField(default=-1)
    done = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    # Who wants it, for the audit log.
    actor_id = models.CharField(max_length=40)
    actor_name = models.CharField(max_length=150)
    request_id = models.UUIDField(null=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            # Asked for twice, it is done once.
            models.UniqueConstraint(
                fields=["error_code"], condition=Q(finished_at__isnull=True), name="one_errand_a_reason"
            ),
        )
        indexes = (
            # The page shows the latest.
            models.Index(fields=["created_at"], name="errand_newest"),
        )

    def __str__(self) -> str:
        return f"errand {self.pk}"
