"""The totals of what was counted before there were any, a day at a time: nobody waits for longer than one day takes.

It may be stopped and started again at any point, beside processes of either version: who counts waits for the same
lock, and from 0024 on the trigger adds to whatever is there.
"""

from django.db import migrations, transaction

_COLUMNS = "platform_id, day, direction, kind, status, currency"
_PLATFORMS = "SELECT id FROM platforms_platform UNION ALL SELECT NULL"
# By the index usage_by_day, like what follows.
_NEXT_DAY = """
    SELECT min(day) FROM messaging_usageday
     WHERE platform_id {which} AND day > COALESCE(%(day)s::date, '-infinity')
"""
_LOCK = "SELECT pg_advisory_xact_lock(7308604895)"
_EMPTY = "DELETE FROM messaging_usagetotal WHERE platform_id {which} AND day = %(day)s"
_FILL = f"""
    INSERT INTO messaging_usagetotal ({_COLUMNS}, texts, segments, mms, attachments, price)
    SELECT {_COLUMNS}, sum(texts), sum(segments), sum(mms), sum(attachments), sum(price)
      FROM messaging_usageday
     WHERE platform_id {{which}} AND day = %(day)s AND NOT is_late
     GROUP BY {_COLUMNS}
"""


def fill_totals(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute(_PLATFORMS)
        for (platform_id,) in cursor.fetchall():
            which = "IS NULL" if platform_id is None else "= %(platform_id)s"
            day = None
            while day := _find_next_day(cursor, which, platform_id, day):
                with transaction.atomic(using=connection.alias):
                    # Each statement sees what was committed before it, by who held the lock before.
                    cursor.execute(_LOCK)
                    for statement in (_EMPTY, _FILL):
                        cursor.execute(statement.format(which=which), {"platform_id": platform_id, "day": day})


def _find_next_day(cursor, which, platform_id, day):
    cursor.execute(_NEXT_DAY.format(which=which), {"platform_id": platform_id, "day": day})
    return cursor.fetchone()[0]


class Migration(migrations.Migration):
    # Each day is a transaction of its own.
    atomic = False

    dependencies = [
        ("messaging", "0024_usage_totals"),
    ]

    operations = [
        migrations.RunPython(fill_totals, migrations.RunPython.noop),
    ]
