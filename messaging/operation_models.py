"""What operators are told of the processes: that they are alive, and what they have measured."""

from django.db import models

__all__ = ["Heartbeat", "Measurement"]


class Heartbeat(models.Model):
    """A sender or worker process, which writes here every few seconds that it is at work.

    Only `messaging.heartbeats` writes here: a row a process, gone when it stops, or an hour after its last beat. A
    handful of rows, so there is no index.
    """

    class Kind(models.TextChoices):
        SENDER = "sender"
        WORKER = "worker"

    # Made anew by each process.
    id = models.UUIDField(primary_key=True, editable=False)
    kind = models.CharField(max_length=10, choices=Kind)
    host = models.CharField(max_length=100)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"heartbeat {self.pk}"


class Measurement(models.Model):
    """A count of all sender processes since the first, such as a bucket of a histogram; never a number or a text.

    Only `messaging.measurements` writes here. A few dozen rows, each found by its name and label.
    """

    pk = models.CompositePrimaryKey("name", "label")
    name = models.CharField(max_length=40)
    label = models.CharField(max_length=40)
    value = models.FloatField()

    def __str__(self) -> str:
        return f"measurement {self.name} {self.label}"
