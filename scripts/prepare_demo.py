"""Migrate, and make the demo's platform, operator and virtual numbers if missing; used by scripts/run.

The database is asked first, and what is missing is made with the commands a person would use, so that it does
not matter whether the database or `.data/demo.json` was lost.
"""

import io
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import django
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from scripts.private_file import write_private

OPERATOR = "admin"
PLATFORM = "Demo"


def main(demo_file: Path, virtual_numbers: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_project.settings")
    django.setup()
    _migrate()
    known: dict[str, Any] = json.loads(demo_file.read_text()) if demo_file.exists() else {}
    demo = {**known, **_make_platform(known), **_make_operator(known)}
    _add_virtual_numbers(virtual_numbers)
    if demo != known:
        write_private(demo_file, json.dumps(demo, indent=2) + "\n")


def _migrate() -> None:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        print(f"Migrating the database ({len(plan)} steps) ...", flush=True)
        call_command("migrate", interactive=False, verbosity=0)


def _make_platform(known: dict[str, Any]) -> dict[str, Any]:
    # Not at the top: models can be imported once Django is set up.
    from platforms.models import ApiKey

    if ApiKey.objects.is_valid(known.get("api_key", "")):
        return {}
    out = io.StringIO()
    call_command("create_platform", PLATFORM, "--json", stdout=out)
    return {"api_key": json.loads(out.getvalue())["api_key"]}


def _make_operator(known: dict[str, Any]) -> dict[str, Any]:
    operator = {"username": OPERATOR, "password": secrets.token_urlsafe(9)}
    if get_user_model().objects.filter(username=OPERATOR).exists():
        # Somebody's own login, perhaps: its password is not ours to change.
        return {} if "operator" in known else {"operator": {"username": OPERATOR, "password": None}}
    os.environ["DJANGO_SUPERUSER_PASSWORD"] = operator["password"]
    call_command("createsuperuser", interactive=False, username=OPERATOR, email="", verbosity=0)
    return {"operator": operator}


def _add_virtual_numbers(numbers: list[str]) -> None:
    from chats.models import VirtualNumber

    existing = set(VirtualNumber.objects.filter(number__in=numbers).values_list("number", flat=True))
    for number in numbers:
        if number not in existing:
            call_command("add_virtual_number", number, stdout=io.StringIO())


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2:])
    except (ImproperlyConfigured, CommandError, OperationalError) as error:
        sys.exit(str(error).strip())
