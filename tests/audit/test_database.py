"""PostgreSQL keeps the audit log as it was written, whoever connects."""

import io
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.test import Client

from audit.log import command, record
from audit.models import Action, AuditEntry
from chats.models import VirtualNumber
from messaging.models import Message
from platforms.models import ApiKey, Platform

CHANGES = (
    "UPDATE audit_auditentry SET reason = 'nothing'",
    "DELETE FROM audit_auditentry",
    "TRUNCATE audit_auditentry",
    "TRUNCATE audit_auditentry CASCADE",
    "MERGE INTO audit_auditentry a USING (SELECT 1) b ON true WHEN MATCHED THEN DELETE",
    "INSERT INTO audit_auditentry SELECT * FROM audit_auditentry ON CONFLICT (id) DO UPDATE SET reason = ''",
    "ALTER TABLE audit_auditentry DISABLE TRIGGER ALL",
    "ALTER TABLE audit_auditentry RENAME TO other",
    "DROP TABLE audit_auditentry",
    "DROP TRIGGER audit_is_only_added_to ON audit_auditentry",
    "CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "SET session_replication_role = 'replica'",
)


@pytest.fixture
def application(transactional_db: None) -> Iterator[psycopg.Connection]:
    """A connection as a role to which only grant_application_role gave rights."""
    role = f"texting_app_{secrets.token_hex(4)}"
    password = secrets.token_hex(8)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    call_command("grant_application_role", role, stdout=io.StringIO())
    params = connection.get_connection_params() | {"user": role, "password": password}
    for name in ("cursor_factory", "context", "prepare_threshold"):
        params.pop(name, None)
    with psycopg.connect(**params, autocommit=True) as connected:
        yield connected
    with connection.cursor() as cursor:
        cursor.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def write() -> AuditEntry:
    record(action=Action.CHANGED, by=command("test"), reason="the reason")
    return AuditEntry.objects.latest("at")


@pytest.mark.parametrize("change", CHANGES)
def test_an_application_role_cannot_change_the_audit_log(application: psycopg.Connection, change: str) -> None:
    entry = write()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute(f"SET audit.owner_edits = 'on'; {change}")
    entry.refresh_from_db()
    assert entry.reason == "the reason"


def test_even_a_role_that_was_given_too_much_cannot_change_it(application: psycopg.Connection) -> None:
    write()
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT ALL ON audit_auditentry TO {application.info.user}")
    for change in CHANGES[:3]:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute(f"SET audit.owner_edits = 'on'; {change}")
    assert AuditEntry.objects.filter(reason="the reason").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("change", CHANGES[:2])
def test_the_owner_changes_nothing_without_saying_so(change: str) -> None:
    write()
    with pytest.raises(ProgrammingError, match="only added to"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)
    assert AuditEntry.objects.filter(reason="the reason").exists()


@pytest.mark.django_db
def test_the_owner_can_forget_what_is_old_when_they_say_so() -> None:
    write()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL audit.owner_edits = 'on'")
        cursor.execute("DELETE FROM audit_auditentry WHERE at <= now() - interval '-1 day'")
    assert not AuditEntry.objects.exists()


def test_the_application_role_reads_and_adds(application: psycopg.Connection) -> None:
    write()
    application.execute(
        "INSERT INTO audit_auditentry (id, actor_kind, actor_id, actor_name, action, object_type, object_id, fields,"
        " reason) SELECT gen_random_uuid(), 'command', '', 'x', 'added', '', '', '', ''"
    )
    assert application.execute(
        "SELECT count(*) FROM audit_auditentry WHERE actor_name IN ('test', 'x')"
    ).fetchone() == (2,)


def test_the_application_role_does_all_else_that_the_service_needs(
    application: psycopg.Connection, client: Client, platform: Platform
) -> None:
    for model in (Platform, VirtualNumber, Message, ApiKey):
        table = model._meta.db_table
        application.execute(f"UPDATE {table} SET id = id WHERE false; DELETE FROM {table} WHERE false")
    application.execute("SELECT nextval('platforms_event_position')")
    application.execute("SELECT procrastinate_prune_stalled_workers_v1(60)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute("DELETE FROM django_migrations")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute("CREATE TABLE mine (id int)")


@pytest.mark.django_db
def test_rights_are_set_for_a_role_from_which_they_can_be_taken() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        [owner] = cursor.fetchone()
    for role, words in (("nobody_of_this_name", "There is no role"), (owner, "owns the audit log")):
        with pytest.raises(CommandError, match=words):
            call_command("grant_application_role", role)


@pytest.mark.django_db
def test_a_reason_with_a_phone_number_is_refused_by_the_database() -> None:
    with pytest.raises(Exception, match="audit_reason_quotes_no_number"), transaction.atomic():
        record(action=Action.CHANGED, by=command("test"), reason="she has +1 (415) 555-0123")


@pytest.mark.django_db
def test_an_entry_goes_with_what_it_records() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        write()
        raise RuntimeError
    assert not AuditEntry.objects.exists()
