"""The books of GET /usage, and the trigger that keeps them right when a text changes after it was counted."""

import django.db.models.deletion
from django.db import migrations, models

# Most texts change for the last time within seconds, long before they are counted, and cost the comparison of two
# times. What changes later is taken away as it was counted and added as it is, in rows of their own: whoever changes a
# text waits for nobody but the worker that counts, and that locks no text. The lock is messaging.usage.LOCK.
# The condition names one column only: others could not change their type any more.
COUNT_LATE_CHANGES = """
    CREATE FUNCTION messaging_count_late_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (OLD.created_at, OLD.kind, OLD.status, OLD.channel, OLD.media_count, OLD.segments, OLD.price, OLD.currency)
           IS NOT DISTINCT FROM
           (NEW.created_at, NEW.kind, NEW.status, NEW.channel, NEW.media_count, NEW.segments, NEW.price, NEW.currency)
        THEN
            RETURN NULL;
        END IF;
        PERFORM pg_advisory_xact_lock_shared(7308604895);
        INSERT INTO messaging_usageday (
            day, platform_id, virtual_number_id, direction, kind, status, currency, texts, segments, mms, attachments,
            price, is_late
        )
        SELECT (created_at AT TIME ZONE 'UTC')::date,
               COALESCE((SELECT platform_id FROM chats_chat WHERE id = OLD.chat_id),
                        (SELECT platform_id FROM chats_virtualnumber WHERE id = OLD.virtual_number_id)),
               OLD.virtual_number_id, OLD.direction, kind, status, CASE WHEN price IS NULL THEN '' ELSE currency END,
               sign, CASE WHEN is_mms THEN 0 ELSE sign * COALESCE(segments, 0) END, sign * is_mms::int,
               sign * media_count, sign * COALESCE(price, 0), true
          FROM (VALUES
                   (-1, OLD.created_at, OLD.kind, OLD.status, OLD.channel, OLD.media_count, OLD.segments, OLD.price,
                    OLD.currency),
                   (1, NEW.created_at, NEW.kind, NEW.status, NEW.channel, NEW.media_count, NEW.segments, NEW.price,
                    NEW.currency)
               ) AS change (sign, created_at, kind, status, channel, media_count, segments, price, currency)
         CROSS JOIN LATERAL (
                   SELECT channel = 'mms' OR (OLD.direction = 'in' AND media_count > 0) AS is_mms
               ) AS way
         WHERE OLD.position < (SELECT counted_to FROM messaging_usageprogress);
        RETURN NULL;
    END $$;
    CREATE TRIGGER message_changed_late AFTER UPDATE ON messaging_message
        FOR EACH ROW WHEN (OLD.created_at < now() - interval '30 minutes')
        EXECUTE FUNCTION messaging_count_late_change();
"""
FORGET_LATE_CHANGES = """
    DROP TRIGGER message_changed_late ON messaging_message;
    DROP FUNCTION messaging_count_late_change;
"""


class Migration(migrations.Migration):

    dependencies = [
        ("messaging", "0012_erasure"),
        ("chats", "0010_erasure"),
        ("platforms", "0006_cool_down"),
    ]

    operations = [
        migrations.CreateModel(
            name='UsageProgress',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('counted_to', models.BigIntegerField(default=0)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('pk', 1)), name='usage_has_one_progress')],
            },
        ),
        migrations.CreateModel(
            name='UsageDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('direction', models.CharField(max_length=3)),
                ('kind', models.CharField(max_length=40)),
                ('status', models.CharField(max_length=40)),
                ('currency', models.CharField(help_text='Empty while the price is not known.', max_length=3)),
                ('texts', models.BigIntegerField()),
                ('segments', models.BigIntegerField()),
                ('mms', models.BigIntegerField()),
                ('attachments', models.BigIntegerField()),
                ('price', models.DecimalField(decimal_places=6, max_digits=18)),
                ('is_late', models.BooleanField(db_default=False, default=False)),
                ('platform', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, to='platforms.platform')),
                ('virtual_number', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, to='chats.virtualnumber')),
            ],
            options={
                'indexes': [models.Index(fields=['platform', 'day'], name='usage_by_day'), models.Index(condition=models.Q(('is_late', True)), fields=['day'], name='usage_late')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('is_late', False)), fields=('platform', 'day', 'virtual_number', 'direction', 'kind', 'status', 'currency'), name='usage_is_added_up', nulls_distinct=False)],
            },
        ),
        migrations.RunSQL(COUNT_LATE_CHANGES, FORGET_LATE_CHANGES),
    ]
