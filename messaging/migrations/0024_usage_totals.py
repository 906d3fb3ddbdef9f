"""The books without virtual numbers, and the trigger on the books that keeps them, whichever version counts."""

import django.db.models.deletion
from django.db import migrations, models

# A statement at a time: the worker's is about thousands of rows, of which a few come out. Late changes are left alone:
# they are rows that are only added, by receipts that would wait for each other here. Whoever counts holds the lock
# messaging.usage.LOCK alone, so nobody else adds to a total meanwhile.
KEEP_TOTALS = """
    CREATE FUNCTION messaging_keep_usage_totals() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        come CONSTANT text := 'SELECT 1 AS sign, * FROM come WHERE NOT is_late';
        gone CONSTANT text := 'SELECT -1 AS sign, * FROM gone WHERE NOT is_late';
    BEGIN
        -- A change of one text, as it is for each receipt of an old one.
        IF TG_OP = 'INSERT' THEN
            IF NOT EXISTS (SELECT FROM come WHERE NOT is_late) THEN
                RETURN NULL;
            END IF;
        END IF;
        EXECUTE format(
            'INSERT INTO messaging_usagetotal AS total (
                 platform_id, day, direction, kind, status, currency, texts, segments, mms, attachments, price
             )
             SELECT platform_id, day, direction, kind, status, currency, sum(sign * texts), sum(sign * segments),
                    sum(sign * mms), sum(sign * attachments), sum(sign * price)
               FROM (%s) AS changed
              GROUP BY platform_id, day, direction, kind, status, currency
             ON CONFLICT (platform_id, day, direction, kind, status, currency)
             DO UPDATE SET texts = total.texts + excluded.texts, segments = total.segments + excluded.segments,
                           mms = total.mms + excluded.mms, attachments = total.attachments + excluded.attachments,
                           price = total.price + excluded.price',
            CASE TG_OP WHEN 'INSERT' THEN come WHEN 'DELETE' THEN gone ELSE come || ' UNION ALL ' || gone END
        );
        RETURN NULL;
    END $$;
    CREATE TRIGGER usage_is_added AFTER INSERT ON messaging_usageday
        REFERENCING NEW TABLE AS come
        FOR EACH STATEMENT EXECUTE FUNCTION messaging_keep_usage_totals();
    CREATE TRIGGER usage_is_changed AFTER UPDATE ON messaging_usageday
        REFERENCING OLD TABLE AS gone NEW TABLE AS come
        FOR EACH STATEMENT EXECUTE FUNCTION messaging_keep_usage_totals();
    CREATE TRIGGER usage_is_removed AFTER DELETE ON messaging_usageday
        REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION messaging_keep_usage_totals();
"""
FORGET_TOTALS = """
    DROP TRIGGER usage_is_added ON messaging_usageday;
    DROP TRIGGER usage_is_changed ON messaging_usageday;
    DROP TRIGGER usage_is_removed ON messaging_usageday;
    DROP FUNCTION messaging_keep_usage_totals;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0023_queued_by_person"),
        ("platforms", "0011_abuse"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageTotal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("direction", models.CharField(max_length=3)),
                ("kind", models.CharField(max_length=40)),
                ("status", models.CharField(max_length=40)),
                ("currency", models.CharField(max_length=3)),
                ("texts", models.BigIntegerField()),
                ("segments", models.BigIntegerField()),
                ("mms", models.BigIntegerField()),
                ("attachments", models.BigIntegerField()),
                ("price", models.DecimalField(decimal_places=6, max_digits=18)),
                (
                    "platform",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="platforms.platform",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("platform", "day", "direction", "kind", "status", "currency"),
                        name="usage_total_is_added_up",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        migrations.RunSQL(KEEP_TOTALS, FORGET_TOTALS),
    ]
