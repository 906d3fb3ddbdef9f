from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # While texts with attachments come in.
    atomic = False

    dependencies = [
        ("messaging", "0021_signed_webhooks"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="attachment",
            index=models.Index(condition=models.Q(("status", "failed")), fields=["created_at"], name="attachment_failed"),
        ),
    ]
