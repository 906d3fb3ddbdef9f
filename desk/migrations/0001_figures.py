"""The figures of the desk, and the trigger that keeps them right when a text changes after it was counted."""

from django.db import migrations, models

# As messaging_count_late_change does for the books, with columns of its own: texts that are younger than five minutes
# cost the comparison of two times. The lock is desk.counting.LOCK.
# The condition names one column only: others could not change their type any more.
KEEP_LATE_CHANGES = """
    CREATE FUNCTION desk_keep_late_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (OLD.created_at, OLD.status, OLD.error_code, OLD.sent_at, OLD.delivered_at, OLD.price, OLD.currency,
            OLD.earlier_gateway_ids)
           IS NOT DISTINCT FROM
           (NEW.created_at, NEW.status, NEW.error_code, NEW.sent_at, NEW.delivered_at, NEW.price, NEW.currency,
            NEW.earlier_gateway_ids)
        THEN
            RETURN NULL;
        END IF;
        PERFORM pg_advisory_xact_lock_shared(7308604927);
        INSERT INTO desk_latechange (
            sign, created_at, direction, kind, status, error_code, sent_at, delivered_at, is_resent, price, currency
        )
        SELECT sign, created_at, OLD.direction, OLD.kind, status, error_code, sent_at, delivered_at, is_resent, price,
               currency
          FROM (VALUES
                   (-1, OLD.position, OLD.created_at, OLD.status, OLD.error_code, OLD.sent_at, OLD.delivered_at,
                    OLD.earlier_gateway_ids IS NOT NULL, OLD.price, OLD.currency),
                   (1, NEW.position, NEW.created_at, NEW.status, NEW.error_code, NEW.sent_at, NEW.delivered_at,
                    NEW.earlier_gateway_ids IS NOT NULL, NEW.price, NEW.currency)
               ) AS change (sign, position, created_at, status, error_code, sent_at, delivered_at, is_resent, price,
                            currency)
         WHERE position < (SELECT counted_to FROM desk_progress) AND status <> 'scheduled';
        RETURN NULL;
    END $$;
    CREATE TRIGGER message_changed_after_count AFTER UPDATE ON messaging_message
        FOR EACH ROW WHEN (OLD.created_at < now() - interval '5 minutes')
        EXECUTE FUNCTION desk_keep_late_change();
"""
FORGET_LATE_CHANGES = """
    DROP TRIGGER message_changed_after_count ON messaging_message;
    DROP FUNCTION desk_keep_late_change;
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        # Its columns are the trigger's.
        ("messaging", "0017_failures"),
    ]

    operations = [
        migrations.CreateModel(
            name='LateChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sign', models.SmallIntegerField()),
                ('created_at', models.DateTimeField()),
                ('direction', models.CharField(max_length=3)),
                ('kind', models.CharField(max_length=40)),
                ('status', models.CharField(max_length=40)),
                ('error_code', models.CharField(blank=True, max_length=40)),
                ('sent_at', models.DateTimeField(null=True)),
                ('delivered_at', models.DateTimeField(null=True)),
                ('is_resent', models.BooleanField()),
                ('price', models.DecimalField(decimal_places=6, max_digits=12, null=True)),
                ('currency', models.CharField(blank=True, max_length=3)),
            ],
        ),
        migrations.CreateModel(
            name='Figure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('name', models.CharField(max_length=10)),
                ('key', models.CharField(blank=True, max_length=40)),
                ('amount', models.BigIntegerField()),
                ('is_recent', models.BooleanField(db_default=False, default=False)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('is_recent', True)), fields=['at'], name='figure_recent')],
                'constraints': [models.UniqueConstraint(fields=('at', 'name', 'key', 'is_recent'), name='figure_is_added_up')],
            },
        ),
        migrations.CreateModel(
            name='Progress',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('counted_to', models.BigIntegerField()),
                ('counted_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('pk', 1)), name='desk_has_one_progress')],
            },
        ),
        migrations.RunSQL(KEEP_LATE_CHANGES, FORGET_LATE_CHANGES),
    ]
