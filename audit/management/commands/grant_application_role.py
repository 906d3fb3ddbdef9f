"""Set what the database role may do as which the service connects."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction
from psycopg import sql

from audit.log import command, record
from audit.models import Action, AuditEntry

# Read and added to by the service, and never changed.
_APPEND_ONLY = (AuditEntry._meta.db_table,)
_READ_ONLY = ("django_migrations",)


class Command(BaseCommand):
    help = (
        "Give a database role what the service needs, and no more: everything in its tables but the audit log, which "
        "it may read and add to. Run it as the owner of the tables, after each migrate; the web, sender and worker "
        "processes then connect as that role. The role must exist: CREATE ROLE texting_app LOGIN PASSWORD '...'."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("role", metavar="NAME", help="The role as which the service connects.")

    def handle(self, *, role: str, **options: Any) -> str:
        with transaction.atomic(), connection.cursor() as cursor:
            _check_role(cursor, role)
            for statement in _make_statements(role, _list_tables(cursor)):
                cursor.execute(statement)
            record(action=Action.GRANTED_ROLE, by=command("grant_application_role"))
        return f"The role {role} may do what the service needs, and read and add to the audit log."


def _check_role(cursor: Any, role: str) -> None:
    """Raise CommandError unless the rights of `role` mean something."""
    cursor.execute(
        "SELECT rolsuper, pg_has_role(rolname, relowner, 'MEMBER') FROM pg_roles, pg_class"
        " WHERE rolname = %s AND pg_class.oid = %s::regclass",
        [role, AuditEntry._meta.db_table],
    )
    row = cursor.fetchone()
    if row is None:
        raise CommandError(f"There is no role {role!r}; a superuser makes one: CREATE ROLE ... LOGIN PASSWORD '...'.")
    if any(row):
        raise CommandError(
            f"The role {role!r} is a superuser, or owns the audit log: no right can be taken from it. Use another."
        )


def _list_tables(cursor: Any) -> list[str]:
    """Return the tables of the service and of the libraries it uses, in whatever schema they are found."""
    cursor.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND"
        " pg_has_role(current_user, tableowner, 'USAGE') ORDER BY tablename"
    )
    return [name for (name,) in cursor.fetchall()]


def _make_statements(role: str, tables: list[str]) -> list[sql.Composed]:
    schema, name = sql.SQL("{}").format(sql.Identifier(_schema())), sql.Identifier(role)
    statements = [
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, name),
        sql.SQL("REVOKE CREATE ON SCHEMA {} FROM {}").format(schema, name),
        sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {} TO {}").format(schema, name),
        sql.SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {} TO {}").format(schema, name),
    ]
    for table in tables:
        rights = "SELECT, INSERT, UPDATE, DELETE"
        if table in _APPEND_ONLY:
            rights = "SELECT, INSERT"
        elif table in _READ_ONLY:
            rights = "SELECT"
        statements += [
            sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.Identifier(table), name),
            sql.SQL(f"GRANT {rights} ON {{}} TO {{}}").format(sql.Identifier(table), name),
        ]
    return statements


def _schema() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        schema: str = cursor.fetchone()[0]
    return schema
