"""Refuse migrations that the version before, which runs beside the new one for a while, cannot live with.

`python -m scripts.lint_migrations` reads the SQL of each migration, with django-migration-linter and rules of our own.
"""

import io
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

import django
from django.core.management import call_command

# Up to these there was no version that anybody had to go on from: nothing to be compatible with. Never to be moved on
# once there is one.
BEFORE_THE_FIRST_VERSION = {
    "audit": "0001_log",
    "chats": "0011_number_health",
    "desk": "0002_errands",
    "messaging": "0019_usage_by_number",
    "operators": "0002_roles",
    "platforms": "0011_abuse",
}
# (app.migration, code) → why it does no harm, such as that the table is small: it is written to by nobody, or fits into
# a second.
ACCEPTED: dict[tuple[str, str], str] = {}

# Constraints that PostgreSQL would check for every row while nobody may write.
_CHECKS_ALL_ROWS = re.compile(r"ALTER TABLE (\S+) ADD CONSTRAINT \S+ (?:CHECK|FOREIGN KEY|EXCLUDE)(?!.*NOT VALID)")
_SETS_NOT_NULL = re.compile(r"ALTER TABLE (\S+) ALTER COLUMN \S+ SET NOT NULL")
_CREATES_TABLE = re.compile(r"CREATE TABLE (\S+)")


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_project.settings")
    django.setup()
    problems = find_problems(since=BEFORE_THE_FIRST_VERSION)
    for problem in problems:
        print(problem)
    return int(bool(problems))


def find_problems(*, since: Mapping[str, str]) -> list[str]:
    """Return a sentence for each thing in a migration after `since` that an old process or a busy table cannot bear."""
    # Not at the top: it reads the settings.
    from django.db.migrations.loader import MigrationLoader

    problems = []
    for app, name in sorted(MigrationLoader(None).disk_migrations):
        if app in BEFORE_THE_FIRST_VERSION and name > since.get(app, ""):
            for code, message in find_faults(_read_sql(app, name)):
                if (f"{app}.{name}", code) not in ACCEPTED:
                    problems.append(
                        f"{app}.{name}: {message} ({code}). Divide it into steps (docs/operations.md#migrations), "
                        "or give the reason why it does no harm in scripts/lint_migrations.py."
                    )
    return problems


def find_faults(statements: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the code and the name of each fault in the SQL of a migration."""
    # Not at the top: it is there for development only, and mypy knows nothing of it.
    from django_migration_linter.sql_analyser.analyser import analyse_sql_statements
    from django_migration_linter.sql_analyser.postgresql import PostgresqlAnalyser

    # Warnings as well: a migration that locks a busy table is a pause.
    errors, _, warnings = analyse_sql_statements(PostgresqlAnalyser, list(statements), [])
    yield from ((issue.code, issue.message) for issue in (*errors, *warnings))
    made = {match[1] for statement in statements if (match := _CREATES_TABLE.match(statement))}
    for statement in statements:
        if (match := _CHECKS_ALL_ROWS.match(statement)) and match[1] not in made:
            yield "VALIDATES_CONSTRAINT", "ADDING a constraint that is checked for all rows at once, without NOT VALID"
        if (match := _SETS_NOT_NULL.match(statement)) and match[1] not in made:
            yield "SETS_NOT_NULL", "SETTING a column NOT NULL, which an old process may leave empty"


def _read_sql(app: str, name: str) -> list[str]:
    sql: str = call_command("sqlmigrate", app, name, stdout=io.StringIO())
    return sql.splitlines()


if __name__ == "__main__":
    sys.exit(main())
