"""Write the database and the attachments into a new directory: `scripts/backup DIRECTORY`.

Needs pg_dump of the server's version, or newer, on the PATH. Safe at any time, also while texts travel.
"""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

KEYS = (
    "The keys are not in it: without ENCRYPTION_KEYS and DIGEST_KEY of this moment nobody can read it. Keep them apart."
)


class BackupError(Exception):
    """Says in one sentence what stands in the way."""


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("Say where to: scripts/backup DIRECTORY", file=sys.stderr)
        return 2
    mask = os.umask(0o077)
    try:
        set_up()
        back_up(Path(arguments[0]))
    except (BackupError, ImproperlyConfigured, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        os.umask(mask)
    return 0


def back_up(directory: Path) -> None:
    """Write database.dump, media.tar and backup.json, which comes last: without it a backup is not whole."""
    if directory.exists() and any(directory.iterdir()):
        raise BackupError(f"{directory} is not empty: a backup is never written over another.")
    directory.mkdir(parents=True, exist_ok=True)
    begun_at = datetime.now(UTC)
    run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={directory / 'database.dump'}")
    media = find_media()
    if media and media.is_dir():
        # After the database: a file that has come since is in nobody's way.
        with tarfile.open(directory / "media.tar", "w") as archive:
            archive.add(media, arcname=".")
    elif media is None:
        print("Attachments are in the storage of MEDIA_STORAGE, whose own backup has to keep them.", file=sys.stderr)
    (directory / "backup.json").write_text(json.dumps({"begun_at": begun_at.isoformat()}) + "\n")
    print(f"Backed up to {directory}. {KEYS}")


def set_up() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_project.settings")
    django.setup()


def find_media() -> Path | None:
    """Return the directory of attachments; None when they are kept elsewhere."""
    is_here = settings.MEDIA_STORAGE == "django.core.files.storage.FileSystemStorage"
    return Path(settings.MEDIA_ROOT) if is_here else None


def run(program: str, *arguments: str, **options: Any) -> None:
    """Run a program of PostgreSQL on the service's database."""
    try:
        done = subprocess.run([program, *arguments], env=make_environment(), **options)
    except FileNotFoundError:
        raise BackupError(
            f"{program} is not installed; on Debian or Ubuntu: apt-get install postgresql-client"
        ) from None
    if done.returncode:
        raise BackupError(f"{program} failed, with {done.returncode}.")


def make_environment() -> Mapping[str, str]:
    """Return where the database is as libpq reads it: a password has no place among arguments, which all can see."""
    database = settings.DATABASES["default"]
    given = {f"PG{name}": str(database[name]) for name in ("HOST", "PORT", "USER", "PASSWORD") if database.get(name)}
    ours = {
        f"PG{name.upper()}": str(value)
        for name, value in database.get("OPTIONS", {}).items()
        if name in ("host", "sslmode", "sslrootcert", "sslcert", "sslkey")
    }
    return {**os.environ, **given, **ours, "PGDATABASE": database["NAME"]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
