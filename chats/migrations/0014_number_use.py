"""How the chats of platforms with many use each virtual number, which the worker notes every few minutes."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chats', '0013_running_out_of_numbers'),
        ('platforms', '0013_more_templates'),
    ]

    operations = [
        migrations.CreateModel(
            name='NumberUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('open_chats', models.PositiveIntegerField()),
                ('cooling_down', models.PositiveIntegerField()),
                ('platform', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='platforms.platform')),
                ('virtual_number', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chats.virtualnumber')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('platform', 'virtual_number'), name='number_use_is_noted_once')],
            },
        ),
    ]
