import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from operators.roles import grant_roles


def make_groups(apps, schema_editor):
    """The groups; what they may do is granted after all migrations, when every permission is there."""
    grant_roles(apps=apps, using=schema_editor.connection.alias)


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('contenttypes', '0002_remove_content_type_name'),
        ('operators', '0001_second_factor'),
    ]

    operations = [
        migrations.CreateModel(
            name='Desk',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
            ],
            options={
                'managed': False,
                'default_permissions': (),
                'permissions': (
                    ('see_masked_numbers', 'Can see the last digits of phone numbers, and find people by a whole one'),
                    ('read_texts', 'Can read what people wrote, and see what they attached'),
                    ('export_chats', 'Can export chats'),
                ),
            },
        ),
        migrations.CreateModel(
            name='Preferences',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('time_zone', models.CharField(max_length=40)),
                ('language', models.CharField(max_length=10)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='preferences', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.RunPython(make_groups, migrations.RunPython.noop),
    ]
