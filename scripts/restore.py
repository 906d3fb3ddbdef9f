"""Fill an empty database, and the directory of attachments, from a backup: `scripts/restore DIRECTORY`.

Needs pg_restore and psql on the PATH, and a DATABASE_URL that may make tables. No process of the service has to stop
for it, as none can use an empty database. What was on its way when the backup was taken waits for an operator's word.
"""

import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import connection

from scripts.backup import BackupError, find_media, make_environment, run, set_up

WHAT_NEXT = """\
Restored. Before you go on:
  1. python manage.py migrate                     when this is a newer version than that of the backup
  2. python manage.py grant_application_role NAME when the service has a role of its own
  3. python manage.py reapply_erasures            forget again whom you had to forget since the backup
  4. python manage.py settle_restored_texts       texts that were on their way may have gone out since: they wait"""


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("Say where from: scripts/restore DIRECTORY", file=sys.stderr)
        return 2
    try:
        set_up()
        restore(Path(arguments[0]))
    except (BackupError, ImproperlyConfigured, OSError, DatabaseError, tarfile.TarError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def restore(directory: Path) -> None:
    # Not at the top: models are there once Django is set up.
    from messaging.restoring import SETTLE_RESTORED

    if not (directory / "backup.json").is_file():
        raise BackupError(f"{directory} holds no whole backup: backup.json is missing.")
    media, archive = find_media(), directory / "media.tar"
    if media and archive.exists() and media.is_dir() and any(media.iterdir()):
        raise BackupError(f"{media} is not empty: MEDIA_ROOT has to be a new directory.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
        if tables := cursor.fetchone()[0]:
            raise BackupError(f"The database is not empty ({tables} tables): a backup is never restored over anything.")
    connection.close()
    _restore_database(directory / "database.dump", SETTLE_RESTORED)
    if media and archive.exists():
        media.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as files:
            files.extractall(media, filter="data")
    print(WHAT_NEXT)


def _restore_database(dump: Path, statements: Sequence[str]) -> None:
    """Fill the database and run `statements`, in one transaction: no sender sees the texts before they are held."""
    psql = subprocess.Popen(
        ["psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null"],
        env=make_environment(), stdin=subprocess.PIPE,
    )  # fmt: skip
    assert psql.stdin
    try:
        run("pg_restore", "--no-owner", "--no-privileges", "--file=-", str(dump), stdout=psql.stdin)
        # The dump has emptied the search path.
        psql.stdin.write(";\n".join(["SET search_path = public", *statements, ""]).encode())
    except BaseException:
        # An open transaction that ends with its connection changes nothing.
        psql.kill()
        raise
    finally:
        psql.stdin.close()
        psql.wait()
    if psql.returncode:
        raise BackupError(f"psql failed, with {psql.returncode}: nothing was restored.")
    run("psql", "--no-psqlrc", "--quiet", "--command=ANALYZE")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
