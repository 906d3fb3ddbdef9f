from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("messaging", "0022_attachment_failed"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="message",
            index=models.Index(
                condition=models.Q(("attempts__gte", 0), ("status", "queued")),
                fields=["turn_of", "virtual_number", "participant", "position"],
                name="message_queued_by_person",
            ),
        ),
    ]
