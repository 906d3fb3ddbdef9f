"""The books: how many texts a day a platform had, and what they cost, kept apart from the log."""

from django.db import models
from django.db.models import Q

from chats.models import VirtualNumber
from platforms.models import Platform


class UsageDay(models.Model):
    """The texts of a day (UTC) that have everything here in common, and what they come to.

    Only `messaging.usage` and, for what changes later, a trigger write here; whoever reads adds the rows up, and those
    of the log that are not counted yet. docs/decisions/0022-usage.md
    """

    day = models.DateField()
    # Of the text's chat, else of its virtual number.
    platform = models.ForeignKey(Platform, on_delete=models.PROTECT, null=True, db_index=False)
    virtual_number = models.ForeignKey(VirtualNumber, on_delete=models.PROTECT, null=True, db_index=False)
    direction = models.CharField(max_length=3)
    kind = models.CharField(max_length=40)
    status = models.CharField(max_length=40)
    currency = models.CharField(max_length=3, help_text="Empty while the price is not known.")
    texts = models.BigIntegerField()
    segments = models.BigIntegerField()
    mms = models.BigIntegerField()
    attachments = models.BigIntegerField()
    price = models.DecimalField(max_digits=18, decimal_places=6)
    # A change of a text that was counted before: one row takes it away as it was, another adds it as it is.
    is_late = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = (
            # What is counted later is added to the row that is there.
            models.UniqueConstraint(
                fields=["platform", "day", "virtual_number", "direction", "kind", "status", "currency"],
                condition=Q(is_late=False),
                nulls_distinct=False,
                name="usage_is_added_up",
            ),
        )
        indexes = (
            # GET /usage: a platform's days.
            models.Index(fields=["platform", "day"], name="usage_by_day"),
            # The admin: the days of a virtual number.
            models.Index(fields=["virtual_number", "day"], name="usage_by_number"),
            # The late changes: the worker adds them up, and until then GET /usage reads them beside UsageTotal.
            models.Index(fields=["day"], condition=Q(is_late=True), name="usage_late"),
        )

    def __str__(self) -> str:
        return f"usage {self.pk}"


class UsageTotal(models.Model):
    """UsageDay without virtual numbers, and without late changes: what a platform used on a day, in a few rows.

    Only a trigger on UsageDay writes here, in the transaction that changes a row there, so it does not matter who does,
    nor of which version they are. docs/decisions/0022-usage.md
    """

    day = models.DateField()
    platform = models.ForeignKey(Platform, on_delete=models.PROTECT, null=True, db_index=False, related_name="+")
    direction = models.CharField(max_length=3)
    kind = models.CharField(max_length=40)
    status = models.CharField(max_length=40)
    currency = models.CharField(max_length=3)
    texts = models.BigIntegerField()
    segments = models.BigIntegerField()
    mms = models.BigIntegerField()
    attachments = models.BigIntegerField()
    price = models.DecimalField(max_digits=18, decimal_places=6)

    class Meta:
        constraints = (
            # The trigger adds to the row that is there. GET /usage reads a platform's days by it.
            models.UniqueConstraint(
                fields=["platform", "day", "direction", "kind", "status", "currency"],
                nulls_distinct=False,
                name="usage_total_is_added_up",
            ),
        )

    def __str__(self) -> str:
        return f"usage total {self.pk}"


class UsageProgress(models.Model):
    """How far the log has been counted: every text before `counted_to`, a position of the log, is in UsageDay."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    counted_to = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            # There is one log.
            models.CheckConstraint(condition=Q(pk=1), name="usage_has_one_progress"),
        )

    def __str__(self) -> str:
        return f"counted to {self.counted_to}"
