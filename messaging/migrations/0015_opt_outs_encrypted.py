"""What opt-outs say in words is encrypted: answers may name people, and what operators write does."""

from django.db import migrations, models

import proxy_project.encryption
from proxy_project.encryption import encrypt

_COLUMNS = ("confirmation", "end_confirmation", "reason")


def encrypt_words(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        for column in _COLUMNS:
            cursor.execute(f"SELECT id, {column} FROM messaging_optout WHERE {column} <> ''")
            for key, words in cursor.fetchall():
                cursor.execute(f"UPDATE messaging_optout SET {column} = %s WHERE id = %s", [encrypt(words), key])


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0014_erasure'),
    ]

    operations = [
        migrations.AlterField(
            model_name='optout',
            name='confirmation',
            field=proxy_project.encryption.EncryptedTextField(blank=True, default=''),
        ),
        migrations.AlterField(
            model_name='optout',
            name='end_confirmation',
            field=proxy_project.encryption.EncryptedTextField(blank=True, default=''),
        ),
        migrations.AlterField(
            model_name='optout',
            name='reason',
            field=proxy_project.encryption.EncryptedTextField(blank=True, default='', max_length=200),
        ),
        migrations.RunPython(encrypt_words),
        migrations.AddField(
            model_name='optout',
            name='erased_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name='optout',
            index=models.Index(condition=models.Q(('erased_at__isnull', True), ('participant__isnull', True)), fields=['created_at'], name='opt_out_of_stranger'),
        ),
    ]
