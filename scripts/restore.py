"""Fill an empty database, and the directory of attachments, from a backup: `scripts/restore DIRECTORY`.

Needs pg_restore and psql on the PATH, and a DATABASE_URL that may make tables. No process of the service has to stop
for it, as none can use an empty database. What was on its way when the backup was taken waits for an operator's word.
"""

import shutil
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
    if tables := _count_tables():
        raise BackupError(f"The database is not empty ({tables} tables): a backup is never restored over anything.")
    connection.close()
    # Attachments first: of the two, only the database is filled wholly or not at all.
    try:
        if media and archive.exists():
            _unpack(archive, media)
        _restore_database(directory / "database.dump", SETTLE_RESTORED)
    except BaseException:
        if media and archive.exists():
            # It was empty, and has to be for the next try.
            shutil.rmtree(media, ignore_errors=True)
        raise
    print(WHAT_NEXT)


def _count_tables() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
        return int(cursor.fetchone()[0])


def _unpack(archive: Path, media: Path) -> None:
    """Write the files of a backup, and nothing that leads elsewhere.

    Not extractall(filter="data"), which Python has from 3.11.4 on only; Debian 12 has 3.11.2.
    """
    media.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as files:
        for member in files:
            path = media / member.name
            if not (member.isfile() or member.isdir()) or not path.resolve().is_relative_to(media.resolve()):
                raise BackupError(f"{archive} holds what is no attachment: {member.name}")
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
            elif content := files.extractfile(member):
                path.parent.mkdir(parents=True, exist_ok=True)
                with content, path.open("xb") as file:
                    shutil.copyfileobj(content, file)


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
    # Without a warning for each table of PostgreSQL's own, which the owner of ours may not look at.
    run("psql", "--no-psqlrc", "--quiet", "--command=SET client_min_messages = error", "--command=ANALYZE")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
