"""Failures that an operator sees to, and texts that are sent again."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chats', '0008_consent'),
        ('messaging', '0016_abuse'),
    ]

    operations = [
        migrations.AddField(
            model_name='message',
            name='earlier_gateway_ids',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), editable=False, null=True, size=None),
        ),
        migrations.AddField(
            model_name='message',
            name='handled_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='handled_by',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=150),
        ),
        migrations.AddField(
            model_name='message',
            name='may_have_arrived',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('direction', 'out'), ('handled_at__isnull', True), ('status', 'failed'), models.Q(('error_kind', 'opt_out'), _negated=True), models.Q(('error_code__in', ('recipient_replaced', 'chat_ended')), _negated=True)), fields=['error_code', 'position'], name='message_failed_unhandled'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('status', 'failed')), fields=['position'], name='message_failed'),
        ),
    ]
