"""Databases of the tests: one is migrated by the command, once a run, and all others begin as its copy."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.conf import settings
from psycopg import sql

from tests.harness.simulator import ROOT


def find_migrated() -> str:
    """Return the name of a database that `manage.py migrate` has made, which nobody may connect to."""
    name = f"migrated_{os.environ['TEST_RUN']}"
    with psycopg.connect(**connection_parameters("postgres"), autocommit=True) as connection:
        # The processes of one parallel run ask at the same time; the lock ends with the connection.
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            unfinished = f"unfinished_{uuid.uuid4().hex}"
            administrate("CREATE DATABASE {}", unfinished)
            manage(unfinished, "migrate", "--verbosity", "0")
            administrate("ALTER DATABASE {} RENAME TO {}", unfinished, name)
    return name


def manage(database: str, *arguments: str) -> str:
    """Run a command of manage.py on a database, and return what it prints."""
    return _run(database, "manage.py", *arguments)


def manage_all(database: str, *commands: Sequence[str]) -> str:
    """Run several commands of manage.py, as `manage` does, in one process: each takes seconds to start."""
    program = (
        "import django, json, sys; from django.core.management import call_command; django.setup();"
        " [call_command(*command) for command in json.loads(sys.argv[1])]"
    )
    return _run(database, "-c", program, json.dumps(commands))


def _run(database: str, *arguments: str) -> str:
    environment = {**os.environ, "DATABASE_URL": replace_database(os.environ["DATABASE_URL"], database)}
    environment.setdefault("DJANGO_SETTINGS_MODULE", "proxy_project.settings")
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments} failed: {done.stderr}"
    return done.stdout


def administrate(statement: str, *databases: str) -> None:
    """Run SQL about databases, whose names replace the {} in it."""
    with psycopg.connect(**connection_parameters("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, databases)))


def replace_database(url: str, database: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rpartition('/')[0]}/{database}"))


def connection_parameters(database: str) -> dict[str, Any]:
    configured = settings.DATABASES["default"]
    options = {name: value for name, value in configured.get("OPTIONS", {}).items() if name == "host"}
    given = {name.lower(): configured[name] for name in ("HOST", "PORT", "USER", "PASSWORD") if configured.get(name)}
    return {**given, **options, "dbname": database}
