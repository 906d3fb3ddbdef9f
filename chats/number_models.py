"""What is kept of how virtual numbers fare, and of how far they reach, so that no page has to read the log for it."""

from django.db import models

from platforms.models import Platform


class NumberHealth(models.Model):
    """When a virtual number was last texted to, and when the carrier last told of a text from it.

    Only messaging.number_health writes here, every few minutes: a column of the number itself would be one more write
    for each text.
    """

    virtual_number = models.OneToOneField(
        "chats.VirtualNumber", on_delete=models.CASCADE, primary_key=True, related_name="health"
    )
    last_inbound_at = models.DateTimeField(null=True)
    last_receipt_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"health of {self.virtual_number_id}"


class PoolForecast(models.Model):
    """How far the virtual numbers reach for the chats of a platform, as of the last look at them (chats.pool)."""

    platform = models.OneToOneField(Platform, on_delete=models.CASCADE, primary_key=True, related_name="pool_forecast")
    numbers = models.PositiveIntegerField()
    # How many of them the busiest person holds or cools down from, whichever platform's chats these are.
    held_by_busiest_person = models.PositiveIntegerField()
    # One of the participants that this person is; none when nobody holds a number.
    busiest_person = models.ForeignKey(
        "chats.Participant", on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    looked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"forecast of {self.platform_id}"

    @property
    def chats_left(self) -> int:
        """How many more chats the busiest person can be in."""
        return max(0, self.numbers - self.held_by_busiest_person)


class NumberUse(models.Model):
    """How the chats of a platform with many use a virtual number, as of the last look at the pools (chats.pool).

    There are rows of a platform while it has many chats, and of each only for the numbers that it uses.
    """

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="+", db_index=False)
    virtual_number = models.ForeignKey(
        "chats.VirtualNumber", on_delete=models.CASCADE, related_name="+", db_index=False
    )  # fmt: skip
    open_chats = models.PositiveIntegerField()
    cooling_down = models.PositiveIntegerField()

    class Meta:
        constraints = (
            # The next look changes the row that is there. GET /virtual-numbers reads the numbers of a page by it.
            models.UniqueConstraint(fields=["platform", "virtual_number"], name="number_use_is_noted_once"),
        )

    def __str__(self) -> str:
        return f"use of {self.virtual_number_id}"
